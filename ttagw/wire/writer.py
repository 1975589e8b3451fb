"""Writing to a connection without a turn of the reactor.

`ITransport.write` queues and arms the reactor: two `epoll_ctl` calls and a turn for an answer that the kernel would
have taken at once. A writer tries the socket first, the one that `ISystemHandle.getHandle` gives, and keeps what is
left itself, so that it always knows how much is queued.

Whether the other side takes anything is seen in what the kernel has not got acknowledged yet. Our own writes tell
little: Linux reports room only when a third of the buffer is free, which a slow reader may need minutes for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

from twisted.internet.interfaces import IPullProducer, IPushProducer, ISSLTransport
from twisted.internet.tcp import Connection
from zope.interface import implementer

from ttagw.wire.socket import unacknowledged

HIGH_WATER = 64 * 1024
"""Queued bytes from which on a writer asks its source to pause."""

FAR_APART = 10.0
"""Seconds between two looks from which on they say nothing about each other."""


class Writer(Protocol):
    """What a connection writes with."""

    queued: int
    """Bytes that the kernel has not taken yet. Over TLS an estimate: `HIGH_WATER` while the transport says stop."""
    progress: float
    """When (monotonic seconds) the other side was last seen to take something, while anything is outstanding."""
    failed: bool
    """Whether a write has failed, so that nothing can be sent any more. The error has been taken by the write: what is
    read afterwards looks like an end in order, whatever it was.
    """

    def outstanding(self, now: float) -> int:
        """Bytes that the other side has not acknowledged yet, queued ones too. Looking moves `progress`."""

    def write(self, data: bytes) -> None:
        """Send `data` now or as soon as possible, in order."""

    def close(self) -> None:
        """End the connection once everything has been sent."""

    def half_close(self) -> None:
        """Once everything has been sent, tell the other side that nothing more will come, and go on reading."""

    def lost(self) -> None:
        """The connection is gone: what is written from now on vanishes."""

    def abort(self) -> None:
        """End the connection now, so that the other side sees that it was cut."""


class _After(Enum):
    """What happens once the queue is empty."""

    NOTHING = 0
    CLOSE = 1
    HALF_CLOSE = 2


class _Outflow:
    """How what was written leaves."""

    __slots__ = ("_looked", "_seen", "_taken", "_transport", "_written", "failed", "gone", "progress", "queued")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._written = self._taken = self._seen = 0
        self._looked = 0.0
        self.progress = 0.0
        self.queued = 0
        self.failed = self.gone = False

    def outstanding(self, now: float) -> int:
        if self.gone:
            return 0
        seen = self.queued + unacknowledged(self._transport)
        taken = self._written - seen
        if not seen:
            moved = bool(self._seen)
        else:
            # Nothing was left at the last look, or nobody looked for long: whoever is waited for is so from now on.
            moved = not self._seen or taken > self._taken or now - self._looked > FAR_APART
        if moved:
            self.progress = now
        self._taken = taken
        self._seen = seen
        self._looked = now
        return seen


@implementer(IPullProducer)
class SocketWriter(_Outflow):
    """Writes straight to a plain TCP or UNIX socket; `drained` is called when the queue has emptied."""

    __slots__ = ("_after", "_drained", "_monotonic", "_queue", "_read_on", "_send")

    def __init__(
        self,
        transport: Connection,
        drained: Callable[[], None],
        monotonic: Callable[[], float],
        *,
        read_on: bool = False,
    ) -> None:
        """`read_on`: what the other side has sent is still wanted when it takes no more; else it is cut at once."""
        super().__init__(transport)
        self._send: Callable[[bytes | memoryview], int] = transport.getHandle().send
        self._drained = drained
        self._monotonic = monotonic
        self._read_on = read_on
        self._queue: deque[bytes | memoryview] | None = None
        self._after = _After.NOTHING

    def write(self, data: bytes) -> None:
        size = len(data)
        self._written += size
        if self._queue is None:
            # A function in a slot is called faster by way of a local name.
            send = self._send
            try:
                sent = send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self._failed()
                return
            if sent == size:
                return
            self._queue = deque((memoryview(data)[sent:],))
            self.queued = size - sent
            self.progress = self._monotonic()
            # As a pull producer we are called whenever the socket can take more, and may look at what it took.
            self._transport.registerProducer(self, False)
        else:
            self._queue.append(data)
            self.queued += len(data)

    def resumeProducing(self) -> None:
        """The socket can take more."""
        queue = self._queue
        while queue:
            data = queue[0]
            try:
                sent = self._send(data)
            except (BlockingIOError, InterruptedError):
                self._transport.startWriting()
                return
            except OSError:
                self._failed()
                return
            self.queued -= sent
            self.progress = self._monotonic()
            if sent < len(data):
                queue[0] = memoryview(data)[sent:]
            else:
                queue.popleft()
        self._emptied()

    def _failed(self) -> None:
        """The other side takes no more. If it has said why, its word is in our receive buffer still."""
        self.failed = True
        if not self._read_on:
            self.abort()
            return
        if self._queue is not None:
            self._transport.unregisterProducer()
        self.lost()

    def _emptied(self) -> None:
        if self._queue is None:
            return
        self._queue = None
        self._transport.unregisterProducer()
        if self._after is _After.CLOSE:
            self._transport.loseConnection()
        elif self._after is _After.HALF_CLOSE:
            self._transport.loseWriteConnection()
        else:
            self._drained()

    def stopProducing(self) -> None:
        """The connection is gone."""
        self.lost()

    def lost(self) -> None:
        self._queue = None
        self._send = len
        self.queued = 0
        self.gone = True

    def close(self) -> None:
        if self._queue is None:
            self._transport.loseConnection()
        else:
            self._after = _After.CLOSE

    def half_close(self) -> None:
        if self._queue is None:
            self._transport.loseWriteConnection()
        else:
            self._after = _After.HALF_CLOSE

    def abort(self) -> None:
        if self._queue is not None:
            self._transport.unregisterProducer()
        self.lost()
        self._transport.abortConnection()


@implementer(IPushProducer)
class TransportWriter(_Outflow):
    """Writes through any transport (TLS, or one that offers nothing but `write`)."""

    __slots__ = ("_drained", "_monotonic", "_paused")

    def __init__(self, transport: Any, drained: Callable[[], None], monotonic: Callable[[], float]) -> None:
        super().__init__(transport)
        self._drained = drained
        self._monotonic = monotonic
        self._paused = False
        transport.registerProducer(self, True)

    def write(self, data: bytes) -> None:
        # Over TLS there is a little more on the way than this: good enough to see whether anything is taken.
        self._written += len(data)
        if not self.gone:
            self._transport.write(data)

    def pauseProducing(self) -> None:
        """The transport holds more than it wants to."""
        if not self._paused:
            self._paused = True
            self.queued = HIGH_WATER
            self.progress = self._monotonic()

    def resumeProducing(self) -> None:
        """The transport has sent what it held."""
        if self._paused and not self.gone:
            self._paused = False
            self.queued = 0
            self._drained()

    def stopProducing(self) -> None:
        """The connection is gone."""
        self.lost()

    def lost(self) -> None:
        # Twisted's TLS transport cannot be asked for anything, not even its end, once it is gone.
        self.gone = True
        self.queued = 0

    def close(self) -> None:
        if not self.gone:
            # Without a producer nobody tells how full the transport is: from now on only the kernel knows.
            self.queued = 0
            self._transport.unregisterProducer()
            self._transport.loseConnection()

    half_close = close

    def abort(self) -> None:
        if not self.gone:
            self.lost()
            self._transport.unregisterProducer()
            self._transport.abortConnection()


def writer_for(
    transport: Any, drained: Callable[[], None], monotonic: Callable[[], float], *, read_on: bool = False
) -> Writer:
    """The fastest writer that is right for this transport; `read_on` as for `SocketWriter`.

    The type decides: a TLS transport passes questions on to the one below it, and writing there would send plain text.
    """
    if isinstance(transport, Connection) and not ISSLTransport.providedBy(transport):
        return SocketWriter(transport, drained, monotonic, read_on=read_on)
    return TransportWriter(transport, drained, monotonic)
