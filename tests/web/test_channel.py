from __future__ import annotations

import pytest

from tests.web.served import GET, Served, bodies, get, post, statuses
from ttagw.model import HELD
from ttagw.web.channel import LINGER, MOST_REQUESTS, MOST_SECONDS


def test_a_connection_answers_one_request_after_the_other() -> None:
    served = Served()
    assert served.client.no_delay
    assert bodies(served.send(get(b"/now?1"))) == [b"/now?1"]
    assert bodies(served.send(get(b"/now?2"))) == [b"/now?2"]
    assert served.client.ended == ""
    assert len(served.ended) == 2


def test_pipelined_requests_are_answered_in_order() -> None:
    served = Served()
    data = served.send(b"".join(get(b"/now?%d" % number) for number in range(10)))
    assert bodies(data) == [b"/now?%d" % number for number in range(10)]


def test_an_answer_that_is_ready_waits_for_the_one_before() -> None:
    served = Served()
    assert served.send(get(b"/later") + get(b"/now?2") + get(b"/later")) == b""
    assert len(served.waiting) == 1
    assert bodies(served.answer(b"one")) == [b"one", b"/now?2"]
    assert bodies(served.answer(b"three")) == [b"three"]


def test_a_bad_request_is_answered_in_its_turn_and_nothing_after_it() -> None:
    served = Served()
    assert served.send(get(b"/later") + b"bad\r\n\r\n" + GET) == b""
    data = served.answer(b"good")
    assert statuses(data) == [200, 400]
    assert b"connection: close" in data
    assert served.send(GET) == b""
    assert [each.status for each in served.ended] == [200, 400]
    assert served.client.ended == "close" or served.client.ended == "half"


def test_after_a_refusal_nothing_is_parsed_whatever_comes() -> None:
    served = Served()
    assert statuses(served.send(b"bad\r\n\r\n")) == [400]
    assert served.send(GET, GET) == b""
    assert len(served.ended) == 1


def test_a_refused_client_gets_its_answer_before_the_connection_is_cut() -> None:
    served = Served()
    served.send(post(b"/now", b"x", 1000, b"X_Y: 1"))
    assert served.client.ended in ("close", "half")
    served.pass_time(LINGER - 0.2)
    assert served.client.ended != "abort"
    served.pass_time(0.5)
    assert served.client.ended == "abort"


def test_what_no_route_answers_is_404_and_goes_on() -> None:
    served = Served()
    assert statuses(served.send(get(b"/nowhere"))) == [404]
    assert statuses(served.send(GET)) == [200]


@pytest.mark.parametrize("line", [b"Connection: close", b"connection: x, Close"])
def test_a_client_that_says_close_gets_its_answer_and_a_close(line: bytes) -> None:
    served = Served()
    data = served.send(get(b"/now", line) + GET)
    assert statuses(data) == [200]
    assert b"connection: close" in data
    assert served.client.ended == "close"
    assert served.send(GET) == b""


def test_a_connection_ends_after_a_thousand_requests() -> None:
    served = Served()
    for _ in range(MOST_REQUESTS - 1):
        assert b"connection: close" not in served.send(GET)
    assert b"connection: close" in served.send(GET)
    assert served.client.ended == "close"


def test_a_connection_ends_after_an_hour() -> None:
    served = Served()
    for _ in range(60):
        served.clock.advance(MOST_SECONDS / 61)
        assert b"connection: close" not in served.send(GET)
    served.clock.advance(MOST_SECONDS)
    assert b"connection: close" in served.send(GET)


# Bodies


def test_an_answer_before_all_of_the_body_has_come_ends_the_connection() -> None:
    served = Served()
    data = served.send(post(b"/now", b"x", 10))
    assert statuses(data) == [200]
    assert b"connection: close" in data
    assert served.client.ended in ("close", "half")
    assert served.send(b"x" * 9 + GET) == b""


def test_a_body_that_turns_out_bad_refuses_the_request_that_is_under_way() -> None:
    served = Served()
    served.send(b"POST /later HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
    assert statuses(served.send(b"zz\r\n")) == [400]
    assert served.tasks[0].cancelled == 1
    assert [each.status for each in served.ended] == [400]


def test_a_body_that_turns_out_bad_after_the_answer_has_begun_cuts_the_connection() -> None:
    served = Served()
    served.send(b"POST /later HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
    served.stream()
    served.waiting[0].sink.flush()
    served.send(b"zz\r\n")
    assert served.client.ended == "abort"
    assert len(served.ended) == 1


def test_a_body_that_nobody_takes_stops_the_client_until_somebody_does() -> None:
    served = Served()
    served.send(post(b"/later", b"x" * HELD, HELD + 10))
    assert not served.client.reading
    served.waiting[0].body.take()
    served.waiting[0].body.attach(served.waiting[0].body)  # type: ignore[arg-type]
    assert served.client.reading


def test_a_client_that_waits_for_100_continue_gets_it_when_admitted() -> None:
    served = Served()
    assert served.send(post(b"/later", b"", 4, b"Expect: 100-continue")) == b""
    assert served.send(b"body") == b""
    assert statuses(served.answer()) == [200]
    assert served.send(post(b"/admit", b"", 4, b"Expect: 100-continue")) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert statuses(served.send(post(b"/now", b"", 4, b"Expect: 100-continue"))) == []


def test_a_client_that_waits_and_is_refused_hears_no_100() -> None:
    served = Served()
    assert statuses(served.send(post(b"/nowhere", b"", 4, b"Expect: 100-continue"))) == [404]
