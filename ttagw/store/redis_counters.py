"""Limits that gateways share, in Redis, over a connection of their own: a look through all keys takes a while."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from ttagw.core.backoff import full_jitter
from ttagw.core.lease import Answer, Item
from ttagw.store.alarm import Alarm
from ttagw.store.base import StoreAwayError, StoreError
from ttagw.store.redis_counting import COUNT, HELLO, packed, unpacked
from ttagw.store.redis_link import BACKOFF, BACKOFF_MOST, CALM
from ttagw.store.redis_scripts import Script
from ttagw.store.redis_url import RedisSettings
from ttagw.store.redis_wire import ANSWER, Wire
from ttagw.store.sentinel import Named, Sentinels, Whereabouts, sign_on

GATEWAYS = b"ttagw:counting"
LOOK = 2.0
"""Seconds between two questions to the Sentinels, where there are some."""


class Counters:
    """The ledger, reached over one connection that is made again and again.

    Nothing here has a deadline of its own but `hello`, which ends a connection that is silent: whoever asks knows how
    long to wait.
    """

    log = Logger()

    def __init__(
        self,
        settings: RedisSettings,
        reactor: Any,
        monotonic: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._reactor = reactor
        self._monotonic = monotonic
        self._random = random
        self._where: Whereabouts = Named(settings.addresses[0])
        if settings.master:
            self._where = Sentinels(settings, lambda: Wire(reactor))
        self._wire: Wire | None = None
        self._me = self._somebody()
        self._us = self._somebody()
        self._running: Deferred[None] | None = None
        self._closing: set[Deferred[None]] = set()
        self._alarm = Alarm(reactor)
        self.generation = 0
        """Larger with each connection: what was lent over another one is not ours any more."""
        self.reason = "starting"
        """Why it cannot be asked; "" while it can."""
        self.told: Callable[[], None] = lambda: None
        """Called after each change of `reason` from or to ""."""

    def start(self) -> None:
        """Begin to connect."""
        self._running = Deferred.fromCoroutine(self._run())

    async def stop(self) -> None:
        """Let everything go. Nobody is told of it."""
        self.told = lambda: None
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await running
        for closing in list(self._closing):
            await closing

    def count(self, items: Sequence[Item]) -> Deferred[Answer]:
        """Ask the ledger. Fails with a `StoreError`."""
        keys = [item.key for item in items]
        asked = self._script(COUNT, len(keys), *keys, self._me, *[packed(item) for item in items])
        return asked.addCallback(self._answer, items)

    def hello(self) -> Deferred[int]:
        """Say that we are here; how many gateways are. Fails with a `StoreError`."""
        return Deferred.fromCoroutine(self._hello())

    async def _hello(self) -> int:
        wire = self._wire
        if wire is None:
            raise StoreAwayError(self.reason)
        asked = self._script(HELLO, 1, GATEWAYS, self._us)
        silent = self._reactor.callLater(ANSWER, wire.drop, "timeout")
        try:
            answer = await asked
        finally:
            if silent.active():
                silent.cancel()
        if not isinstance(answer, int) or answer < 1:
            raise self._garbage(wire)
        return answer

    def _script(self, script: Script, *rest: bytes | str | int) -> Deferred[Any]:
        wire = self._wire
        if wire is None:
            return fail(StoreAwayError(self.reason))

        def failed(failure: Failure) -> Any:
            reason = getattr(failure.value, "reason", "")
            if reason == "no_script":
                # It has restarted, or was told to forget; this makes it know again.
                return wire.begin("EVAL", script.text, *rest)
            if reason == "read_only" and self._where.changes:
                wire.drop("not_master")
            return failure

        return wire.begin("EVALSHA", script.sha, *rest).addErrback(failed)

    def _answer(self, answer: Any, items: Sequence[Item]) -> Answer:
        said = unpacked(answer, items)
        if said is None:
            raise self._garbage(self._wire)
        return said

    def _garbage(self, wire: Wire | None) -> StoreAwayError:
        if wire is not None:
            wire.drop("garbage")
        return StoreAwayError("garbage")

    def _somebody(self) -> bytes:
        """Eight bytes that nobody else has."""
        return b"".join(int(self._random() * 2**16).to_bytes(2, "big") for _ in range(4))

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
                self._become(reason)
                await self._alarm.wait(full_jitter(tries, BACKOFF, BACKOFF_MOST, self._random))
        except CancelledError:
            return

    def _become(self, reason: str) -> None:
        before, self.reason = self.reason, reason
        if bool(before) != bool(reason):
            self.told()

    async def _once(self) -> str:
        """Connect and keep it; returns why it ended."""
        address = await self._where.address()
        wire = Wire(self._reactor)
        try:
            await wire.connect(address, self._settings.tls)
            await self._open(wire)
            # What we were lent over another connection is not ours any more: nobody knows what was told of it.
            self._me = self._somebody()
            self.generation += 1
            self._wire = wire
            self._become("")
            wire.on_over = lambda: self._ended(wire)
            while not wire.over:
                await self._alarm.wait(LOOK)
                if self._where.changes and not wire.over and await self._elsewhere(address):
                    wire.drop("not_master")
            return wire.over
        finally:
            self._wire = None
            wire.on_over = lambda: None
            wire.drop("closed")
            self._let_go(wire)

    async def _open(self, wire: Wire) -> None:
        await sign_on(wire, self._settings, ANSWER)
        if self._settings.db:
            await wire.ask("SELECT", self._settings.db)
        if self._where.changes:
            role = await wire.ask("ROLE")
            if not (isinstance(role, list) and role and role[0] == b"master"):
                raise StoreAwayError("not_master")
        for script in (COUNT, HELLO):
            if await wire.ask("SCRIPT", "LOAD", script.text) != script.sha:
                raise self._garbage(wire)

    async def _elsewhere(self, address: object) -> bool:
        try:
            return await self._where.address() != address
        except StoreError:
            return False

    def _ended(self, wire: Wire) -> None:
        # Those who wait are told now, and nobody asks any more.
        if self._wire is wire:
            self._wire = None
            self._become(wire.over)
        self._alarm.wake()

    def _let_go(self, wire: Wire) -> None:
        gone = wire.gone()
        self._closing.add(gone)
        gone.addCallback(lambda _: self._closing.discard(gone))
