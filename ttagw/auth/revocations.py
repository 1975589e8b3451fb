"""Tokens and keys that are not accepted any more, kept in the store and in effect on every gateway that shares it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from twisted.logger import Logger

from ttagw.auth.revocation_copy import Copy, Knowledge, time_to_live
from ttagw.auth.revocation_entries import Store, decode, encode, key_of
from ttagw.auth.revocation_watchers import Watchers
from ttagw.core.identity import Identity
from ttagw.core.revocation import KEY, USER, Entry, Table, lifted, mark, marks_of, revoked
from ttagw.errors import (
    CredentialsRefusedError,
    GatewayError,
    IdentityUnknownError,
    NotStoredError,
    RevocationsFullError,
    TokenRefusedError,
)

MOST = 100_000
"""Revocations at once; further ones are refused, and none is forgotten before its end."""
TRIES = 10
"""To change an entry that others change at the same time."""

NOT_DONE = "The store did not take it, so nothing was changed, here or elsewhere. It is safe to ask again."
UNSURE = (
    "The store did not say whether it was done. If it was, it takes effect on every gateway when the store is back; "
    "it is safe to ask again."
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What tokens can be, and how many identities are remembered elsewhere."""

    longest_life: float
    """How far off the end of a token may be, in seconds."""
    leeway: float
    remembered: int


class Revocations:
    """What is revoked."""

    log = Logger()

    def __init__(
        self,
        store: Store,
        terms: Terms,
        clock: Any,
        wall: Callable[[], float],
        failures: tuple[type[Exception], type[Exception]],
        forget: Callable[[Callable[[Identity], bool]], int],
        most: int = MOST,
    ) -> None:
        """`failures`: what the store raises, and which of that says that it may have been done. `forget` drops those of
        whom something is true from what is remembered; returns how many those were.
        """
        self.terms = terms
        self._store = store
        self._wall = wall
        self._failures, self._away = failures
        self._forget = forget
        self._most = most
        # What is remembered is looked through at each change: each mark is a hash, which would be most of the time.
        self._marks = lru_cache(terms.remembered)(marks_of)
        self._copy = Copy(store, clock, wall, failures[0], self._changed)
        self._watchers = Watchers()
        self._writing = 0
        self.forgotten = 0
        """Identities that were remembered until they were revoked."""
        self.batches = 0
        """How often what is remembered was looked through."""
        self.start = self._copy.start
        self.stop = self._copy.stop

    # How it is

    @property
    def tried(self) -> bool:
        """Whether it was found out what the store knows, or that it does not answer."""
        return self._copy.tried

    @property
    def knowledge(self) -> Knowledge:
        """How good that is which is known."""
        return self._copy.knowledge

    @property
    def since(self) -> float:
        """Unix time of the last change of `knowledge`."""
        return self._copy.since

    @property
    def _table(self) -> Table:
        return self._copy.table

    def counts(self) -> dict[str, int]:
        """How many revocations of each kind are in effect."""
        return self._table.counts(self._wall())

    # What is asked for each caller

    def check(self, identity: Identity) -> None:
        """Raises `TokenRefusedError` or `CredentialsRefusedError` for one that is revoked, `IdentityUnknownError` if
        nobody can say.
        """
        if self._forbidden(identity):
            raise TokenRefusedError("token_revoked") if identity.kind == "token" else _key_revoked()
        if self._copy.knowledge is Knowledge.UNKNOWN:
            raise IdentityUnknownError("revocations_unknown", retry_after=1)

    def check_key(self, name: str) -> None:
        """The same for the name of a key at the admin side, which has to work while the store is away: what is not
        known to be revoked is let in. Raises `CredentialsRefusedError`.
        """
        if self._table.forbids(0.0, (mark(KEY, name),), self._wall()):
            raise _key_revoked()

    def user_revoked(self, user: str, moment: float) -> bool:
        """Whether all that a user had at that Unix time is revoked, as far as that is known."""
        return self._table.forbids(moment, (mark(USER, user),), self._wall())

    def _forbidden(self, identity: Identity) -> bool:
        return self._table.forbids(identity.issued, self._marks(identity), self._wall())

    def watch(self, identity: Identity, told: Callable[[], object]) -> Callable[[], None]:
        """Call `told` once when this identity is revoked, which it must not be yet. Returns what ends it. Raises
        `TooManyWatchersError`, and what `check` raises.
        """
        self.check(identity)
        return self._watchers.add(identity, self._marks(identity), told)

    def _changed(self, places: Sequence[str]) -> None:
        now, marks, forbids, new = self._wall(), self._marks, self._table.forbids, frozenset(places)

        def forbidden(identity: Identity) -> bool:
            found = marks(identity)
            return not new.isdisjoint(found) and forbids(identity.issued, found, now)

        self.batches += 1
        self.forgotten += self._forget(forbidden)
        self._watchers.tell(places, forbidden)

    # Changes

    def find(self, kind: str, id_: str) -> Entry | None:
        """What forbids this now; None if nothing does."""
        kept = self._table.get(mark(kind, id_))
        return kept.entry if kept is not None and kept.entry.holds(self._wall()) else None

    async def revoke(self, kind: str, id_: str, *, moment: float | None = None, end: float | None = None) -> Entry:
        """Forbid something; what is in effect then, which is never less than before. Times are Unix seconds.

        `moment`: for a user, when the last token was issued that is forbidden; None: now. `end`: when the token ends;
        None: not known. It is stored and in effect here when this returns. Raises `RevocationsFullError`, or
        `NotStoredError`, and then nothing is in effect by it.
        """
        now = self._wall()
        moment = now if moment is None else moment
        wanted = Entry(kind, int(now * 1000), moment, self._end(kind, moment, end))
        place = mark(kind, id_)
        if place not in self._table and not self._room(now):
            raise RevocationsFullError("revocations_full")
        self._writing += 1
        try:
            return await self._change(place, lambda found: revoked(found, wanted, now)) or wanted
        finally:
            self._writing -= 1

    async def lift(self, kind: str, id_: str) -> bool:
        """Forbid something no more; whether it was forbidden. Raises `NotStoredError`, and then nothing is changed."""
        now = self._wall()

        def decide(found: Entry | None) -> Entry | None:
            if found is None or not found.holds(now):
                return None
            return lifted(found, kind, now, self.terms.longest_life)

        return await self._change(mark(kind, id_), decide) is not None

    def _end(self, kind: str, moment: float, end: float | None) -> float:
        if kind == KEY:
            return float("inf")
        if end is None:
            end = moment + self.terms.longest_life
        return end + self.terms.leeway

    def _room(self, now: float) -> bool:
        if len(self._table) + self._writing >= self._most:
            self._table.sweep(now)
        return len(self._table) + self._writing < self._most

    async def _change(self, place: str, decide: Callable[[Entry | None], Entry | None]) -> Entry | None:
        """Store what `decide` makes of what there is, unless that is None."""
        key = key_of(place)
        for _ in range(TRIES):
            stored = await self._get(key)
            entry = decide(self._newest(place, stored))
            if entry is None:
                return None
            raw = encode(entry)
            if await self._swap(key, stored, raw, time_to_live(entry, self._wall())):
                await self._copy.heard(key, raw)
                return entry
        raise NotStoredError("store_busy", detail=NOT_DONE, retry_after=1)

    def _newest(self, place: str, stored: bytes | None) -> Entry | None:
        """What the store has may be older than what we know: it may have lost something."""
        kept = self._table.get(place)
        known = None if kept is None else kept.entry
        if stored is None:
            return known
        try:
            found = decode(stored)
        except ValueError:
            return known
        return found if known is None or found.revision >= known.revision else known

    async def _get(self, key: str) -> bytes | None:
        try:
            return await self._store.get(key)
        except self._failures as error:
            raise self._not_stored(error) from None

    async def _swap(self, key: str, stored: bytes | None, raw: bytes, ttl: float | None) -> bool:
        try:
            return await self._store.swap(key, stored, raw, ttl)
        except self._away as error:
            self.log.warn("it is not known whether a revocation was stored: {why}", why=str(error))
            raise NotStoredError("store_unsure", detail=UNSURE, retry_after=5) from None
        except self._failures as error:
            raise self._not_stored(error) from None

    def _not_stored(self, error: Exception) -> GatewayError:
        self.log.warn("a revocation was not stored: {why}", why=str(error))
        reason = "store_away" if isinstance(error, self._away) else "store_refused"
        return NotStoredError(reason, detail=NOT_DONE, retry_after=5)

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        known = GaugeMetricFamily("ttagw_revocations", "Revocations in effect.", labels=["kind"])
        for kind, count in self.counts().items():
            known.add_metric([kind], count)
        state = GaugeMetricFamily(
            "ttagw_revocations_state", "1 for how good the table of revocations is.", labels=["state"]
        )
        for each in Knowledge:
            state.add_metric([each.value], each is self.knowledge)
        yield from (known, state)
        for name, about, value in (
            ("repaired", "Revocations found by comparing with the store.", self._copy.repaired),
            ("restored", "Revocations written again that the store had lost.", self._copy.restored),
            ("forgotten", "Callers that were remembered until they were revoked.", self.forgotten),
            ("batches", "Times that what is remembered was looked through.", self.batches),
        ):
            counted = CounterMetricFamily(f"ttagw_revocations_{name}", about)
            counted.add_metric([], value)
            yield counted


def _key_revoked() -> CredentialsRefusedError:
    return CredentialsRefusedError("key_revoked")
