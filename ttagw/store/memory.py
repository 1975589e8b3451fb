"""A store that is gone with the process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from ttagw.store.base import Notice, StoreAwayError, StoreRefusedError, StoreState
from ttagw.store.telling import Standing, Watchers

MOST_KEYS = 100_000
"""Keys at the most; further ones are refused."""

SWEEP = 10.0
"""Seconds between two looks for what is over."""


class _Kept(NamedTuple):
    value: bytes
    over: float | None
    """Monotonic seconds, None for never."""


class MemoryStore:
    """A `Store` in a dictionary. Bounded: beyond `most` keys new ones are refused with `full`."""

    kind = "memory"
    shared = False
    durable = False

    def __init__(self, clock: IReactorTime, monotonic: Callable[[], float], most: int = MOST_KEYS) -> None:
        self._monotonic = monotonic
        self._most = most
        self._kept: dict[str, _Kept] = {}
        self._watchers = Watchers()
        self._standing = Standing(self.kind, monotonic)
        self._swept = monotonic()
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = clock
        self.watch: Callable[[str, Notice], Callable[[], None]] = self._watchers.add
        self.on_state = self._standing.listen

    @property
    def state(self) -> StoreState:
        """How it is doing now."""
        return self._standing.state

    async def start(self) -> None:
        """As in `Store`."""
        self._sweeping.start(SWEEP, now=False)
        self._standing.up()

    async def stop(self) -> None:
        """As in `Store`. What was kept is forgotten."""
        if self._sweeping.running:
            self._sweeping.stop()
        self._kept.clear()
        self._standing.stopped()

    async def get(self, key: str) -> bytes | None:
        """As in `Store`."""
        self._check()
        return self._get(key)

    async def scan(self, prefix: str) -> Mapping[str, bytes]:
        """As in `Store`."""
        self._check()
        now = self._monotonic()
        return {
            key: kept.value
            for key, kept in self._kept.items()
            if key.startswith(prefix) and (kept.over is None or kept.over > now)
        }

    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """As in `Store`."""
        self._check()
        self._put(key, value, ttl)

    async def delete(self, key: str) -> bool:
        """As in `Store`."""
        self._check()
        found = self._get(key) is not None
        self._kept.pop(key, None)
        if found:
            self._watchers.tell(key, None)
        return found

    async def swap(self, key: str, expected: bytes | None, value: bytes, ttl: float | None = None) -> bool:
        """As in `Store`."""
        self._check()
        if self._get(key) != expected:
            return False
        self._put(key, value, ttl)
        return True

    def _check(self) -> None:
        if not self.state.up:
            raise StoreAwayError(self.state.reason)

    def _get(self, key: str) -> bytes | None:
        kept = self._kept.get(key)
        if kept is None or (kept.over is not None and kept.over <= self._monotonic()):
            return None
        return kept.value

    def _put(self, key: str, value: bytes, ttl: float | None) -> None:
        if key not in self._kept and not self._room():
            raise StoreRefusedError("full", f"{self._most} keys are the most")
        self._kept[key] = _Kept(value, None if ttl is None else self._monotonic() + ttl)
        self._watchers.tell(key, value)

    def _room(self) -> bool:
        # Not at every refusal: whoever floods a full store must not make each of their keys cost a look at all others.
        if len(self._kept) >= self._most and self._monotonic() >= self._swept + 1.0:
            self._sweep()
        return len(self._kept) < self._most

    def _sweep(self) -> None:
        now = self._swept = self._monotonic()
        for key in [key for key, kept in self._kept.items() if kept.over is not None and kept.over <= now]:
            del self._kept[key]
