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
from ttagw.core.headers import CONNECTION, RESPONSES, Plan, connection_options, without
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

_USUAL_OPTIONS = (b"keep-alive", b"close")
_UPLOAD_CHECK = 1.0
"""Seconds between two looks at an upload that the service is still taking."""


class KnownHead:
    """The head of an answer that was read before: its bytes, and what they said."""

    __slots__ = ("fields", "head", "length", "status")

    def __init__(self, head: bytes, status: int, fields: Fields, length: int) -> None:
        self.head = head
        self.status = status
        self.fields = fields
        self.length = length


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
        "_known",
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
        self._known: KnownHead | None = None
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
        now = self._pool.monotonic()
        if self._phase == _Phase.HEAD:
            if not self._head_bytes:
                if self._known is not None and self._answered_as_before(data, self._known, now):
                    return
                self._http11 = data.startswith(b"HTTP/1.1 ")
                if not self._http11 and data.lstrip(b"\r\n")[:1] not in (b"H", b""):
                    # llhttp would take RTSP and ICE as well.
                    self._fail(UpstreamBrokenError("bad_version"))
                    return
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            if not self._readable_so_far(error):
                return
        except HttpParserUpgrade:
            self._fail(UpstreamBrokenError("unasked_upgrade"))
            return
        if self._phase != _Phase.HEAD:
            self._pass_on(data, now)
        elif self._head_bytes >= MAX_HEAD:
            self._fail(UpstreamBrokenError("head_too_large"))

    def _answered_as_before(self, data: bytes, known: KnownHead, now: float) -> bool:
        """A head that is byte for byte the one before needs no parser, if the whole of its answer is here."""
        head = known.head
        if not data.startswith(head) or len(data) - len(head) != known.length or self._head_request or self._uploading:
            return False
        attempt, self._attempt = self._attempt, None
        if attempt is None or self._paused or self._writer.queued:
            self._attempt = attempt
            return False
        self._phase = _Phase.IDLE
        self.fresh = False
        self._pool.released(self, now)
        attempt.answered_whole(Reply(known.status, known.fields[:], data[len(head) :]), now)
        return True

    def _pass_on(self, data: bytes, now: float) -> None:
        """Tell what this read has brought. Only now: a callback of the parser is no place to answer from."""
        reply = self._reply
        chunks = self._chunks
        if reply is not None:
            self._reply = None
            if self._phase == _Phase.DONE and not self._head_request:
                reply.body = b"".join(chunks)
                self._known = self._remember(reply, data)
                self._whole(reply, now)
                return
            self._attempt.answered(reply, self, now)  # type: ignore[union-attr]
        if chunks:
            self._chunks = []
            for chunk in chunks:
                self._sink.write(chunk)
        if self._phase == _Phase.DONE:
            self._complete()
        else:
            if not self._paused:
                self.deadline = now + self._pool.idle_timeout
            self._sink.flush()

    def _remember(self, reply: Reply, data: bytes) -> KnownHead | None:
        """What to recognise the next head by; None where one read did not hold exactly one counted answer."""
        body = len(reply.body or b"")
        if not self._keep or self._dirty or reply.length != body or not body or self._head_bytes != len(data):
            return None
        head = data[: len(data) - body]
        if head.find(b"\r\n\r\n") != len(head) - 4:
            # llhttp passes over empty lines after an answer, so this one may not end where the read does.
            return None
        return KnownHead(head, reply.status, reply.fields[:], body)

    def _whole(self, reply: Reply, now: float) -> None:
        """The answer has come whole, in one read."""
        attempt = self._attempt
        self._attempt = None
        self._give_back(now)
        if attempt is not None:
            attempt.answered_whole(reply, now)

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

    def send(self, attempt: Attempt, exchange: Exchange, target: bytes, now: float) -> None:
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
            self.deadline = now + self._patience()
            self._writer.write(head)
        else:
            self._send_body(head, body, now)

    def _patience(self) -> float:
        """Seconds until the head of the answer must have come."""
        usual = self._pool.response_timeout
        timeout = self._exchange.route.timeout
        return timeout if timeout > usual else usual

    def _send_body(self, head: bytes, body: Body, now: float) -> None:
        self._body = body
        self._chunked = chunked = self._exchange.length == UNKNOWN
        self._uploading = True
        self.deadline = now + _UPLOAD_CHECK
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
            self.deadline = self._pool.monotonic() + self._patience()

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

    def on_status(self, phrase: bytes) -> None:
        """The reason phrase, or a piece of it. Clients get one of ours."""
        if b"\0" in phrase:
            raise _Refused("bad_status")

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
        if status < 100:
            raise _Refused("bad_status")
        if status == 101 or self._interim > MAX_INTERIM:
            raise _Refused("unasked_upgrade" if status == 101 else "too_many_interim")

    def _read_head(self, status: int, raw: Fields) -> Reply:
        """The answer's head as it goes on: end-to-end fields in their order, and how long the body is."""
        if status > 599:
            raise _Refused("bad_status")
        if len(raw) > MAX_FIELDS:
            raise _Refused("too_many_fields")
        if self._head_bytes > MAX_HEAD and sum([len(name) + len(value) + 4 for name, value in raw]) > MAX_HEAD:
            raise _Refused("head_too_large")
        parser = self._parser
        if not self._http11 and parser.get_http_version() not in ("1.1", "1.0"):
            raise _Refused("bad_version")
        plan = RESPONSES.of(raw)
        fields = plan.keep(raw)
        length = UNKNOWN
        if plan.coding != -1:
            self._check_coding(raw, plan)
        elif plan.length >= 0:
            length = _content_length(raw[plan.length][1])
        elif plan.length != -1:
            raise _Refused("bad_content_length")
        self._until_close = length == UNKNOWN and plan.coding == -1
        self._keep = parser.should_keep_alive()
        if plan.connection != -1 and (plan.connection < 0 or raw[plan.connection][1] not in _USUAL_OPTIONS):
            fields = _without_options(fields, raw, plan)
        return Reply(status, fields, None, length)

    def _check_coding(self, raw: Fields, plan: Plan) -> None:
        """Exactly one `chunked`, in HTTP/1.1, and no Content-Length beside it (RFC 9112 §6.1)."""
        once = plan.coding >= 0 and plan.length == -1
        if not once or raw[plan.coding][1].strip(b" \t").lower() != b"chunked":
            raise _Refused("bad_transfer_encoding")
        if self._parser.get_http_version() == "1.0":
            raise _Refused("bad_transfer_encoding")

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
        """The streamed answer has come to its end."""
        attempt = self._attempt
        # The pool may hand this connection to the next exchange at once: that one has another sink.
        sink = self._sink
        self._attempt = None
        self._give_back(self._pool.monotonic())
        if attempt is not None:
            attempt.finished()
            sink.finish()

    def _give_back(self, now: float) -> None:
        """Back to the pool, if it can be used again."""
        reusable = self._keep and not self._dirty and not self._uploading and not self._writer.queued
        self._let_go()
        if self._head_request:
            self._parser = HttpResponseParser(self)
        if reusable:
            self.fresh = False
            self._pool.released(self, now)
        elif self._dirty or self._uploading:
            self.abort()
        else:
            self.close()

    def _let_go(self) -> None:
        self._chunks = []
        if self._body is not None:
            self._body.detach()
            self._body = None
        self._phase = _Phase.IDLE
        self._reply = None
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


def _without_options(fields: Fields, raw: Fields, plan: Plan) -> Fields:
    """The fields without those that a `Connection` field names."""
    values = [raw[place][1] for kind, place in plan.special if kind == CONNECTION]
    named = connection_options(values) - {b"close", b"keep-alive"}
    return without(fields, named) if named else fields


def _content_length(value: bytes) -> int:
    text = value.strip(b" \t")
    if not text.isdigit() or len(text) > 15:
        raise _Refused("bad_content_length")
    return int(text)
