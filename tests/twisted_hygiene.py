"""What pytest-twisted does not notice: timers, sockets and errors left behind by a test. Enabled by an import."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure

reactor: Any = _reactor

_PATIENCE = 200
"""Turns of the reactor that what a test has ended may take to be gone."""


class Failures:
    """Failures that were logged. A test takes those it expects; what is left at its end fails it."""

    def __init__(self) -> None:
        self._seen: list[Failure] = []

    def __call__(self, event: LogEvent) -> None:
        if "log_failure" in event:
            self._seen.append(event["log_failure"])

    def take(self, kind: type[BaseException]) -> list[Failure]:
        """Those of this kind, which are then forgotten."""
        found = [each for each in self._seen if each.check(kind)]
        self._seen = [each for each in self._seen if each not in found]
        return found

    def left(self) -> list[str]:
        """What nobody took."""
        return [each.getTraceback() for each in self._seen]


def turn() -> Deferred[None]:
    """Fires in the next turn of the reactor."""
    done: Deferred[None] = Deferred()
    reactor.callLater(0, done.callback, None)
    return done


async def until(condition: Callable[[], object], turns: int = 20_000) -> None:
    """Let the reactor turn until the condition holds; fails after so many turns."""
    for _ in range(turns):
        if condition():
            return
        await turn()
    pytest.fail("what was waited for never came")


def _open_things() -> set[Any]:
    return {*reactor.getReaders(), *reactor.getWriters()}


def _timers() -> set[Any]:
    return set(reactor.getDelayedCalls())


async def _settle(timers: set[Any], things: set[Any]) -> tuple[set[Any], set[Any]]:
    for _ in range(_PATIENCE):
        left = (_timers() - timers, _open_things() - things)
        if not left[0] and not left[1]:
            break
        await turn()
    return left


@pytest.fixture(scope="session", autouse=True)
def _frozen_garbage() -> None:
    """What exists before the first test is not looked at after each of them."""
    pytest_twisted.blockon(turn())  # a reactor that runs has readers of its own
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def failures(_frozen_garbage: None) -> Iterator[Failures]:
    """Fails a test that leaves delayed calls, readers, writers or logged failures behind."""
    seen = Failures()
    timers, things = _timers(), _open_things()
    globalLogPublisher.addObserver(seen)
    try:
        yield seen
        left = pytest_twisted.blockon(Deferred.fromCoroutine(_settle(timers, things)))
        gc.collect()
    finally:
        globalLogPublisher.removeObserver(seen)
    for call in left[0]:
        call.cancel()
    for thing in left[1]:
        reactor.removeReader(thing)
        reactor.removeWriter(thing)
    assert left == (set(), set()), "timers or sockets were left behind"
    assert seen.left() == []
