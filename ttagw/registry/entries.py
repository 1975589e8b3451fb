"""How a registration looks in the store, and which of two that differ counts.

Every change gets a revision that is larger than any that was seen of the same instance, and at least the time of day in
milliseconds: a hybrid logical clock (Kulkarni and others, 2014). The larger one counts; of equals, that of the gateway
whose name is larger: every gateway decides alike, in whatever order it learns of them.

A heartbeat only carries a registration on. One that arrives elsewhere while an instance is being deregistered must not
bring it back, so what is compared first is when the registration was made, or ended.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Protocol

import msgspec

from ttagw.config.services import Health, url_of_address
from ttagw.registry.records import Origin, Record

PREFIX = "instances/"

SHORTEST_LEASE, LONGEST_LEASE = 1.0, 3600.0

_PLACE = re.compile(rf"{PREFIX}([A-Za-z0-9][A-Za-z0-9._-]{{0,63}})/([A-Za-z0-9][A-Za-z0-9._:-]{{0,127}})")


class State(Protocol):
    """Whether the store works."""

    @property
    def up(self) -> bool: ...


class Records(Protocol):
    """What the ledger needs of a store; see `ttagw.store.base.Store`."""

    @property
    def shared(self) -> bool: ...

    async def get(self, key: str) -> bytes | None: ...
    async def scan(self, prefix: str) -> Any: ...
    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None: ...
    async def delete(self, key: str) -> bool: ...
    async def swap(self, key: str, expected: bytes | None, value: bytes, ttl: float | None = None) -> bool: ...
    def watch(self, prefix: str, notice: Callable[[str, bytes | None], None]) -> Callable[[], None]: ...
    def on_state(self, told: Callable[[Any], None]) -> Callable[[], None]: ...


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A registration, or that it is over."""

    revision: int
    born: int
    """The revision of the registration that this carries on, or of the end of it."""
    by: str
    """The gateway that made this change."""
    at: float
    """Unix time of the change, which is when the lease began."""
    gone: bool = False
    url: str = ""
    weight: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    zone: str = ""
    tags: tuple[str, ...] = ()
    version: str = ""
    dependencies: tuple[str, ...] = ()
    health: dict[str, str | int | float | list[int]] | None = None
    ttl: float = 0.0

    @property
    def order(self) -> tuple[int, bool, int, str]:
        """What is compared."""
        return self.born, self.gone, self.revision, self.by


_decoder = msgspec.json.Decoder(Entry)
encode = msgspec.json.Encoder().encode


def decode(raw: bytes) -> Entry:
    """Raises `ValueError` for what is no entry."""
    try:
        return _decoder.decode(raw)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None


def revision(seen: int, wall: float) -> int:
    """A revision for a change at this Unix time, after one that was seen."""
    return max(seen + 1, int(wall * 1000))


def to_entry(record: Record, number: int, by: str, wall: float, born: int | None = None) -> Entry:
    """What is stored for a record. `born`: what it carries on; None: it is a registration of its own."""
    health = None
    if record.health is not None:
        health = {name: getattr(record.health, name) for name in type(record.health).model_fields}
        health["expect"] = list(record.health.expect)
    return Entry(
        revision=number,
        born=number if born is None else born,
        by=by,
        at=wall,
        url=record.url,
        weight=record.weight,
        zone=record.zone,
        tags=record.tags,
        version=record.version,
        dependencies=record.dependencies,
        health=health,
        ttl=record.ttl,
    )


def to_record(service: str, id_: str, entry: Entry) -> Record:
    """The record of an entry. Raises `ValueError` for what no gateway writes: anybody may have been at the store."""
    if not SHORTEST_LEASE <= entry.ttl <= LONGEST_LEASE:
        raise ValueError(f"a lease of {entry.ttl:g} s")
    health = None
    if entry.health is not None:
        health = Health.model_validate(entry.health)
    return Record(
        service=service,
        id=id_,
        url=url_of_address(entry.url),
        weight=entry.weight,
        zone=entry.zone,
        tags=entry.tags,
        version=entry.version,
        dependencies=entry.dependencies,
        health=health,
        origin=Origin.SELF,
        ttl=entry.ttl,
    )


def key_of(service: str, id_: str) -> str:
    """Where the store keeps an instance."""
    return f"{PREFIX}{service}/{id_}"


def place_of(key: str) -> tuple[str, str] | None:
    """Service and id of a key, None if it is none of ours."""
    place = _PLACE.fullmatch(key)
    return (place[1], place[2]) if place is not None else None
