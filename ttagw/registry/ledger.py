"""Who has registered: kept in the store, and the same at every gateway that shares it.

A change is made here first and then written; what cannot be written is kept and written when the store is back, so that
an accepted registration is never lost while this process lives. Changes of other gateways come as notices, and every
`RECONCILE` seconds, and whenever the store comes back, all of it is compared, which repairs what got lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ttagw.registry.entries import (
    PREFIX,
    Entry,
    Records,
    State,
    decode,
    encode,
    key_of,
    place_of,
    revision,
    to_entry,
    to_record,
)
from ttagw.registry.records import Origin, Record
from ttagw.registry.registry import ConflictError, FullError, Registry

RECONCILE = 2.0
"""Seconds between two comparisons with a store that is shared."""

CATCH_UP = 5.0
"""Seconds in which everybody has written what waited, once the store is back."""

HOLD = 1.0
"""Seconds between two looks whether a lease that others renew can end."""

REMEMBERED = 3600.0
"""Seconds for which a shared store keeps that an instance is gone."""

MOST_KNOWN = 50_000
"""Entries that are kept in memory, those that are over included."""


class _Known(NamedTuple):
    """What we know of one key."""

    entry: Entry
    raw: bytes | None
    """What the store holds for it, as far as we know."""
    over: bool = False
    """Its lease is over here, or it never had one because it could not be taken."""
    heard: bool = True
    """It was heard of when it happened. What was only found may have come to its end elsewhere."""


GATEWAYS = "gateways/"
ALIVE = 30.0
"""Where each gateway says that it is there, and for how many seconds that counts."""


class Ledger:
    """Registrations of this gateway, and those it hears of."""

    log = Logger()

    def __init__(
        self,
        store: Records,
        registry: Registry,
        name: str,
        clock: Any,
        wall: Callable[[], float],
        failures: type[Exception],
    ) -> None:
        """`name` tells this gateway from every other; `failures` is what the store raises."""
        self._store = store
        self._registry = registry
        self._name = name
        self._wall = wall
        self._failures = failures
        self._known: dict[str, _Known] = {}
        self._unwritten: dict[str, None] = {}
        self._ends: list[Callable[[], None]] = []
        self._looking = False
        self._waiting_for = ""
        """Why the store takes nothing, once that has been said."""
        self._clock = clock
        self._deaf = False
        """Whether others cannot be heard of."""
        self._hears_since = float("-inf")
        self._loop = LoopingCall(self.look)
        self._loop.clock = clock
        self.repaired = 0
        """Changes that were found by comparing, not by a notice."""
        registry.lease_ended = self._lease_ended
        registry.hold = self._hold

    @property
    def unwritten(self) -> int:
        """Changes that the store does not have yet."""
        return len(self._unwritten)

    # Life

    async def start(self) -> None:
        """Take up what the store has, as far as it can be reached now."""
        self._ends = [self._store.watch(PREFIX, self._noticed), self._store.on_state(self._state_changed)]
        await self._compare()
        self._loop.start(RECONCILE, now=False)

    async def stop(self) -> None:
        """Hear of nothing any more; what is not written yet is tried once more."""
        for end in self._ends:
            end()
        if self._loop.running:
            self._loop.stop()
        if self._unwritten:
            await self._write_all()

    def _state_changed(self, state: State) -> None:
        self._hears(state.up)
        if state.up:
            self.look()

    def _hears(self, hears: bool) -> None:
        if hears and self._deaf:
            self._hears_since = self._clock.seconds()
        self._deaf = not hears

    async def _say_alive(self) -> None:
        """Where we cannot write, nobody can: then heartbeats elsewhere come to nobody, however well it can be read."""
        if self._store.shared:
            try:
                await self._store.put(f"{GATEWAYS}{self._name}", b"", ALIVE)
            except self._failures:
                self._hears(False)
            else:
                self._hears(True)

    def _hold(self, record: Record) -> float:
        """A lease that was renewed elsewhere last does not end while, or because, the store is away."""
        known = self._known.get(key_of(record.service, record.id))
        if not self._store.shared or known is None or known.entry.by == self._name:
            return 0.0
        return HOLD if self._deaf or self._clock.seconds() - self._hears_since < CATCH_UP else 0.0

    def look(self) -> None:
        """Compare with the store, and write what it does not have; one comparison at a time."""
        if not self._looking and (self._store.shared or self._unwritten):
            self._looking = True
            Deferred.fromCoroutine(self._look()).addErrback(self._failed)

    async def _look(self) -> None:
        try:
            await self._compare()
            await self._write_all()
            await self._say_alive()
        finally:
            self._looking = False

    def _failed(self, failure: Any) -> None:
        self.log.failure("registrations could not be compared with the store", failure=failure)

    # What is asked of this gateway

    async def register(self, record: Record) -> bool:
        """Whether it is new. Raises what `Registry.put` raises."""
        key = key_of(record.service, record.id)
        new = self._registry.put(record, slowly=True, lease=record.ttl)
        await self._change(key, to_entry(record, self._next(key), self._name, self._wall()))
        return new

    async def renew(self, service: str, id_: str) -> float:
        """Seconds of the lease that begins now; 0: there is no such instance."""
        key = key_of(service, id_)
        known = self._known.get(key)
        if known is None or known.entry.gone:
            return 0.0
        ttl = known.entry.ttl
        member = self._registry.renew(service, id_, ttl)
        if member is None:
            return 0.0
        if self._store.shared:
            # The others count from what they hear; a store of our own gives a whole lease after each start.
            entry = to_entry(member.record, self._next(key), self._name, self._wall(), known.entry.born)
            await self._change(key, entry)
        return ttl

    async def deregister(self, service: str, id_: str) -> bool:
        """Whether there was such an instance: it drains, then leaves."""
        key = key_of(service, id_)
        known = self._known.get(key)
        if known is None or known.entry.gone or known.over:
            return False
        self._registry.drain(service, id_, "deregistered")
        number = self._next(key)
        await self._change(key, Entry(revision=number, born=number, by=self._name, at=self._wall(), gone=True))
        return True

    def _next(self, key: str) -> int:
        known = self._known.get(key)
        return revision(0 if known is None else known.entry.revision, self._wall())

    async def _change(self, key: str, entry: Entry) -> None:
        known = self._known.get(key)
        self._known[key] = _Known(entry, None if known is None else known.raw)
        self._unwritten[key] = None
        await self._write(key)

    def _lease_ended(self, record: Record) -> None:
        key = key_of(record.service, record.id)
        known = self._known.get(key)
        if known is None or known.entry.gone:
            return
        self._known[key] = known._replace(over=True)
        if self._store.shared:
            # What could not be written in all that time would be news to the others, and they would wait for it anew.
            self._unwritten.pop(key, None)
        else:
            self._unwritten[key] = None
            self.look()

    # Writing

    async def _write_all(self) -> None:
        for key in list(self._unwritten):
            if not await self._write(key):
                return

    async def _write(self, key: str) -> bool:
        """Whether the store could be reached. What has changed in the meantime stays unwritten."""
        try:
            for _ in range(5):
                known = self._known.get(key)
                if known is None or key not in self._unwritten:
                    break
                if await self._put(key, known):
                    break
        except self._failures as error:
            if self._waiting_for != str(error):
                self._waiting_for = str(error)
                self.log.warn("registrations wait to be written: {why}", why=self._waiting_for)
            return False
        self._waiting_for = ""
        return True

    async def _put(self, key: str, known: _Known) -> bool:
        """Whether it is done: written, or somebody else's newer one taken up."""
        entry = known.entry
        if (entry.gone or known.over) and not self._store.shared:
            await self._store.delete(key)
            self._settled(key, known, None)
            return True
        raw = encode(entry)
        ttl = None if not self._store.shared else REMEMBERED if entry.gone else entry.ttl + 5.0
        if await self._store.swap(key, known.raw, raw, ttl):
            self._settled(key, known, raw)
            return True
        theirs = await self._store.get(key)
        self._take(key, theirs, found=True)
        now = self._known.get(key)
        if now is not None:
            self._known[key] = now._replace(raw=theirs)
        return False

    def _settled(self, key: str, written: _Known, raw: bytes | None) -> None:
        """The store has this now, which need not be the newest any more."""
        known = self._known.get(key)
        if known is None:
            return
        self._known[key] = known._replace(raw=raw)
        if (known.entry.order, known.over) == (written.entry.order, written.over):
            self._unwritten.pop(key, None)
            if raw is None:
                del self._known[key]

    # Hearing

    def _noticed(self, key: str, value: bytes | None) -> None:
        if value is not None:
            self._take(key, value, found=False)

    def _take(self, key: str, raw: bytes | None, *, found: bool) -> None:
        """Somebody's change, or our own come back."""
        place = place_of(key)
        if raw is None or place is None:
            return
        try:
            entry = decode(raw)
        except ValueError as error:
            self.log.warn("the store has something under {key} that is no registration: {why}", key=key, why=str(error))
            return
        known = self._known.get(key)
        if known is not None and known.entry.order >= entry.order:
            if known.entry.order == entry.order:
                self._known[key] = known._replace(raw=raw)
            return
        self._known[key] = _Known(entry, raw, heard=not found)
        self._unwritten.pop(key, None)
        self.repaired += found
        if not self._apply(place, entry, fresh=not found):
            self._known[key] = _Known(entry, raw, over=True)

    def _apply(self, place: tuple[str, str], entry: Entry, *, fresh: bool) -> bool:
        """Whether it counts here."""
        service, id_ = place
        group = self._registry.groups.get(service)
        if group is None:
            return entry.gone
        if entry.gone:
            member = group.members.get(id_)
            if member is not None and member.record.origin is Origin.SELF:
                self._registry.drain(service, id_, "deregistered")
            return True
        lease = entry.ttl
        if not fresh and self._store.shared:
            # It began when it was written; whoever lives has the time for one more heartbeat.
            lease = min(entry.ttl, max(entry.ttl / 3, entry.ttl - (self._wall() - entry.at)))
        try:
            self._registry.put(to_record(service, id_, entry), slowly=True, lease=lease, heard=True)
        except (ConflictError, FullError, ValueError) as error:
            self.log.warn("{service} {instance}: not taken: {why}", service=service, instance=id_, why=str(error))
            return False
        except Exception:
            # One that nobody thought of must not keep all others from being compared.
            self.log.failure("{service} {instance}: could not be taken", service=service, instance=id_)
            return False
        return True

    async def _compare(self) -> None:
        """Take up what the store has and we do not; note what we have and it does not."""
        try:
            stored = await self._store.scan(PREFIX)
        except self._failures as error:
            self.log.debug("the store cannot be compared with: {why}", why=str(error))
            return
        for key, raw in stored.items():
            self._take(key, raw, found=True)
        for key, known in list(self._known.items()):
            if key in stored:
                self._note_older(key, known, stored[key])
                continue
            if known.over or (known.entry.gone and self._wall() - known.entry.at > REMEMBERED):
                if key not in self._unwritten:
                    del self._known[key]
                continue
            # What was found, and not heard of, may have been at its end; written anew it would go from one to another.
            if known.heard or known.entry.gone:
                self._known[key] = known._replace(raw=None)
                self._unwritten[key] = None
        if len(self._known) > MOST_KNOWN:
            self._forget_oldest()

    def _note_older(self, key: str, known: _Known, raw: bytes) -> None:
        """A store may have fallen back behind what it once held: a replica that was late has taken over."""
        if known.raw != raw and not known.over:
            self._known[key] = known._replace(raw=raw)
            self._unwritten[key] = None

    def _forget_oldest(self) -> None:
        over = [key for key, known in self._known.items() if known.over or known.entry.gone]
        over.sort(key=lambda key: self._known[key].entry.at)
        for key in over[: len(self._known) - MOST_KNOWN]:
            self._known.pop(key)
            self._unwritten.pop(key, None)
