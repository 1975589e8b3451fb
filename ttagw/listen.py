"""Listening sockets: all of them, or none and a line for each that could not be had."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from ttagw.wire.authorities import AskingReactor, Authorities, AuthoritiesError

BACKLOG = 4096
"""Connections that the kernel holds for us until they are accepted; Twisted's own default is 50."""


_OPTIONS = (
    (re.compile(r"unexpected keyword argument '(\w+)'"), 'there is no option "{}"'),
    (re.compile(r"missing \d+ required \S+ arguments?: '(\w+)'"), 'the option "{}" is missing'),
    (re.compile(r"positional arguments? but"), "there are more values than it has options"),
    (re.compile(r"multiple values for argument '(\w+)'"), 'the option "{}" is given twice'),
)


class ListenError(Exception):
    """Some endpoints cannot be listened on. `args` are lines for people, one each."""


def endpoint_from(reactor: Any, text: str, authorities: str = "") -> IStreamServerEndpoint:
    """The endpoint that a string such as `tcp:8000:interface=127.0.0.1` describes. Raises `ListenError`.

    `authorities`: the PEM file of those whose certificates are accepted from clients, where it is TLS that is spoken.
    """
    ours = text
    if authorities and text.startswith("ssl:"):
        try:
            reactor = AskingReactor(reactor, Authorities(authorities))
        except AuthoritiesError as error:
            raise ListenError(str(error)) from None
    if text.startswith(("tcp:", "ssl:", "tcp6:", "unix:")) and "backlog=" not in text:
        ours += f":backlog={BACKLOG}"
    try:
        endpoint: IStreamServerEndpoint = _parsed(reactor, ours, text)
    except OSError as error:
        raise ListenError(f"{text}: {error.filename or ''}: {error.strerror or error}") from None
    except Exception as error:
        raise ListenError(f"{text}: not an endpoint that can be used: {_plainly(error)}") from None
    return endpoint


def _parsed(reactor: Any, ours: str, theirs: str) -> Any:
    """With our backlog, unless the text gives one without its name."""
    try:
        return serverFromString(reactor, ours)
    except TypeError:
        return serverFromString(reactor, theirs)


def _plainly(error: Exception) -> str:
    """What Twisted's parser of endpoints says, which for options is what Python says about arguments."""
    text = str(error) or type(error).__name__
    for pattern, sentence in _OPTIONS:
        match = pattern.search(text)
        if match and isinstance(error, TypeError):
            return sentence.format(*match.groups())
    return text


class Listeners(Service):
    """Listens on every endpoint when the daemon starts, before it gives up its privileges."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        wanted: Sequence[tuple[str, IProtocolFactory]],
        opened: Callable[[IListeningPort, IProtocolFactory], None] | None = None,
        authorities: Mapping[IProtocolFactory, str] | None = None,
    ) -> None:
        """`wanted`: endpoint strings and who serves them. `opened` is told of each port that is listened on.

        `authorities`: by who serves, the PEM file of those whose certificates are accepted from clients over TLS.
        """
        self._reactor = reactor
        self._tell = opened
        self._wanted = wanted
        self._authorities = authorities or {}
        self._ports: list[tuple[IListeningPort, IProtocolFactory]] = []

    @property
    def count(self) -> int:
        """Endpoints that are listened on."""
        return len(self._ports)

    def privilegedStartService(self) -> None:
        """Listen. Raises `ListenError` with every endpoint that failed; then none is listened on."""
        faults: list[str] = []
        for text, factory in self._wanted:
            try:
                listening = endpoint_from(self._reactor, text, self._authorities.get(factory, "")).listen(factory)
            except ListenError as error:
                faults.extend(error.args)
            else:
                listening.addCallbacks(self._opened, _note, (factory,), {}, (text, faults), {})
        if faults:
            self._stop_listening(lambda factory: True)  # noqa: ARG005
            raise ListenError(*faults)
        super().privilegedStartService()

    def _opened(self, port: IListeningPort, factory: IProtocolFactory) -> None:
        self._ports.append((port, factory))
        if self._tell is not None:
            self._tell(port, factory)

    def startService(self) -> None:
        """Say where."""
        super().startService()
        for port, _ in self._ports:
            self.log.info("listening on {address}", address=port.getHost())

    def close(self, served: IProtocolFactory) -> Deferred[Any]:
        """Accept no more for one of those who are served."""
        return self._stop_listening(lambda factory: factory is served)

    def stopService(self) -> Deferred[Any]:
        """Accept no more."""
        super().stopService()
        return self._stop_listening(lambda factory: True)  # noqa: ARG005

    def _stop_listening(self, chosen: Callable[[IProtocolFactory], bool]) -> Deferred[Any]:
        ending = [port for port, factory in self._ports if chosen(factory)]
        self._ports = [each for each in self._ports if not chosen(each[1])]
        closing = [done for port in ending if isinstance(done := port.stopListening(), Deferred)]
        return gatherResults(closing, consumeErrors=True)


def _note(failure: Failure, text: str, faults: list[str]) -> None:
    faults.append(_sentence(text, failure))


def _sentence(text: str, failure: Failure) -> str:
    error = getattr(failure.value, "socketError", failure.value)
    return f"{text}: cannot listen: {getattr(error, 'strerror', None) or error}"
