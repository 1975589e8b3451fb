from __future__ import annotations

from tests.web.served import GET, Served, get, post, statuses
from ttagw.config import Http
from ttagw.model import HELD
from ttagw.web.reader import LEAST_RATE


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
