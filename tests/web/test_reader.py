from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.twisted_hygiene import Failures
from ttagw.config import Http
from ttagw.core.forwarded import Peer, Trust
from ttagw.errors import InternalError
from ttagw.model import HELD, UNKNOWN, Exchange
from ttagw.testing import RecordingSink, RecordingSource
from ttagw.web import reader as module
from ttagw.web.reader import LEAST_RATE, WAITING_REQUESTS, RequestReader

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


def test_requests_come_out_in_order() -> None:
    exchanges = feed(GET + GET.replace(b"/a", b"/b?q") + POST + b"body" + GET)
    assert [(each.method, each.path, each.query) for each in exchanges] == [
        (b"GET", b"/a", None),
        (b"GET", b"/b", b"q"),
        (b"POST", b"/a", None),
        (b"GET", b"/a", None),
    ]
    assert exchanges[2].body.take() == b"body"
    assert exchanges[2].body.complete


def test_http_1_0_is_known() -> None:
    (exchange,) = feed(GET.replace(b"1.1", b"1.0"))
    assert (exchange.version, exchange.keep_alive) == (0, False)


def test_empty_lines_before_a_request_are_skipped() -> None:
    assert [each.path for each in feed(b"\r\n\r\n" + GET, b"\r\n" + GET)] == [b"/a", b"/a"]


def test_a_body_may_come_later_and_a_request_does_not_wait_for_it() -> None:
    reading = Reading()
    (exchange,) = reading.feed(POST)
    assert not exchange.body.complete
    assert reading.reader.reading is exchange
    reading.feed(b"bo")
    reading.feed(b"dy")
    assert exchange.body.take() == b"body"
    assert exchange.body.complete
    assert reading.reader.reading is None


def test_a_chunked_request_waits_until_its_first_chunk_could_be_read() -> None:
    reading = Reading()
    assert reading.feed(CHUNKED) == []
    (exchange,) = reading.feed(b"3\r\none\r\n")
    assert exchange.length == UNKNOWN
    reading.feed(b"2\r\ntw\r\n0\r\n\r\n")
    assert exchange.body.take() == b"onetw"
    assert exchange.body.complete


def test_an_empty_chunked_body_is_complete_at_once() -> None:
    (exchange,) = feed(CHUNKED, b"0\r\n\r\n")
    assert exchange.body.complete
    assert exchange.body.take() == b""


def test_a_client_that_waits_for_100_continue_is_not_waited_for() -> None:
    reading = Reading()
    (exchange,) = reading.feed(CHUNKED.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
    assert exchange.expects


def test_trailers_are_dropped() -> None:
    exchanges = feed(CHUNKED + b"1\r\nx\r\n0\r\nX-User-ID: admin\r\nHost: evil\r\n\r\n" + GET)
    assert [each.fields for each in exchanges] == [[], []]
    assert [each.host for each in exchanges] == [b"gateway.test"] * 2


def test_after_connection_close_nothing_is_looked_at() -> None:
    reading = Reading()
    closing = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert len(reading.feed(closing + GET, GET, b"garbage")) == 1
    assert reading.reader.deaf
    assert reading.reader.queue[0].refusal is None


# Refusals


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"garbage\r\n\r\n", 400, "bad_head"),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400, "bad_head"),
        (b"GET  /a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
        (b"GET /a  HTTP/1.1\r\nHost: a\r\n\r\n", 400, None),
        (b"GET /a HTTP/2.0\r\nHost: a\r\n\r\n", 400, None),
        (b"GET /a HTTP/1.2\r\nHost: a\r\n\r\n", 400, None),
        (b"GET /a HTTP/0.9\r\nHost: a\r\n\r\n", 400, None),
        (b"GET /a\r\n\r\n", 400, None),
        (b"GET /a ICE/1.0\r\nHost: a\r\n\r\n", 400, None),
        (b"GET /a RTSP/1.0\r\nHost: a\r\n\r\n", 400, None),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, None),
        (b"get /a HTTP/1.1\r\nHost: a\r\n\r\n", 400, None),
        (b"GET /a HTTP/1.1\nHost: a\n\n", 400, None),
        (b"GET /a HTTP/1.1\r\nHost: a\n\r\n", 400, None),
        (b"GET /a HTTP/1.1\r\nHost : a\r\n\r\n", 400, None),
        (b"GET /a HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400, None),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", 400, None),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n", 400, None),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400, None),
        (b"GET /a HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400, None),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nX(: b\r\n\r\n", 400, None),
        (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400, None),
        (b"GET /a HTTP/1.1\r\n\r\n", 400, "no_host"),
        (b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, None),
        (b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, None),
        (b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400, None),
        (b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 200), 414, "uri_too_long"),
        (b"GET /a HTTP/1.1\r\nHost: a\r\n%b\r\n" % (b"X: y\r\n" * 5), 431, "header_count"),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"y" * 400), 431, "header_bytes"),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417, "expectation"),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405, "connect"),
        (CHUNKED + b"zz\r\n", 400, None),
        (CHUNKED + b"1\nx\r\n0\r\n\r\n", 400, None),
        (CHUNKED + b"1;\r\nx\r\n0\r\n\r\n", 400, None),
        (CHUNKED + b"1;a=\x00\r\nx\r\n0\r\n\r\n", 400, None),
        (CHUNKED + b"ffffffffffffffffff\r\n", 400, None),
        (CHUNKED + b"-1\r\n", 400, None),
    ],
)
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "bytewise"])
def test_each_kind_of_bad_request_has_its_refusal(data: bytes, status: int, reason: str | None, whole: bool) -> None:
    pieces = [data + GET] if whole else [data[place : place + 1] for place in range(len(data))] + [GET]
    reading = Reading()
    exchanges = reading.feed(*pieces)
    assert len(exchanges) == 1
    found = refused(exchanges[0])
    assert found[0] == status
    assert reason is None or found[1] == reason
    assert reading.reader.deaf
    assert not exchanges[0].keep_alive


def test_requests_before_a_bad_one_are_kept() -> None:
    first, second, bad = feed(GET + POST + b"body" + b"bad\r\n\r\n" + GET)
    assert (first.refusal, second.refusal) == (None, None)
    assert refused(bad) == (400, "bad_head")


def test_a_head_that_never_ends_is_refused_by_its_size() -> None:
    reading = Reading()
    exchanges = reading.feed(b"GET /a HTTP/1.1\r\nHost: a\r\n", *([b"X: " + b"y" * 50 + b"\r\n"] * 20))
    assert refused(exchanges[0]) == (431, "header_bytes")
    reading = Reading()
    exchanges = reading.feed(b"GET /", *([b"a" * 50] * 20))
    assert refused(exchanges[0]) == (414, "uri_too_long")


def test_empty_lines_without_end_are_not_read_for_ever() -> None:
    exchanges = feed(*([b"\r\n" * 50] * 100))
    assert [refused(each)[0] for each in exchanges] in ([414], [431], [400])


def test_a_spoilt_body_refuses_the_exchange_that_is_under_way() -> None:
    reading = Reading()
    (exchange,) = reading.feed(CHUNKED + b"1\r\nx\r\n")
    reading.reader.queue.clear()
    assert reading.reader.feed(b"zz\r\n", 1000.0) is exchange
    assert refused(exchange) == (400, "chunk_size")
    assert reading.reader.queue == []


def test_a_body_larger_than_its_route_takes_is_refused() -> None:
    reading = Reading()
    (exchange,) = reading.feed(CHUNKED + b"1\r\nx\r\n")
    exchange.max_body = 3
    assert reading.reader.feed(b"2\r\nyz\r\n", 1000.0) is None
    assert reading.reader.feed(b"1\r\n!\r\n", 1000.0) is exchange
    assert refused(exchange) == (413, "body_too_large")
    assert exchange.body.received == 3


def test_a_failure_of_ours_is_an_internal_error(monkeypatch: pytest.MonkeyPatch, failures: Failures) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "read_head", broken)
    (exchange,) = feed(GET)
    assert isinstance(exchange.refusal, InternalError)
    assert len(failures.take(ZeroDivisionError)) == 1


# Backpressure and bounds


def test_a_body_that_nobody_takes_pauses_the_client() -> None:
    reading = Reading()
    reading.feed(POST.replace(b"4", b"1000000") + b"x" * HELD)
    assert reading.source.paused


def test_many_waiting_requests_pause_the_client() -> None:
    reading = Reading()
    reading.feed(GET * (WAITING_REQUESTS - 1))
    assert not reading.source.paused
    reading.feed(GET)
    assert reading.source.paused


def test_a_closed_reader_holds_nothing() -> None:
    reading = Reading()
    reading.feed(GET)
    reading.reader.close()
    assert reading.reader.queue == []
    assert reading.reader.deaf


# Time


def test_the_deadline_of_a_head_is_absolute() -> None:
    reading = Reading()
    reading.feed(b"GET /a ", now=1000.0)
    reading.feed(b"HTTP/1.1\r\n", now=1009.0)
    assert reading.reader.limit(1009.0, paused=False, answering=False) == 1010.0


def test_the_deadline_of_a_head_is_its_own_for_each_request() -> None:
    reading = Reading()
    reading.feed(GET, now=1000.0)
    reading.feed(b"GET", now=1050.0)
    assert reading.reader.limit(1050.0, paused=False, answering=False) == 1060.0


def test_a_body_must_not_be_silent_and_must_come_fast_enough() -> None:
    reading = Reading()
    reading.feed(POST.replace(b"4", b"1000000"), now=1000.0)
    limit = reading.reader.limit
    assert limit(1000.0, paused=False, answering=True) == 1030.0
    reading.feed(b"x" * LEAST_RATE * 5, now=1020.0)
    assert limit(1020.0, paused=False, answering=True) == 1035.0
    reading.feed(b"x" * LEAST_RATE * 1000, now=1021.0)
    assert limit(1021.0, paused=False, answering=True) == 1051.0


def test_time_in_which_the_client_was_not_read_does_not_count() -> None:
    reading = Reading()
    reading.feed(POST.replace(b"4", b"1000000"), now=1000.0)
    assert reading.reader.limit(1500.0, paused=True, answering=True) == 1530.0
    assert reading.reader.limit(1500.0, paused=False, answering=False) == 1530.0
    reading.reader.paused_for(400.0, 1500.0)
    assert reading.reader.limit(1500.0, paused=False, answering=True) == 1430.0


# The same however it comes


TARGETS = st.sampled_from(
    [b"/a", b"/b?q=1", b"/", b"/a/../b", b"/a b", b"/%2f", b"http://gateway.test/x", b"*", b"", b"/a#"]
)
REQUESTS = st.builds(
    lambda method, target, version, extra, body: (
        b"%b %b HTTP/1.%d\r\nHost: gateway.test\r\n%b\r\n" % (method, target, version, extra)
        if not body
        else b"POST %b HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: %d\r\n\r\n%b" % (target, len(body), body)
    ),
    st.sampled_from([b"GET", b"HEAD", b"DELETE", b"OPTIONS"]),
    TARGETS,
    st.sampled_from([1, 1, 1, 0]),
    st.sampled_from([b"", b"X-A: 1\r\n", b"Connection: keep-alive\r\n", b"Connection: close\r\n", b"x_y: 1\r\n"]),
    st.sampled_from([b"", b"", b"body", b"GET / HTTP/1.1\r\n\r\n"]),
)


@given(st.lists(REQUESTS, min_size=1, max_size=6))
@example([GET, GET, GET, GET.replace(b"/a", b"/b")])
@example([GET, GET, GET + GET.replace(b"/a", b"/b"), GET])
@example([GET, GET, GET[:-2] + b"Content-Length: 40\r\n\r\n" + GET])
@example([GET, GET, GET.replace(b"GET /a", b"GET /a HTTP/1.1\r\nX: y\r\n\r\nGET /b")])
@example([GET, GET, b"GET HTTP/1.1\r\nHost: gateway.test\r\n\r\n"])
@example([GET, GET, b"GET  HTTP/1.1\r\nHost: gateway.test\r\n\r\n"])
@example([GET, GET, b"GET HTTP/1.1\r\nHost: gateway.test\r\n\r\n", GET])
def test_a_request_in_a_read_of_its_own_is_read_as_byte_by_byte(requests: list[bytes]) -> None:
    stream = b"".join(requests)
    bytewise = feed(*[stream[place : place + 1] for place in range(len(stream))])
    assert seen(feed(*requests)) == seen(bytewise)


def test_a_request_like_the_last_is_read_by_itself_each_time() -> None:
    reading = Reading()
    for number in range(5):
        reading.feed(GET.replace(b"/a", b"/%d?n=%d" % (number, number)))
    exchanges = reading.reader.queue
    assert [(each.path, each.query) for each in exchanges] == [(b"/%d" % n, b"n=%d" % n) for n in range(5)]
    assert len({id(each.fields) for each in exchanges}) == 5
    assert len({id(each) for each in exchanges}) == 5
