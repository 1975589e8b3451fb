"""A twisted.web resource as what a route leads to.

The resource gets twisted.web's own `Request`, so everything that IRequest offers works; it is only made for exchanges
that come here. Its body is collected first, as twisted.web resources expect; the route's `max_body` bounds it.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from ttagw.model import UNKNOWN, Exchange, Reply
from ttagw.pipeline import Forward, Pipeline

_FRAMING = frozenset((b"content-length", b"transfer-encoding", b"connection"))


def mounted(resource: IResource) -> Forward:
    """The innermost step of a route that a resource answers. The resource is the root: it sees the whole path."""
    site = Site(resource)

    def forward(pipeline: Pipeline, exchange: Exchange) -> None:
        bridge = _Bridge(pipeline, exchange, site)
        exchange.work = bridge
        if exchange.body.complete:
            bridge.body_end()
        else:
            exchange.sink.go_on()
            exchange.body.attach(bridge)

    return forward


def _address(host: str, port: int) -> IPv4Address | IPv6Address:
    return IPv6Address("TCP", host.strip("[]"), port) if ":" in host else IPv4Address("TCP", host, port)


class _Bridge:
    """Collects the request's body; then stands between twisted.web's `Request`, as its channel, and our exchange."""

    factory = None

    def __init__(self, pipeline: Pipeline, exchange: Exchange, site: Site) -> None:
        self.site = site
        self._pipeline = pipeline
        self._exchange = exchange
        self._collected: list[bytes] = []
        self._producer: Any = None
        self._streaming = False
        self._request: Request | None = None
        self._over = False

    # As what the request's body goes to

    def body_chunk(self, data: bytes) -> None:
        """More of the body."""
        self._collected.append(data)

    def body_end(self) -> None:
        """The body is complete: let the resource answer."""
        exchange = self._exchange
        self._request = request = Request(self, queued=False)
        request.gotLength(None)
        for name, value in exchange.fields:
            request.requestHeaders.addRawHeader(name, value)
        request.requestHeaders.setRawHeaders(b"host", [exchange.authority])
        request.requestHeaders.setRawHeaders(b"x-request-id", [exchange.id])
        request.parseCookies()
        request.handleContentChunk(exchange.body.take() + b"".join(self._collected))
        uri = exchange.path if exchange.query is None else b"%b?%b" % (exchange.path, exchange.query)
        # With HTTP/1.0 the request leaves all framing to us.
        request.requestReceived(exchange.method, uri, b"HTTP/1.0")

    # As what is under way

    def cancel(self) -> None:
        """The client has left."""
        self._over = True
        if self._request is not None:
            self._request.connectionLost(Failure(ConnectionDone()))

    # As the channel of twisted.web's Request

    @property
    def transport(self) -> _Bridge:
        """What the request takes for its transport."""
        return self

    def getPeer(self) -> Any:
        """Where the request came from."""
        return _address(self._exchange.client, 0)

    def getHost(self) -> Any:
        """Where it arrived."""
        return _address(self._exchange.host.decode("latin-1"), int(self._exchange.peer.port))

    def isSecure(self) -> bool:
        """Whether over TLS."""
        return self._exchange.peer.scheme == b"https"

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:  # noqa: ARG002
        """The answer begins."""
        if self._over:
            return
        fields = []
        length = UNKNOWN
        for name, values in headers.getAllRawHeaders():
            if name.lower() == b"content-length":
                length = int(values[0])
            elif name.lower() not in _FRAMING:
                fields += [(name, value) for value in values]
        self._pipeline.answer(self._exchange, Reply(int(code), fields, None, length), self)

    def write(self, data: bytes) -> None:
        """More of the answer's body."""
        if not self._over and data:
            self._exchange.sink.write(data)
            if self._producer is not None:
                self._exchange.sink.flush()

    def writeSequence(self, pieces: list[bytes]) -> None:
        """More of the answer's body."""
        self.write(b"".join(pieces))

    def requestDone(self, request: Request) -> None:  # noqa: ARG002 - Twisted's signature
        """The answer is complete."""
        if not self._over:
            self._over = True
            self._exchange.work = None
            self._exchange.sink.finish()

    def loseConnection(self) -> None:
        """The resource gives up in the middle."""
        if not self._over:
            self._over = True
            self._exchange.work = None
            self._exchange.sink.abort()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """The resource streams its answer."""
        self._producer = producer
        self._streaming = streaming
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """The resource streams no more."""
        self._producer = None

    # As what the answer's body comes from

    def pause(self) -> None:
        """The client takes nothing."""
        if self._streaming and self._producer is not None:
            self._producer.pauseProducing()

    def resume(self) -> None:
        """The client takes more."""
        if self._producer is not None:
            self._producer.resumeProducing()
