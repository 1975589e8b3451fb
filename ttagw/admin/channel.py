"""Connections to the admin side: how many there are, how slow they may be, and how much they may send.

twisted.web reads a whole body, of any size, before anybody is asked; here what is too much is refused while it comes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

from twisted.internet.interfaces import IDelayedCall, ISSLTransport
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Request, Site

from ttagw.core.ids import UUID7
from ttagw.errors import BodyTooLargeError, GatewayError, RequestTimeoutError, TooManyConnectionsError
from ttagw.problem import problem

MOST_BODY = 64 * 1024
"""Bytes of a request body."""
MOST_CONNECTIONS = 100
ARRIVAL = 10.0
"""Seconds from the first byte of a request to its last."""
IDLE = 60.0
"""Seconds for which a connection may wait for its next request."""
LINGER = 2.0
"""Seconds for which a connection that was refused is still read from, so that the client gets to see why."""

_PHRASES = {408: b"Request Timeout", 413: b"Content Too Large", 503: b"Service Unavailable"}


class AdminRequest(Request):
    """One request; its body stays within bounds."""

    site: AdminSite
    channel: Any
    content: Any
    gone = False
    """Whether there is nobody to answer any more."""

    def __init__(self, channel: Any, *args: Any, **options: Any) -> None:
        super().__init__(channel, *args, **options)
        self.id = channel.site.ids.next()

    def gotLength(self, length: int | None) -> None:
        """The head is there."""
        self.content = BytesIO()
        if length is not None and length > MOST_BODY:
            # Nobody is told to go on.
            self.requestHeaders.removeHeader(b"expect")
            self.channel.refuse(BodyTooLargeError(), self.id)

    def handleContentChunk(self, data: bytes) -> None:
        """Some of the body is there."""
        if self.channel.deaf:
            return
        if self.content.tell() + len(data) > MOST_BODY:
            self.channel.refuse(BodyTooLargeError(), self.id)
            return
        self.content.write(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """All of it is there."""
        if not self.channel.deaf:
            super().requestReceived(command, path, version)

    def setHeader(self, name: Any, value: Any) -> None:
        """Nobody needs to know what this is made with."""
        if name != b"Server":
            super().setHeader(name, value)

    def body(self) -> bytes:
        """The whole body."""
        self.content.seek(0)
        body: bytes = self.content.read()
        return body

    def connectionLost(self, reason: Failure) -> None:
        """The client is gone."""
        self.gone = True
        super().connectionLost(reason)


class AdminChannel(HTTPChannel):
    """One connection."""

    site: AdminSite
    transport: Any
    _networkProducer: Any
    maxHeaders = 100
    deaf = False
    """What still comes is not looked at."""
    _arriving: IDelayedCall | None = None
    _lingering: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """It is there; whether it may stay is another matter."""
        super().connectionMade()
        if len(self.site.channels) >= MOST_CONNECTIONS:
            self.refuse(TooManyConnectionsError(retry_after=5), self.site.ids.next())
        else:
            self.site.channels.add(self)

    def dataReceived(self, data: bytes) -> None:
        """Some of a request."""
        if self.deaf:
            return
        if self._arriving is None and not self._handlingRequest:
            self._arriving = self.callLater(ARRIVAL, self._late)
        super().dataReceived(data)

    def allContentReceived(self) -> None:
        """All of a request."""
        self._arrived()
        super().allContentReceived()

    def _arrived(self) -> None:
        arriving, self._arriving = self._arriving, None
        if arriving is not None and arriving.active():
            arriving.cancel()

    def _late(self) -> None:
        self.refuse(RequestTimeoutError(), self.site.ids.next())

    def refuse(self, error: GatewayError, request_id: bytes) -> None:
        """Say why, and end the connection."""
        self._arrived()
        self.setTimeout(None)
        self.deaf = True
        body = problem(error, request_id.decode("ascii"))
        again = b"" if error.retry_after is None else b"retry-after: %d\r\n" % error.retry_after
        self.transport.write(
            b"HTTP/1.1 %d %b\r\nx-request-id: %b\r\nttagw-reason: %b\r\n%bcontent-type: application/problem+json\r\n"
            b"cache-control: no-store\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
            % (error.status, _PHRASES[error.status], request_id, error.code.encode("ascii"), again, len(body), body)
        )
        self._networkProducer.unregisterProducer()
        transport = self.transport
        if ISSLTransport.providedBy(transport):
            transport.loseConnection()
        else:
            transport.loseWriteConnection()
        self._lingering = self.callLater(LINGER, transport.abortConnection)

    def connectionLost(self, reason: Any = None) -> None:
        """It is gone."""
        self.site.channels.discard(self)
        self._arrived()
        if self._lingering is not None and self._lingering.active():
            self._lingering.cancel()
        super().connectionLost(reason)

    def end(self) -> None:
        """End now, or with the answer that is under way."""
        if self._handlingRequest:
            self.persistent = False
        else:
            self.loseConnection()


class AdminSite(Site):
    """The site for the admin port, without an access log: that is for what clients ask."""

    noisy = False
    protocol = AdminChannel  # type: ignore[assignment]
    requestFactory = AdminRequest

    def __init__(self, root: Any, reactor: Any = None) -> None:
        super().__init__(root, timeout=IDLE, reactor=reactor, parsePOSTFormSubmission=False)
        self.at_end: Callable[[], None] = lambda: None
        """Lets go of those whose answers would never end."""
        self.channels: set[AdminChannel] = set()
        self.ids = UUID7(lambda: time.time_ns() // 1_000_000, os.urandom)

    def acceptableProtocols(self) -> list[bytes]:
        """HTTP/1.1 only: over HTTP/2, twisted.web knows no bounds for bodies."""
        return [b"http/1.1"]

    def log(self, request: Any) -> None:
        """Nothing."""

    def stopFactory(self) -> None:
        """No more connections come; those that are there end."""
        self.at_end()
        for channel in list(self.channels):
            channel.end()
        super().stopFactory()
