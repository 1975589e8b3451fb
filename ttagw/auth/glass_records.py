"""What is written down when somebody breaks the glass, and how a reviewer reads it.

A record is never changed. How often it was made use of stands beside it, one line for each gateway that let somebody
through because of it. Keys hold months and ids, nothing about a person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from time import gmtime, strftime
from typing import Any, Protocol, TypeVar

import msgspec
from twisted.logger import Logger

MONTHS = "break_glass/months/"
RECORDS = "break_glass/records/"
USES = "break_glass/uses/"
"""Which months have records; records by month and id; their uses by month, id and gateway."""

KEPT = 7 * 366 * 86400.0
"""Seconds for which a record is kept: seven years."""

ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")

T = TypeVar("T")


class Values(Protocol):
    """What is needed of a store; see `ttagw.store.base.Store`."""

    async def scan(self, prefix: str) -> Any: ...
    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None: ...


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody has broken the glass."""

    id: str
    """A UUID of version 7: a later record has a larger one."""
    time: float
    ends: float
    """Unix time of the record, and of the end of what it opened."""
    caller: str
    kind: str
    """`token`, `key` or `certificate`: by what the caller was known."""
    issuer: str
    roles: tuple[str, ...]
    person: str
    """Whom the caller wanted to reach."""
    reason: str
    route: str
    request_id: str
    gateway: str


class Uses(msgspec.Struct, kw_only=True):
    """How often a gateway has let somebody through because of a record."""

    count: int = 0
    last: float = 0.0
    """Unix time of the last one."""
    routes: dict[str, int] = msgspec.field(default_factory=dict)
    """How often, by the name of the route."""

    def add(self, other: Uses) -> None:
        """Those of another gateway as well."""
        self.count += other.count
        self.last = max(self.last, other.last)
        for name, count in other.routes.items():
            self.routes[name] = self.routes.get(name, 0) + count


encode = msgspec.json.Encoder().encode
_record = msgspec.json.Decoder(Record)
_uses = msgspec.json.Decoder(Uses)


def month_of(id_: str) -> str:
    """The month of an id, such as `2026-11`: the first 48 bits are its milliseconds (RFC 9562 §5.7)."""
    return strftime("%Y-%m", gmtime(int(id_[:8] + id_[9:13], 16) // 1000))


class Records:
    """All records. What the store raises goes through."""

    log = Logger()

    def __init__(self, store: Values) -> None:
        self._store = store

    async def write(self, record: Record) -> None:
        """Once this returns, the record is stored."""
        month = month_of(record.id)
        await self._store.put(f"{MONTHS}{month}", b"", KEPT)
        await self._store.put(f"{RECORDS}{month}/{record.id}", encode(record), KEPT)

    async def write_uses(self, id_: str, gateway: str, uses: Uses) -> None:
        """`gateway` tells apart who has counted."""
        await self._store.put(f"{USES}{month_of(id_)}/{id_}/{gateway}", encode(uses), KEPT)

    async def page(self, limit: int, after: str = "") -> tuple[list[tuple[Record, Uses]], bool]:
        """So many records with their uses, newest first, of those before the one that has the id `after`; whether there
        are more."""
        found: list[tuple[Record, Uses]] = []
        for month in await self._months(month_of(after) if after else "9999-99"):
            records = await self._records_of(month, limit + 1 - len(found), after)
            if records:
                uses = await self._uses_of(month, [record.id for record in records])
                found += [(record, uses[record.id]) for record in records]
            if len(found) > limit:
                break
        return found[:limit], len(found) > limit

    async def _months(self, last: str) -> list[str]:
        names = [key[len(MONTHS) :] for key in await self._store.scan(MONTHS)]
        return sorted([name for name in names if _MONTH.fullmatch(name) and name <= last], reverse=True)

    async def _records_of(self, month: str, most: int, after: str) -> list[Record]:
        prefix = f"{RECORDS}{month}/"
        stored = {key[len(prefix) :]: raw for key, raw in (await self._store.scan(prefix)).items()}
        found: list[Record] = []
        for id_ in sorted([id_ for id_ in stored if ID.fullmatch(id_) and (not after or id_ < after)], reverse=True):
            record = self._decoded(_record, stored[id_], id_)
            if record is not None and record.id == id_:
                found.append(record)
            if len(found) == most:
                break
        return found

    async def _uses_of(self, month: str, ids: list[str]) -> Mapping[str, Uses]:
        prefix = f"{USES}{month}/"
        found = {id_: Uses() for id_ in ids}
        for key, raw in (await self._store.scan(prefix)).items():
            id_ = key[len(prefix) :].partition("/")[0]
            uses = self._decoded(_uses, raw, id_) if id_ in found else None
            if uses is not None:
                found[id_].add(uses)
        return found

    def _decoded(self, decoder: msgspec.json.Decoder[T], raw: bytes, id_: str) -> T | None:
        """None for what no gateway writes: anybody may have been at the store. What is in it is not said."""
        try:
            return decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.log.error("the store has something under the id {id} that is no record of break-glass", id=id_)
            return None
