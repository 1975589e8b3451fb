"""One connection to Redis. The only module that knows txredisapi, of which it uses the protocol and no more.

Its factories give up for good at the first refusal, and its timeouts leave answers in the queue for the next command.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from twisted.internet import defer, error
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure

from ttagw.store.base import DEADLINE, StoreAwayError
from ttagw.store.redis_errors import meaning
from ttagw.store.redis_url import Address
from ttagw.wire.once import connect_quietly

ANSWER = DEADLINE - 0.1
"""Seconds for an answer."""

FAIR = 0.5
"""Who has had so many seconds for an answer and gives none is silent: the connection is cut."""

CONNECT = 1.0
"""Seconds to connect."""

Pushed = Callable[[bytes, bytes, bytes], None]
"""Told of a published message: the pattern, the channel and what was said."""


_CONNECTING: tuple[tuple[type[Exception], str], ...] = (
    (defer.TimeoutError, "connect_timeout"),
    (error.TimeoutError, "connect_timeout"),
    (error.ConnectionRefusedError, "connection_refused"),
    (error.DNSLookupError, "name_not_resolved"),
)


def _cancellable(connecting: Deferred[Any]) -> Deferred[Any]:
    """The same, but cancelled it says so: endpoints then say that a name was not found, or have errors of their own."""

    def cancel(waiting: Deferred[Any]) -> None:
        waiting.errback(CancelledError())
        connecting.cancel()

    def connected(protocol: Any) -> None:
        if waiting.called:
            protocol.transport.abortConnection()
        else:
            waiting.callback(protocol)

    def failed(failure: Failure) -> None:
        if not waiting.called:
            waiting.errback(failure)

    waiting: Deferred[Any] = Deferred(cancel)
    connecting.addCallbacks(connected, failed)
    return waiting


@cache
def _speaking() -> type[Any]:
    """The protocol class, made when it is first needed: importing txredisapi installs a reactor."""
    import txredisapi

    class Speaking(txredisapi.RedisProtocol):  # type: ignore[misc]
        """Hands what comes to a `Wire`."""

        said = txredisapi.ResponseError
        failed = txredisapi.RedisError

        def __init__(self, wire: Wire) -> None:
            super().__init__(charset=None, convertNumbers=False)
            self._wire = wire
            self._ending = False

        def connectionMade(self) -> None:
            self.transport.setTcpNoDelay(True)
            super().connectionMade()

        def dataReceived(self, data: bytes, unpause: bool = False) -> None:
            try:
                super().dataReceived(data, unpause)
            except Exception:  # whatever the parser says about what is not Redis' protocol
                self._wire.drop("garbage")

        def replyReceived(self, reply: Any) -> None:
            if self._ending:
                super().replyReceived(reply)
            elif not self._wire.over and not self._wire.takes(reply):
                if self.replyQueue.waiting:
                    super().replyReceived(reply)
                else:
                    self._wire.unasked(reply)

        def connectionLost(self, why: Failure) -> None:
            self._wire.lost(why)
            self._ending = True
            super().connectionLost(why)

    return Speaking


class Wire:
    """A connection that answers commands in their order, or ends. Used once."""

    def __init__(self, reactor: Any, pushed: Pushed | None = None) -> None:
        """`pushed`: for a connection that subscribes; on others nothing but answers comes."""
        self._reactor = reactor
        self._pushed = pushed
        self._protocol: Any = _speaking()(self)
        self._made = False
        self._aborted = False
        self._gone: list[Deferred[None]] = []
        self.over = ""
        """Why it has ended; "" while it can be used."""
        self.on_over: Callable[[], None] = lambda: None
        """Called once when it has ended."""

    async def connect(self, address: Address, tls: bool, within: float = CONNECT) -> None:
        """Connect. Raises `StoreAwayError`."""
        endpoint: Any = HostnameEndpoint(self._reactor, address.host, address.port, timeout=within)
        if tls:
            endpoint = wrapClientTLS(optionsForClientTLS(address.host), endpoint)
        connecting = _cancellable(connect_quietly(endpoint, self._protocol))
        try:
            await connecting.addTimeout(within, self._reactor)
        except CancelledError:
            raise
        except Exception as failed:
            reasons = [reason for kind, reason in _CONNECTING if isinstance(failed, kind)]
            raise StoreAwayError(reasons[0] if reasons else "connect_failed") from None
        self._made = True

    async def ask(self, *command: bytes | str | int, within: float = ANSWER) -> Any:
        """What Redis answers. Raises `StoreAwayError`, or `StoreRefusedError` for what it refuses.

        An answer that is not there `within` so many seconds is dropped when it comes; nobody else gets it.
        """
        if self.over:
            raise StoreAwayError(self.over)
        asked: Deferred[Any] = self._protocol.execute_command(*command)
        asked.addTimeout(within, self._reactor)
        try:
            return await asked
        except defer.TimeoutError:
            if within >= FAIR:
                self.drop("timeout")
            raise StoreAwayError("timeout") from None
        except self._protocol.said as said:
            raise meaning(str(said)) from None
        except self._protocol.failed:
            raise StoreAwayError(self.over) from None

    def begin(self, *command: bytes | str | int) -> Deferred[Any]:
        """What Redis answers, whenever that is. Fails as `ask` does."""
        if self.over:
            return defer.fail(StoreAwayError(self.over))
        try:
            asked: Deferred[Any] = self._protocol.execute_command(*command)
        except self._protocol.failed:
            return defer.fail(StoreAwayError(self.over or "connection_lost"))
        return asked.addErrback(self._meant)

    def _meant(self, failure: Failure) -> Failure:
        if failure.check(self._protocol.said):
            return Failure(meaning(str(failure.value)))
        if failure.check(self._protocol.failed):
            return Failure(StoreAwayError(self.over))
        return failure

    def drop(self, reason: str) -> None:
        """End it now, whatever is under way."""
        if self._made and not self._aborted:
            self._aborted = True
            self._protocol.transport.abortConnection()
        self._end(reason)

    def gone(self) -> Deferred[None]:
        """Fires when the connection is closed."""
        if not self._made:
            return defer.succeed(None)
        self._gone.append(Deferred())
        return self._gone[-1]

    def takes(self, reply: Any) -> bool:
        """Whether it is a published message and not an answer."""
        if self._pushed is None or not isinstance(reply, list) or len(reply) != 4 or reply[0] != b"pmessage":
            return False
        self._pushed(*reply[1:])
        return True

    def unasked(self, reply: Any) -> None:
        """It came though nothing was asked: an error is a reason, anything else would answer the next command."""
        self.drop(meaning(str(reply)).reason if isinstance(reply, Exception) else "garbage")

    def lost(self, why: Failure) -> None:
        """The connection is closed."""
        # What is wrong with a certificate, or with TLS at all, comes as the error of the library that found it.
        self._end("connection_lost" if why.check(error.ConnectionClosed) else "tls_failed")
        self._made = False
        gone, self._gone = self._gone, []
        for each in gone:
            each.callback(None)

    def _end(self, reason: str) -> None:
        if not self.over:
            self.over = reason
            self.on_over()
