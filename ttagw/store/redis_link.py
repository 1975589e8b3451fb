"""A Redis that is connected again and again: whatever it does or answers, this never gives up.

There are two connections, one to ask and one that is told of changes, and they live and end together: one that comes
back alone would hide that word of changes has been lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from ttagw.core.backoff import full_jitter
from ttagw.store.alarm import Alarm
from ttagw.store.base import StoreAwayError, StoreError, StoreRefusedError
from ttagw.store.redis_url import Address, RedisSettings
from ttagw.store.redis_wire import ANSWER, Pushed, Wire
from ttagw.store.sentinel import Whereabouts, sign_on
from ttagw.store.telling import Standing

PING = 0.5
"""Seconds between two looks whether it is still there; with the deadline of one, silence is noticed within 1.4."""

LOOK = 4
"""Looks after which the Sentinels are asked whether another Redis is the master now."""

BACKOFF = 0.05
BACKOFF_MOST = 1.0
"""Seconds to wait before another try: chance, doubled from the first up to the second."""

CALM = 5.0
"""Seconds after which a connection that is lost was a good one: the waiting begins anew."""


class Pair:
    """Both connections to one Redis."""

    def __init__(self, address: Address, asking: Wire, told: Wire) -> None:
        self.address = address
        self.asking = asking
        self.told = told
        self.subscribed: set[bytes] = set()
        """The patterns, as of when it was opened."""

    @property
    def over(self) -> str:
        """Why it has ended; "" while it can be used."""
        return self.asking.over or self.told.over

    def drop(self, reason: str) -> None:
        """End both."""
        self.asking.drop(reason)
        self.told.drop(reason)


class Link:
    """Keeps a `Pair`, and says in `standing` how that goes."""

    log = Logger()

    def __init__(
        self,
        settings: RedisSettings,
        where: Whereabouts,
        standing: Standing,
        reactor: Any,
        monotonic: Callable[[], float],
        random: Callable[[], float],
        channel: str,
        patterns: Callable[[], Iterable[bytes]],
        pushed: Pushed,
    ) -> None:
        """`channel`: where something without meaning may be said. `patterns`: what to subscribe to when it connects."""
        self._settings = settings
        self._where = where
        self._standing = standing
        self._reactor = reactor
        self._monotonic = monotonic
        self._random = random
        self._channel = channel
        self._patterns = patterns
        self._pushed = pushed
        self._pair: Pair | None = None
        self._running: Deferred[None] | None = None
        self._closing: set[Deferred[None]] = set()
        self._alarm = Alarm(reactor)

    def start(self) -> None:
        """Begin to connect."""
        self._running = Deferred.fromCoroutine(self._run())

    async def stop(self) -> None:
        """Let everything go."""
        self._standing.stopped()
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await running
        for closing in list(self._closing):
            await closing

    async def ask(self, *command: bytes | str | int, within: float = ANSWER) -> Any:
        """What Redis answers, as `Wire.ask`; at once a `StoreAwayError` while it is away."""
        pair = self._pair
        if pair is None or pair.over:
            raise StoreAwayError(self._standing.state.reason or "connection_lost")
        try:
            return await pair.asking.ask(*command, within=within)
        except StoreRefusedError as error:
            if error.reason != "read_only" or not self._where.changes:
                raise
        # Another Redis is the master now.
        pair.drop("not_master")
        raise StoreAwayError("not_master")

    async def tell_me(self, command: str, pattern: bytes) -> None:
        """Subscribe, or end that. On a connection that is lost meanwhile it does not matter."""
        if self._pair is not None:
            try:
                await self._pair.told.ask(command, pattern)
            except StoreError as error:
                self._pair_drop(error.reason)

    def garbage(self) -> StoreAwayError:
        """An answer makes no sense: whoever gave it is not talked to any more."""
        self._pair_drop("garbage")
        return StoreAwayError("garbage")

    def _pair_drop(self, reason: str) -> None:
        if self._pair is not None:
            self._pair.drop(reason)

    async def _run(self) -> None:
        tries = 0
        try:
            while True:
                began = self._monotonic()
                try:
                    reason = await self._once()
                except StoreError as error:
                    reason = error.reason
                except CancelledError:
                    raise
                except Exception:
                    self.log.failure("the connection to Redis has failed in a way that nobody thought of")
                    reason = "failed"
                tries = 1 if self._monotonic() - began > CALM else tries + 1
                self._standing.down(reason)
                await self._alarm.wait(full_jitter(tries, BACKOFF, BACKOFF_MOST, self._random))
        except CancelledError:
            return

    async def _once(self) -> str:
        """Connect and keep it; returns why it ended."""
        address = await self._where.address()
        pair = Pair(address, Wire(self._reactor), Wire(self._reactor, self._pushed))
        try:
            await self._open(pair)
            self._pair = pair
            self._standing.up()
            await self._hold(pair)
            return pair.over
        finally:
            self._pair = None
            pair.drop("closed")
            for wire in (pair.asking, pair.told):
                self._let_go(wire)

    def _let_go(self, wire: Wire) -> None:
        gone = wire.gone()
        self._closing.add(gone)
        gone.addCallback(lambda _: self._closing.discard(gone))

    async def _open(self, pair: Pair) -> None:
        for wire in (pair.asking, pair.told):
            await wire.connect(pair.address, self._settings.tls)
            await sign_on(wire, self._settings, ANSWER)
            await self._ping(wire)
        if self._settings.db:
            await pair.asking.ask("SELECT", self._settings.db)
        # A script that may write and not publish would be stopped half-way.
        await pair.asking.ask("PUBLISH", self._channel, b"")
        await self._check_role(pair)
        while missing := [each for each in self._patterns() if each not in pair.subscribed]:
            for pattern in missing:
                await pair.told.ask("PSUBSCRIBE", pattern)
                pair.subscribed.add(pattern)
        if pair.over:  # one was lost while we waited for the other
            raise StoreAwayError(pair.over)

    async def _check_role(self, pair: Pair) -> None:
        if self._where.changes:
            answer = await pair.asking.ask("ROLE")
            if not (isinstance(answer, list) and answer and answer[0] == b"master"):
                raise StoreAwayError("not_master")

    async def _ping(self, wire: Wire) -> None:
        try:
            answer = await wire.ask("PING")
        except StoreRefusedError as error:
            if error.reason == "error":
                raise
            return  # it cannot write to its disk, or we may not ask: it is there
        if answer not in (b"PONG", "PONG", [b"pong", b""]):
            raise StoreAwayError("garbage")

    async def _hold(self, pair: Pair) -> None:
        """Look again and again; returns when the pair has ended."""
        pair.asking.on_over = pair.told.on_over = self._ended
        looks = 0
        moving: Deferred[None] | None = None
        try:
            while not pair.over:
                await self._alarm.wait(PING)
                looks += 1
                if self._where.changes and looks % LOOK == 0 and (moving is None or moving.called):
                    moving = Deferred.fromCoroutine(self._look_elsewhere(pair))
                await self._look(pair)
        finally:
            pair.asking.on_over = pair.told.on_over = lambda: None
            if moving is not None:
                moving.cancel()

    async def _look(self, pair: Pair) -> None:
        looks = [self._ping(pair.asking), self._ping(pair.told), self._check_role(pair)]
        # All at once: one after the other, two that are silent take twice as long to notice.
        begun = [Deferred.fromCoroutine(look) for look in looks]
        try:
            for look in begun:
                await look
        except StoreError as error:
            pair.drop(error.reason)
        finally:
            for look in begun:
                look.addErrback(lambda _: None)
                look.cancel()

    async def _look_elsewhere(self, pair: Pair) -> None:
        try:
            address = await self._where.address()
        except (StoreError, CancelledError):
            return
        if address != pair.address:
            pair.drop("not_master")

    def _ended(self) -> None:
        # Nobody shall think for the length of a ping that it is there.
        if self._pair is not None:
            self._standing.down(self._pair.over)
        self._alarm.wake()
