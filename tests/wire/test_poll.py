from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.testing import MemoryReactor
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.twisted_hygiene import Failures
from ttagw.wire.poll import quicken


@implementer(IReadWriteDescriptor)
class End:
    """One end of a connection, which does what the test says when it is ready."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.socket, self.other = socket.socketpair()
        self.socket.setblocking(False)
        self.calls: list[str] = []
        self.does: Any = None
        """What `doRead` gives; an exception is raised; a function is called."""
        self.lost: Failure | None = None
        reactor.addReader(self)

    def fileno(self) -> int:
        return self.socket.fileno()

    def logPrefix(self) -> str:
        raise AssertionError("nobody needs it")

    def doRead(self) -> Any:
        self.calls.append("read")
        self.socket.recv(100)
        if isinstance(self.does, Exception):
            raise self.does
        return self.does() if callable(self.does) else self.does

    def doWrite(self) -> None:
        self.calls.append("write")
        self.reactor.removeWriter(self)

    def connectionLost(self, reason: Failure) -> None:
        self.calls.append("lost")
        self.lost = reason
        self.close()

    def readConnectionLost(self, reason: Failure) -> None:
        self.connectionLost(reason)

    def close(self) -> None:
        self.reactor.removeReader(self)
        self.reactor.removeWriter(self)
        self.socket.close()
        self.other.close()


@pytest.fixture
def reactor() -> Iterator[Any]:
    made = EPollReactor()
    assert quicken(made)
    yield made
    for each in made.removeAll():
        if isinstance(each, End):
            each.close()
    made.waker.connectionLost(Failure(ConnectionDone()))
    made._poller.close()


def test_who_is_ready_reads(reactor: Any) -> None:
    end, idle = End(reactor), End(reactor)
    end.other.send(b"x")
    reactor.iterate(0)
    reactor.iterate(0)
    assert (end.calls, idle.calls) == (["read"], [])


def test_who_wants_to_write_does(reactor: Any) -> None:
    end = End(reactor)
    reactor.addWriter(end)
    end.other.send(b"x")
    reactor.iterate(0)
    assert end.calls == ["read", "write"]


@pytest.mark.parametrize(("says", "kind"), [(CONNECTION_DONE, ConnectionDone), (CONNECTION_LOST, ConnectionLost)])
def test_who_says_that_it_is_over_is_told_and_forgotten(reactor: Any, says: Exception, kind: type) -> None:
    end = End(reactor)
    end.does = lambda: says
    end.other.send(b"x")
    reactor.iterate(0)
    assert end.lost is not None
    assert end.lost.check(kind)
    assert end not in reactor.getReaders()


def test_an_end_without_a_word_is_noticed(reactor: Any) -> None:
    end = End(reactor)
    reactor.removeReader(end)
    reactor.addWriter(end)
    end.socket.send(b"never read")
    end.other.close()
    reactor.iterate(0)
    assert end.lost is not None
    assert end.lost.check(ConnectionLost)


def test_an_exception_is_logged_and_ends_the_one_it_came_from(reactor: Any, failures: Failures) -> None:
    end, other = End(reactor), End(reactor)
    end.does = ValueError("oops")
    end.other.send(b"x")
    other.other.send(b"x")
    reactor.iterate(0)
    assert len(failures.take(ValueError)) == 1
    assert end.lost is not None
    assert end.lost.check(ValueError)
    assert other.calls == ["read"]


def test_one_that_cannot_even_end_disturbs_nobody(reactor: Any, failures: Failures) -> None:
    end, other = End(reactor), End(reactor)

    def fail(reason: Failure) -> None:
        end.close()
        raise ValueError

    end.connectionLost = end.readConnectionLost = fail  # type: ignore[method-assign]
    end.does = lambda: CONNECTION_LOST
    end.other.send(b"x")
    other.other.send(b"x")
    reactor.iterate(0)
    assert len(failures.take(ValueError)) == 1
    assert other.calls == ["read"]


def test_who_was_closed_by_one_before_is_left_alone(reactor: Any) -> None:
    ends = [End(reactor), End(reactor)]
    for end, victim in (ends, reversed(ends)):
        end.does = victim.close
        end.other.send(b"x")
    reactor.iterate(0)
    assert [each for end in ends for each in end.calls] == ["read"]


def test_what_waits_for_its_time_is_waited_for(reactor: Any) -> None:
    called: list[int] = []
    reactor.callLater(0.01, called.append, 1)
    while not called:
        reactor.iterate(reactor.timeout())


def test_another_reactor_is_left_alone() -> None:
    other = MemoryReactor()
    assert not quicken(other)
    assert not hasattr(other, "doIteration")


def test_a_reactor_that_has_changed_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made = EPollReactor()
    before = made.doIteration
    monkeypatch.setattr("ttagw.wire.poll._NEEDED", ("_not_there",))
    assert not quicken(made)
    assert made.doIteration == before
    made.waker.connectionLost(Failure(ConnectionDone()))
    made._poller.close()
