"""A connection through an endpoint, for checks of what has a name or speaks TLS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IHandshakeListener, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ttagw.registry.probes.check import Check
from ttagw.registry.probes.reasons import of_failure


class _Once(Factory):
    """Makes the protocol of the one connection."""

    noisy = False

    def __init__(self, link: Through) -> None:
        self._link = link

    def buildProtocol(self, addr: IAddress | None) -> Any:  # noqa: ARG002 - Twisted's signature
        return self._link


@implementer(IHandshakeListener)
class Through(Protocol):
    """A `Link` over `endpoint`. `tls`: it is ready when the handshake is done. `found` is told whom it has reached."""

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        *,
        tls: bool,
        found: Callable[[IAddress], None] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._tls = tls
        self._found = found
        self._ready = False
        self._check: Check | None = None
        self._connecting: Deferred[Any] | None = None

    # As a link

    def open(self, check: Check) -> None:
        """Connect."""
        self._check = check
        self._connecting = maybeDeferred(self._endpoint.connect, _Once(self))
        self._connecting.addErrback(self._not_connected)

    def send(self, data: bytes) -> None:
        """Say something."""
        if self.transport is not None:
            self.transport.write(data)

    def close(self) -> bool:
        """Say goodbye, and wait for the end."""
        if self.transport is not None:
            self.transport.loseConnection()
        return False

    def abort(self) -> None:
        """Drop it."""
        self._check = None
        if self._connecting is not None:
            self._connecting.cancel()
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()

    # As a protocol

    def connectionMade(self) -> None:
        """The connection is there; over TLS it is ready when the handshake is done."""
        if not self._tls:
            self.handshakeCompleted()

    def handshakeCompleted(self) -> None:
        """It is ready."""
        self._ready = True
        if self._check is not None and self.transport is not None:
            if self._found is not None:
                self._found(self.transport.getPeer())
            self._check.connected()

    def dataReceived(self, data: bytes) -> None:
        """Something has come."""
        if self._check is not None:
            self._check.received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 - what matters is how far it came
        """The connection is gone."""
        self.transport = None
        self._lose("closed" if self._ready else "tls_failed")

    def _not_connected(self, failure: Failure) -> None:
        self._lose(of_failure(failure))

    def _lose(self, reason: str) -> None:
        check, self._check = self._check, None
        if check is not None:
            check.lost(reason)
