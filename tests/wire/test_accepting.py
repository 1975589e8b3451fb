from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from tests.sockets import Raw
from tests.twisted_hygiene import Failures, _frozen_garbage, failures, reactor, until
from ttagw.wire.accepting import PAUSE, SILENCE, Accepting

__all__ = ["_frozen_garbage", "failures"]


class Limit:
    """How many files there may be."""

    def __init__(self) -> None:
        self.number = 1_000_000

    def __call__(self) -> int:
        return self.number


def guarded(port: Any) -> tuple[Accepting, Clock, Limit]:
    """A port of which 10 files are left for others, with its time and limit in our hands."""
    clock, limit = Clock(), Limit()
    accepting = Accepting(clock, limit)
    accepting.guard(port, 10)
    return accepting, clock, limit


@pytest.fixture
def port() -> Iterator[Any]:
    factory: Any = Factory.forProtocol(Protocol)
    factory.noisy = False
    factory.made = []
    build = factory.buildProtocol
    factory.buildProtocol = lambda address: factory.made.append(build(address)) or factory.made[-1]
    listening = reactor.listenTCP(0, factory, interface="127.0.0.1")
    yield listening
    ended = listening.stopListening()
    if ended is not None:
        pytest_twisted.blockon(ended)
    for each in factory.made:
        each.transport.abortConnection()


@pytest_twisted.ensureDeferred
async def test_it_pauses_while_files_are_short_and_goes_on_when_there_are_some(port: Any, failures: Failures) -> None:
    accepting, clock, limit = guarded(port)
    limit.number = 1
    raws = [Raw(port.getHost().port) for _ in range(5)]
    await until(lambda: accepting.paused)
    clock.advance(PAUSE)
    clock.advance(SILENCE)
    assert port.factory.made == []
    limit.number = 1_000_000
    clock.advance(PAUSE)
    await until(lambda: len(port.factory.made) == 5)
    assert not accepting.paused
    assert not clock.getDelayedCalls()
    for raw in raws:
        raw.socket.close()


@pytest_twisted.ensureDeferred
async def test_no_more_are_accepted_at_once_than_there_is_room_for(port: Any) -> None:
    accepting, clock, limit = guarded(port)
    raws = [Raw(port.getHost().port) for _ in range(20)]
    next_file = os.dup(0)
    os.close(next_file)
    limit.number = next_file + 5 + 10
    await until(lambda: accepting.paused)
    assert 0 < len(port.factory.made) <= 5
    limit.number = 1_000_000
    clock.advance(PAUSE)
    await until(lambda: len(port.factory.made) == 20)
    for raw in raws:
        raw.socket.close()


@pytest_twisted.ensureDeferred
async def test_a_number_that_is_free_far_below_is_room_for_one_only(port: Any) -> None:
    accepting, _, limit = guarded(port)
    raws = [socket.socket() for _ in range(3)]
    top = max(int(name) for name in os.listdir("/proc/self/fd"))
    held = [os.dup(0)]
    while held[-1] <= top:  # no number is free below
        held.append(os.dup(0))
    limit.number = held[-1] + 1 + 10
    os.close(held.pop(0))
    for raw in raws:
        raw.connect(("127.0.0.1", port.getHost().port))
    await until(lambda: accepting.paused)
    assert len(port.factory.made) == 1
    for raw in raws:
        raw.close()
    for number in held:
        os.close(number)


@pytest_twisted.ensureDeferred
async def test_one_that_is_closed_while_it_pauses_stays_closed(port: Any) -> None:
    accepting, clock, limit = guarded(port)
    limit.number = 1
    raw = Raw(port.getHost().port)
    await until(lambda: accepting.paused)
    await port.stopListening()
    clock.advance(PAUSE)
    assert not accepting.paused
    assert port not in reactor.getReaders()
    raw.socket.close()


def test_a_port_of_another_kind_is_left_alone() -> None:
    other = object()
    Accepting(Clock()).guard(other, 10)
    assert not hasattr(other, "doRead")
