"""What may be sent to the admin side, how slowly, and by how many at once."""

from __future__ import annotations

import http.client
import ssl
import time

import pytest_twisted
import trustme
from twisted.internet.defer import Deferred
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import Clock as Timers
from twisted.internet.threads import deferToThread

from tests.admin.served import KEYS, MemoryDirectory, MemoryKeys, parsed, serving
from tests.twisted_hygiene import reactor, until
from ttagw.admin.callers import Callers
from ttagw.admin.channel import ARRIVAL, IDLE, LINGER, MOST_BODY, MOST_CONNECTIONS, AdminSite
from ttagw.admin.site import Readiness, admin_site
from ttagw.testing import MemoryTransport

PUT = (
    b"PUT /services/players/instances/p-1 HTTP/1.1\r\nHost: a\r\nX-API-Key: players\r\n"
    b"Content-Type: application/json\r\n"
)
READY = Readiness(True, 1, False, {})


class Site:
    """A site whose time is in our hands, without sockets."""

    def __init__(self) -> None:
        self.timers = Timers()
        callers = Callers(MemoryKeys(**KEYS), time.monotonic)
        self.directory = MemoryDirectory("players")
        self.site: AdminSite = admin_site(
            "gw-1",
            lambda: READY,
            None,
            directory=self.directory,
            callers=callers,
            reactor=self.timers,
        )

    def connect(self) -> MemoryTransport:
        transport = MemoryTransport()
        transport.connect(self.site.buildProtocol(None))
        return transport

    def over(self) -> None:
        """Nothing is left."""
        assert not self.site.channels
        assert not self.timers.getDelayedCalls()


def send(transport: MemoryTransport, data: bytes) -> None:
    transport.protocol.dataReceived(data)


def refused(transport: MemoryTransport) -> tuple[int, str, str]:
    """Status, code, and how the connection ends."""
    answer = parsed(transport.take())
    assert answer.fields["connection"] == "close"
    assert answer.fields["content-type"] == "application/problem+json"
    assert answer.json["request_id"] == answer.fields["x-request-id"]
    return answer.status, answer.json["code"], transport.ended


def test_a_length_that_is_too_much_is_refused_before_the_body() -> None:
    site = Site()
    transport = site.connect()
    send(transport, PUT + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (MOST_BODY + 1))
    assert refused(transport) == (413, "body_too_large", "half")
    send(transport, b"x" * (MOST_BODY + 1) + PUT)
    assert transport.take() == b""
    site.timers.advance(LINGER)
    assert transport.ended == "abort"
    transport.lose()
    site.over()


def test_head_and_too_much_body_in_one_packet() -> None:
    site = Site()
    transport = site.connect()
    send(transport, PUT + b"Content-Length: %d\r\n\r\n" % (MOST_BODY + 1) + b"x" * (MOST_BODY + 1))
    assert refused(transport) == (413, "body_too_large", "half")
    transport.lose()
    site.over()


def test_chunks_are_counted_as_they_come() -> None:
    site = Site()
    transport = site.connect()
    send(transport, PUT + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(4):
        send(transport, b"4000\r\n" + b" " * 0x4000 + b"\r\n")
    assert transport.take() == b""
    held = transport.protocol.requests[0].content.tell()
    assert held == MOST_BODY
    send(transport, b"1\r\nx\r\n0\r\n\r\n" + PUT)
    assert refused(transport) == (413, "body_too_large", "half")
    transport.lose()
    site.over()


def test_as_much_as_may_be_is_taken() -> None:
    site = Site()
    transport = site.connect()
    body = b'{"url": "http://h"}'.ljust(MOST_BODY)
    send(transport, PUT + b"Content-Length: %d\r\n\r\n" % MOST_BODY + body)
    assert parsed(transport.take()).status == 201
    transport.lose()
    site.over()


def test_a_request_arrives_in_time_however_steadily_it_comes() -> None:
    site = Site()
    transport = site.connect()
    for _ in range(9):
        send(transport, b"G")
        site.timers.advance(ARRIVAL / 10)
    assert transport.take() == b""
    send(transport, b"ET")
    site.timers.advance(ARRIVAL / 10)
    assert refused(transport) == (408, "request_timeout", "half")
    transport.lose()
    site.over()


def test_a_body_arrives_in_time_too() -> None:
    site = Site()
    transport = site.connect()
    send(transport, PUT + b"Content-Length: 10\r\n\r\n")
    site.timers.advance(ARRIVAL)
    assert refused(transport) == (408, "request_timeout", "half")
    transport.lose()
    site.over()


def test_each_request_has_its_own_time() -> None:
    site = Site()
    transport = site.connect()
    for _ in range(5):
        send(transport, b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
        site.timers.advance(ARRIVAL * 0.9)
        assert parsed(transport.take()).status == 200
    site.timers.advance(IDLE)
    assert transport.ended == "close"
    transport.lose()
    site.over()


def test_there_are_only_so_many() -> None:
    site = Site()
    transports = [site.connect() for _ in range(MOST_CONNECTIONS)]
    one_more = site.connect()
    assert refused(one_more) == (503, "too_many_connections", "half")
    send(one_more, b"GET /health/live HTTP/1.1\r\n\r\n")
    assert one_more.take() == b""
    transports.pop().lose()
    another = site.connect()
    send(another, b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
    assert parsed(another.take()).status == 200
    for transport in (*transports, another, one_more):
        transport.lose()
    site.over()


def test_bytes_that_are_no_request_end_the_connection() -> None:
    site = Site()
    for data in (
        b"\x16\x03\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad\r\n\r\n",
        b"x" * 20000,
        PUT + b"Content-Length: x\r\n\r\n",
    ):
        transport = site.connect()
        send(transport, data)
        assert transport.ended == "close"
        transport.lose()
    site.over()


def test_a_form_is_not_taken_apart() -> None:
    site = Site()
    transport = site.connect()
    send(
        transport,
        b"POST /services HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        b"Content-Length: 3\r\n\r\n--x",
    )
    assert parsed(transport.take()).status == 405
    transport.lose()
    site.over()


def test_there_is_no_http_2_here() -> None:
    assert Site().site.acceptableProtocols() == [b"http/1.1"]


def test_stopping_ends_what_is_there() -> None:
    site = Site()
    site.site.startFactory()
    idle = site.connect()
    busy = site.connect()
    site.directory.waits = Deferred()
    send(busy, b"DELETE /services/players/instances/x HTTP/1.1\r\nHost: a\r\nX-API-Key: admin\r\n\r\n")
    site.site.stopFactory()
    assert idle.ended == "close"
    assert busy.ended == ""
    site.directory.waits.callback(None)
    assert parsed(busy.take()).status == 404
    assert busy.ended == "close"
    idle.lose()
    busy.lose()
    site.over()


@pytest_twisted.ensureDeferred
async def test_a_client_that_is_still_sending_gets_to_see_why() -> None:
    async with serving(MemoryDirectory("players"), MemoryKeys(**KEYS)) as admin:
        raw = admin.open(PUT + b"Content-Length: 1000000\r\n\r\n" + b"x" * 100_000)
        await until(lambda: raw.read() or raw.ended)
        assert parsed(raw.data).status == 413
        assert raw.ended == "eof"


@pytest_twisted.ensureDeferred
async def test_over_tls_too() -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client)
    pem = certificate.private_key_pem.bytes() + certificate.cert_chain_pems[0].bytes()
    ready = Readiness(True, 1, False, {})
    site = admin_site(
        "gw-1",
        lambda: ready,
        None,
        directory=MemoryDirectory("players"),
        callers=Callers(MemoryKeys(**KEYS), time.monotonic),
    )
    port = reactor.listenSSL(0, site, PrivateCertificate.loadPEM(pem).options(), interface="127.0.0.1")

    def ask(length: int) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection("localhost", port.getHost().port, context=client, timeout=10)
        connection.connect()
        connection.putrequest("PUT", "/services/players/instances/p-1")
        for name, value in (("X-API-Key", "players"), ("Content-Type", "application/json")):
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(length))
        connection.endheaders(b'{"url": "http://h"}'.ljust(length) if length < MOST_BODY else None)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    try:
        assert (await deferToThread(ask, 100))[0] == 201
        assert (await deferToThread(ask, MOST_BODY + 1))[0] == 413
    finally:
        await port.stopListening()
    await until(lambda: not site.channels)
