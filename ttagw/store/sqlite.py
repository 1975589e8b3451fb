"""A store in one SQLite file: nothing to install, kept through restarts, crashes and loss of power, for one process."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ttagw.store import sqlite_file as file
from ttagw.store.base import DEADLINE, Notice, StoreAwayError, StoreError, StoreState
from ttagw.store.sqlite_turns import Turns, Work
from ttagw.store.telling import Standing, Watchers

T = TypeVar("T")

ANSWER = DEADLINE - 0.1
"""Seconds for an operation, the wait for its turn included."""

LOOK = 0.25
"""Seconds between two looks whether a store that is away is back."""

SWEEP = 60.0
"""Seconds between two sweeps of what is over."""


class SqliteStore:
    """A `Store` in a file. One thread does all of it; what waits meanwhile is done together."""

    log = Logger()
    kind = "sqlite"
    shared = False
    durable = True

    def __init__(
        self, path: str, reactor: Any, monotonic: Callable[[], float], wall: Callable[[], float], sweep: float = SWEEP
    ) -> None:
        """`sweep`: seconds between two sweeps. `monotonic` is called in the thread too."""
        self.path = os.path.abspath(path)
        self._reactor = reactor
        self._monotonic = monotonic
        self._wall = wall
        self._watchers = Watchers()
        self._standing = Standing(self.kind, monotonic)
        self._pool: ConnectionPool | None = None
        self._turns: Turns | None = None
        self._identity: tuple[int, int] | None = None
        self._sweep_every = sweep
        self._sweeping = self._every(self._sweep)
        self._looking = self._every(self._look)
        self.watch: Callable[[str, Notice], Callable[[], None]] = self._watchers.add
        self.on_state = self._standing.listen

    def _every(self, work: Callable[[], object]) -> LoopingCall:
        loop = LoopingCall(work)
        loop.clock = self._reactor
        return loop

    @property
    def state(self) -> StoreState:
        """How it is doing now."""
        return self._standing.state

    async def start(self) -> None:
        """As in `Store`; waits for a lock on the file for a moment, and as long as checking all of it takes."""
        pool = self._pool = ConnectionPool(
            "sqlite3",
            self.path,
            timeout=file.BUSY,
            isolation_level=None,
            check_same_thread=False,  # it is closed by the main thread, when its own has ended
            cp_min=1,
            cp_max=1,
            cp_reactor=self._reactor,
            cp_openfun=file.configure,
        )
        try:
            await _in_thread(pool, file.prepare, self.path)
        except BaseException:
            self._pool = None
            pool.close()
            raise
        self._turns = Turns(pool, self._check, self._monotonic)
        self._identity = file.identity(self.path)
        self._standing.up()
        self._sweeping.start(self._sweep_every, now=True)

    async def stop(self) -> None:
        """As in `Store`. What waits for its turn is done first."""
        for loop in (self._sweeping, self._looking):
            if loop.running:
                loop.stop()
        self._standing.stopped()
        pool, self._pool = self._pool, None
        turns, self._turns = self._turns, None
        if pool is None or turns is None:
            return
        try:
            await turns.idle().addTimeout(DEADLINE, self._reactor)
        except defer.TimeoutError:
            # The thread is stuck in a disk that does not answer. To join it now would hang the gateway: it is joined
            # when the process ends.
            self.log.warn("store: {path} does not answer, and is left as it is", path=self.path)
            return
        pool.close()

    async def get(self, key: str) -> bytes | None:
        """As in `Store`."""
        return await self._do(lambda cursor: file.get(cursor, key, self._wall()))

    async def scan(self, prefix: str) -> Mapping[str, bytes]:
        """As in `Store`."""
        return await self._do(lambda cursor: file.scan(cursor, prefix, self._wall()))

    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """As in `Store`."""
        expires = self._over(ttl)
        await self._do(lambda cursor: file.put(cursor, key, value, expires), lambda _: self._watchers.tell(key, value))

    async def delete(self, key: str) -> bool:
        """As in `Store`."""

        def done(found: bool) -> None:
            if found:
                self._watchers.tell(key, None)

        return await self._do(lambda cursor: file.delete(cursor, key, self._wall()), done)

    async def swap(self, key: str, expected: bytes | None, value: bytes, ttl: float | None = None) -> bool:
        """As in `Store`."""
        row = (value, self._over(ttl))

        def done(swapped: bool) -> None:
            if swapped:
                self._watchers.tell(key, value)

        return await self._do(lambda cursor: file.swap(cursor, key, expected, row, self._wall()), done)

    def _over(self, ttl: float | None) -> float | None:
        return None if ttl is None else self._wall() + ttl

    async def _do(self, work: Work[T], done: Callable[[T], None] = lambda _: None) -> T:
        """Run `work` in the thread. `done` gets its result even when it comes too late for whoever asked."""
        if not self.state.up:
            raise StoreAwayError(self.state.reason)
        answer: Deferred[T] = Deferred()

        def worked(result: T) -> None:
            done(result)
            if not answer.called:
                answer.callback(result)

        def failed(failure: Failure) -> None:
            self._failed(failure)
            if not answer.called:
                answer.errback(failure)

        self._submit(work).addCallbacks(worked, failed)
        answer.addTimeout(ANSWER, self._reactor)
        try:
            return await answer
        except CancelledError:
            raise
        except defer.TimeoutError:
            self._away("timeout")
            raise StoreAwayError("timeout") from None
        except sqlite3.Error as error:
            raise file.at_run_time(self.path, error) from None

    def _submit(self, work: Work[T]) -> Deferred[T]:
        if self._turns is None:
            return defer.fail(StoreAwayError("stopped"))
        return self._turns.submit(work, self._monotonic() + ANSWER)

    def _check(self) -> None:
        if file.identity(self.path) != self._identity:
            raise StoreAwayError("file_gone")

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, sqlite3.Error):
            error = file.at_run_time(self.path, error)
        if isinstance(error, StoreAwayError):
            self._away(error.reason)
        elif not isinstance(error, StoreError):
            self.log.failure("an operation on the store has failed", failure)

    def _away(self, reason: str) -> None:
        if self._turns is None:
            return
        self._standing.down(reason)
        if not self._looking.running:
            self._looking.start(LOOK, now=False)

    def _look(self) -> Deferred[None]:
        def back(_: None) -> None:
            if self._looking.running:
                self._looking.stop()
                self._standing.up()

        return self._submit(file.begin).addCallbacks(back, self._failed)

    def _sweep(self) -> Deferred[None]:
        now = self._wall()
        return self._submit(lambda cursor: file.sweep(cursor, now)).addErrback(self._failed)


def _in_thread(pool: ConnectionPool, work: Callable[..., T], *args: object) -> Deferred[T]:
    """Run `work` where the pool's operations run, without a connection to the database."""
    done: Deferred[T] = Deferred()
    call = pool.threadpool.callInThreadWithCallback

    def over(success: bool, result: Any) -> None:
        pool._reactor.callFromThread(done.callback if success else done.errback, result)

    call(over, work, *args)
    return done
