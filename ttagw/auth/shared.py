"""Work that several wait for, done once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ttagw.errors import GatewayError

T = TypeVar("T")


class Shared(Generic[T]):
    """One work for each key at a time, whoever asks for it. It goes on when those who wait leave."""

    log = Logger()

    def __init__(self, most: int) -> None:
        """`most`: works under way at once."""
        self._most = most
        self._works: dict[Hashable, Deferred[None]] = {}
        self._waiting: dict[Hashable, list[Deferred[T]]] = {}

    @property
    def under_way(self) -> int:
        """Works that have begun and not ended."""
        return len(self._waiting)

    def ask(self, key: Hashable, begin: Callable[[], Coroutine[Any, Any, T]]) -> Deferred[T] | None:
        """What the work for this key comes to; it is begun unless it is under way. None: there is no room for it."""
        waiting = self._waiting.get(key)
        if waiting is not None:
            return _join(waiting)
        if len(self._waiting) >= self._most:
            return None
        waiting = self._waiting[key] = []
        answer = _join(waiting)
        work = Deferred.fromCoroutine(begin())
        self._works[key] = done = work.addBoth(self._over, key)
        if done.called:
            del self._works[key]
        return answer

    def _over(self, result: T | Failure, key: Hashable) -> None:
        self._works.pop(key, None)
        waiting = self._waiting.pop(key)
        if isinstance(result, Failure) and not waiting and not result.check(GatewayError, CancelledError):
            self.log.failure("what nobody waits for any more has failed", failure=result)
        while waiting:
            answer = waiting.pop(0)
            if isinstance(result, Failure):
                answer.errback(Failure(result.value, result.type, result.tb))
            else:
                answer.callback(result)

    def stop(self) -> None:
        """End all of it; those who wait are told that it was cancelled."""
        for work in list(self._works.values()):
            work.cancel()


def _join(waiting: list[Deferred[T]]) -> Deferred[T]:
    answer: Deferred[T] = Deferred(waiting.remove)
    waiting.append(answer)
    return answer
