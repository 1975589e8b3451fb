"""One client connection: HTTP/1.1 as a server.

The channel reads requests, hands them to the site one after the other, and closes when it must. Requests that come
while one is under way wait their turn, so answers leave in the order of the requests; a request that cannot be read is
answered in its turn too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from ttagw.core.forwarded import Peer
from ttagw.errors import RequestTimeoutError, UpstreamTimeoutError
from ttagw.model import Exchange
from ttagw.web.answer import Answer
from ttagw.web.reader import RequestReader
from ttagw.wire.deadlines import NEVER
from ttagw.wire.writer import HIGH_WATER, Writer, writer_for

if TYPE_CHECKING:
    from ttagw.web.site import GatewaySite

STALLED = 30.0
"""Seconds for which a client may take nothing of its answer."""
LINGER = 2.0
"""Seconds for which a connection that ends is still read from, so that the client gets its last answer (RFC 9112 §9.6).
"""
LONGEST_END = 900.0
"""Seconds after which a connection that ends is cut, however steadily its client takes the rest."""
LONGEST_RESPITE = 5.0
"""Seconds for which a connection is not read after an answer that asks for it, at the most: so long it may take until
it is seen that its client has gone. One that many may share is always read: others would wait for what one has done.
"""
MOST_REQUESTS = 1000
MOST_SECONDS = 3600.0
"""After so many requests, or so long, a connection ends with its next answer."""

_LOOK = 5.0
"""Seconds between two looks at an answer under way."""
_GLANCE = 1.0
"""Seconds between two looks at the end of the last answer."""


@implementer(IProtocol)
class Channel:
    """The server side of one connection."""

    __slots__ = (
        "__weakref__",
        "_answer",
        "_began",
        "_closing",
        "_current",
        "_last",
        "_monotonic",
        "_paused",
        "_paused_at",
        "_reader",
        "_requests",
        "_rest",
        "_running",
        "_site",
        "_writer",
        "deadline",
        "peer",
        "transport",
    )

    peer: Peer
    transport: Any
    _writer: Writer
    _answer: Answer
    _reader: RequestReader

    def __init__(self, site: GatewaySite) -> None:
        self._site = site
        self._monotonic = site.monotonic
        self._current: Exchange | None = None
        self._running = self._closing = self._paused = self._last = False
        self._requests = 0
        self._began = self._paused_at = 0.0
        self._rest = 0.0
        """Until when nothing is read, and nothing that waits is begun; 0: it is not."""
        self.deadline = NEVER

    # As a protocol

    def makeConnection(self, transport: Any) -> None:
        """Twisted hands over the connection."""
        self.transport = transport
        self.connectionMade()

    def connectionMade(self) -> None:
        """The connection is there."""
        site = self._site
        transport = self.transport
        transport.setTcpNoDelay(True)
        self._writer = writer_for(transport, self._drained, site.monotonic)
        self._answer = Answer(self, self._writer)
        self.peer = site.peer_of(transport)
        self._reader = RequestReader(site.http, site.trust, self.peer, self._answer, self)
        self._began = now = site.monotonic()
        self.deadline = now + site.http.keepalive_timeout
        site.opened(self)

    def dataReceived(self, data: bytes) -> None:
        """The client sends."""
        reader = self._reader
        if reader.deaf:
            return
        now = self._monotonic()
        spoilt = reader.feed(data, now)
        if spoilt is not None:
            self._spoilt(spoilt)
        if reader.queue and not self._running:
            self._next()
        if reader.fed and not reader.deaf:
            limit = reader.limit(now, paused=self._paused, answering=True)
            if self._rest:
                self.deadline = self._rest
            elif self._current is None or limit < self.deadline:
                self.deadline = limit

    def connectionLost(self, reason: Failure) -> None:
        """The connection is gone."""
        self._closing = True
        self._reader.close()
        self._writer.lost()
        self.deadline = NEVER
        self._site.closed(self, reason)
        exchange, self._current = self._current, None
        if exchange is not None:
            self._site.pipeline.left(exchange)

    # One after the other

    def _next(self) -> None:
        """Start what waits, as long as nothing is under way."""
        if self._rest:
            return
        self._running = True
        site = self._site
        queue = self._reader.queue
        # Answers that the client does not take are not piled up: the next request waits.
        while (
            queue
            and self._current is None
            and not self._closing
            and not self._rest
            and self._writer.queued < HIGH_WATER
        ):
            self._current = exchange = queue.pop(0)
            self._requests += 1
            self._answer.begin(exchange)
            self.deadline = self._reader.seen + _LOOK
            site.dispatch(exchange)
            if exchange.deadline and exchange.deadline < self.deadline and not exchange.over:
                self.deadline = exchange.deadline
        self._running = False
        if self._paused and not queue and self._reader.reading is None and not self._rest:
            self.resume()

    def _spoilt(self, exchange: Exchange) -> None:
        """What is being read is refused, and may be under way already."""
        if exchange is self._current and exchange.refusal is not None:
            exchange.body.detach()
            self._site.pipeline.fail(exchange, exchange.refusal)

    def closes_after(self) -> bool:
        """Whether the connection ends after the answer that begins now."""
        exchange = self._current
        if exchange is None or not exchange.keep_alive or self._last or exchange is self._reader.reading:
            return True
        site = self._site
        return self._requests >= MOST_REQUESTS or site.draining or self._reader.seen - self._began >= MOST_SECONDS

    def answered(self, *, close: bool) -> None:
        """The answer is complete."""
        exchange, self._current = self._current, None
        if exchange is not None:
            self._site.pipeline.end(exchange)
        if close or self._last:
            self._close()
            return
        now = self._monotonic()
        if exchange is not None and exchange.respite and not self.peer.shared:
            # A proxy's connection carries the next requests of others, which may be a crisis.
            self._rest = self.deadline = now + min(exchange.respite, LONGEST_RESPITE)
            self.pause()
            return
        self._await(now)

    def _await(self, now: float) -> None:
        """Nothing is under way: the next request is waited for, or is there already."""
        self.deadline = now + self._site.http.keepalive_timeout
        if self._writer.queued or self._reader.fed:
            # Something else than the next request is waited for: `expire` sees what.
            self.deadline = now
        if not self._running and (self._reader.queue or self._paused):
            self._next()

    # Ends

    def _close(self) -> None:
        """End the connection so that the client still gets what was sent; whatever it sends is not looked at."""
        reader = self._reader
        clean = not reader.fed and reader.reading is None and not reader.queue
        reader.deaf = self._closing = True
        reader.queue.clear()
        self._rest = 0.0
        # From now on it counts how long the end takes.
        self._began = now = self._monotonic()
        self.deadline = now + LINGER
        if self._paused:
            self.resume()
        if clean:
            self._writer.close()
        else:
            self._writer.half_close()

    def cut(self) -> None:
        """End the connection now."""
        self._reader.deaf = self._closing = True
        exchange, self._current = self._current, None
        self._writer.abort()
        if exchange is not None:
            self._site.pipeline.end(exchange)

    def give_up(self, reason: str) -> None:
        """End the connection now, and what is under way for it; `reason` is for the log."""
        exchange, self._current = self._current, None
        self._reader.deaf = self._closing = True
        self._writer.abort()
        if exchange is not None:
            exchange.reason = reason
            self._site.pipeline.left(exchange)

    def close_if_idle(self) -> None:
        """The gateway stops: end a connection on which nothing is under way."""
        reader = self._reader
        if self._current is None and not reader.fed and not reader.queue and not self._closing:
            self._close()

    def close_soon(self) -> None:
        """End the connection: after the answer that is under way, or now."""
        self._last = True
        if self._current is None and not self._closing:
            self._close()

    def stalled(self, now: float) -> float:
        """Seconds for which the client has taken nothing of what waits for it; 0 if nothing waits."""
        writer = self._writer
        return now - writer.progress if writer.outstanding(now) else 0.0

    # Backpressure

    def pause(self) -> None:
        """Read nothing for now."""
        if not self._paused:
            self._paused = True
            self._paused_at = self._monotonic()
            self.transport.pauseProducing()

    def resume(self) -> None:
        """Go on reading. The time that passed is not held against the client."""
        if self._paused:
            self._paused = False
            now = self._monotonic()
            self._reader.paused_for(now - self._paused_at, now)
            self.transport.resumeProducing()

    def _drained(self) -> None:
        self._answer.drained()
        if self._current is None and not self._reader.fed and not self._closing and not self._rest:
            self.deadline = self._monotonic() + self._site.http.keepalive_timeout
        if self._reader.queue and not self._running:
            self._next()

    # Time

    def expire(self, now: float) -> None:
        """Some deadline may have passed: see which, and set the next."""
        writer = self._writer
        outstanding = writer.outstanding(now)
        if outstanding and now - writer.progress >= STALLED:
            self.give_up("client_stalled")
        elif self._closing and now - self._began >= LONGEST_END:
            writer.abort()
        elif self._closing:
            # A client that has just got the last of its answer has LINGER from then on.
            rest = LINGER - (now - writer.progress)
            if not outstanding and rest <= 0.0:
                writer.abort()
            else:
                self.deadline = now + (_GLANCE if outstanding else rest)
        elif self._current is not None and self._current.deadline and now >= self._current.deadline:
            self._site.pipeline.fail(self._current, UpstreamTimeoutError("route_timeout"))
        elif self._rest and now >= self._rest:
            self._rest = 0.0
            self._await(now)
            if self._paused and not self._reader.queue and self._current is None:
                self.resume()
        elif self._rest:
            self.deadline = self._rest
        else:
            self._expire_reading(now)

    def _expire_reading(self, now: float) -> None:
        reader = self._reader
        self.deadline = now + _LOOK
        if reader.fed and not reader.deaf:
            # A client that is being answered already may well stop sending the rest of its request.
            answering = self._current is None or (self._current is reader.reading and not self._answer.started)
            limit = reader.limit(now, paused=self._paused, answering=answering)
            if now >= limit:
                slow = RequestTimeoutError("headers_slow" if reader.reading is None else "body_slow")
                self._spoilt(reader.refuse(slow))
                if not self._running:
                    self._next()
                return
            self.deadline = min(limit, self.deadline)
        elif self._current is None and not self._writer.queued:
            self._close()
        if self._current is not None and self._current.deadline:
            self.deadline = min(self.deadline, self._current.deadline)
