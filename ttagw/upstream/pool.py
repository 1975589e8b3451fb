"""The bounded connections to one instance.

Whoever asks gets an idle connection, or a new one while there are fewer than `max_connections`, or waits in line for up
to `queue_timeout`. Requests of the class crisis wait first in line, and some more connections are kept for them. The
connection used last is used next, so that surplus ones grow old and are closed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError as RefusedByPeer
from twisted.internet.error import DNSLookupError, UserError
from twisted.internet.error import TimeoutError as TookTooLong
from twisted.internet.interfaces import IAddress, IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from ttagw.attempt import Waiter
from ttagw.config import Upstream
from ttagw.errors import ConnectTimeoutError, GatewayError, UpstreamBusyError, UpstreamUnavailableError
from ttagw.upstream.connection import UpstreamConnection
from ttagw.wire.deadlines import NEVER, Deadlines

RETRY_AFTER = 5
"""Seconds after which a client may well try a service again that was not reachable."""


class _Place(NamedTuple):
    """A place in the line."""

    until: float
    """When its time is over."""
    waiter: Waiter
    first: bool = False


def kept_of(most: int) -> int:
    """How many connections beyond so many there may be for those who must not be refused."""
    return max(1, most // 8)


class _Connecting(Factory):
    """Makes the protocol of one new connection."""

    noisy = False

    def __init__(self, connection: UpstreamConnection) -> None:
        self._connection = connection

    def buildProtocol(self, addr: IAddress | None) -> Any:  # noqa: ARG002 - Twisted's signature
        return self._connection


class InstancePool:
    """Every connection to one instance, in use, idle or being opened."""

    log = Logger()

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        authority: bytes,
        settings: Upstream,
        deadlines: Deadlines,
        monotonic: Callable[[], float],
        *,
        tls: bool,
    ) -> None:
        self.authority = b" HTTP/1.1\r\nhost: %b\r\n" % authority
        self.label = authority.decode("ascii")
        self.tls = tls
        self.monotonic = monotonic
        self.response_timeout = settings.response_timeout
        self.idle_timeout = settings.idle_timeout
        self.opened_count = 0
        self.errors: dict[str, int] = {}
        self.deadline = NEVER
        self._endpoint = endpoint
        self._settings = settings
        self._deadlines = deadlines
        self._idle: list[UpstreamConnection] = []
        self._all: set[UpstreamConnection] = set()
        self._opening: dict[UpstreamConnection, Deferred[IProtocol]] = {}
        self._most = settings.max_connections
        self._kept = kept_of(self._most)
        self._waiting: deque[_Place] = deque()
        self._stopped = False
        deadlines.watch(self)

    @property
    def size(self) -> int:
        """Connections that are open or being opened."""
        return len(self._all)

    @property
    def idle(self) -> int:
        """Connections that wait for work."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """Exchanges that wait for a connection."""
        return len(self._waiting)

    def count_error(self, kind: str) -> None:
        """Something went wrong with the instance; `kind` is a short fixed token."""
        self.errors[kind] = self.errors.get(kind, 0) + 1

    def acquire(self, waiter: Waiter, *, fresh: bool) -> UpstreamConnection | None:
        """A connection now, or None, and `waiter` is told when there is one or that there is none."""
        idle = self._idle
        if not fresh:
            while idle:
                connection = idle.pop()
                # What has come unasked would be taken for the answer; and one that is closed is of no use.
                heard = connection.heard
                if not heard():
                    return connection
                connection.abort()
        self._wait(waiter)
        return None

    def _wait(self, waiter: Waiter) -> None:
        if self._stopped:
            waiter.refused(_left())
            return
        if len(self._all) < self._most:
            self._waiting.append(_Place(NEVER, waiter))
            self._open()
            return
        until = self.monotonic() + self._settings.queue_timeout
        if not waiter.passes("connections"):
            self._waiting.append(_Place(until, waiter))
            self.deadline = min(self.deadline, until)
            return
        # It gets what is free next, and does not wait for that as long as there is a place that is kept.
        keeps = len(self._all) < self._most + self._kept
        behind = next((place for place, each in enumerate(self._waiting) if not each.first), len(self._waiting))
        self._waiting.insert(behind, _Place(NEVER if keeps else until, waiter, first=True))
        if keeps:
            self._open()
        else:
            self.deadline = min(self.deadline, until)

    def give_up(self, waiter: Waiter) -> None:
        """The waiter does not want one any more. A connection being opened for it goes to the next, or becomes idle."""
        self._waiting = deque(each for each in self._waiting if each.waiter is not waiter)

    def _open(self) -> None:
        connection = UpstreamConnection(self)
        self._all.add(connection)
        self._deadlines.watch(connection)
        connection.deadline = self.monotonic() + self._settings.connect_timeout
        connecting = self._endpoint.connect(_Connecting(connection))
        self._opening[connection] = connecting
        connecting.addErrback(self._not_opened, connection)

    def opened(self, connection: UpstreamConnection) -> None:
        """A new connection is ready, over TLS with the service's name verified."""
        self.opened_count += 1
        self._opening.pop(connection, None)
        self._give(connection)

    def released(self, connection: UpstreamConnection, now: float) -> None:
        """A connection has done its work and can do more."""
        if self._waiting or self._stopped or len(self._all) > self._most:
            self._give(connection)
        else:
            connection.deadline = now + self._settings.keepalive
            self._idle.append(connection)

    def _give(self, connection: UpstreamConnection) -> None:
        if self._stopped or (len(self._all) > self._most and not self._promised()):
            # Whoever had a place that is kept gives it back, whoever else may wait.
            connection.close()
        elif self._waiting:
            self._waiting.popleft().waiter.connected(connection)
        else:
            connection.deadline = self.monotonic() + self._settings.keepalive
            self._idle.append(connection)

    def _promised(self) -> bool:
        """Whether the next in line is one who goes first, or for whom a connection was opened."""
        return bool(self._waiting) and (self._waiting[0].first or self._waiting[0].until == NEVER)

    def closed(self, connection: UpstreamConnection, why: str = "") -> None:
        """A connection is of no use any more. Called as often as one likes."""
        if connection not in self._all:
            return
        self._drop(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._opening.pop(connection, None) is not None:
            self._refuse(UpstreamUnavailableError("tls_failed", retry_after=RETRY_AFTER), why)
        else:
            self._open_for_next()

    def closing(self, connection: UpstreamConnection) -> None:
        """A connection ends in order, and has a deadline for that."""
        self._deadlines.watch(connection)

    def gone(self, connection: UpstreamConnection) -> None:
        """The end of a connection."""
        self._deadlines.forget(connection)

    def _drop(self, connection: UpstreamConnection) -> None:
        self._all.discard(connection)
        self._deadlines.forget(connection)

    def _not_opened(self, failure: Failure, connection: UpstreamConnection) -> None:
        if self._opening.pop(connection, None) is not None:
            self._drop(connection)
            self._refuse(_as_error(failure), failure.getErrorMessage())

    def _refuse(self, error: GatewayError, why: str = "") -> None:
        self.count_error(error.reason)
        self.log.warn("{instance}: cannot connect: {reason} {why}", instance=self.label, reason=error.reason, why=why)
        if self._waiting:
            self._waiting.popleft().waiter.refused(error)
        self._open_for_next()

    def _open_for_next(self) -> None:
        """A place is free: those who wait in line are not left there."""
        if len(self._waiting) > len(self._opening) and len(self._all) < self._most and not self._stopped:
            self._open()

    def expired(self, connection: UpstreamConnection) -> None:
        """A connection without work has reached its deadline: idle too long, or not ready within `connect_timeout`."""
        connecting = self._opening.pop(connection, None)
        if connecting is None:
            connection.close()
            return
        self._drop(connection)
        connecting.cancel()
        if connection.transport is not None:
            connection.abort()
        self._refuse(ConnectTimeoutError("connect_timeout", retry_after=RETRY_AFTER))

    def expire(self, now: float) -> None:
        """Somebody has waited for `queue_timeout`."""
        late = [each.waiter for each in self._waiting if each.until <= now]
        self._waiting = deque(each for each in self._waiting if each.until > now)
        self.deadline = min((each.until for each in self._waiting), default=NEVER)
        for waiter in late:
            waiter.refused(UpstreamBusyError("queue_timeout", retry_after=1))

    def move(self) -> None:
        """The instance is down: whoever waits for its answer, or for a connection, may ask somebody else instead."""
        waiting, self._waiting = self._waiting, deque()
        for each in waiting:
            each.waiter.refused(UpstreamUnavailableError("instance_down", retry_after=RETRY_AFTER))
        for connection in list(self._all):
            connection.move()

    def stop(self) -> None:
        """Close what is idle now, and what is in use when it is done; who waits in line is refused."""
        self._stopped = True
        self._deadlines.forget(self)
        for connection in list(self._idle):
            connection.close()
        for connection in list(self._opening):
            self.expired(connection)
        while self._waiting:
            self._waiting.popleft().waiter.refused(_left())

    def abort(self) -> None:
        """Cut every connection now."""
        self.stop()
        for connection in list(self._all):
            connection.abandon()


def _left() -> GatewayError:
    return UpstreamUnavailableError("instance_left", retry_after=RETRY_AFTER)


def _as_error(failure: Failure) -> GatewayError:
    if failure.check(TookTooLong, UserError):
        return ConnectTimeoutError("connect_timeout", retry_after=RETRY_AFTER)
    if failure.check(RefusedByPeer):
        return UpstreamUnavailableError("connection_refused", retry_after=RETRY_AFTER)
    if failure.check(DNSLookupError):
        return UpstreamUnavailableError("name_not_resolved", retry_after=RETRY_AFTER)
    return UpstreamUnavailableError("connect_failed", retry_after=RETRY_AFTER)
