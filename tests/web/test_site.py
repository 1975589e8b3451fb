from __future__ import annotations

import pytest_twisted
from OpenSSL import SSL
from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import ISSLTransport
from zope.interface import directlyProvides

from tests.sockets import Raw, listening
from tests.twisted_hygiene import until
from tests.web.served import GET, Served, bodies, get, statuses
from ttagw.config import Http
from ttagw.testing import MemoryTransport
from ttagw.web.channel import Channel
from ttagw.web.turned_away import LINGER, TurnedAway
from ttagw.wire.deadlines import NEVER


def test_more_connections_than_allowed_get_503_at_once() -> None:
    served = Served(Http(max_connections=1))
    away = served.site.buildProtocol(None)
    assert isinstance(away, TurnedAway)
    client = MemoryTransport()
    client.connect(away)
    data = client.take()
    assert statuses(data) == [503]
    assert b"connection: close" in data
    assert b"retry-after: " in data
    assert len(bodies(data)) == 1
    assert client.ended == "half"
    away.dataReceived(GET)
    assert client.take() == b""
    assert (served.site.accepted, served.site.turned_away) == (1, 1)


def test_who_was_turned_away_and_stays_is_cut() -> None:
    served = Served(Http(max_connections=1))
    away, client = served.site.buildProtocol(None), MemoryTransport()
    client.connect(away)
    assert away.deadline == served.clock.now + LINGER
    away.expire(away.deadline)
    assert client.ended == "abort"
    client.lose()


def test_more_of_them_than_of_the_others_do_not_linger() -> None:
    served = Served(Http(max_connections=1))
    first, second = MemoryTransport(), MemoryTransport()
    first.connect(served.site.buildProtocol(None))
    second.connect(served.site.buildProtocol(None))
    assert (statuses(second.take()), second.ended, second.protocol.deadline) == ([503], "close", NEVER)
    second.lose()
    first.lose()
    third = MemoryTransport()
    third.connect(served.site.buildProtocol(None))
    assert (statuses(third.take()), third.ended) == ([503], "half")


def test_over_tls_they_are_cut_without_a_handshake() -> None:
    served = Served(Http(max_connections=1))
    MemoryTransport().connect(served.site.buildProtocol(None))
    second = MemoryTransport()
    directlyProvides(second, ISSLTransport)
    second.connect(served.site.buildProtocol(None))
    assert (second.take(), second.ended) == (b"", "abort")


def test_a_place_that_is_free_again_is_given_to_the_next() -> None:
    served = Served(Http(max_connections=1))
    served.client.lose()
    assert isinstance(served.site.buildProtocol(None), Channel)


def test_each_exchange_gets_an_id() -> None:
    served = Served()
    served.send(GET, GET)
    assert len({each.id for each in served.ended}) == 2


def test_a_peer_without_an_address_is_unknown() -> None:
    served = Served()
    client = MemoryTransport()
    client.getPeer = lambda: UNIXAddress("/run/x")  # type: ignore[assignment,return-value,method-assign]
    client.getHost = lambda: UNIXAddress("/run/y")  # type: ignore[assignment,return-value,method-assign]
    peer = served.site.peer_of(client)
    assert (peer.address, peer.port, peer.scheme) == ("unknown", b"0", b"http")


class Handle:
    """The TLS side of a connection."""

    def __init__(self, certificate: object) -> None:
        self._certificate = certificate

    def get_peer_certificate(self, *, as_cryptography: bool) -> object:
        assert as_cryptography
        return self._certificate


def test_a_certificate_is_there_to_be_read_only_where_one_is_asked_for() -> None:
    served, shown = Served(), object()
    plain, secure = MemoryTransport(), MemoryTransport(handle=Handle(shown))
    directlyProvides(secure, ISSLTransport)
    assert served.site.peer_of(secure).certificate is None
    served.site.asks_certificates = True
    assert served.site.peer_of(plain).certificate is None
    read = served.site.peer_of(secure).certificate
    assert read is not None
    assert read() is shown


def test_certificates_that_do_not_verify_are_counted() -> None:
    served = Served()
    error = SSL.Error([("SSL routines", "", "certificate verify failed")])
    for asks, error_of, count in ((False, error, 0), (True, error, 1), (True, None, 1), (True, error, 2)):
        served.site.asks_certificates = asks
        client = MemoryTransport()
        client.connect(served.site.buildProtocol(None))
        client.lose(error_of)
        assert served.site.certificates_refused == count


def test_only_http_1_1_is_offered_over_tls() -> None:
    assert Served().site.acceptableProtocols() == [b"http/1.1"]


@pytest_twisted.ensureDeferred
async def test_over_a_real_socket_a_request_is_answered_and_the_last_closes() -> None:
    served = Served()
    with listening(served.site) as port:
        raw = Raw(port)
        await until(lambda: len(served.site.channels) == 2)
        raw.socket.sendall(get(b"/now?1") + get(b"/now?2", b"Connection: close"))
        data = await raw.read_to_end()
        assert bodies(data) == [b"/now?1", b"/now?2"]
        raw.socket.close()
        await until(lambda: len(served.site.channels) == 1)
