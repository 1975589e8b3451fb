from __future__ import annotations

from tests.web.reading import CHUNKED, GET, POST, Reading, feed
from ttagw.model import UNKNOWN


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
