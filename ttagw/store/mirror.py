"""A small table that is kept in the store and is the same here, on every gateway that shares the store.

Changes come as notices. All of it is compared when the store is there or comes back, and now and then where others
write to it too. While the store is away the last known table counts. What the store has lost (it was emptied, or an
older one took its place) is written to it again: what is taken out on purpose leaves a mark for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ttagw.store.base import MOST_TTL, Store, StoreError, StoreState

T = TypeVar("T")

TICK = 0.5
"""Seconds between two looks at what is due."""
RECONCILE = 5.0
"""Seconds between two comparisons with a store that is shared."""
MOST = 1_000_000
"""Entries that are taken up where nothing else is said."""
SHARE = 20.0
"""A large table is compared less often: it takes a twentieth of the time at the most."""
SWEEP_EACH = 1e-4
"""Seconds between two looks at what is over, for each entry: a large table is looked through less often."""
PORTION = 0.003
"""Seconds for which a comparison goes on until it lets others do something: a large table takes seconds."""
MOST_TOLD = 100
"""Entries that cannot be read and of which the log says so."""
GONE = b"-"
"""What stands in the place of something that was taken out."""
GONE_FOR = 7 * 86400.0
"""Seconds for which it stands there."""
LAST_MOMENT = 1.0
"""Seconds before its end in which nothing is written again: the store may have ended it already."""


class Mirror(Generic[T]):
    """What the store has below a prefix. Keys are what stands behind the prefix."""

    log = Logger()

    def __init__(
        self,
        store: Store,
        prefix: str,
        decode: Callable[[bytes], T],
        end: Callable[[T], float],
        clock: Any,
        wall: Callable[[], float],
        changed: Callable[[str, T | None], None] = lambda key, entry: None,  # noqa: ARG005
        most: int = MOST,
    ) -> None:
        """`decode` raises `ValueError`. `end`: Unix time at which an entry is over, or infinity. `changed` is told of
        each entry that is new, is another than before, was taken out, or is over. `most`: entries that are taken up;
        whoever writes some sees to it that there are no more.
        """
        self.entries: dict[str, T] = {}
        """As it is now; read only. What is over goes within a second or so, in a large table later: whoever must know
        better looks at the end.
        """
        self.current = False
        """Whether the store has been seen since it was last away."""
        self._raw: dict[str, bytes] = {}
        self._gone: dict[str, float] = {}
        self._owed: dict[str, bytes] = {}
        """What is in effect here, and the store was not there to be told."""
        self._heard: set[str] | None = None
        """What was heard of since the comparison that is under way began: it is newer than what that will find."""
        self._told: set[str] = set()
        """What could not be taken up, and was said to be so."""
        self._most = most
        self._store = store
        self._prefix = prefix
        self._decode = decode
        self._end = end
        self._clock = clock
        self._wall = wall
        self._changed = changed
        self._ends: list[Callable[[], None]] = []
        self._loop = LoopingCall(self._tick)
        self._loop.clock = clock
        self._looking: Deferred[None] | None = None
        self._losses = 0
        """How often the store was away."""
        self._next = self._next_sweep = 0.0

    # Life

    def start(self) -> None:
        """Take up what the store has, as soon as it is there."""
        self._ends = [self._store.watch(self._prefix, self._noticed), self._store.on_state(self._state_changed)]
        self._loop.start(TICK, now=False)
        if self._store.state.up:
            self._look()

    async def stop(self) -> None:
        """Hear of nothing any more."""
        for end in self._ends:
            end()
        self._ends = []
        if self._loop.running:
            self._loop.stop()
        if self._looking is not None:
            self._looking.cancel()

    # Changing

    async def put(self, key: str, raw: bytes) -> None:
        """Write an entry; it is in effect here when this returns, elsewhere a moment later. Raises `StoreError`, then
        nothing is in effect, and `ValueError` for what cannot be decoded.
        """
        entry = self._decode(raw)
        await self._store.put(self._prefix + key, raw, self._ttl(entry))
        self._take(key, raw)

    def put_here(self, key: str, raw: bytes) -> None:
        """An entry that is in effect here at once, and everywhere as soon as the store is there to be told: for what
        cannot wait. Raises `ValueError` for what cannot be decoded.
        """
        self._decode(raw)
        self._owed[key] = raw
        self._take(key, raw)

    async def remove(self, key: str) -> bool:
        """Take an entry out; whether there was one. Raises `StoreError`, then it stays in effect."""
        if key not in self.entries:
            return False
        await self._store.put(self._prefix + key, GONE, GONE_FOR)
        self._take(key, GONE)
        return True

    def _ttl(self, entry: T) -> float | None:
        end = self._end(entry)
        return None if end == float("inf") else min(max(end - self._wall(), 0.0), MOST_TTL)

    # Hearing of changes

    def _noticed(self, key: str, value: bytes | None) -> None:
        if value is not None:  # what is gone without a mark was lost
            self._owed.pop(key.removeprefix(self._prefix), None)
            self._take(key.removeprefix(self._prefix), value)

    def _take(self, key: str, raw: bytes) -> None:
        if self._heard is not None:
            self._heard.add(key)
        self._take_up(key, raw)

    def _take_up(self, key: str, raw: bytes) -> None:
        if raw == GONE:
            self._gone[key] = self._clock.seconds() + GONE_FOR
            self._drop(key)
            return
        if self._raw.get(key) == raw:
            return
        try:
            entry = self._decode(raw)
        except ValueError:
            self._warn("the store has something below {prefix} that cannot be read", key)
            return
        if key not in self.entries and len(self.entries) >= self._most:
            self._warn("the store has more below {prefix} than is taken up", "")
            return
        if self._end(entry) > self._wall():
            self._gone.pop(key, None)
            self._raw[key] = raw
            self.entries[key] = entry
            self._tell(key, entry)

    def _warn(self, sentence: str, about: str) -> None:
        """Say it once: the next comparison finds the same."""
        if about not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(about)
            self.log.warn(sentence, prefix=self._prefix)

    def _drop(self, key: str) -> None:
        self._raw.pop(key, None)
        if self.entries.pop(key, None) is not None:
            self._tell(key, None)

    def _tell(self, key: str, entry: T | None) -> None:
        try:
            self._changed(key, entry)
        except Exception:
            self.log.failure("a change below {prefix} could not be handed on", prefix=self._prefix)

    def _state_changed(self, state: StoreState) -> None:
        if state.up:
            self._look()
        else:
            self.current = False
            self._losses += 1

    def _tick(self) -> None:
        seconds = self._clock.seconds()
        if seconds >= self._next_sweep:
            self._sweep()
            self._next_sweep = seconds + SWEEP_EACH * len(self.entries)
        for key in [key for key, end in self._gone.items() if end <= seconds]:
            del self._gone[key]
        due = not self.current or ((self._owed or self._store.shared) and seconds >= self._next)
        if due and self._store.state.up:
            self._look()

    def _sweep(self) -> None:
        now = self._wall()
        for key in [key for key, entry in self.entries.items() if self._end(entry) <= now]:
            self._drop(key)

    # Comparing

    def _look(self) -> None:
        if self._looking is None:
            looking = self._looking = Deferred.fromCoroutine(self._compare())
            looking.addErrback(self._failed).addBoth(self._looked)

    def _looked(self, _: None) -> None:
        self._looking = None

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError, StoreError):
            self.log.failure("what is below {prefix} could not be compared", failure=failure, prefix=self._prefix)

    async def _compare(self) -> None:
        began = self._clock.seconds()
        self._next = began + RECONCILE
        losses = self._losses
        await self._pay()
        before = dict(self._raw)
        heard = self._heard = set()
        try:
            stored = await self._store.scan(self._prefix)
            await self._take_all(stored, heard)
        finally:
            self._heard = None
        # What was said while it was away has not been heard.
        self.current = self._store.state.up and self._losses == losses
        now = self._clock.seconds()
        self._next = now + max(RECONCILE, SHARE * (now - began))
        await self._write_again(before, stored)

    async def _take_all(self, stored: Mapping[str, bytes], heard: Set[str]) -> None:
        turn = self._clock.seconds()
        for key, raw in stored.items():
            name = key.removeprefix(self._prefix)
            if name not in heard:
                self._take_up(name, raw)
            turn = await self._in_turn(turn)

    async def _in_turn(self, turn: float) -> float:
        """Let others do something if this has been going on since `turn` for long enough: since when it does."""
        if self._clock.seconds() - turn < PORTION:
            return turn
        pause: Deferred[None] = Deferred(lambda _: call.cancel())
        call = self._clock.callLater(0, pause.callback, None)
        await pause
        now: float = self._clock.seconds()
        return now

    async def _pay(self) -> None:
        for key, raw in list(self._owed.items()):
            entry = self.entries.get(key)
            if entry is not None and self._raw[key] == raw:
                await self._store.put(self._prefix + key, raw, self._ttl(entry))
            if self._owed.get(key) == raw:
                del self._owed[key]

    async def _write_again(self, before: Mapping[str, bytes], stored: Mapping[str, bytes]) -> None:
        now = self._wall() + LAST_MOMENT
        turn = self._clock.seconds()
        for key, raw in before.items():
            turn = await self._in_turn(turn)
            if self._prefix + key in stored or self._raw.get(key) != raw:
                continue  # what has changed since is newer than what was seen
            entry = self.entries[key]
            if self._end(entry) > now:
                await self._store.swap(self._prefix + key, None, raw, self._ttl(entry))
        for key in list(self._gone):
            if self._prefix + key not in stored:
                await self._store.swap(self._prefix + key, None, GONE, GONE_FOR)
