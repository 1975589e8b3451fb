"""What is known of failed logins, kept in the store: it outlives this process, and other gateways know it too.

Nothing waits for it. A change is made in `Lockouts` first and written later; what cannot be written waits until the
store is back. Under `PREFIX` and the name of an address or account (see `Table`) is what is known of it, which ends
when it no longer counts. The secret that names are made with is in the store as well, so that all gateways have the
same; until it is known, names are made with one that nobody else has, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ttagw.auth.lockout_entry import decode, encode
from ttagw.auth.lockouts import KINDS, Lockouts
from ttagw.core.lockout import State, news

PREFIX = "lockouts/"
PARTS = tuple([f"{kind}/{digit}" for kind in KINDS for digit in "0123456789abcdef"])
"""Beginnings of names that are compared one after the other: all of them are too much for one operation's deadline."""
SECRET = "lockout-secret"  # noqa: S105 - where it is, not what it is

RETRY = 2.0
"""Seconds after which what could not be written is tried again."""
COMPARE = 60.0
"""Seconds between two comparisons with a store that is shared; word of each change comes at once."""
LAST = 1.0
"""Seconds for what is not written yet when the gateway stops."""
_AT_ONCE = 200
"""Entries that are looked at before everything else has its turn again; and that are written between two parts."""


class Values(Protocol):
    """What is needed of a store; see `ttagw.store.base.Store`."""

    @property
    def shared(self) -> bool: ...
    @property
    def state(self) -> Any: ...

    async def get(self, key: str) -> bytes | None: ...
    async def scan(self, prefix: str) -> Any: ...
    async def swap(self, key: str, expected: bytes | None, value: bytes, ttl: float | None = None) -> bool: ...
    def watch(self, prefix: str, notice: Callable[[str, bytes | None], None]) -> Callable[[], None]: ...
    def on_state(self, told: Callable[[Any], None]) -> Callable[[], None]: ...


class LockoutLedger:
    """Writes down what changes in `lockouts`, and tells it what others have written."""

    log = Logger()

    def __init__(
        self,
        store: Values,
        lockouts: Lockouts,
        clock: Any,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
        failures: type[Exception],
    ) -> None:
        """`clock` is the reactor; `failures` is what the store raises."""
        self._store = store
        self._lockouts = lockouts
        self._clock = clock
        self._monotonic = monotonic
        self._wall = wall
        self._failures = failures
        self._unwritten: dict[str, None] = {}
        self._ends: list[Callable[[], None]] = []
        self._loop = LoopingCall(self._again)
        self._loop.clock = clock
        self._agreed = False
        """Whether names are made with the secret that is in the store."""
        self._due = True
        """Whether all of it has to be compared."""
        self._compared = monotonic()
        self._taken = 0
        """Entries that were compared."""
        self._busy = False
        self._idle: list[Deferred[None]] = []
        """Those who wait until nothing is under way."""
        self._until = float("inf")
        self._waiting_for = ""
        """Why the store takes nothing, once that has been said."""
        lockouts.changed = self._changed

    @property
    def alone(self) -> bool:
        """Whether only what was seen here decides, because the store is away."""
        return not (self._agreed and self._store.state.up)

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        alone = GaugeMetricFamily("ttagw_login_local", "1 while only what was seen here decides who is paused.")
        alone.add_metric([], self.alone)
        unwritten = GaugeMetricFamily("ttagw_login_unwritten", "What the store does not know yet of failed logins.")
        unwritten.add_metric([], len(self._unwritten))
        yield from (alone, unwritten)

    # Life

    def start(self) -> None:
        """Take up what the store has, as soon as it can be reached."""
        self._ends = [self._store.watch(PREFIX, self._noticed), self._store.on_state(self._state_changed)]
        self._loop.start(RETRY, now=False)
        self._look()

    async def stop(self) -> None:
        """Hear of nothing any more; what is not written yet is tried once more."""
        for end in self._ends:
            end()
        if self._loop.running:
            self._loop.stop()
        self._until = self._monotonic() + LAST
        if self._busy:
            self._idle.append(Deferred())
            await self._idle[-1]
        await self._work()

    def _state_changed(self, state: Any) -> None:
        if state.up:
            self._due = True
            self._look()

    def _again(self) -> None:
        if self._store.shared and self._monotonic() - self._compared >= COMPARE:
            self._due = True
        self._look()

    def _changed(self, name: str) -> None:
        self._unwritten[name] = None
        if len(self._unwritten) > 2 * self._lockouts.table.most:
            # Half of them are known no longer.
            self._unwritten = dict.fromkeys([each for each in self._lockouts.table if each in self._unwritten])
        self._look()

    def _look(self) -> None:
        if not self._busy and self._store.state.up and (self._unwritten or self._due):
            Deferred.fromCoroutine(self._work()).addErrback(self._failed)

    def _failed(self, failure: Any) -> None:
        self.log.failure("failed logins could not be compared with the store", failure=failure)

    async def _work(self) -> None:
        self._busy = True
        try:
            while self._store.state.up and self._monotonic() < self._until:
                if self._due:
                    await self._compare()
                elif self._unwritten:
                    await self._write(next(iter(self._unwritten)))
                else:
                    break
                self._waiting_for = ""
        except self._failures as error:
            if self._waiting_for != str(error):
                self._waiting_for = str(error)
                self.log.warn("failed logins wait to be written down: {why}", why=self._waiting_for)
        finally:
            self._busy = False
            idle, self._idle = self._idle, []
            for each in idle:
                each.callback(None)

    # Comparing

    async def _compare(self) -> None:
        """Take up what the store has and we do not; note what we have and it does not."""
        # Whoever comes up while we look has to be looked at once more.
        self._due = False
        try:
            await self._agree()
            await self._compare_all()
        except self._failures:
            self._due = True
            raise
        self._compared = self._monotonic()

    async def _compare_all(self) -> None:
        known: dict[str, list[str]] = {part: [] for part in PARTS}
        for name in self._lockouts.table:
            known[name[: name.index("/") + 2]].append(name)
        for part in PARTS:
            if self._monotonic() >= self._until:
                return
            await self._compare_part(part, known[part])
            # What happens meanwhile must not wait for all the others.
            for name in [name for name, _ in zip(self._unwritten, range(_AT_ONCE), strict=False)]:
                await self._write(name)

    async def _compare_part(self, part: str, known: list[str]) -> None:
        stored = await self._store.scan(PREFIX + part)
        for key, raw in stored.items():
            self._take(key, raw)
            self._taken += 1
            if not self._taken % _AT_ONCE:
                await self._breath()
        self._unwritten.update(dict.fromkeys([name for name in known if PREFIX + name not in stored]))

    async def _agree(self) -> None:
        table = self._lockouts.table
        secret = await self._store.get(SECRET)
        while not _usable(secret):
            if await self._store.swap(SECRET, secret, table.secret):
                secret = table.secret
            else:
                secret = await self._store.get(SECRET)
        assert secret is not None  # noqa: S101 - for the type checker
        if secret != table.secret:
            table.rename(secret, self._monotonic())
            self._unwritten.clear()
        self._agreed = True

    def _breath(self) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        self._clock.callLater(0, done.callback, None)
        return done

    def _noticed(self, key: str, raw: bytes | None) -> None:
        if raw is not None and self._agreed:
            self._take(key, raw)
            self._look()

    def _take(self, key: str, raw: bytes | None) -> State:
        """What others have written, or our own come back; what it says is returned."""
        name = key.removeprefix(PREFIX)
        theirs = State() if raw is None else self._decoded(name, raw)
        if self._lockouts.hear(name, theirs):
            self._unwritten[name] = None
        return theirs

    def _decoded(self, name: str, raw: bytes) -> State:
        try:
            return decode(name, raw, self._monotonic() - self._wall(), self._lockouts.rules)
        except ValueError as error:
            self.log.warn("the store has something about failed logins that is not ours: {why}", why=str(error))
            return State()

    # Writing

    async def _write(self, name: str) -> None:
        """Bring the store to what is known here. What has changed in the meantime stays unwritten."""
        key = PREFIX + name
        raw = await self._store.get(key)
        theirs = self._take(key, raw)
        now = self._monotonic()
        mine = self._lockouts.table.get(name, now)
        if news(mine, theirs):
            ttl = max(self._lockouts.rules.window, mine.left(now) + self._lockouts.rules.window)
            if not await self._store.swap(key, raw, encode(mine, self._wall() - now), ttl):
                return
        if not news(self._lockouts.table.get(name, self._monotonic()), mine):
            self._unwritten.pop(name, None)


def _usable(secret: bytes | None) -> bool:
    return secret is not None and 16 <= len(secret) <= 64
