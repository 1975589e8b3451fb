from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.served import GET, Served, bodies, get, post, statuses
from ttagw.config import Http
from ttagw.errors import UpstreamBrokenError
from ttagw.model import HELD, Reply
from ttagw.web.channel import LINGER, MOST_REQUESTS, MOST_SECONDS, STALLED
from ttagw.web.reader import LEAST_RATE, WAITING_REQUESTS
from ttagw.wire.deadlines import NEVER
from ttagw.wire.writer import HIGH_WATER


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


# Backpressure


def test_a_client_that_takes_nothing_pauses_the_source() -> None:
    served = Served()
    served.send(get(b"/later"))
    source = served.stream()
    served.client.full = True
    served.waiting[0].sink.write(b"x" * HIGH_WATER)
    served.waiting[0].sink.flush()
    assert source.paused
    served.client.drain()
    assert not source.paused


def test_answers_are_not_piled_up_for_a_client_that_takes_nothing() -> None:
    served = Served()
    served.client.full = True
    first = served.send(get(b"/now?1") + get(b"/now?2"))
    assert bodies(first) == [b"/now?1"]
    served.client.drain()
    assert bodies(served.client.take()) == [b"/now?2"]


def test_too_many_waiting_requests_stop_the_client_until_they_are_answered() -> None:
    served = Served()
    served.send(get(b"/later") + GET * WAITING_REQUESTS)
    assert not served.client.reading
    assert len(statuses(served.answer())) == WAITING_REQUESTS + 1
    assert served.client.reading


def test_a_client_that_takes_nothing_for_long_is_cut() -> None:
    served = Served()
    served.send(get(b"/later"))
    served.stream()
    served.client.full = True
    served.waiting[0].sink.write(b"x")
    served.waiting[0].sink.flush()
    served.pass_time(STALLED - 1)
    assert served.client.ended == ""
    served.pass_time(STALLED)
    assert served.client.ended == "abort"
    assert [(each.status, each.reason) for each in served.ended] == [(499, "client_stalled")]
    assert served.tasks[0].cancelled == 1


# A client that leaves


def test_a_client_that_leaves_cancels_its_request() -> None:
    served = Served()
    served.send(get(b"/later"))
    served.client.lose()
    assert served.tasks[0].cancelled == 1
    assert [(each.status, each.reason) for each in served.ended] == [(499, "client_closed")]
    assert served.site.channels == set()
    assert served.channel.deadline == NEVER


def test_what_is_answered_after_the_client_has_left_goes_nowhere() -> None:
    served = Served()
    served.send(get(b"/later") + GET)
    served.client.lose()
    served.pipeline.fail(served.waiting[0], UpstreamBrokenError("late"))
    assert served.client.take() == b""
    assert [each.status for each in served.ended] == [499]


def test_a_client_that_leaves_between_requests_is_nobodys_business() -> None:
    served = Served()
    served.send(GET)
    served.client.lose()
    assert [each.status for each in served.ended] == [200]


# Time


def test_a_connection_without_work_is_closed_after_the_keepalive() -> None:
    served = Served(Http(keepalive_timeout=20.0))
    served.pass_time(19.0)
    served.send(GET)
    served.pass_time(19.0)
    assert served.client.ended == ""
    assert served.pass_time(2.0) == b""
    assert served.client.ended == "close"


def test_headers_that_drip_are_ended_by_their_deadline() -> None:
    served = Served(Http(header_timeout=10.0))
    data = b""
    for byte in get(b"/now")[:12]:
        data += served.send(bytes([byte]))
        data += served.pass_time(1.0)
    assert statuses(data) == [408]
    assert b"connection: close" in data
    assert served.send(GET) == b""
    assert [each.reason for each in served.ended] == ["headers_slow"]


def test_headers_that_drip_behind_another_request_are_refused_in_their_turn() -> None:
    served = Served(Http(header_timeout=10.0))
    served.send(get(b"/later") + b"GET /n")
    assert served.pass_time(20.0) == b""
    assert statuses(served.answer()) == [200, 408]


def test_a_body_that_is_silent_is_ended() -> None:
    served = Served(Http(body_timeout=5.0))
    served.send(post(b"/later", b"x", 10_000))
    assert served.pass_time(4.0) == b""
    served.send(b"x" * LEAST_RATE * 10)
    assert served.pass_time(4.0) == b""
    assert statuses(served.pass_time(3.0)) == [408]
    assert [each.reason for each in served.ended] == ["body_slow"]
    assert served.tasks[0].cancelled == 1


def test_a_body_that_drips_is_ended() -> None:
    served = Served(Http(body_timeout=5.0))
    data = served.send(post(b"/later", b"x", 1000))
    for _ in range(10):
        data += served.send(b"x") + served.pass_time(1.0)
    assert statuses(data) == [408]


def test_a_body_that_comes_fast_enough_is_not_ended() -> None:
    served = Served(Http(body_timeout=5.0))
    served.send(post(b"/later", b"", 1_000_000))
    served.waiting[0].body.attach(_Nowhere())
    for _ in range(30):
        assert served.send(b"x" * LEAST_RATE) + served.pass_time(1.0) == b""
    assert served.ended == []


class _Nowhere:
    """Takes a body."""

    def body_chunk(self, data: bytes) -> None:
        """Thrown away."""

    def body_end(self) -> None:
        """Nothing to do."""


def test_time_in_which_the_client_was_not_read_is_not_held_against_it() -> None:
    served = Served(Http(body_timeout=5.0))
    served.send(post(b"/later", b"x" * HELD, HELD + 10))
    assert served.pass_time(20.0) == b""
    served.waiting[0].body.take()
    served.waiting[0].body.attach(_Nowhere())
    assert served.pass_time(4.0) == b""
    served.send(b"x" * 10)
    assert statuses(served.answer()) == [200]
    assert b"connection: close" not in served.send(GET)


def test_a_request_that_waits_for_its_service_is_not_ended_by_the_client_s_deadlines() -> None:
    served = Served(Http(header_timeout=1.0, body_timeout=1.0, keepalive_timeout=1.0))
    served.send(get(b"/later"))
    assert served.pass_time(100.0) == b""
    assert statuses(served.answer()) == [200]


def test_the_deadline_of_an_exchange_answers_504() -> None:
    served = Served()
    served.channel.dataReceived(get(b"/later"))
    served.waiting[0].deadline = served.clock.now + 12.0
    assert statuses(served.pass_time(11.0)) == []
    assert statuses(served.pass_time(6.0)) == [504]
    assert served.tasks[0].cancelled == 1
    assert served.client.ended == ""


def test_the_deadline_of_an_exchange_cuts_an_answer_that_has_begun() -> None:
    served = Served()
    served.send(get(b"/later"))
    served.waiting[0].deadline = served.clock.now + 1.0
    served.stream()
    served.waiting[0].sink.flush()
    served.pass_time(10.0)
    assert served.client.ended == "abort"
    assert [each.reason for each in served.ended] == ["route_timeout"]


# Ends


def test_draining_ends_idle_connections_and_lets_others_finish() -> None:
    idle = Served()
    idle.site.drain()
    assert idle.client.ended == "close"
    busy = Served()
    busy.send(get(b"/later"))
    busy.site.drain()
    assert busy.client.ended == ""
    data = busy.answer()
    assert statuses(data) == [200]
    assert b"connection: close" in data
    assert busy.client.ended == "close"


def test_draining_lets_a_request_that_is_being_sent_arrive() -> None:
    served = Served()
    served.send(GET[:10])
    served.site.drain()
    assert served.client.ended == ""
    data = served.send(GET[10:])
    assert statuses(data) == [200]
    assert b"connection: close" in data


def test_cutting_ends_what_is_under_way() -> None:
    served = Served()
    served.send(get(b"/later"))
    served.site.cut()
    assert served.client.ended == "abort"
    assert served.tasks[0].cancelled == 1
    assert [(each.status, each.reason) for each in served.ended] == [(499, "shutdown")]
    served.client.lose()
    assert len(served.ended) == 1


def test_a_connection_that_is_over_answers_nothing_more() -> None:
    served = Served()
    served.send(get(b"/later"))
    served.channel.cut()
    assert served.send(GET) == b""
    served.client.lose()
    served.channel.close_if_idle()
    assert served.site.channels == set()


def test_a_lingering_connection_waits_for_a_slow_reader() -> None:
    served = Served()
    served.client.full = True
    served.send(b"bad\r\n\r\n")
    served.pass_time(LINGER + 10.0)
    assert served.client.ended != "abort"
    served.pass_time(STALLED)
    assert served.client.ended == "abort"


STEPS = st.lists(
    st.one_of(
        st.builds(lambda number: ("send", get(b"/now?%d" % number)), st.integers(0, 99)),
        st.just(("send", get(b"/later"))),
        st.just(("send", post(b"/later", b"x" * 20))),
        st.just(("send", b"POST /later HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")),
        st.just(("send", b"bad\r\n\r\n")),
        st.just(("send", post(b"/now", b"x", 5))),
        st.just(("send", GET[:15])),
        st.just(("answer", b"")),
        st.just(("stream", b"")),
        st.just(("fail", b"")),
        st.just(("full", b"")),
        st.just(("drain", b"")),
        st.builds(lambda seconds: ("wait", b"x" * seconds), st.integers(1, 40)),
        st.just(("stop", b"")),
        st.just(("lose", b"")),
    ),
    max_size=25,
)


def _take_step(served: Served, step: str, data: bytes) -> None:
    alive = [each for each in served.waiting if not each.over]
    if step == "send" and served.client.reading:
        served.channel.dataReceived(data)
    elif step == "wait":
        served.pass_time(float(len(data)), 1.0)
    elif step == "full":
        served.client.full = True
    elif step == "drain":
        served.client.drain()
    elif step == "stop":
        served.site.drain()
    elif alive and step == "answer" and not alive[0].sink.started:
        alive[0].work = None
        served.pipeline.answer(alive[0], Reply(200, [], b"late"))
    elif alive and step == "stream" and not alive[0].sink.started:
        alive[0].work = None
        served.pipeline.answer(alive[0], Reply(200, [], None), served.channel)
        alive[0].sink.write(b"body")
        alive[0].sink.flush()
        alive[0].sink.finish()
    elif alive and step == "fail":
        served.pipeline.fail(alive[0], UpstreamBrokenError("bad_head"))


@given(STEPS)
def test_whatever_happens_each_exchange_ends_exactly_once_and_all_work_is_given_back(
    steps: list[tuple[str, bytes]],
) -> None:
    served = Served()
    for step, data in steps:
        if step == "lose" or served.client.ended in ("abort", "close"):
            break
        _take_step(served, step, data)
    served.client.lose()
    assert served.site.channels == set()
    assert len({id(each) for each in served.ended}) == len(served.ended)
    assert all(each.over and each.status for each in served.ended)
    assert all(each in served.ended for each in served.waiting)
    assert all(each.work is None for each in served.ended)
