"""`/break-glass`: who has broken the glass, to whom and why. This is where a reviewer looks."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from twisted.logger import Logger

from ttagw.admin.answers import Api, answer
from ttagw.admin.callers import Callers, must_be_reviewer
from ttagw.admin.channel import AdminRequest
from ttagw.admin.documents import MOST_FAULTS, shown_name
from ttagw.auth.glass_records import ID, Record, Records, Uses
from ttagw.errors import InvalidDocumentError, NotInTimeError

USUAL, MOST = 50, 200
"""Records on a page, where nothing is asked for and at the most."""

_LIMIT = re.compile(r"[1-9][0-9]{0,2}")


class BreakGlass(Api):
    """A page of records, newest first."""

    log = Logger()

    def __init__(self, records: Records, callers: Callers, failures: type[Exception]) -> None:
        """`failures` is what the store raises."""
        super().__init__()
        self._records = records
        self._callers = callers
        self._failures = failures
        self.offers = {b"GET": self._get}

    async def _get(self, request: AdminRequest) -> None:
        caller = await self._callers.caller(request)
        must_be_reviewer(caller)
        limit, after = _asked(request)
        try:
            found, more = await self._records.page(limit, after)
        except self._failures:
            raise NotInTimeError(retry_after=5) from None
        self.log.info("{caller} reads {count} records of break-glass", caller=caller.name, count=len(found))
        following = found[-1][0].id if more else None
        answer(request, 200, {"records": [_shown(record, uses) for record, uses in found], "after": following})


def _asked(request: AdminRequest) -> tuple[int, str]:
    """How many, and after which id; "" is from the beginning. Raises `InvalidDocumentError`."""
    names = [name.decode("latin-1") for name in request.args if name not in (b"limit", b"after")]
    faults = [(shown_name(name), "there is no such parameter") for name in names[:MOST_FAULTS]]
    limit, after = _one(request, b"limit", str(USUAL)), _one(request, b"after", "")
    if not _LIMIT.fullmatch(limit) or int(limit) > MOST:
        faults.append(("limit", f"expected a number from 1 to {MOST}"))
    if after and not ID.fullmatch(after):
        faults.append(("after", "expected the id of a record"))
    if faults:
        raise InvalidDocumentError(errors=faults)
    return int(limit), after


def _one(request: AdminRequest, name: bytes, default: str) -> str:
    values: list[bytes] = request.args.get(name, [])
    return ",".join([each.decode("latin-1") for each in values]) if values else default


def _shown(record: Record, uses: Uses) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(record)
    return {**shown, "uses": uses.count, "last_use": uses.last or None, "routes": uses.routes}
