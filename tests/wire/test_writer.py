from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import pytest_twisted
import trustme
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate as TwistedCertificate
from twisted.internet.ssl import CertificateOptions, PrivateCertificate, optionsForClientTLS, trustRootFromCertificates

from tests.sockets import Raw, Recorder, pair
from tests.twisted_hygiene import reactor, turn, until
from ttagw.testing import Clock, MemoryTransport
from ttagw.wire.writer import HIGH_WATER, SocketWriter, TransportWriter, Writer, writer_for

MUCH = 2 * 1024 * 1024


class Served(Recorder):
    """The server's end, with a writer."""

    transport: Any
    writer: Writer

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.drained = 0

    def connectionMade(self) -> None:
        handle = self.transport.getHandle()
        if isinstance(handle, socket.socket):
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        self.writer = writer_for(self.transport, self._count, self.clock)

    def _count(self) -> None:
        self.drained += 1

    def connectionLost(self, reason: Any = None) -> None:
        super().connectionLost(reason)
        self.writer.lost()


def pattern(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@contextmanager
def served() -> Iterator[tuple[Served, Raw]]:
    protocol = Served()
    with pair(protocol) as raw:
        yield protocol, raw


async def ready(protocol: Served) -> Writer:
    await until(lambda: protocol.connected)
    return protocol.writer


@pytest_twisted.ensureDeferred
async def test_a_small_write_is_sent_at_once() -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        assert isinstance(writer, SocketWriter)
        writer.write(b"hello")
        raw.read()
        assert raw.data == b"hello"
        assert writer.queued == 0


@pytest_twisted.ensureDeferred
async def test_all_of_a_partial_write_arrives_in_order_and_what_follows_behind_it() -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        whole = pattern(MUCH)
        writer.write(whole)
        queued = writer.queued
        assert 0 < queued < MUCH
        writer.write(b"tail")
        assert writer.queued == queued + 4
        await raw.read_until(MUCH + 4)
        assert raw.data == whole + b"tail"
        await until(lambda: not writer.queued)
        assert protocol.drained == 1
        writer.write(b"!")
        await raw.read_until(MUCH + 5)
        assert raw.data.endswith(b"tail!")


@pytest_twisted.ensureDeferred
async def test_progress_is_when_the_other_side_last_took_something() -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        writer.write(pattern(MUCH))
        assert writer.progress == protocol.clock.now
        began = protocol.clock.now
        protocol.clock.advance(50.0)
        for _ in range(20):
            await turn()
        assert writer.progress == began or writer.queued < MUCH
        before = writer.queued
        raw.socket.recv(65536)
        await until(lambda: writer.queued < before or raw.read())
        assert writer.progress == protocol.clock.now


@pytest_twisted.ensureDeferred
async def test_close_waits_for_what_is_queued() -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        whole = pattern(MUCH)
        writer.write(whole)
        writer.close()
        assert await raw.read_to_end() == whole
        assert raw.ended == "eof"
        await until(lambda: protocol.lost)
        assert protocol.lost.check(ConnectionDone)
        assert protocol.drained == 0


@pytest_twisted.ensureDeferred
async def test_close_with_nothing_queued_ends_the_connection() -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        writer.write(b"bye")
        writer.close()
        assert await raw.read_to_end() == b"bye"


@pytest.mark.parametrize("size", [3, MUCH])
@pytest_twisted.ensureDeferred
async def test_after_a_half_close_the_other_side_is_still_read(size: int) -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        writer.write(pattern(size))
        writer.half_close()
        assert len(await raw.read_to_end()) == size
        raw.socket.send(b"still here")
        await until(lambda: protocol.data == b"still here")
        assert protocol.lost is None


@pytest.mark.parametrize("size", [3, MUCH])
@pytest_twisted.ensureDeferred
async def test_an_abort_is_seen_as_a_cut(size: int) -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        writer.write(pattern(size))
        writer.abort()
        assert writer.queued == 0
        await raw.read_to_end()
        assert raw.ended == "reset"
        await until(lambda: protocol.lost)
        writer.write(b"vanishes")
        writer.close()


@pytest_twisted.ensureDeferred
async def test_what_is_written_after_the_end_vanishes() -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        raw.socket.close()
        await until(lambda: protocol.lost)
        writer.write(pattern(MUCH))
        writer.write(b"more")
        assert writer.queued == 0
        assert protocol.drained == 0


@pytest_twisted.ensureDeferred
async def test_a_connection_that_goes_while_something_is_queued_takes_it_along() -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        writer.write(pattern(MUCH))
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        raw.socket.close()
        await until(lambda: protocol.lost)
        assert writer.queued == 0
        writer.write(b"more")
        assert writer.queued == 0


@pytest_twisted.ensureDeferred
async def test_a_write_to_a_socket_that_was_reset_cuts_the_connection() -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        raw.socket.close()
        writer.write(b"into the void")
        writer.write(b"again")
        await until(lambda: protocol.lost)
        assert writer.queued == 0


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


@pytest.mark.parametrize("takes", [[-1], [2, -1], [2, 2, -1]])
def test_a_socket_that_fails_is_cut_once(takes: list[int]) -> None:
    transport = Socket(takes)
    writer = SocketWriter(transport, lambda: pytest.fail("nothing has drained"), Clock())  # type: ignore[arg-type]
    writer.write(b"12345678")
    while transport.producer is not None:
        transport.producer.resumeProducing()
    assert transport.ended == "abort"
    writer.write(b"x")
    writer.resumeProducing()
    assert writer.queued == 0


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


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


def server_options(authority: trustme.CA) -> CertificateOptions:
    certificate = authority.issue_cert("service.test", key_type=trustme.KeyType.ECDSA)
    return PrivateCertificate.loadPEM(certificate.private_key_and_cert_chain_pem.bytes()).options()


@contextmanager
def tls(authority: trustme.CA, protocol: Served, client: Recorder) -> Iterator[None]:
    factory = Factory.forProtocol(lambda: protocol)
    factory.noisy = False
    port = reactor.listenSSL(0, factory, server_options(authority), interface="127.0.0.1")
    root = trustRootFromCertificates([TwistedCertificate.loadPEM(authority.cert_pem.bytes())])
    endpoint = HostnameEndpoint(reactor, "127.0.0.1", port.getHost().port)
    ours = Factory.forProtocol(lambda: client)
    ours.noisy = False
    wrapClientTLS(optionsForClientTLS("service.test", root), endpoint).connect(ours)
    try:
        yield
    finally:
        port.stopListening()
        if client.lost is None:
            client.transport.abortConnection()


@pytest_twisted.ensureDeferred
async def test_a_tls_transport_never_gets_plain_bytes(authority: trustme.CA) -> None:
    protocol, client = Served(), Recorder()
    with tls(authority, protocol, client):
        writer = await ready(protocol)
        assert isinstance(writer, TransportWriter)
        # The trap: the socket below the TLS transport shows through it.
        assert hasattr(protocol.transport, "writeSomeData")
        writer.write(b"secret")
        await until(lambda: client.data == b"secret")
        writer.close()
        await until(lambda: client.lost and protocol.lost)
        # Twisted's own methods raise now.
        writer.write(b"more")
        writer.abort()
        writer.close()


@pytest_twisted.ensureDeferred
async def test_over_tls_a_client_that_takes_nothing_is_noticed(authority: trustme.CA) -> None:
    protocol, client = Served(), Recorder()
    with tls(authority, protocol, client):
        writer = await ready(protocol)
        await until(lambda: client.connected)
        client.transport.pauseProducing()
        whole = pattern(8 * MUCH)
        writer.write(whole)
        assert writer.queued == HIGH_WATER
        client.transport.resumeProducing()
        await until(lambda: len(client.data) == len(whole))
        await until(lambda: not writer.queued)
        assert client.data == whole
        assert protocol.drained == 1
        writer.abort()
        await until(lambda: client.lost and protocol.lost)
