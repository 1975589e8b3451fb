"""How a revocation looks in the store: `revocations/` and the mark of what it forbids, with a small JSON document."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Protocol

import msgspec

from ttagw.core.revocation import Entry

PREFIX = "revocations/"

PARTS = tuple([f"{PREFIX}{digit}" for digit in "0123456789abcdef"])
"""What is looked through one after the other: a full table is too much for the deadline of one operation."""

_PLACE = re.compile(rf"{PREFIX}([0-9a-f]{{64}})")
_LATEST = 1e11
"""Unix time after any that makes sense, far below what a float cannot count."""

_Time = Annotated[float, msgspec.Meta(ge=0, le=_LATEST)]


class _Stored(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Literal[1]
    kind: Annotated[str, msgspec.Meta(pattern="^(jti|user|key)$")]
    revision: Annotated[int, msgspec.Meta(ge=1, le=1 << 53)]
    moment: _Time
    end: _Time | None
    """None: it ends when it is lifted."""
    lifted: bool


class State(Protocol):
    """Whether the store works."""

    @property
    def up(self) -> bool: ...


class Store(Protocol):
    """What is needed of a store; see `ttagw.store.base.Store`."""

    @property
    def shared(self) -> bool: ...
    @property
    def state(self) -> State: ...

    async def get(self, key: str) -> bytes | None: ...
    async def scan(self, prefix: str) -> Mapping[str, bytes]: ...
    async def swap(self, key: str, expected: bytes | None, value: bytes, ttl: float | None = None) -> bool: ...
    def watch(self, prefix: str, notice: Callable[[str, bytes | None], None]) -> Callable[[], None]: ...
    def on_state(self, told: Callable[[Any], None]) -> Callable[[], None]: ...


_decode = msgspec.json.Decoder(_Stored).decode
_encode = msgspec.json.Encoder().encode


def key_of(place: str) -> str:
    """Where the store keeps what has this mark."""
    return PREFIX + place


def place_of(key: str) -> str | None:
    """The mark in a key of the store; None if it is none of ours."""
    found = _PLACE.fullmatch(key)
    return None if found is None else found[1]


def encode(entry: Entry) -> bytes:
    """The value that is stored for an entry."""
    end = None if entry.end == float("inf") else entry.end
    return _encode(
        _Stored(version=1, kind=entry.kind, revision=entry.revision, moment=entry.moment, end=end, lifted=entry.lifted)
    )


def decode(raw: bytes) -> Entry:
    """Raises `ValueError` for what no gateway of this version writes."""
    try:
        stored = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None
    end = float("inf") if stored.end is None else stored.end
    return Entry(stored.kind, stored.revision, stored.moment, end, stored.lifted)
