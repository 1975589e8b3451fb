"""Listening sockets: all of them, or none and a line for each that could not be had."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

BACKLOG = 4096
"""Connections that the kernel holds for us until they are accepted; Twisted's own default is 50."""


class ListenError(Exception):
    """Some endpoints cannot be listened on. `args` are lines for people, one each."""


def endpoint_from(reactor: Any, text: str) -> IStreamServerEndpoint:
    """The endpoint that a string such as `tcp:8000:interface=127.0.0.1` describes. Raises `ListenError`."""
    if text.startswith(("tcp:", "ssl:", "tcp6:", "unix:")) and "backlog=" not in text:
        text += f":backlog={BACKLOG}"
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, text)
    except OSError as error:
        raise ListenError(f"{text}: {error.filename or ''}: {error.strerror or error}") from None
    except Exception as error:
        raise ListenError(f"{text}: not an endpoint that can be used: {error or type(error).__name__}") from None
    return endpoint


class Listeners(Service):
    """Listens on every endpoint when the daemon starts, before it gives up its privileges."""

    log = Logger()

    def __init__(self, reactor: Any, wanted: Sequence[tuple[str, IProtocolFactory]]) -> None:
        """`wanted`: endpoint strings and who serves them."""
        self._reactor = reactor
        self._wanted = wanted
        self.ports: list[IListeningPort] = []

    def privilegedStartService(self) -> None:
        """Listen. Raises `ListenError` with every endpoint that failed; then none is listened on."""
        faults: list[str] = []
        for text, factory in self._wanted:
            try:
                endpoint_from(self._reactor, text).listen(factory).addCallbacks(
                    self.ports.append, lambda failure, text=text: faults.append(_sentence(text, failure))
                )
            except ListenError as error:
                faults.extend(error.args)
        if faults:
            for port in self.ports:
                port.stopListening()
            self.ports = []
            raise ListenError(*faults)
        super().privilegedStartService()

    def startService(self) -> None:
        """Say where."""
        super().startService()
        for port in self.ports:
            self.log.info("listening on {address}", address=port.getHost())

    def stopService(self) -> Deferred[Any]:
        """Accept no more."""
        super().stopService()
        ports, self.ports = self.ports, []
        closing = [done for port in ports if isinstance(done := port.stopListening(), Deferred)]
        return gatherResults(closing, consumeErrors=True)


def _sentence(text: str, failure: Failure) -> str:
    error = getattr(failure.value, "socketError", failure.value)
    return f"{text}: cannot listen: {getattr(error, 'strerror', None) or error}"
