"""What a client meets when there are too many connections: a calm 503, and the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IProtocol, ISSLTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from ttagw.errors import TooManyConnectionsError
from ttagw.pipeline import Support
from ttagw.web.fallback import support_fields, support_lines
from ttagw.wire.deadlines import NEVER

LINGER = 1.0
"""Seconds for which the client may still be sending its request."""


class Rejecting(Protocol):
    """Who counts the connections that are turned away."""

    monotonic: Callable[[], float]

    def away(self, rejected: TurnedAway, *, gone: bool) -> bool:
        """A rejected connection comes or goes. False: there are too many even of those."""


@implementer(IProtocol)
class TurnedAway:
    """Answers 503 before anything was asked, and closes. Whoever it is may need help, so `support` stands beside it."""

    __slots__ = ("_next_id", "_site", "_support", "deadline", "transport")

    transport: Any

    def __init__(self, site: Rejecting, next_id: Callable[[], bytes], support: Support | None = None) -> None:
        self._site = site
        self._support = support
        self._next_id = next_id
        self.deadline = NEVER

    def makeConnection(self, transport: Any) -> None:
        """Twisted hands over the connection."""
        self.transport = transport
        self.connectionMade()

    def connectionMade(self) -> None:
        """Say it and close; what the client sends meanwhile is not looked at."""
        transport = self.transport
        lingers = self._site.away(self, gone=False)
        if not lingers and ISSLTransport.providedBy(transport):
            transport.abortConnection()
            return
        transport.write(self._answer())
        if not lingers:
            # The kernel has taken it; a client that is still sending may miss it.
            transport.loseConnection()
            return
        self.deadline = self._site.monotonic() + LINGER
        # A TLS transport passes questions on to the one below, which must not be shut before the handshake is over.
        half_close = transport.loseConnection if ISSLTransport.providedBy(transport) else transport.loseWriteConnection
        half_close()

    def _answer(self) -> bytes:
        error = TooManyConnectionsError
        support = self._support
        lines = "" if support is None else support_lines(support)
        fields = [] if support is None else support_fields(support)
        text = f"{error.title}\n{error.detail}\n{lines}".encode()
        return (
            b"HTTP/1.1 503 Service Unavailable\r\nx-request-id: %b\r\nconnection: close\r\nretry-after: 5\r\n"
            b"cache-control: no-store\r\nttagw-reason: %b\r\ncontent-type: text/plain; charset=utf-8\r\n"
            b"%bcontent-length: %d\r\n\r\n%b"
            % (
                self._next_id(),
                error.code.encode("ascii"),
                b"".join([b"%b: %b\r\n" % field for field in fields]),
                len(text),
                text,
            )
        )

    def dataReceived(self, data: bytes) -> None:
        """Not looked at."""

    def expire(self, now: float) -> None:  # noqa: ARG002 - the deadline is the only one
        """The client had its time."""
        self.deadline = NEVER
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002 - Twisted's signature
        """The connection is gone."""
        self._site.away(self, gone=True)
