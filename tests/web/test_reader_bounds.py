from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from tests.web.reading import GET, POST, Reading, feed, seen
from ttagw.model import HELD
from ttagw.web.reader import LEAST_RATE, WAITING_REQUESTS


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
