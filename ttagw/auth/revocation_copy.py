"""The table of what is revoked, kept the same as in the store.

Changes come as notices. All of it is compared at the start, whenever the store comes back, and now and then where
others write to it too; what the store has lost then is written to it again. While it is away the last known table
counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ttagw.auth.revocation_batches import Batches
from ttagw.auth.revocation_entries import PARTS, PREFIX, State, Store, decode, key_of, place_of
from ttagw.core.revocation import GRACE, UNREADABLE, Entry, Kept, Table

TICK = 0.5
"""Seconds between two looks at what is due."""
RECONCILE = 5.0
"""Seconds between two comparisons with a store that is shared, at the least."""
SHARE = 20.0
"""What a comparison took, times this, passes before the next: it may cost a twentieth of the time."""
AWAITED = 2.0
"""Seconds for the store to be there, before the gateway counts as ready without what it knows."""
CHUNK = 1000
"""Entries that are looked at before requests get their turn."""
TOGETHER = 100
"""Entries that are written at once."""
LAST_MOMENT = 60.0
"""Seconds before its end in which nothing is written again: the store may have ended it already."""


class Knowledge(Enum):
    """How good the table is."""

    UNKNOWN = "unknown"
    """The store was never reached: nobody can say what is revoked."""
    LAST_KNOWN = "last_known"
    """The store is away: what was known stays in effect."""
    CURRENT = "current"


class Lost(NamedTuple):
    """Something that we know and the store does not, or not any more."""

    place: str
    found: bytes | None
    """What it has instead."""
    kept: Kept


class Copy:
    """A table that is fed by a store."""

    log = Logger()

    def __init__(
        self,
        store: Store,
        clock: Any,
        wall: Callable[[], float],
        failures: type[Exception],
        changed: Callable[[Sequence[str]], None],
    ) -> None:
        """`failures` is what the store raises. `changed` is told the marks of what is new, once for many of them."""
        self.table = Table()
        self.knowledge = Knowledge.UNKNOWN
        self.since = wall()
        """Unix time from which on the table is as good as `knowledge` says."""
        self.tried = False
        """Whether it was found out what the store knows, or that it does not answer."""
        self.repaired = 0
        """Entries that were found by comparing, after the first time."""
        self.restored = 0
        """Entries that the store had lost."""
        self._store = store
        self._clock = clock
        self._wall = wall
        self._failures = failures
        self._ends: list[Callable[[], None]] = []
        self._loop = LoopingCall(self._tick)
        self._loop.clock = clock
        self._looking: Deferred[None] | None = None
        self._generation = 0
        """Of the store's being there or not: a comparison across a change says nothing about now."""
        self._began = self._next = 0.0
        self._behind = False
        """Whether something could not be written again."""
        self._batches = Batches(clock, changed)

    # Life

    def start(self) -> None:
        """Take up what the store knows, as soon as it is there."""
        self._ends = [self._store.watch(PREFIX, self._noticed), self._store.on_state(self._state_changed)]
        self._began = self._clock.seconds()
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
        self._batches.stop()

    def _state_changed(self, state: State) -> None:
        self._generation += 1
        if state.up:
            self._look()
        elif self.knowledge is Knowledge.CURRENT:
            self._become(Knowledge.LAST_KNOWN)
            self.log.warn("revocations: the store is away; those that are known stay in effect, new ones are refused")

    def _become(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self.since = self._wall()

    def _tick(self) -> None:
        now = self._clock.seconds()
        if not self.tried and self._looking is None and now - self._began >= AWAITED:
            self._not_known("the store is away")
        if self._store.state.up and self._due(now):
            self._look()
        self.table.sweep(self._wall())

    def _due(self, now: float) -> bool:
        if self.knowledge is not Knowledge.CURRENT:
            return True
        return now >= self._next and (self._store.shared or self._behind)

    def _not_known(self, why: str) -> None:
        if self.knowledge is Knowledge.UNKNOWN and not self.tried:
            self.log.warn("revocations are not known, so nobody is let in by a token or a key: {why}", why=why)
        self.tried = True

    # Hearing of changes

    def _noticed(self, key: str, value: bytes | None) -> None:
        # Nobody deletes: what is gone was lost, or taken out by hand.
        place = None if value is None else self._take(key, value)
        if place is not None:
            self._batches.add(place)

    async def heard(self, key: str, value: bytes) -> None:
        """A change of our own; returns when it is in effect."""
        self._noticed(key, value)
        await self._batches.told()

    def _take(self, key: str, raw: bytes) -> str | None:
        """The mark of what is new; None if nothing is."""
        place = place_of(key)
        if place is None:
            return None
        try:
            entry = decode(raw)
        except ValueError:
            if place in self.table:
                return None
            self.log.warn("the store has a revocation that cannot be read; it counts for whatever it may be of")
            entry = Entry(UNREADABLE, 0, float("inf"), float("inf"))
        if entry.over(self._wall()):
            return None
        return place if self.table.take(place, entry, raw) else None

    # Comparing

    def _look(self) -> None:
        """Compare with the store, one comparison at a time."""
        if self._looking is None:
            looking = self._looking = Deferred.fromCoroutine(self._compare_all())
            looking.addErrback(self._failed).addBoth(self._looked)

    def _looked(self, _: None) -> None:
        self._looking = None

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.log.failure("revocations could not be compared with the store", failure=failure)
            self._not_known("they could not be compared")

    async def _compare_all(self) -> None:
        began = self._clock.seconds()
        try:
            await self._compare_parts()
        except self._failures as error:
            self.log.debug("revocations cannot be compared: {why}", why=str(error))
            self._not_known(str(error))
        finally:
            over = self._clock.seconds()
            self._next = over + max(RECONCILE, SHARE * (over - began))

    async def _compare_parts(self) -> None:
        generation = self._generation
        lost: list[Lost] = []
        for part in PARTS:
            lost += await self._compare(part, await self._store.scan(part))
        self.tried = True
        if generation == self._generation and self.knowledge is not Knowledge.CURRENT:
            self._become(Knowledge.CURRENT)
            self.log.info("revocations: {count} are known, as the store has them", count=len(self.table))
        self._behind = not await self._write_again(lost)

    async def _compare(self, part: str, stored: Mapping[str, bytes]) -> list[Lost]:
        """Take up what is new in this part; returns what the store has lost."""
        fresh: list[str] = []
        for number, (key, raw) in enumerate(stored.items(), 1):
            known = self.table.get(key[len(PREFIX) :])
            place = self._take(key, raw) if known is None or known.raw != raw else None
            if place is not None:
                fresh.append(place)
            if number % CHUNK == 0:
                await self._let_others()
        if fresh:
            self.repaired += len(fresh) if self.knowledge is not Knowledge.UNKNOWN else 0
            self._batches.at_once(fresh)
        return await self._lost(part[len(PREFIX) :], stored)

    async def _lost(self, digit: str, stored: Mapping[str, bytes]) -> list[Lost]:
        lost: list[Lost] = []
        for number, (place, kept) in enumerate(list(self.table.part(digit).items()), 1):
            found = stored.get(key_of(place))
            if found != kept.raw and not kept.entry.over(self._wall() + LAST_MOMENT):
                if kept.entry.kind == UNREADABLE:
                    if found is None:
                        self.table.drop(place)
                elif found is None or _readable(found):
                    lost.append(Lost(place, found, kept))
            if number % CHUNK == 0:
                await self._let_others()
        return lost

    async def _let_others(self) -> None:
        turn: Deferred[None] = Deferred()
        call = self._clock.callLater(0, turn.callback, None)
        try:
            await turn
        finally:
            if call.active():
                call.cancel()

    async def _write_again(self, lost: Sequence[Lost]) -> bool:
        """Whether the store could be reached for all of it. Where it has something newer by now, that stays."""
        for first in range(0, len(lost), TOGETHER):
            begun = [Deferred.fromCoroutine(self._write(each)) for each in lost[first : first + TOGETHER]]
            if not all([await each for each in begun]):
                return False
        return True

    async def _write(self, lost: Lost) -> bool:
        ttl = time_to_live(lost.kept.entry, self._wall())
        try:
            if await self._store.swap(key_of(lost.place), lost.found, lost.kept.raw, ttl):
                self.restored += 1
        except self._failures as error:
            self.log.debug("a revocation cannot be written again: {why}", why=str(error))
            return False
        return True


def time_to_live(entry: Entry, now: float) -> float | None:
    """Seconds for which the store keeps an entry; None: until it is changed."""
    return None if entry.end == float("inf") else entry.end + GRACE - now


def _readable(raw: bytes) -> bool:
    try:
        decode(raw)
    except ValueError:
        return False
    return True
