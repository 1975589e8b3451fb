"""`/blocks`: who is blocked. Operators look, add and lift."""

from __future__ import annotations

from collections.abc import Callable
from heapq import nsmallest
from typing import Any

from pydantic import ValidationError
from twisted.logger import Logger

from ttagw.abuse.blocks import Blocks
from ttagw.abuse.entries import key_of
from ttagw.admin.answers import Api, answer, body_of
from ttagw.admin.block_documents import BlockDocument, Who, WhoDocument, shown, who
from ttagw.admin.callers import Callers, must_be_admin
from ttagw.admin.channel import AdminRequest
from ttagw.admin.documents import read, shown_name
from ttagw.auth.keys import Caller
from ttagw.core.blocking import ADDRESS, USER
from ttagw.core.networks import Places, network_of, subject_of
from ttagw.errors import BlockNotFoundError, InvalidDocumentError

log = Logger()

USUAL, MOST = 50, 200
"""Blocks on one page."""
_QUERY = frozenset((b"address", b"user", b"limit", b"after"))
"""The parameters that a GET may have."""


class BlockPages(Api):
    """All of it for admins only. The log says who did what, and of users not whom it was about."""

    def __init__(self, blocks: Blocks, places: Places, callers: Callers, wall: Callable[[], float]) -> None:
        super().__init__()
        self._blocks = blocks
        self._places = places
        self._callers = callers
        self._wall = wall
        self.offers = {b"GET": self._get, b"POST": self._post, b"DELETE": self._delete}

    async def _admin(self, request: AdminRequest) -> Caller:
        caller = await self._callers.caller(request)
        must_be_admin(caller)
        return caller

    # Looking

    async def _get(self, request: AdminRequest) -> None:
        caller = await self._admin(request)
        given = _query(request)
        log.info("{caller} has looked at blocks", caller=caller.name)
        if "address" in given or "user" in given:
            answer(request, 200, self._about(_who_of(given)))
            return
        answer(request, 200, self._page(_limit(given), given.get("after", "")))

    def _page(self, limit: int, after: str) -> dict[str, Any]:
        table = self._blocks.table
        keys = nsmallest(limit + 1, [key for key in table.listed() if key > after])
        found = [block for key in keys[:limit] if (block := table.get(key)) is not None]
        more = keys[limit - 1] if len(keys) > limit else None
        return {"blocks": [shown(block) for block in found], "total": len(table), "after": more}

    def _about(self, about: Who) -> dict[str, Any]:
        """The block that somebody is under, and for an address what the configuration says."""
        table = self._blocks.table
        if about.kind == USER:
            found = table.find_user(about.subject)
            return {"blocks": [] if found is None else [shown(found)]}
        exact = table.get(key_of(ADDRESS, about.subject))
        address = str(network_of(about.subject).network_address)
        place = self._places.of(address)
        found = exact or table.find_address(place, address)
        listed = "allow" if place.exempt else "deny" if place.denied else None
        return {"blocks": [] if found is None else [shown(found)], "listed": listed}

    # Changing

    async def _post(self, request: AdminRequest) -> None:
        caller = await self._admin(request)
        document = read(BlockDocument, body_of(request))
        about = who(document)
        if about.kind == ADDRESS:
            overlapped = self._places.protected(network_of(about.subject))
            if overlapped:
                raise InvalidDocumentError(
                    errors=[("address", f"this overlaps {overlapped}, which is never blocked; change that first")]
                )
        block = await self._blocks.add(about.kind, about.subject, document.lasts, document.reason)
        log.info("{caller} has blocked {whom}: {reason}", caller=caller.name, whom=_named(about), reason=block.reason)
        answer(request, 201, shown(block))

    async def _delete(self, request: AdminRequest) -> None:
        caller = await self._admin(request)
        about = who(read(WhoDocument, body_of(request)))
        subjects = [about.subject]
        if about.kind == ADDRESS:
            # Who was blocked automatically is known by the network of one customer.
            subjects.append(subject_of(network_of(about.subject).network_address))
        for subject in dict.fromkeys(subjects):
            if await self._blocks.lift(about.kind, subject):
                log.info("{caller} has lifted the block of {whom}", caller=caller.name, whom=_named(about))
                answer(request, 200, {about.kind: subject, "lifted": True})
                return
        raise BlockNotFoundError


def _named(about: Who) -> str:
    return about.subject if about.kind == ADDRESS else "one user"


def _query(request: AdminRequest) -> dict[str, str]:
    """The parameters of the query, each once. Raises `InvalidDocumentError`."""
    given: dict[bytes, list[bytes]] = request.args or {}
    faults = [(shown_name(name.decode("latin-1")), "there is no such field") for name in given if name not in _QUERY]
    faults += [(name.decode(), "expected once") for name in _QUERY if len(given.get(name, (b"",))) != 1]
    if faults:
        raise InvalidDocumentError(errors=sorted(faults)[:50])
    return {name.decode(): values[0].decode("utf-8", "replace") for name, values in given.items()}


def _who_of(given: dict[str, str]) -> Who:
    """The same as in a document. Raises `InvalidDocumentError`."""
    if len(given) != 1:
        raise InvalidDocumentError(errors=[("", "expected address or user, and nothing else beside it")])
    try:
        return who(WhoDocument.model_validate(given))
    except ValidationError:
        [name] = given
        raise InvalidDocumentError(errors=[(name, f"this cannot be the {name} of a block")]) from None


def _limit(given: dict[str, str]) -> int:
    text = given.get("limit", str(USUAL))
    if not text.isascii() or not text.isdigit() or len(text) > 3 or not 1 <= int(text) <= MOST:
        raise InvalidDocumentError(errors=[("limit", f"expected a number of 1 to {MOST}")])
    return int(text)
