from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import pytest_twisted
import trustme
from twisted.internet import ssl
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory, Protocol

from tests.twisted_hygiene import reactor, turn, until
from ttagw.auth import fetch as module
from ttagw.auth.fetch import MOST_RECEIVED, FetchError, fetching
from ttagw.testing import MemoryTransport

MOST = 1000


class Answering(Protocol):
    """Sends its answer once a head has come, and closes the connection if that is all."""

    def __init__(self, answer: bytes, *, close: bool, endless: bytes = b"") -> None:
        self.answer, self.close, self.endless = answer, close, endless
        self.data = b""
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if not self.data.endswith(b"\r\n\r\n"):
            return
        transport: Any = self.transport
        transport.write(self.answer)
        if self.endless:
            transport.registerProducer(self, False)
        if self.close:
            transport.loseConnection()

    def resumeProducing(self) -> None:
        self.transport.write(self.endless)

    def stopProducing(self) -> None:
        """The connection is gone."""

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


class Issuer:
    """Somebody with one answer for everybody."""

    def __init__(self, answer: bytes, *, close: bool = False, endless: bytes = b"") -> None:
        self.talks: list[Answering] = []
        self._args = (answer, close, endless)
        self.port = 0

    def made(self) -> Answering:
        answer, close, endless = self._args
        self.talks.append(Answering(answer, close=close, endless=endless))
        return self.talks[-1]

    @contextmanager
    def listening(self, context: Any = None) -> Iterator[str]:
        factory = Factory.forProtocol(self.made)
        factory.noisy = False
        if context is None:
            port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        else:
            port = reactor.listenSSL(0, factory, context, interface="127.0.0.1")
        try:
            yield f"http{'' if context is None else 's'}://127.0.0.1:{port.getHost().port}/keys?v=1"
        finally:
            port.stopListening()


def response(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    head = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join([*head, b"", body])


async def fetched(issuer: Issuer) -> bytes:
    with issuer.listening() as url:
        try:
            return await Deferred.fromCoroutine(fetching(reactor, MOST)(url))
        finally:
            # Whatever came of it, no connection is left.
            await until(lambda: all(each.lost for each in issuer.talks))


def chunked(*chunks: bytes) -> bytes:
    framed = b"".join([b"%x\r\n%b\r\n" % (len(each), each) for each in chunks])
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed


@pytest.mark.parametrize(
    ("answer", "close"),
    [
        (response(b"k" * MOST), False),
        (response(b"k" * MOST, b"Content-Type: text/html", b"Content-Encoding: identity"), False),
        (chunked(*[b"k"] * MOST, b""), False),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"k" * MOST, True),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3 + response(b"k" * MOST), False),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_there_is_fetched(answer: bytes, close: bool) -> None:
    issuer = Issuer(answer, close=close)
    assert await fetched(issuer) == b"k" * MOST
    (talk,) = issuer.talks
    head = talk.data.split(b"\r\n")
    assert head[0] == b"GET /keys?v=1 HTTP/1.1"
    fields = {line.partition(b": ")[0].lower(): line.partition(b": ")[2] for line in head[1:-2]}
    assert fields[b"accept-encoding"] == b"identity"
    assert fields[b"user-agent"] == b"ttagw"
    assert b"cookie" not in fields
    assert b"authorization" not in fields


@pytest.mark.parametrize(
    ("issuer", "reason"),
    [
        (Issuer(response(b"k" * (MOST + 1))), "too_large"),
        (Issuer(chunked(*[b"k" * 100] * 11, b"")), "too_large"),
        (Issuer(b"HTTP/1.1 200 OK\r\n\r\n", endless=b"k" * 5000), "too_large"),
        (Issuer(b"HTTP/1.1 200 OK\r\n", endless=b"X-Field: %b\r\n" % (b"k" * 500)), "too_large"),
        (Issuer(b"", endless=b"HTTP/1.1 103 Early Hints\r\nX-Field: %b\r\n\r\n" % (b"k" * 5000)), "too_large"),
        (Issuer(response(b"", b"Location: http://127.0.0.1:1/", status=b"302 Found")), "status_302"),
        (Issuer(response(b"{}", status=b"500 Broken")), "status_500"),
        (Issuer(response(b"{}", status=b"201 Created")), "status_201"),
        (Issuer(response(b"", status=b"204 No Content")), "status_204"),
        (Issuer(response(gzip.compress(bytes(100)), b"Content-Encoding: gzip")), "encoded"),
        (Issuer(response(b"k", b"Content-Encoding: br")), "encoded"),
        (Issuer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nk", close=True), "cut_off"),
        (Issuer(chunked(b"k"), close=True), "cut_off"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_not_wanted_is_not_taken(issuer: Issuer, reason: str) -> None:
    with pytest.raises(FetchError) as caught:
        await fetched(issuer)
    assert str(caught.value) == reason
    # Nobody was asked where a redirect leads.
    assert len(issuer.talks) == 1


@pytest.mark.parametrize(
    "answer", [b"", b"\x16\x03\x01", b"nonsense\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"SSH-2.0-x\r\n"]
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_answer_at_all_is_an_error(answer: bytes) -> None:
    with pytest.raises(Exception, match=r".*") as caught:
        await fetched(Issuer(answer, close=True))
    assert not isinstance(caught.value, CancelledError)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nk"])
@pytest_twisted.ensureDeferred
async def test_a_fetch_that_is_cancelled_leaves_nothing(begun: bytes) -> None:
    issuer = Issuer(begun)
    with issuer.listening() as url:
        fetch = Deferred.fromCoroutine(fetching(reactor, MOST)(url))
        await until(lambda: issuer.talks and issuer.talks[0].data.endswith(b"\r\n\r\n"))
        for _ in range(20):
            await turn()
        fetch.cancel()
        with pytest.raises(CancelledError):
            await fetch
        await until(lambda: issuer.talks[0].lost)


@pytest_twisted.ensureDeferred
async def test_a_port_where_nobody_is() -> None:
    with Issuer(b"").listening() as url:
        pass
    with pytest.raises(ConnectError):
        await Deferred.fromCoroutine(fetching(reactor, MOST)(url))


@pytest_twisted.ensureDeferred
async def test_a_certificate_of_a_stranger_is_not_taken() -> None:
    issued = trustme.CA().issue_cert("127.0.0.1")
    pem = issued.private_key_pem.bytes() + issued.cert_chain_pems[0].bytes()
    context = ssl.PrivateCertificate.loadPEM(pem).options()
    issuer = Issuer(response(b"{}"))
    with issuer.listening(context) as url:
        with pytest.raises(Exception, match="certificate verify failed"):
            await Deferred.fromCoroutine(fetching(reactor, MOST)(url))
        await until(lambda: all(each.lost for each in issuer.talks))
    assert [each.data for each in issuer.talks] == [b""] * len(issuer.talks)


def test_a_connection_ends_with_the_first_byte_too_many() -> None:
    class Never:
        exceeded = False

    connections: Any = Never()
    kept: list[bytes] = []
    inner: Any = Protocol()
    inner.dataReceived = kept.append
    factory = module.WrappingFactory(Factory())
    counted = module._Counted(factory, inner, connections)
    transport = MemoryTransport()
    transport.connect(counted)
    counted.dataReceived(b"x" * MOST_RECEIVED)
    assert (len(kept[0]), connections.exceeded, transport.ended) == (MOST_RECEIVED, False, "")
    counted.dataReceived(b"x")
    assert (len(kept), connections.exceeded, transport.ended) == (1, True, "abort")
