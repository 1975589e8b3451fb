from __future__ import annotations

from tests.web.served import GET, Served, bodies, get, statuses
from ttagw.errors import UpstreamBrokenError
from ttagw.web.channel import STALLED
from ttagw.web.reader import WAITING_REQUESTS
from ttagw.wire.deadlines import NEVER
from ttagw.wire.writer import HIGH_WATER


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
