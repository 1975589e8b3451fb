"""What a request of the class crisis may do that others may not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.attempt.up import Up
from ttagw.attempt import Attempt
from ttagw.config.services import Breaker as Settings
from ttagw.core.breaker import State
from ttagw.core.classes import TrafficClass
from ttagw.errors import UpstreamClosedError, UpstreamUnavailableError
from ttagw.model import Exchange, Reply
from ttagw.testing import RecordingSink, RecordingSource

CRISIS = TrafficClass.CRISIS
OTHERS = [each for each in TrafficClass if each is not CRISIS]
ONE = Settings(consecutive_failures=1, open_for=30.0, half_open_calls=1)


def tripped(count: int = 1, **more: Any) -> Up:
    """A service whose breaker is open."""
    up = Up(count, breaker=ONE, **more)
    breaker = up.service.breaker
    breaker.failure(breaker.admit(up.clock()), 0.1, up.clock())
    assert breaker.state is State.OPEN
    return up


def answered(up: Up, attempt: Attempt, status: int = 200) -> None:
    up.connect(attempt)
    attempt.answered_whole(Reply(status, [], b""), up.clock())


def outcome(asked: tuple[Exchange, RecordingSink, Attempt]) -> tuple[int, str]:
    return asked[0].status, asked[0].bypass


# The service's breaker


@pytest.mark.parametrize("rank", OTHERS)
def test_others_are_refused_by_an_open_breaker(rank: TrafficClass) -> None:
    up = tripped()
    assert outcome(up.ask(rank=rank)) == (503, "")


def test_a_crisis_request_is_sent_though_the_breaker_is_open_and_says_so() -> None:
    up = tripped()
    made, _, attempt = up.ask(rank=CRISIS)
    answered(up, attempt)
    assert outcome((made, made.sink, attempt)) == (200, "breaker")  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [200, 500])
def test_how_it_ends_is_not_counted_by_a_breaker_that_refused_it(status: int) -> None:
    up = tripped()
    for _ in range(5):
        _, _, attempt = up.ask(b"POST", rank=CRISIS)
        answered(up, attempt, status)
    breaker = up.service.breaker
    assert breaker.state is State.OPEN
    assert breaker.wait(up.clock()) == 30.0
    up.clock.advance(30.0)
    _, _, attempt = up.ask(b"POST")
    answered(up, attempt)
    assert breaker.state is State.CLOSED


def test_while_it_is_half_open_a_crisis_request_takes_no_place_of_those_that_try() -> None:
    up = tripped()
    up.clock.advance(30.0)
    _, _, probe = up.ask(b"POST")
    made, _, attempt = up.ask(b"POST", rank=CRISIS)
    assert (up.service.breaker.state, made.bypass) == (State.HALF_OPEN, "breaker")
    answered(up, attempt, 500)
    assert up.service.breaker.state is State.HALF_OPEN
    answered(up, probe)
    assert up.service.breaker.state is State.CLOSED


def test_when_nothing_is_in_the_way_nothing_is_noted() -> None:
    up = Up(1)
    made, _, attempt = up.ask(rank=CRISIS)
    answered(up, attempt)
    assert (made.status, made.bypass) == (200, "")


def test_when_that_fails_too_the_answer_is_help() -> None:
    up = tripped(retries=0)
    made, sink, attempt = up.ask(rank=CRISIS)
    attempt.refused(UpstreamUnavailableError("connection_refused"))
    assert (made.status, made.bypass, made.helped) == (503, "breaker", True)
    assert b"988" in sink.body
    assert up.in_flight == [0]
    assert up.service.breaker.state is State.OPEN


def test_what_an_operator_has_forced_is_obeyed_and_the_answer_is_help() -> None:
    up = Up(1)
    up.service.breaker.force(State.FORCED_OPEN, up.clock())
    made, sink, _ = up.ask(rank=CRISIS)
    assert (made.status, made.reason, made.bypass) == (503, "circuit_open", "")
    assert b"988" in sink.body


# Instances


def test_when_all_instances_breakers_are_open_one_is_asked_all_the_same() -> None:
    up = Up(2, guard=ONE)
    up.trip(0)
    up.trip(1)
    assert outcome(up.ask()) == (503, "")
    made, _, attempt = up.ask(rank=CRISIS)
    answered(up, attempt, 500)
    assert (made.status, made.reason, made.bypass) == (503, "answered_5xx", "breaker")
    assert [each.breaker.state for each in up.instances] == [State.OPEN] * 2
    assert [each.breaker.wait(up.clock()) for each in up.instances] == [30.0] * 2


def test_an_instance_that_is_well_is_asked_before_one_whose_breaker_is_open() -> None:
    up = Up(2, guard=ONE)
    up.trip(0)
    for _ in range(4):
        made, _, attempt = up.ask(rank=CRISIS)
        answered(up, attempt)
        assert (made.instance, made.bypass) == (b"up1", "")


def test_when_all_are_down_by_their_checks_one_of_them_is_asked() -> None:
    up = Up(2)
    up.service.offer(())
    up.service.spare = up.instances
    assert outcome(up.ask()) == (503, "")
    made, _, attempt = up.ask(rank=CRISIS)
    answered(up, attempt)
    assert (made.status, made.bypass) == (200, "health")


def test_who_is_down_and_has_an_open_breaker_is_asked_too() -> None:
    up = Up(1, guard=ONE)
    up.trip(0)
    up.service.offer(())
    up.service.spare = up.instances
    made, _, attempt = up.ask(rank=CRISIS)
    answered(up, attempt)
    assert (made.status, made.bypass) == (200, "health,breaker")


def test_when_those_in_rotation_refuse_the_ejected_ones_are_not_asked_before_them() -> None:
    up = Up(2, guard=ONE)
    up.trip(0)
    up.trip(1)
    up.service.offer(((up.instances[0],),))
    up.service.spare = [up.instances[1]]
    made, _, attempt = up.ask(rank=CRISIS)
    answered(up, attempt)
    assert (made.instance, made.bypass) == (b"up0", "breaker")


def test_where_there_is_no_instance_at_all_the_answer_is_help() -> None:
    up = Up(0)
    made, sink, _ = up.ask(rank=CRISIS)
    assert (made.status, made.reason, made.bypass, made.helped) == (503, "no_healthy_instance", "", True)
    assert b"741741" in sink.body


def test_an_instance_that_an_operator_has_taken_out_is_not_asked() -> None:
    up = Up(1)
    up.instances[0].breaker.force(State.FORCED_OPEN, up.clock())
    made, _, _ = up.ask(rank=CRISIS)
    assert (made.status, made.reason, made.bypass) == (503, "instances_open", "")


# Again


def test_a_used_up_budget_does_not_keep_it_from_another_try() -> None:
    for rank, status, bypass in ((TrafficClass.THERAPEUTIC, 502, ""), (CRISIS, 200, "retry_budget")):
        up = Up(2, share=0.0, retries=1)
        while up.service.retries.budget.take(up.clock()):
            pass
        made, _, attempt = up.sent(rank=rank)
        attempt.failed(UpstreamClosedError("reset"), stale=False)
        if rank is CRISIS:
            up.timers.fire()
            answered(up, attempt)
        assert (made.status, made.bypass) == (status, bypass)


def test_but_only_as_often_as_others() -> None:
    up = Up(3, retries=1, share=0.0)
    while up.service.retries.budget.take(up.clock()):
        pass
    made, _, attempt = up.ask(rank=CRISIS)
    attempt.refused(UpstreamUnavailableError("connection_refused"))
    assert made.tries == 2
    attempt.refused(UpstreamUnavailableError("connection_refused"))
    assert (made.tries, made.status) == (2, 503)


def test_when_all_go_down_meanwhile_the_next_try_asks_one_of_them() -> None:
    up = Up(2, retries=1)
    made, _, attempt = up.ask(rank=CRISIS)
    up.service.offer(())
    up.service.spare = up.instances
    for pool in up.pools:
        pool.line.clear()
    attempt.refused(UpstreamUnavailableError("connection_refused"))
    answered(up, attempt)
    assert (made.status, made.tries, made.bypass) == (200, 2, "health")


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("status", [500, 502, 503, 599])
def test_help_stands_in_the_place_of_a_services_own_error(status: int, method: bytes, streamed: bool) -> None:
    for rank in TrafficClass:
        up = Up(1, guard=ONE, breaker=ONE)
        made, sink, attempt = up.sent(method, rank=rank)
        connection: Any = attempt._connection
        if streamed:
            attempt.answered(Reply(status, []), RecordingSource(), up.clock())
        else:
            attempt.answered_whole(Reply(status, [], b"oh"), up.clock())
        helped = rank is CRISIS
        assert (made.status, made.helped) == (503 if helped else status, helped)
        assert (b"988" in sink.body) is helped
        if streamed and not helped:
            attempt.finished()
        elif streamed:
            assert connection.abandoned
        # It counts as ever.
        assert (up.service.breaker.state, up.instances[0].breaker.state) == (State.OPEN, State.OPEN)
        assert up.instances[0].refused == {f"status_{status}": 1}
        assert up.in_flight == [0]
        assert len(made.failed) == helped


def test_what_may_be_tried_again_is_tried_again_first() -> None:
    up = Up(2, retries=1, statuses=(503,))
    made, _, attempt = up.ask(rank=CRISIS)
    answered(up, attempt, 503)
    up.timers.fire()
    answered(up, attempt)
    assert (made.status, made.tries, made.helped) == (200, 2, False)
