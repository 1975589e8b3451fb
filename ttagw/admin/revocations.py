"""`/revocations`: tokens and keys that are not accepted any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from twisted.logger import Logger

from ttagw.admin.answers import Api, answer, body_of
from ttagw.admin.callers import Callers, must_be_admin
from ttagw.admin.channel import AdminRequest
from ttagw.admin.documents import read, shown_name
from ttagw.admin.revocation_documents import RevocationDocument, SelectorDocument, bounds, selected, written
from ttagw.auth.keys import Caller
from ttagw.auth.revocation_copy import Knowledge
from ttagw.auth.revocations import MOST, Revocations
from ttagw.core.revocation import KINDS, USER, Entry
from ttagw.errors import InvalidDocumentError, RevocationNotFoundError

log = Logger()

_QUERY = (b"kind", b"id")
"""The parameters that a GET may have."""


class RevocationPages(Api):
    """Revoke, look, and lift; all of it for admins only, and nothing of it says whom it is about."""

    def __init__(self, revocations: Revocations, callers: Callers, wall: Callable[[], float]) -> None:
        super().__init__()
        self._revocations = revocations
        self._callers = callers
        self._wall = wall
        self.offers = {b"GET": self._get, b"POST": self._post, b"DELETE": self._delete}

    async def _admin(self, request: AdminRequest) -> Caller:
        caller = await self._callers.caller(request)
        must_be_admin(caller)
        self._revocations.check_key(caller.name)
        return caller

    async def _get(self, request: AdminRequest) -> None:
        await self._admin(request)
        given = _one_of_each(request)
        if given:
            answer(request, 200, self._about(given))
            return
        about = self._revocations
        answer(
            request,
            200,
            {
                "state": about.knowledge.value,
                "since": written(about.since),
                "revocations": about.counts(),
                "most": MOST,
            },
        )

    def _about(self, given: dict[str, str]) -> dict[str, Any]:
        """Whether one is revoked; null if nobody can say."""
        kind = given["kind"]
        about = selected(read_query(kind, given["id"]))
        entry = self._revocations.find(about.kind, about.id)
        state = self._revocations.knowledge
        if entry is None:
            revoked = None if state is Knowledge.UNKNOWN else False
            return {"kind": kind, "revoked": revoked, "state": state.value}
        return {"revoked": True, "state": state.value, **_shown(kind, entry)}

    async def _post(self, request: AdminRequest) -> None:
        caller = await self._admin(request)
        document = read(RevocationDocument, body_of(request))
        about = selected(document)
        moment, end = bounds(document, about, self._revocations.terms, self._wall())
        entry = await self._revocations.revoke(about.kind, about.id, moment=moment, end=end)
        log.info("{caller} has revoked one {kind}", caller=caller.name, kind=about.kind)
        answer(request, 201, _shown(about.kind, entry))

    async def _delete(self, request: AdminRequest) -> None:
        caller = await self._admin(request)
        about = selected(read(SelectorDocument, body_of(request)))
        if not await self._revocations.lift(about.kind, about.id):
            raise RevocationNotFoundError
        log.info("{caller} has lifted the revocation of one {kind}", caller=caller.name, kind=about.kind)
        answer(request, 200, {"kind": about.kind, "lifted": True})


def _shown(kind: str, entry: Entry) -> dict[str, Any]:
    before = {"before": written(entry.moment)} if entry.kind == USER else {}
    return {"kind": kind, **before, "end": written(entry.end)}


def read_query(kind: str, id_: str) -> SelectorDocument:
    """The same as in a document. Raises `InvalidDocumentError`."""
    if kind not in KINDS:
        raise InvalidDocumentError(errors=[("kind", "expected jti, user or key")])
    try:
        return SelectorDocument.model_validate({kind: id_})
    except ValidationError:
        raise InvalidDocumentError(errors=[("id", f"this cannot be a {kind}")]) from None


def _one_of_each(request: AdminRequest) -> dict[str, str]:
    """The parameters of the query: none, or `kind` and `id` once each. Raises `InvalidDocumentError`."""
    given: dict[bytes, list[bytes]] = request.args or {}
    if not given:
        return {}
    faults = [(shown_name(name.decode("latin-1")), "there is no such field") for name in given if name not in _QUERY]
    faults += [(name.decode(), "expected once") for name in _QUERY if len(given.get(name, ())) != 1]
    if faults:
        raise InvalidDocumentError(errors=faults[:50])
    return {name.decode(): given[name][0].decode("utf-8", "replace") for name in _QUERY}
