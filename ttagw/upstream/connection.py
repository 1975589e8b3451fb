"""One connection to an instance: HTTP/1.1 as a client.

It carries one exchange after the other, both bodies streamed, and is never used again once anything was not as it
should be: bytes after an answer, an answer before the end of the request, a deadline, a client that left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener
from twisted.python.failure import Failure
from zope.interface import implementer

from ttagw.attempt import Attempt
from ttagw.errors import GatewayError, UpstreamBrokenError, UpstreamClosedError, UpstreamTimeoutError
from ttagw.model import NO_BODY, UNKNOWN, Exchange, Reply, Sink
from ttagw.upstream.head import request_head
from ttagw.upstream.reader import AnswerReader, Phase
from ttagw.upstream.upload import Upload
from ttagw.wire.deadlines import NEVER
from ttagw.wire.socket import listening
from ttagw.wire.writer import Writer, writer_for

if TYPE_CHECKING:
    from ttagw.upstream.pool import InstancePool

LINGER = 2.0
"""Seconds that the end of a connection may take."""
_UPLOAD_CHECK = 1.0
"""Seconds between two looks at an upload that the service is still taking."""


@implementer(IHandshakeListener)
class UpstreamConnection:
    """Carries one exchange after another to an instance."""

    __slots__ = (
        "__weakref__",
        "_attempt",
        "_closing",
        "_exchange",
        "_paused",
        "_paused_at",
        "_pool",
        "_reader",
        "_sink",
        "_upload",
        "_writer",
        "deadline",
        "fresh",
        "heard",
        "transport",
        "waited",
    )

    transport: Any
    """None until the connection is made."""
    heard: Callable[[], object]
    """Whether, as far as the kernel knows, the other side has closed or sent something; for one that is idle."""
    _exchange: Exchange
    _sink: Sink
    _writer: Writer

    def __init__(self, pool: InstancePool) -> None:
        self._pool = pool
        self.transport = None
        self._attempt: Attempt | None = None
        self._upload: Upload | None = None
        self._paused = self._closing = False
        self._paused_at = self.waited = 0.0
        self._reader = AnswerReader()
        self.deadline = NEVER
        self.fresh = True

    # As a protocol

    def makeConnection(self, transport: Any) -> None:
        """Twisted hands over the connection."""
        self.transport = transport
        self.connectionMade()

    def connectionMade(self) -> None:
        """The connection is there; over TLS it is ready when the handshake is done."""
        transport = self.transport
        transport.setTcpNoDelay(True)
        # A service may answer and close before it has taken all of a request: the answer counts (RFC 9112 §9.5).
        self._writer = writer_for(transport, self._drained, self._pool.monotonic, read_on=True)
        self.heard = listening(transport)
        if not self._pool.tls:
            self._pool.opened(self)

    def handshakeCompleted(self) -> None:
        """The service has proved who it is."""
        self._pool.opened(self)

    def dataReceived(self, data: bytes) -> None:
        """The service sends."""
        if self._attempt is None:
            # Nobody has asked for anything.
            self.close()
            return
        now = self._pool.monotonic()
        reader = self._reader
        reply = reader.read_as_before(data)
        if reply is not None:
            self._whole(reply, now)
            return
        try:
            reader.feed(data)
        except UpstreamBrokenError as error:
            self._fail(error)
            return
        if reader.phase != Phase.HEAD:
            self._pass_on(data, now)

    def _pass_on(self, data: bytes, now: float) -> None:
        """Tell what this read has brought."""
        reader = self._reader
        reply, reader.reply = reader.reply, None
        chunks, reader.chunks = reader.chunks, []
        if reply is not None:
            if reader.phase == Phase.DONE:
                reply.body = b"".join(chunks)
                reader.remember(reply, data)
                self._whole(reply, now)
                return
            self._attempt.answered(reply, self, now)  # type: ignore[union-attr]
            if self._attempt is None:
                # Its answer is not wanted after all.
                return
        for chunk in chunks:
            self._sink.write(chunk)
        if reader.phase == Phase.DONE:
            self._complete()
        else:
            if not self._paused:
                self.deadline = now + self._pool.idle_timeout
            self._sink.flush()

    def _whole(self, reply: Reply, now: float) -> None:
        """The answer has come whole, in one read."""
        attempt = self._attempt
        self._attempt = None
        self._give_back(now)
        if attempt is not None:
            attempt.answered_whole(reply, now)

    def connectionLost(self, reason: Failure) -> None:
        """The connection is gone."""
        # After a write has failed, even a reset reads as an end in order.
        orderly = reason.check(ConnectionDone) and not self._writer.failed
        self._writer.lost()
        self._pool.closed(self, str(reason.value))
        if self._attempt is not None:
            self._ended(bool(orderly))
        # Last of all: what the end has brought about may have had this connection watched again.
        self._pool.gone(self)
        self.deadline = NEVER

    def _ended(self, orderly: bool) -> None:
        """The connection is gone while an answer is under way, which may have been its end."""
        reader = self._reader
        if reader.phase == Phase.BODY and reader.until_close and orderly:
            self._complete()
        elif reader.phase == Phase.BODY:
            self._fail(UpstreamClosedError("closed_mid_body"))
        else:
            self._fail(UpstreamClosedError("closed_before_answer"), stale=reader.untouched and not self.fresh)

    # As what an attempt sends with

    def send(self, attempt: Attempt, exchange: Exchange, target: bytes, now: float) -> None:
        """Send the request, and the body as it comes."""
        self._attempt = attempt
        self._exchange = exchange
        self._sink = exchange.sink
        self.waited = 0.0
        self._reader.expect(exchange.method)
        head = request_head(exchange, target, self._pool.authority)
        body = exchange.body
        if body.complete and not body.received:
            if exchange.length == UNKNOWN:
                head += b"0\r\n\r\n"
            self.deadline = now + self._patience()
            self._writer.write(head)
        else:
            self.deadline = now + _UPLOAD_CHECK
            self._upload = upload = Upload(exchange, self._writer, self._sent)
            if not body.complete:
                exchange.sink.go_on()
            upload.begin(head)

    def _patience(self) -> float:
        """Seconds until the head of the answer must have come."""
        usual = self._pool.response_timeout
        timeout = self._exchange.route.timeout
        return timeout if timeout > usual else usual

    def _sent(self) -> None:
        """All of the request is on its way: from now on the service is expected to answer."""
        self._upload = None
        if self._reader.phase == Phase.HEAD:
            self.deadline = self._pool.monotonic() + self._patience()

    def _drained(self) -> None:
        if self._upload is not None:
            self._upload.drained()

    def abandon(self) -> None:
        """The exchange is over before its answer is."""
        self._attempt = None
        self._let_go()
        self.abort()

    # As what an answer's body comes from

    def pause(self) -> None:
        """The client takes nothing: read nothing."""
        if not self._paused and self._attempt is not None:
            self._paused = True
            self._paused_at = self._pool.monotonic()
            self.deadline = NEVER
            self.transport.pauseProducing()

    def resume(self) -> None:
        """The client takes more."""
        if self._paused:
            self._paused = False
            now = self._pool.monotonic()
            self.waited += now - self._paused_at
            if self._attempt is not None:
                self.deadline = now + self._pool.idle_timeout
            self.transport.resumeProducing()

    # Ends

    def _complete(self) -> None:
        """The streamed answer has come to its end."""
        attempt = self._attempt
        # The pool may hand this connection to the next exchange at once: that one has another sink.
        sink = self._sink
        self._attempt = None
        if attempt is not None:
            if self._paused:
                self.resume()
            # Before somebody else gets this connection: how long its client was waited for is asked of it.
            attempt.finished()
        self._give_back(self._pool.monotonic())
        if attempt is not None:
            sink.finish()

    def _give_back(self, now: float) -> None:
        """Back to the pool, if it can be used again."""
        reader = self._reader
        writer = self._writer
        reusable = reader.keep and not reader.dirty and self._upload is None and not writer.failed
        uploading = self._upload is not None
        # A body that the service has not taken would be in the way of the next request, and of an end in order.
        stuck = writer.queued or (self._exchange.body is not NO_BODY and writer.outstanding(now))
        self._let_go()
        if reusable and not stuck:
            self.fresh = False
            self._pool.released(self, now)
        elif reader.dirty or uploading or stuck:
            self.abort()
        else:
            self.close()

    def _let_go(self) -> None:
        self._reader.end()
        if self._upload is not None:
            self._upload.give_up()
            self._upload = None
        if self._paused:
            self.resume()

    def _fail(self, error: GatewayError, *, stale: bool = False) -> None:
        attempt = self._attempt
        self._attempt = None
        self._pool.count_error(error.reason)
        self._let_go()
        self.abort()
        if attempt is not None:
            attempt.failed(error, stale=stale)

    def expire(self, now: float) -> None:
        """A deadline of the pool or of the exchange has passed."""
        if self._closing:
            self.deadline = NEVER
            self._writer.abort()
        elif self._attempt is None:
            self._pool.expired(self)
        elif self._upload is not None and self._reader.phase == Phase.HEAD:
            if self._upload.stalled(now) > self._pool.idle_timeout:
                self._fail(UpstreamTimeoutError("upload_stalled"))
            else:
                self.deadline = now + _UPLOAD_CHECK
        elif self._reader.phase == Phase.HEAD:
            self._expire_waiting(now)
        else:
            self._fail(UpstreamTimeoutError("idle_timeout"))

    def _expire_waiting(self, now: float) -> None:
        """The answer is late, unless the service is still taking what our kernel holds of the request's body."""
        writer = self._writer
        if self._exchange.body is not NO_BODY:
            leaving = writer.outstanding(now)
            quiet = now - writer.progress
            if leaving and quiet > self._pool.idle_timeout:
                self._fail(UpstreamTimeoutError("upload_stalled"))
                return
            if leaving or quiet < self._patience():
                self.deadline = now + (_UPLOAD_CHECK if leaving else self._patience() - quiet)
                return
        self._fail(UpstreamTimeoutError("response_timeout"))

    def move(self) -> None:
        """Nothing is expected of this instance any more: if its answer has not begun, another one may be asked."""
        if self._attempt is not None and self._reader.phase == Phase.HEAD:
            self._attempt.move()

    def close(self) -> None:
        """End the connection in order; over TLS that takes an answer, which is not waited for long."""
        if self._closing:
            # What still comes over TLS is no reason to wait for longer.
            return
        self._pool.closed(self)
        self._closing = True
        self._pool.closing(self)
        self.deadline = self._pool.monotonic() + LINGER
        self._writer.close()

    def abort(self) -> None:
        """End the connection now."""
        self.deadline = NEVER
        self._pool.closed(self)
        self._writer.abort()
