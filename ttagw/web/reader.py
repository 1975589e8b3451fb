"""Requests out of bytes: llhttp does the parsing, this decides what becomes an exchange.

A reader fills `queue` with exchanges in the order of their requests. One that cannot be read is in the queue as well,
with its `refusal`, and nothing after it is looked at. A chunked request enters the queue only when the first of its
body could be read.
"""

from __future__ import annotations

from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from twisted.logger import Logger
from twisted.python.failure import Failure

from ttagw.config import Http
from ttagw.core.forwarded import Peer, Trust
from ttagw.errors import (
    BodyTooLargeError,
    GatewayError,
    HeadersTooLargeError,
    InternalError,
    MalformedRequestError,
    UriTooLongError,
)
from ttagw.model import UNKNOWN, Body, BodySource, Exchange, Fields, Sink
from ttagw.web.chunks import ChunkLines
from ttagw.web.head import read_head
from ttagw.web.known import LONGEST_KNOWN, HeadMemory
from ttagw.web.line import RequestLine

LEAST_RATE = 500
"""Bytes per second that a request body must reach on average, once `body_timeout` is over."""
WAITING_REQUESTS = 32
"""Pipelined requests that may wait before the connection is read no further."""


class _Stop(Exception):  # noqa: N818 - it never leaves this module
    """Stops llhttp from inside a callback: nothing more is to be read."""


class RequestReader:
    """What comes from one client."""

    log = Logger()

    __slots__ = (
        "_body_since",
        "_chunks",
        "_held",
        "_http",
        "_line",
        "_memory",
        "_parsed",
        "_parser",
        "_peer",
        "_raw",
        "_since",
        "_sink",
        "_source",
        "_trust",
        "_url",
        "deaf",
        "fed",
        "queue",
        "reading",
        "seen",
    )

    def __init__(self, http: Http, trust: Trust, peer: Peer, sink: Sink, source: BodySource) -> None:
        """Exchanges answer to `sink`; `source` is paused when a body comes too fast."""
        self._http = http
        self._trust = trust
        self._peer = peer
        self._sink = sink
        self._source = source
        self._raw: Fields = []
        self._url = b""
        self._line = RequestLine()
        self._chunks: ChunkLines | None = None
        self._held = False
        self._parsed: Fields = []
        self._memory = HeadMemory(min(LONGEST_KNOWN, http.max_header_bytes))
        self._since = self._body_since = 0.0
        self.fed = 0
        """Bytes that have come since the last complete request: 0 between requests."""
        self.seen = 0.0
        """When (monotonic seconds) something came last."""
        self.deaf = False
        """Whether nothing more is looked at."""
        self.queue: list[Exchange] = []
        self.reading: Exchange | None = None
        """The exchange whose body is not complete."""
        self._parser: Any = HttpRequestParser(self)

    def feed(self, data: bytes, now: float) -> Exchange | None:
        """The client has sent `data`. Returns the exchange being read if this has spoilt it."""
        self.seen = now
        if not self.fed:
            self._since = now
            memory = self._memory
            known = memory.known
            if known is not None:
                exchange = Exchange(self._peer, self._sink, b"", now)
                if len(data) <= memory.longest and known.read(exchange, data, self._http.max_uri):
                    memory.pause = 0
                    self._enqueue(exchange)
                    return None
                memory.miss()
        self.fed += len(data)
        self._line.read(data)
        spoilt = None
        try:
            if self._chunks is not None:
                self._line.at = self._chunks.read(data, 0)
            self._parser.feed_data(data)
        except GatewayError as error:
            spoilt = self.refuse(error)
        except (HttpParserError, HttpParserUpgrade) as error:
            spoilt = self._unreadable(error)
        if self.fed and self.reading is None and not self.deaf:
            self._line.unfinished()
            self._check_partial()
        self._line.done()
        return spoilt

    def _enqueue(self, exchange: Exchange) -> None:
        self.queue.append(exchange)
        if len(self.queue) >= WAITING_REQUESTS:
            self._source.pause()

    def _remember(self, exchange: Exchange, raw: Fields) -> None:
        """Recognise the next head by this one, if it came whole, in one read, and has no body."""
        plain = not exchange.length and exchange.keep_alive and exchange.version and not exchange.id
        chunk = self._line.chunk
        end = b""
        if plain and self.fed == len(chunk) and len(chunk) <= self._memory.longest:
            # From the space before "HTTP/1.1" on; the second request in one read is not the end of it.
            end = chunk[self._line.end - len(b" HTTP/1.") :]
            if end.find(b"\r\n\r\n") != len(end) - 4:
                end = b""
        self._memory.learn(exchange, end, raw)

    def _check_partial(self) -> None:
        """A head that never ends calls nothing: count what was fed."""
        http = self._http
        if len(self._url) > http.max_uri or (not self._raw and self.fed > http.max_uri + http.max_header_bytes):
            self.refuse(UriTooLongError())
        elif self.fed > http.max_uri + http.max_header_bytes:
            self.refuse(HeadersTooLargeError("header_bytes"))

    def close(self) -> None:
        """The connection is gone."""
        self.deaf = True
        self._parser = None
        self.queue.clear()

    # As what llhttp calls

    def on_message_begin(self) -> None:
        """A request begins; if it is not the first in this read, neither its bytes nor its time have been counted."""
        if not self.fed:
            self.fed = max(len(self._line.chunk) - self._line.at, 1)
            self._since = self.seen

    def on_url(self, url: bytes) -> None:
        """The request target, or a piece of it."""
        self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or a trailer, which is dropped."""
        self._raw.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is complete."""
        exchange = Exchange(self._peer, self._sink, self._parser.get_method(), self._since)
        self._parsed = raw = self._raw
        self._raw = []
        self.reading = exchange
        try:
            exchange.version = self._line.minor_version(exchange.method, self._url)
            self._check_size(raw)
            read_head(exchange, self._url, raw, self._trust)
            if exchange.length == UNKNOWN:
                self._chunks = ChunkLines(self._http.max_header_bytes)
                self._line.at = self._chunks.read(self._line.chunk, self._line.at)
        except GatewayError as error:
            exchange.refusal = error
            raise _Stop from None
        if exchange.length:
            exchange.body = Body(self._source)
            self._body_since = self.seen
            if exchange.length == UNKNOWN and not exchange.expects:
                self._held = True
                return
        self._enqueue(exchange)

    def _check_size(self, raw: Fields) -> None:
        http = self._http
        if len(self._url) > http.max_uri:
            raise UriTooLongError
        if len(raw) > http.max_headers:
            raise HeadersTooLargeError("header_count")
        # What was fed since the request began is at least its head; most requests need no closer look.
        most = http.max_header_bytes
        if self.fed > most and sum([len(name) + len(value) + 4 for name, value in raw]) > most:
            raise HeadersTooLargeError("header_bytes")

    def on_body(self, data: bytes) -> None:
        """More of a request's body."""
        exchange = self.reading
        if exchange is None:
            return
        if self._held:
            self._held = False
            self._enqueue(exchange)
        if self._chunks is None:
            self._line.at += len(data)
        body = exchange.body
        if exchange.max_body and body.received + len(data) > exchange.max_body:
            exchange.refusal = BodyTooLargeError()
            raise _Stop
        body.feed(data)

    def on_message_complete(self) -> None:
        """A request is complete."""
        exchange, self.reading = self.reading, None
        raw, self._parsed, self._raw = self._parsed, [], []
        self._url = b""
        if exchange is None:
            self.fed = 0
            return
        if self._held:
            self._held = False
            self._enqueue(exchange)
        if exchange.length:
            exchange.body.end()
            if exchange.length == UNKNOWN:
                self._chunks = None
        if self._memory.wait:
            self._memory.wait -= 1
        else:
            self._remember(exchange, raw)
        self.fed = 0
        if not exchange.keep_alive:
            self.deaf = True

    # Refusals

    def _unreadable(self, error: Exception) -> Exchange | None:
        cause = error.__context__
        if self.deaf and cause is None:
            # The last request said `Connection: close`; what follows it is nobody's.
            return None
        refusal: GatewayError = MalformedRequestError("bad_body" if self.reading is not None else "bad_head")
        if cause is not None and not isinstance(cause, _Stop):
            self.log.failure("a request could not be read", failure=Failure(cause))
            refusal = InternalError("reading_failed")
        return self.refuse(refusal)

    def refuse(self, error: GatewayError) -> Exchange:
        """What is being read cannot become a request, or not a whole one. Returns it, with its `refusal`.

        It is put into the queue unless it has been there already.
        """
        self.deaf = True
        exchange = self.reading
        if exchange is None:
            exchange = Exchange(self._peer, self._sink, b"-", self._since)
            self._enqueue(exchange)
        elif self._held or exchange.body.source is None:
            self._held = False
            self._enqueue(exchange)
        if exchange.refusal is None:
            exchange.refusal = error
        exchange.keep_alive = False
        return exchange

    # Time

    def limit(self, now: float, *, paused: bool, answering: bool) -> float:
        """By when (monotonic seconds) what is being read has to have come on.

        The deadline of a head is absolute. A body must not be silent for `body_timeout`, and must reach `LEAST_RATE` on
        average after that. Nothing is held against a client that is not being read from.
        """
        http = self._http
        exchange = self.reading
        if exchange is None:
            return self._since + http.header_timeout
        if paused or not answering:
            return now + http.body_timeout
        average = self._body_since + http.body_timeout + exchange.body.received / LEAST_RATE
        return min(self.seen + http.body_timeout, average)

    def paused_for(self, seconds: float, now: float) -> None:
        """The client was not read from for so long."""
        self._body_since += seconds
        self._since += seconds
        self.seen = now
