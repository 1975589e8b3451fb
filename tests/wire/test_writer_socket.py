from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.testing import Clock, MemoryTransport
from ttagw.wire.writer import HIGH_WATER, SocketWriter, TransportWriter, writer_for


class Socket:
    """As much of a plain Twisted connection as `SocketWriter` uses; takes as many bytes a call as it is told."""

    def __init__(self, takes: list[int]) -> None:
        self.takes = takes
        self.data = b""
        self.ended = ""
        self.producer: Any = None

    def getHandle(self) -> Any:
        return self

    def send(self, data: Any) -> int:
        most = self.takes.pop(0) if self.takes else len(data)
        if most < 0:
            raise ConnectionResetError
        if not most:
            raise BlockingIOError
        taken = bytes(data[:most])
        self.data += taken
        return len(taken)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def startWriting(self) -> None:
        assert self.producer is not None

    def loseConnection(self) -> None:
        self.ended = "close"

    def loseWriteConnection(self) -> None:
        self.ended = "half"

    def abortConnection(self) -> None:
        self.ended = "abort"


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=10),
    st.lists(st.integers(0, 30), max_size=40),
    st.sampled_from(["close", "half_close", ""]),
)
def test_whatever_the_socket_takes_at_a_time_everything_arrives_in_order(
    pieces: list[bytes], takes: list[int], end: str
) -> None:
    transport, drained = Socket(takes), []
    writer = SocketWriter(transport, lambda: drained.append(1), Clock())  # type: ignore[arg-type]
    written = 0
    for piece in pieces:
        writer.write(piece)
        written += len(piece)
        assert writer.queued == written - len(transport.data)
    waited = bool(writer.queued)
    if end:
        getattr(writer, end)()
    while transport.producer is not None:
        assert not transport.ended
        transport.producer.resumeProducing()
    assert transport.data == b"".join(pieces)
    assert writer.queued == 0
    assert transport.ended == {"close": "close", "half_close": "half", "": ""}[end]
    assert bool(drained) == (waited and not end)


@pytest.mark.parametrize(("read_on", "ended"), [(False, "abort"), (True, "")])
@pytest.mark.parametrize("takes", [[-1], [2, -1], [2, 2, -1]])
def test_a_socket_that_fails_takes_no_more(takes: list[int], read_on: bool, ended: str) -> None:
    transport = Socket(list(takes))
    writer = SocketWriter(
        transport,  # type: ignore[arg-type]
        lambda: pytest.fail("nothing has drained"),
        Clock(),
        read_on=read_on,
    )
    writer.write(b"12345678")
    while transport.producer is not None:
        transport.producer.resumeProducing()
    assert transport.ended == ended
    writer.write(b"x")
    writer.resumeProducing()
    assert (writer.queued, writer.gone, writer.outstanding(1.0)) == (0, True, 0)


def test_a_transport_without_a_socket_is_written_through() -> None:
    transport, drained, clock = MemoryTransport(), [], Clock()
    writer = writer_for(transport, lambda: drained.append(1), clock)
    assert isinstance(writer, TransportWriter)
    writer.write(b"one")
    assert (transport.take(), writer.queued) == (b"one", 0)
    transport.full = True
    writer.write(b"two")
    writer.write(b"three")
    assert (writer.queued, writer.progress) == (HIGH_WATER, clock.now)
    transport.drain()
    transport.drain()
    assert (writer.queued, drained) == (0, [1])


@pytest.mark.parametrize(("how", "ended"), [("close", "close"), ("half_close", "close"), ("abort", "abort")])
def test_a_transport_ends_as_it_is_told(how: str, ended: str) -> None:
    transport = MemoryTransport()
    writer = writer_for(transport, lambda: None, Clock())
    getattr(writer, how)()
    assert transport.ended == ended
    assert transport.producer is None


def test_an_aborted_transport_is_left_alone() -> None:
    transport, drained = MemoryTransport(), []
    writer = writer_for(transport, lambda: drained.append(1), Clock())
    producer = transport.producer
    transport.full = True
    writer.write(b"x")
    writer.abort()
    writer.write(b"y")
    producer.resumeProducing()
    assert (transport.take(), drained) == (b"x", [])


def test_a_transport_that_is_gone_holds_nothing() -> None:
    transport = MemoryTransport()
    writer = writer_for(transport, lambda: None, Clock())
    transport.full = True
    writer.write(b"x")
    transport.producer.stopProducing()
    assert writer.queued == 0


def test_who_had_taken_everything_is_waited_for_from_now_on() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    clock = Clock()
    writer = SocketWriter(MemoryTransport(handle=ours), lambda: None, clock)  # type: ignore[arg-type]
    assert writer.outstanding(clock.advance(5.0)) == 0
    writer.write(b"x")
    began = clock.advance(5.0)
    assert writer.outstanding(began) > 0
    assert writer.progress == began
    assert writer.outstanding(clock.advance(5.0)) > 0
    assert writer.progress == began
    theirs.recv(1)
    assert writer.outstanding(clock.advance(5.0)) == 0
    assert writer.progress == clock.now
    ours.close()
    theirs.close()
