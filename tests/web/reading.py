"""A reader, and what comes out of it."""

from __future__ import annotations

from ttagw.config import Http
from ttagw.core.forwarded import Peer, Trust
from ttagw.model import Exchange
from ttagw.testing import RecordingSink, RecordingSource
from ttagw.web.reader import RequestReader

TRUST = Trust(())
GET = b"GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 4\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n"
HTTP = Http(max_uri=200, max_headers=5, max_header_bytes=400, header_timeout=10.0, body_timeout=30.0)


class Reading:
    """A reader and what it is told."""

    def __init__(self, http: Http = HTTP) -> None:
        self.source = RecordingSource()
        self.reader = RequestReader(http, TRUST, Peer("192.0.2.7", TRUST, b"http", 8000), RecordingSink(), self.source)

    def feed(self, *pieces: bytes, now: float = 1000.0) -> list[Exchange]:
        for piece in pieces:
            if not self.reader.deaf:
                self.reader.feed(piece, now)
        return self.reader.queue


def feed(*pieces: bytes) -> list[Exchange]:
    return Reading().feed(*pieces)


def refused(exchange: Exchange) -> tuple[int, str]:
    assert exchange.refusal is not None
    return exchange.refusal.status, exchange.refusal.reason


def seen(exchanges: list[Exchange]) -> list[object]:
    """What can be told of exchanges, to compare."""
    return [
        refused(each)[0]
        if each.refusal is not None
        else (
            each.method,
            each.path,
            each.query,
            each.fields,
            each.version,
            each.keep_alive,
            each.length,
            each.body.take(),
        )
        for each in exchanges
    ]
