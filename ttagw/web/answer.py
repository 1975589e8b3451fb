"""Serialising answers to a client: always our own framing, from what was counted.

The head is held until the first flush. If the whole body is there by then, head and body leave in one write with a
`Content-Length`, whatever framing the service used; otherwise an unknown length becomes `chunked` for HTTP/1.1 and ends
with the connection for HTTP/1.0 (RFC 9112 §6).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol

from ttagw.core.headers import lay
from ttagw.model import UNKNOWN, BodySource, Exchange, Reply
from ttagw.wire.writer import HIGH_WATER, Writer

_PHRASES = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}
_STATUS = {
    code: b"HTTP/1.1 %d %b\r\nx-request-id: " % (code, _PHRASES.get(code, b"Unassigned")) for code in range(200, 600)
}

_BODYLESS = frozenset((204, 304))


class _Framing:
    """How the end of the body is told. Plain integers: compared for every write."""

    HELD = 0
    COUNTED = 1
    CHUNKED = 2
    UNTIL_CLOSE = 3
    NOTHING = 4


class Client(Protocol):
    """The client's connection, as far as an answer needs it."""

    def closes_after(self) -> bool:
        """Whether the connection ends after the answer that begins now."""

    def answered(self, *, close: bool) -> None:
        """The answer is complete."""

    def cut(self) -> None:
        """End the connection now."""


class Answer:
    """The answer to the exchange under way on one connection; made once a connection, used for one exchange after the
    other.
    """

    __slots__ = (
        "_client",
        "_close",
        "_exchange",
        "_framing",
        "_left",
        "_parts",
        "_reply",
        "_size",
        "_source",
        "_writer",
        "started",
    )

    _exchange: Exchange
    _reply: Reply

    def __init__(self, client: Client, writer: Writer) -> None:
        self._client = client
        self._writer = writer
        self._parts: list[bytes] = []
        self._size = 0
        self._left = 0
        self._framing = _Framing.HELD
        self._close = False
        self._source: BodySource | None = None
        self.started = False

    def begin(self, exchange: Exchange) -> None:
        """The next answer belongs to this exchange."""
        self._exchange = exchange
        self._framing = _Framing.HELD
        self.started = False

    def start(self, reply: Reply, source: BodySource | None = None) -> None:
        """The answer begins. Without `source` it is complete as well, and leaves in one write."""
        self.started = True
        self._reply = reply
        if source is None:
            body = reply.body or b""
            head = self._head(len(body))
            if self._framing == _Framing.NOTHING:
                body = b""
            self._exchange.bytes_out = len(body)
            self._writer.write(head + body)
            self._done()
        else:
            self._source = source
            self._parts = []
            self._size = 0

    def write(self, data: bytes) -> None:
        """More body; sent by the next `flush` or `finish`."""
        self._parts.append(data)
        self._size += len(data)

    def flush(self) -> None:
        """Send what is there."""
        if self._framing == _Framing.HELD:
            if not self._size and self._reply.length != 0:
                # Nothing of the body yet; the head does not wait for it.
                self._send(self._head(self._reply.length), b"")
            else:
                self._send(self._head(self._reply.length), b"".join(self._parts))
        elif self._size:
            self._send(b"", b"".join(self._parts))

    def finish(self) -> None:
        """The body is complete: send what is left, and its end."""
        # The connection it came from may serve somebody else already: it is not ours to pause any more.
        self._source = None
        if self._framing == _Framing.HELD:
            length = self._reply.length
            head = self._head(self._size if length == UNKNOWN else length)
            self._send(head, b"".join(self._parts))
        elif self._size:
            self._send(b"", b"".join(self._parts))
        if self._framing == _Framing.CHUNKED:
            self._writer.write(b"0\r\n\r\n")
        elif self._framing == _Framing.COUNTED and self._left:
            if self._left > 0:
                self.abort()
            # Below 0 it was too long, and has been cut.
            return
        self._source = None
        self._done()

    def _done(self) -> None:
        # A connection that waits for its next request holds nothing of the last one.
        del self._exchange, self._reply
        self._client.answered(close=self._close)

    def abort(self) -> None:
        """The answer cannot be completed: the client must see that."""
        self._source = None
        self._client.cut()

    def _head(self, length: int) -> bytes:
        reply = self._reply
        exchange = self._exchange
        self._close = close = self._client.closes_after()
        status = reply.status
        parts = [_STATUS[status], exchange.id]
        if status in _BODYLESS or exchange.method == b"HEAD":
            self._framing = _Framing.NOTHING
            announced = reply.length
            if announced != UNKNOWN and status != 204 and (announced or exchange.method == b"HEAD"):
                parts.append(b"\r\ncontent-length: %d" % announced)
        elif length != UNKNOWN:
            self._framing = _Framing.COUNTED
            self._left = length
            parts.append(b"\r\ncontent-length: %d" % length)
        elif exchange.version:
            self._framing = _Framing.CHUNKED
            parts.append(b"\r\ntransfer-encoding: chunked")
        else:
            self._framing = _Framing.UNTIL_CLOSE
            self._close = close = True
        if close:
            parts.append(b"\r\nconnection: close")
        elif not exchange.version:
            parts.append(b"\r\nconnection: keep-alive")
        fields = reply.fields
        if fields:
            laid = reply.laid
            parts.append(b"\r\n")
            parts.append(laid[1] if laid is not None and laid[0] == fields else lay(fields, laid))
        parts.append(b"\r\n\r\n")
        return b"".join(parts)

    def _send(self, head: bytes, body: bytes) -> None:
        size = self._size
        if size:
            self._parts = []
            self._size = 0
        framing = self._framing
        if framing == _Framing.COUNTED:
            self._left -= size
            if self._left < 0:
                self.abort()
                return
        elif framing == _Framing.CHUNKED:
            body = b"%x\r\n%b\r\n" % (size, body) if size else b""
        elif framing == _Framing.NOTHING:
            body = b""
            size = 0
        self._exchange.bytes_out += size
        writer = self._writer
        writer.write(head + body if head else body)
        if writer.queued >= HIGH_WATER and self._source is not None:
            self._source.pause()

    def drained(self) -> None:
        """The client has taken everything."""
        if self._source is not None:
            self._source.resume()

    def go_on(self) -> None:
        """A client that waits for it hears that the request is admitted (RFC 9110 §10.1.1)."""
        exchange = self._exchange
        if exchange.expects and not self.started:
            exchange.expects = False
            self._writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
