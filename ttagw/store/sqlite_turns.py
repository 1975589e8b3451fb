"""Who uses the SQLite file next. What waits while the disk is busy is done together, in one transaction.

A transaction ends with a sync to the disk, which costs the same for one change as for a hundred.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ttagw.store.base import StoreAwayError
from ttagw.store.sqlite_file import Cursor, is_locked

T = TypeVar("T")
Work = Callable[[Cursor], T]

TOGETHER = 100
"""Works in one transaction, at the most."""


class TooLateError(StoreAwayError):
    """Its turn came when nobody waited for it any more: it was not done."""

    def __init__(self) -> None:
        super().__init__("timeout")


class _Turn:
    """One work. `alone`: one of those that it was done together with has failed, and it is not known which."""

    def __init__(self, work: Work[Any], last: float) -> None:
        self.work = work
        self.last = last
        self.alone = False
        self.done: Deferred[Any] = Deferred()


class Turns:
    """Has works done in the thread of `pool`, in the order in which they come. One that fails has changed nothing."""

    def __init__(self, pool: ConnectionPool, check: Callable[[], None], monotonic: Callable[[], float]) -> None:
        """`check` is called before each transaction, and raises if there shall be none. It is called in the thread."""
        self._pool = pool
        self._check = check
        self._monotonic = monotonic
        self._waiting: list[_Turn] = []
        self._running = False
        self._idle: list[Deferred[None]] = []

    def submit(self, work: Work[T], last: float) -> Deferred[T]:
        """Do it; not later than `last`, monotonic seconds. It may be called twice, for its first time undone."""
        turn = _Turn(work, last)
        self._waiting.append(turn)
        if not self._running:
            self._next()
        return turn.done

    def idle(self) -> Deferred[None]:
        """Fires when nothing waits or runs."""
        idle: Deferred[None] = Deferred()
        self._idle.append(idle)
        if not self._running:
            self._next()
        return idle

    def _next(self) -> None:
        together = self._waiting[:TOGETHER]
        if any(turn.alone for turn in together):
            together = together[:1]
        del self._waiting[: len(together)]
        self._running = bool(together)
        if together:
            self._pool.runInteraction(self._do, together).addCallbacks(
                self._done, self._failed, callbackArgs=(together,), errbackArgs=(together,)
            )
            return
        idle, self._idle = self._idle, []
        for each in idle:
            each.callback(None)

    def _do(self, cursor: Cursor, together: list[_Turn]) -> list[object]:
        self._check()
        return [turn.work(cursor) if self._monotonic() <= turn.last else TooLateError() for turn in together]

    def _done(self, results: list[object], together: list[_Turn]) -> None:
        for turn, result in zip(together, results, strict=True):
            if isinstance(result, TooLateError):
                turn.done.errback(result)
            else:
                turn.done.callback(result)
        self._next()

    def _failed(self, failure: Failure, together: list[_Turn]) -> None:
        error = failure.value
        # What keeps all of them from the file need not be found out by each.
        if len(together) == 1 or isinstance(error, StoreAwayError) or is_locked(error):
            for turn in together:
                turn.done.errback(Failure(error, failure.type, failure.tb))
        else:
            for turn in together:
                turn.alone = True
            self._waiting[:0] = together
        self._next()
