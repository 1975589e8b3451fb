"""What breakers are told about tries and exchanges, and what they are asked."""

from __future__ import annotations

import json

import pytest

from tests.attempt.up import STALE, Up
from ttagw.config.services import Breaker as Settings
from ttagw.core.breaker import State
from ttagw.errors import UpstreamBusyError, UpstreamClosedError, UpstreamTimeoutError, UpstreamUnavailableError
from ttagw.model import Reply
from ttagw.testing import RecordingSource, ScriptedConnection

ONE = Settings(consecutive_failures=1, open_for=30.0, half_open_calls=1)
SLOW = Settings(consecutive_failures=1000, minimum_calls=1, slow_call=5.0)
TWO = Settings(consecutive_failures=2, open_for=30.0, half_open_calls=1)


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 599])
@pytest.mark.parametrize("streamed", [True, False])
def test_an_answer_of_5xx_is_a_failure_of_instance_and_service(status: int, streamed: bool) -> None:
    up = Up(1, guard=ONE, breaker=ONE)
    _, _, attempt = up.sent(b"POST")
    if streamed:
        attempt.answered(Reply(status, []), RecordingSource(), up.clock())
        attempt.finished()
    else:
        attempt.answered_whole(Reply(status, [], b""), up.clock())
    assert up.instances[0].breaker.state is State.OPEN
    assert up.service.breaker.state is State.OPEN
    assert up.instances[0].refused == {f"status_{status}": 1}


@pytest.mark.parametrize("status", [200, 301, 404, 429, 499])
def test_every_other_answer_is_a_success(status: int) -> None:
    up = Up(1, guard=TWO, breaker=TWO)
    for _ in range(5):
        _, _, attempt = up.sent(b"POST")
        attempt.failed(UpstreamClosedError("reset"), stale=False)
        _, _, attempt = up.sent(b"POST")
        attempt.answered_whole(Reply(status, [], b""), up.clock())
    assert up.instances[0].breaker.state is State.CLOSED
    assert (up.instances[0].good, up.instances[0].bad) == (5, 5)


@pytest.mark.parametrize(
    "error",
    [UpstreamClosedError("reset"), UpstreamTimeoutError("response_timeout")],
    ids=["reset", "timeout"],
)
def test_resets_and_timeouts_are_failures(error: UpstreamClosedError) -> None:
    up = Up(1, guard=ONE, breaker=ONE)
    _, _, attempt = up.sent(b"POST")
    attempt.failed(error, stale=False)
    assert (up.instances[0].breaker.state, up.service.breaker.state) == (State.OPEN, State.OPEN)


def test_a_refused_connection_is_a_failure_and_a_full_pool_is_not() -> None:
    up = Up(1, guard=ONE, breaker=ONE, retries=0)
    _, _, attempt = up.ask()
    attempt.refused(UpstreamBusyError("queue_timeout"))
    assert (up.instances[0].breaker.state, up.service.breaker.state) == (State.CLOSED, State.CLOSED)
    _, _, attempt = up.ask()
    attempt.refused(UpstreamUnavailableError("connection_refused"))
    assert (up.instances[0].breaker.state, up.service.breaker.state) == (State.OPEN, State.OPEN)


def test_a_failure_inside_a_body_counts() -> None:
    up = Up(1, guard=ONE, breaker=ONE)
    _, sink, attempt = up.sent()
    attempt.answered(Reply(200, []), RecordingSource(), up.clock())
    attempt.failed(UpstreamClosedError("closed_mid_body"), stale=False)
    assert sink.calls == ["start", "abort"]
    assert (up.instances[0].breaker.state, up.service.breaker.state) == (State.OPEN, State.OPEN)


@pytest.mark.parametrize("answered", [True, False])
def test_one_sick_instance_does_not_take_the_service_away(answered: bool) -> None:
    up = Up(4, breaker=ONE)
    for _ in range(40):
        made, _, attempt = up.sent(b"POST")
        if made.instance != b"up2":
            attempt.answered_whole(Reply(200, [], b""), up.clock())
        elif answered:
            attempt.answered_whole(Reply(500, [], b""), up.clock())
        else:
            attempt.failed(UpstreamTimeoutError("response_timeout"), stale=False)
    assert up.service.breaker.state is State.CLOSED
    assert [each.bad for each in up.instances] == [0, 0, 10, 0]


def test_but_when_a_second_one_fails_too_it_is_the_service() -> None:
    up = Up(4, breaker=TWO)
    states = []
    for _ in range(3):
        _, _, attempt = up.sent(b"POST")
        attempt.answered_whole(Reply(500, [], b""), up.clock())
        states.append(up.service.breaker.state)
    assert states == [State.CLOSED, State.CLOSED, State.OPEN]


def test_a_service_of_which_nothing_well_is_left_is_left_alone() -> None:
    up = Up(2, guard=ONE, breaker=ONE)
    states = []
    for _ in range(2):
        _, _, attempt = up.sent(b"POST")
        attempt.failed(UpstreamTimeoutError("response_timeout"), stale=False)
        states.append(up.service.breaker.state)
    assert states == [State.CLOSED, State.OPEN]


def test_and_so_is_one_whose_instances_all_failed_the_same_exchange() -> None:
    up = Up(2, breaker=ONE, retries=1)
    _, _, attempt = up.sent()
    attempt.failed(UpstreamClosedError("reset"), stale=False)
    assert up.service.breaker.state is State.CLOSED
    up.timers.fire()
    up.connect(attempt)
    attempt.failed(UpstreamClosedError("reset"), stale=False)
    assert up.service.breaker.state is State.OPEN


def test_a_client_that_leaves_is_neither_good_nor_bad() -> None:
    up = Up(1, guard=ONE, breaker=ONE)
    for streaming in (False, True):
        made, _, attempt = up.sent()
        if streaming:
            attempt.answered(Reply(200, []), RecordingSource(), up.clock())
        up.pipeline.left(made)
    assert (up.instances[0].good, up.instances[0].bad) == (0, 0)
    assert (up.instances[0].breaker.state, up.service.breaker.state) == (State.CLOSED, State.CLOSED)


def test_the_routes_deadline_is_a_timeout_of_who_was_asked() -> None:
    up = Up(1, guard=ONE, breaker=ONE)
    made, _, _ = up.sent()
    made.deadline = up.clock() + 1.0
    up.clock.advance(1.0)
    up.pipeline.fail(made, UpstreamTimeoutError("route_timeout"))
    assert (made.status, up.instances[0].refused) == (504, {"route_timeout": 1})
    assert (up.instances[0].breaker.state, up.service.breaker.state) == (State.OPEN, State.OPEN)


def test_but_not_when_the_client_has_not_sent_all_of_its_request() -> None:
    up = Up(1, guard=ONE, breaker=ONE)
    made, _, _ = up.sent(b"POST", length=9)
    made.deadline = up.clock() + 1.0
    up.clock.advance(1.0)
    up.pipeline.fail(made, UpstreamTimeoutError("route_timeout"))
    assert (up.instances[0].breaker.state, up.service.breaker.state) == (State.CLOSED, State.CLOSED)


def test_a_stale_connection_is_nobodys_failure() -> None:
    up = Up(1, guard=ONE, breaker=ONE)
    made, _, attempt = up.sent(b"POST")
    attempt.failed(STALE, stale=True)
    assert made.status == 502
    assert up.instances[0].breaker.state is State.CLOSED


# Slow calls


def test_an_answer_that_takes_long_to_come_whole_is_slow() -> None:
    up = Up(1, guard=SLOW, breaker=SLOW)
    _, _, attempt = up.sent()
    attempt.answered(Reply(200, []), RecordingSource(), up.clock.advance(1.0))
    up.clock.advance(4.5)
    attempt.finished()
    assert (up.instances[0].breaker.state, up.service.breaker.state) == (State.OPEN, State.OPEN)


def test_the_time_that_the_client_took_is_not_the_services() -> None:
    up = Up(1, guard=SLOW, breaker=SLOW)
    _, _, attempt = up.ask()
    connection = up.connect(attempt)
    attempt.answered(Reply(200, []), RecordingSource(), up.clock.advance(1.0))
    connection.waited = 3.0
    up.clock.advance(4.5)
    attempt.finished()
    assert (up.instances[0].breaker.state, up.service.breaker.state) == (State.CLOSED, State.CLOSED)


# Open


def test_an_open_service_is_503_with_its_state_and_when_to_come_back() -> None:
    up = Up(1, breaker=ONE)
    _, _, attempt = up.sent(b"POST")
    attempt.answered_whole(Reply(500, [], b""), up.clock())
    up.clock.advance(0.5)
    made, sink, _ = up.ask()
    assert sink.reply is not None
    problem = json.loads(sink.body)
    assert (made.status, made.reason, made.tries) == (503, "circuit_open", 0)
    assert (problem["code"], problem["state"], problem["retry_after"]) == ("circuit_open", "open", 30)
    assert dict(sink.reply.fields)[b"retry-after"] == b"30"
    assert up.service.counts["circuit_open"] == 1


def test_half_open_lets_only_so_many_through_and_their_success_closes_it() -> None:
    up = Up(1, breaker=ONE)
    _, _, attempt = up.sent(b"POST")
    attempt.answered_whole(Reply(500, [], b""), up.clock())
    up.clock.advance(30.0)
    first, _, attempt = up.sent()
    second, _, _ = up.ask()
    assert (first.status, second.status) == (0, 503)
    attempt.answered_whole(Reply(200, [], b""), up.clock())
    third, _, _ = up.ask()
    assert (first.status, third.status, up.service.breaker.state) == (200, 0, State.CLOSED)


def test_an_operators_word_counts() -> None:
    up = Up(1)
    up.service.breaker.force(State.FORCED_OPEN, up.clock())
    _, sink, _ = up.ask()
    assert json.loads(sink.body)["state"] == "forced_open"


def test_an_instance_whose_breaker_is_open_is_passed_over() -> None:
    up = Up(2, guard=ONE)
    up.trip(0)
    assert {up.ask()[0].instance for _ in range(6)} == {b"up1"}


def test_an_instance_that_is_kept_is_asked_all_the_same_and_its_ticket_counts_for_nothing() -> None:
    up = Up(2, guard=ONE)
    up.trip(0)
    up.trip(1)
    for each in up.instances:
        each.kept = True
    made, _, attempt = up.sent()
    generation = up.instances[0].breaker.generation
    attempt.answered_whole(Reply(200, [], b""), up.clock())
    assert (made.status, up.instances[0].breaker.generation) == (200, generation)


def test_when_every_breaker_refuses_that_is_said() -> None:
    up = Up(2, guard=ONE)
    up.trip(0)
    up.trip(1)
    made, _, _ = up.ask()
    assert (made.status, made.reason) == (503, "instances_open")
    assert up.service.breaker.state is State.CLOSED


# Trying out


def probing() -> Up:
    """Of two instances one is being tried out, and would be chosen next."""
    up = Up(2, guard=ONE)
    up.trip(0)
    up.clock.advance(30.0)
    return up


def test_a_post_is_not_used_to_try_an_instance_out_as_long_as_there_is_another() -> None:
    up = probing()
    assert {up.ask(b"POST")[0].instance for _ in range(4)} == {b"up1"}
    up.trip(1)
    assert up.ask(b"POST")[0].instance == b"up0"


def test_where_nothing_but_posts_comes_an_instance_comes_back_all_the_same() -> None:
    up = probing()
    up.clock.advance(4.9)
    assert {up.ask(b"POST")[0].instance for _ in range(4)} == {b"up1"}
    up.clock.advance(0.1)
    asked = [up.ask(b"POST") for _ in range(4)]
    (probe,) = [attempt for made, _, attempt in asked if made.instance == b"up0"]
    up.connect(probe)
    probe.answered_whole(Reply(200, [], b""), up.clock())
    assert up.instances[0].breaker.state is State.CLOSED


@pytest.mark.parametrize("whole", [True, False])
def test_a_get_that_tries_an_instance_out_does_not_pay_for_it(whole: bool) -> None:
    up = probing()
    made, sink, attempt = up.sent()
    assert made.instance == b"up0"
    if whole:
        attempt.answered_whole(Reply(500, [], b""), up.clock())
    else:
        attempt.answered(Reply(500, []), RecordingSource(), up.clock())
    assert (sink.calls, up.instances[0].breaker.state) == ([], State.OPEN)
    up.timers.fire()
    up.connect(attempt)
    attempt.answered_whole(Reply(200, [], b""), up.clock())
    assert (made.status, made.instance, made.tries) == (200, b"up1", 2)


def test_while_the_best_zone_is_tried_out_the_next_one_is_asked() -> None:
    up = Up(3, guard=ONE, zones="aab")
    up.trip(0)
    up.trip(1)
    up.clock.advance(30.0)
    assert {up.ask(b"POST")[0].instance for _ in range(4)} == {b"up2"}
    made = [up.ask()[0] for _ in range(4)]
    assert sorted(each.instance for each in made) == [b"up0", b"up1", b"up2", b"up2"]


def test_where_all_that_are_left_are_being_tried_out_nobody_is_turned_away() -> None:
    up = Up(2, guard=ONE)
    up.trip(0)
    up.trip(1)
    up.clock.advance(30.0)
    asked = [up.ask() for _ in range(6)]
    assert [made.status for made, _, _ in asked] == [0] * 6
    # Beyond the probes they count for nothing.
    for _, _, attempt in asked[2:]:
        up.connect(attempt)
        attempt.answered_whole(Reply(200, [], b""), up.clock())
    assert {each.breaker.state for each in up.instances} == {State.HALF_OPEN}


def test_only_so_many_try_an_instance_out_at_once() -> None:
    up = probing()
    assert [up.ask()[0].instance for _ in range(4)].count(b"up0") == 1


def test_an_answer_that_comes_after_the_breaker_has_changed_counts_for_nothing() -> None:
    up = Up(2, guard=ONE)
    up.pools[0].ready.append(ScriptedConnection())
    made, _, late = up.ask()
    assert made.instance == b"up0"
    up.trip(0)
    up.clock.advance(30.0)
    first, _, probe = up.sent()
    while first.instance != b"up0":
        first, _, probe = up.sent()
    late.answered_whole(Reply(200, [], b""), up.clock())
    assert up.instances[0].breaker.state is State.HALF_OPEN
    probe.answered_whole(Reply(200, [], b""), up.clock())
    assert up.instances[0].breaker.state is State.CLOSED
