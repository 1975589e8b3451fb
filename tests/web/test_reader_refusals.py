from __future__ import annotations

import pytest

from tests.twisted_hygiene import Failures
from tests.web.reading import CHUNKED, GET, POST, Reading, feed, refused
from ttagw.errors import InternalError
from ttagw.web import reader as module


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
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405, "never_offered"),
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
