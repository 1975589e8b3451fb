"""One connection to an instance: HTTP/1.1 as a client, on llhttp, strict about what a service may answer.

A service can be broken or hostile. Its head is at most 64 KiB and 200 fields, the status line is strict, lengths must
not conflict, at most ten 1xx come before the answer, a 101 nobody asked for is refused, and a connection that sends
anything after its answer is never used again. What it says reaches a client only through `Reply`.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ttagw.attempt import Attempt
from ttagw.core.headers import (
    CONNECTION,
    CONTENT_LENGTH,
    DROP,
    PASS,
    RESPONSE,
    TRANSFER_ENCODING,
    connection_options,
    without,
)
from ttagw.errors import GatewayError, UpstreamBrokenError, UpstreamClosedError, UpstreamTimeoutError
from ttagw.model import UNKNOWN, Body, Exchange, Fields, Reply, Sink
from ttagw.upstream.head import request_head
from ttagw.wire.deadlines import NEVER
from ttagw.wire.writer import HIGH_WATER, Writer, writer_for

if TYPE_CHECKING:
    from ttagw.upstream.pool import InstancePool

MAX_HEAD = 64 * 1024
MAX_FIELDS = 200
MAX_INTERIM = 10

_kinds = RESPONSE.kinds
_UPLOAD_CHECK = 1.0
"""Seconds between two looks at an upload that the service is still taking."""


class _Phase:
    """Where the answer is. Plain integers: compared for every read."""

    IDLE = 0
    HEAD = 1
    BODY = 2
    DONE = 3


@implementer(IHandshakeListener)
class UpstreamConnection:
    """Carries one exchange after another to an instance."""

    log = Logger()

    __slots__ = (
        "__weakref__",
        "_attempt",
        "_body",
        "_chunked",
        "_chunks",
        "_dirty",
        "_exchange",
        "_head_bytes",
        "_head_request",
        "_http11",
        "_interim",
        "_keep",
        "_parser",
        "_paused",
        "_phase",
        "_pool",
        "_raw",
        "_reply",
        "_sink",
        "_until_close",
        "_uploading",
        "_writer",
        "deadline",
        "fresh",
        "transport",
    )

    transport: Any
    """None until the connection is made."""
    _exchange: Exchange
    _sink: Sink
    _writer: Writer

    def __init__(self, pool: InstancePool) -> None:
        self._pool = pool
        self.transport = None
        self._attempt: Attempt | None = None
        self._body: Body | None = None
        self._raw: Fields = []
        self._chunks: list[bytes] = []
        self._phase = _Phase.IDLE
        self._reply: Reply | None = None
        self._paused = self._uploading = self._chunked = self._dirty = self._keep = False
        self._head_request = self._http11 = self._until_close = False
        self._head_bytes = self._interim = 0
        self.deadline = NEVER
        self.fresh = True
        self._parser = HttpResponseParser(self)

    # As a protocol

    def makeConnection(self, transport: Any) -> None:
        """Twisted hands over the connection."""
        self.transport = transport
        self.connectionMade()

    def connectionMade(self) -> None:
        """The connection is there; over TLS it is ready when the handshake is done."""
        transport = self.transport
        transport.setTcpNoDelay(True)
        self._writer = writer_for(transport, self._drained, self._pool.monotonic)
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
        if self._phase == _Phase.HEAD:
            if not self._head_bytes:
                self._http11 = data.startswith(b"HTTP/1.1 ")
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            if not self._readable_so_far(error):
                return
        except HttpParserUpgrade:
            self._fail(UpstreamBrokenError("unasked_upgrade"))
            return
        if self._phase == _Phase.HEAD:
            if self._head_bytes >= MAX_HEAD:
                self._fail(UpstreamBrokenError("head_too_large"))
            return
        self._pass_on()

    def _pass_on(self) -> None:
        """Tell what this read has brought. Only now: a callback of the parser is no place to answer from."""
        reply = self._reply
        if reply is not None:
            self._reply = None
            self._attempt.answered(reply, self)  # type: ignore[union-attr]
        chunks = self._chunks
        if chunks:
            self._chunks = []
            for chunk in chunks:
                self._sink.write(chunk)
        if self._attempt is None:
            return
        if self._phase == _Phase.DONE:
            self._complete()
        else:
            if not self._paused:
                self.deadline = self._pool.monotonic() + self._pool.idle_timeout
            self._sink.flush()

    def connectionLost(self, reason: Failure) -> None:
        """The connection is gone."""
        self._writer.lost()
        self._pool.closed(self, str(reason.value))
        self.deadline = NEVER
        if self._attempt is None:
            return
        if self._phase == _Phase.BODY and self._until_close and reason.check(ConnectionDone):
            self._complete()
            return
        nothing = self._phase == _Phase.HEAD and not self._head_bytes and not self._interim
        reason_token = "closed_before_answer" if self._phase == _Phase.HEAD else "closed_mid_body"
        self._fail(UpstreamClosedError(reason_token), stale=nothing and not self.fresh)

    # As what an attempt sends with

    def send(self, attempt: Attempt, exchange: Exchange, target: bytes) -> None:
        """Send the request, and the body as it comes."""
        self._attempt = attempt
        self._exchange = exchange
        self._sink = exchange.sink
        self._phase = _Phase.HEAD
        self._head_bytes = self._interim = 0
        self._head_request = exchange.method == b"HEAD"
        pool = self._pool
        head = request_head(exchange, target, pool.authority)
        body = exchange.body
        if body.complete and not body.received:
            if exchange.length == UNKNOWN:
                head += b"0\r\n\r\n"
            self._uploading = False
            self.deadline = pool.monotonic() + max(pool.response_timeout, exchange.route.timeout)
            self._writer.write(head)
            return
        self._send_body(head, body, chunked=exchange.length == UNKNOWN)

    def _send_body(self, head: bytes, body: Body, *, chunked: bool) -> None:
        self._body = body
        self._chunked = chunked
        self._uploading = True
        self.deadline = self._pool.monotonic() + _UPLOAD_CHECK
        held = body.take()
        if held:
            head += b"%x\r\n%b\r\n" % (len(held), held) if chunked else held
        self._writer.write(head)
        if body.complete:
            self.body_end()
        else:
            self._exchange.sink.go_on()
            body.attach(self)
            self._press_back()

    def body_chunk(self, data: bytes) -> None:
        """More of the request's body."""
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        self._press_back()

    def body_end(self) -> None:
        """The request's body is complete: from now on the service is expected to answer."""
        if self._chunked:
            self._writer.write(b"0\r\n\r\n")
        self._uploading = False
        self._body = None
        if self._phase == _Phase.HEAD:
            pool = self._pool
            self.deadline = pool.monotonic() + max(pool.response_timeout, self._exchange.route.timeout)

    def _press_back(self) -> None:
        if self._writer.queued >= HIGH_WATER and self._body is not None and self._body.source is not None:
            self._body.source.pause()

    def _drained(self) -> None:
        if self._body is not None and self._body.source is not None:
            self._body.source.resume()

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
            self.deadline = NEVER
            self.transport.pauseProducing()

    def resume(self) -> None:
        """The client takes more."""
        if self._paused:
            self._paused = False
            if self._attempt is not None:
                self.deadline = self._pool.monotonic() + self._pool.idle_timeout
            self.transport.resumeProducing()

    # As what llhttp calls

    def on_message_begin(self) -> None:
        """An answer begins; a second one was not asked for."""
        if self._phase != _Phase.HEAD:
            self._dirty = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or a trailer."""
        self._raw.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is complete."""
        if self._phase != _Phase.HEAD:
            self._dirty = True
            return
        status = self._parser.get_status_code()
        if status < 200:
            self._skip_interim(status)
            return
        raw, self._raw = self._raw, []
        self._reply = self._read_head(status, raw)
        self._phase = _Phase.DONE if self._head_request else _Phase.BODY

    def _skip_interim(self, status: int) -> None:
        self._raw = []
        self._interim += 1
        self._head_bytes = 1
        self._http11 = False
        if status == 101 or self._interim > MAX_INTERIM:
            raise _Refused("unasked_upgrade" if status == 101 else "too_many_interim")

    def _read_head(self, status: int, raw: Fields) -> Reply:
        """The answer's head as it goes on: end-to-end fields in their order, and how long the body is."""
        if status > 599 or len(raw) > MAX_FIELDS:
            raise _Refused("bad_status" if status > 599 else "too_many_fields")
        if not self._http11 and self._parser.get_http_version() not in ("1.1", "1.0"):
            raise _Refused("bad_version")
        fields: Fields = []
        length = UNKNOWN
        coding = b""
        options: list[bytes] = []
        for field in raw:
            kind = _kinds.get(field[0], -1)
            if kind == -1:
                kind = RESPONSE.decide(field[0])
            if kind == PASS:
                fields.append(field)
            elif kind == CONTENT_LENGTH:
                length = _content_length(field[1])
            elif kind == TRANSFER_ENCODING:
                if coding or field[1].strip(b" \t").lower() != b"chunked":
                    raise _Refused("bad_transfer_encoding")
                coding = b"chunked"
            elif kind == CONNECTION:
                options.append(field[1])
            elif kind != DROP:
                continue
        if coding and (length != UNKNOWN or self._parser.get_http_version() == "1.0"):
            raise _Refused("bad_transfer_encoding")
        self._keep = self._parser.should_keep_alive()
        self._until_close = length == UNKNOWN and not coding
        if options:
            fields = self._without_options(fields, options)
        return Reply(status, fields, None, length)

    def _without_options(self, fields: Fields, options: list[bytes]) -> Fields:
        named = connection_options(options) - {b"close", b"keep-alive"}
        return without(fields, named) if named else fields

    def on_body(self, data: bytes) -> None:
        """More of the answer's body."""
        if self._phase == _Phase.BODY:
            self._chunks.append(data)
        else:
            self._dirty = True

    def on_message_complete(self) -> None:
        """The answer (or an interim one) is complete."""
        if self._phase == _Phase.BODY:
            self._phase = _Phase.DONE
            self._raw = []

    # Ends

    def _readable_so_far(self, error: HttpParserError) -> bool:
        """Whether an answer was complete before llhttp, or a check of ours inside a callback, refused what came."""
        cause = error.__context__
        if self._phase == _Phase.DONE:
            self._dirty = True
            return True
        if isinstance(cause, _Refused):
            reason = cause.args[0]
        elif cause is not None:
            self.log.failure("an answer could not be read", failure=Failure(cause))
            reason = "internal"
        else:
            reason = "bad_head" if self._phase == _Phase.HEAD else "bad_body"
        self._fail(UpstreamBrokenError(reason))
        return False

    def _complete(self) -> None:
        """The answer has come whole."""
        attempt = self._attempt
        # The pool may hand this connection to the next exchange at once: that one has another sink.
        sink = self._sink
        self._attempt = None
        reusable = self._keep and not self._dirty and not self._uploading and not self._writer.queued
        self._let_go()
        if self._head_request:
            self._parser = HttpResponseParser(self)
        if reusable:
            self.fresh = False
            self._pool.released(self)
        elif self._dirty or self._uploading:
            self.abort()
        else:
            self.close()
        if attempt is not None:
            attempt.finished()
            sink.finish()

    def _let_go(self) -> None:
        self._chunks = []
        if self._body is not None:
            self._body.detach()
            self._body = None
        self._phase = _Phase.IDLE
        self._reply = None
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
        if self._attempt is None:
            self._pool.expired(self)
        elif self._uploading and self._phase == _Phase.HEAD:
            self._check_upload(now)
        elif self._phase == _Phase.HEAD:
            self._fail(UpstreamTimeoutError("response_timeout"))
        else:
            self._fail(UpstreamTimeoutError("idle_timeout"))

    def _check_upload(self, now: float) -> None:
        if self._writer.queued and now - self._writer.progress > self._pool.idle_timeout:
            self._fail(UpstreamTimeoutError("upload_stalled"))
        else:
            self.deadline = now + _UPLOAD_CHECK

    def still_open(self) -> bool:
        """Whether the other side has neither closed nor sent anything, as far as the kernel knows."""
        handle = self.transport.getHandle()
        if not isinstance(handle, socket.socket):
            return True
        try:
            handle.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """End the connection in order."""
        self.deadline = NEVER
        self._pool.closed(self)
        self._writer.close()

    def abort(self) -> None:
        """End the connection now."""
        self.deadline = NEVER
        self._pool.closed(self)
        self._writer.abort()


class _Refused(Exception):  # noqa: N818 - it never leaves this module
    """Stops llhttp from inside a callback."""


def _content_length(value: bytes) -> int:
    text = value.strip(b" \t")
    if not text.isdigit() or len(text) > 15:
        raise _Refused("bad_content_length")
    return int(text)
