from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import pytest_twisted
import trustme
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate as TwistedCertificate
from twisted.internet.ssl import CertificateOptions, PrivateCertificate, optionsForClientTLS, trustRootFromCertificates

from tests.sockets import Recorder
from tests.twisted_hygiene import reactor, until
from tests.wire.served import MUCH, Served, pattern, ready
from ttagw.wire.writer import HIGH_WATER, TransportWriter


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


@pytest_twisted.ensureDeferred
async def test_over_tls_the_socket_below_is_asked(authority: trustme.CA) -> None:
    protocol, client = Served(), Recorder()
    with tls(authority, protocol, client):
        writer = await ready(protocol)
        writer.write(b"hello")
        await until(lambda: client.data)
        client.transport.pauseProducing()
        whole = pattern(8 * MUCH)
        writer.write(whole)
        writer.close()
        assert writer.queued == 0
        await until(lambda: writer.outstanding(1.0) > 0)
        client.transport.resumeProducing()
        await until(lambda: protocol.lost)
        assert client.data == b"hello" + whole
        assert writer.outstanding(1.0) == 0
