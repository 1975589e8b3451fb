"""What is tried again, where, when, and how often."""

from __future__ import annotations

import pytest

from tests.attempt.up import STALE, Up
from ttagw.attempt.blame import FAILED
from ttagw.core.balance import EQUAL, make
from ttagw.errors import (
    GatewayError,
    UpstreamBrokenError,
    UpstreamBusyError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from ttagw.model import HELD, UNKNOWN, Reply
from ttagw.testing import RecordingSource

REFUSED = UpstreamUnavailableError("connection_refused")
KEY = ((b"Idempotency-Key", b"k1"),)


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"])
def test_what_may_come_twice_goes_to_another_instance_after_a_pause(method: bytes) -> None:
    up = Up(2)
    made, sink, attempt = up.sent(method)
    first = made.instance
    attempt.failed(STALE, stale=False)
    assert (sink.calls, up.in_flight, made.work) == ([], [0, 0], attempt)
    assert 0.0 < up.timers.fire() <= 0.025
    assert made.instance != first
    assert (made.tries, sum(up.in_flight)) == (2, 1)


@pytest.mark.parametrize("method", [b"POST", b"PATCH"])
def test_what_may_not_come_twice_is_not_sent_again_once_it_was_sent(method: bytes) -> None:
    up = Up(2)
    made, _, attempt = up.sent(method)
    attempt.failed(STALE, stale=False)
    assert (made.tries, made.status, up.timers.waiting) == (1, 502, [])


def test_an_idempotency_key_says_that_a_post_may_come_twice() -> None:
    up = Up(2)
    made, _, attempt = up.sent(b"POST", fields=KEY)
    attempt.failed(STALE, stale=False)
    up.timers.fire()
    assert made.tries == 2


def test_there_are_two_more_tries_and_the_last_error_is_told() -> None:
    up = Up(4)
    made, sink, attempt = up.sent()
    for _ in range(2):
        attempt.failed(STALE, stale=False)
        up.timers.fire()
        up.connect(attempt)
    attempt.failed(STALE, stale=False)
    assert (made.tries, made.status, made.reason, sink.calls) == (3, 502, "closed_before_answer", ["start"])
    assert [label for label, _, _ in made.failed] == [b"up0", b"up1", b"up2"]


def test_where_there_is_one_instance_it_is_asked_again_when_it_may_just_have_started_anew() -> None:
    up = Up(1)
    made, _, attempt = up.ask()
    up.pools[0].line.clear()
    attempt.refused(REFUSED)
    assert 0.0 < up.timers.fire() <= 0.025
    up.pools[0].line.clear()
    attempt.refused(REFUSED)
    assert 0.0 < up.timers.fire() <= 0.05
    assert made.tries == 3


@pytest.mark.parametrize(
    "error", [UpstreamTimeoutError("response_timeout"), UpstreamBrokenError("bad_head")], ids=["slow", "broken"]
)
def test_who_is_slow_or_talks_nonsense_is_not_asked_for_the_same_again(error: GatewayError) -> None:
    up = Up(1)
    made, _, attempt = up.sent()
    attempt.failed(error, stale=False)
    assert (made.tries, made.status) == (1, error.status)
    two = Up(2)
    made, _, attempt = two.sent()
    attempt.failed(error, stale=False)
    two.timers.fire()
    assert (made.tries, made.instance) == (2, b"up1")


def test_a_busy_instance_is_left_for_another_one_and_is_not_to_blame() -> None:
    up = Up(2)
    made, _, attempt = up.ask(b"POST")
    up.pools[0].line.clear()
    attempt.refused(UpstreamBusyError("queue_timeout"))
    assert (made.tries, up.instances[0].bad, made.failed) == (2, 0, ())


@pytest.mark.parametrize("left", [0.01, 0.0])
def test_there_is_no_try_for_which_there_is_no_time(left: float) -> None:
    up = Up(2)
    made, _, attempt = up.ask()
    made.deadline = up.clock() + left
    up.connect(attempt)
    attempt.failed(STALE, stale=False)
    assert (made.tries, made.status) == (1, 502)


def test_a_budget_bounds_the_tries_of_all_together() -> None:
    up = Up(2, share=0.2)
    made = []
    for _ in range(10):
        one, _, attempt = up.sent()
        attempt.failed(STALE, stale=False)
        made.append(one)
    assert [each.status for each in made].count(0) == 3
    assert up.service.counts["budget_exhausted"] == 7
    assert up.service.counts["retries"] == 3


def test_going_elsewhere_because_nobody_took_the_connection_needs_no_budget() -> None:
    up = Up(2, share=0.0)
    for _ in range(20):
        made, _, attempt = up.ask(b"POST")
        [pool] = [each for each in up.pools if attempt in each.line]
        pool.line.clear()
        attempt.refused(REFUSED)
        assert made.tries == 2
        up.pipeline.left(made)


def test_a_zone_is_left_when_nothing_in_it_is_untried() -> None:
    up = Up(3, zones="aab")
    made, _, attempt = up.ask()
    seen = [made.instance]
    for _ in range(2):
        [pool] = [each for each in up.pools if attempt in each.line]
        pool.line.clear()
        attempt.refused(REFUSED)
        seen.append(made.instance)
    assert (set(seen[:2]), seen[2]) == ({b"up0", b"up1"}, b"up2")


def test_who_leaves_while_a_try_is_put_off_is_not_tried_again() -> None:
    up = Up(2)
    made, _, attempt = up.sent()
    attempt.failed(STALE, stale=False)
    up.pipeline.left(made)
    assert (up.timers.waiting, made.status, up.in_flight) == ([], 499, [0, 0])


def test_when_nobody_is_left_a_put_off_try_ends_in_that() -> None:
    up = Up(2)
    made, _, attempt = up.sent()
    attempt.failed(STALE, stale=False)
    up.service.offer(())
    up.timers.fire()
    assert (made.status, made.reason) == (503, "no_healthy_instance")


def test_without_an_instance_nobody_is_asked() -> None:
    up = Up(0)
    made, sink, _ = up.ask()
    assert (made.status, made.reason, made.tries) == (503, "no_healthy_instance", 0)
    assert sink.reply is not None
    assert dict(sink.reply.fields)[b"retry-after"] == b"1"


# Bodies


def test_a_body_that_is_held_is_sent_again() -> None:
    up = Up(2)
    source = RecordingSource()
    made, _, attempt = up.ask(b"PUT", length=6, source=source)
    made.body.feed(b"abc")
    up.connect(attempt)
    assert made.body.take() == b"abc"
    made.body.attach(_Taker())
    made.body.feed(b"def")
    made.body.end()
    made.body.detach()
    attempt.failed(STALE, stale=False)
    up.timers.fire()
    assert (made.tries, made.body.take(), made.body.complete) == (2, b"abcdef", True)


def test_a_body_that_goes_on_coming_is_sent_again_from_its_beginning() -> None:
    up = Up(2)
    made, _, attempt = up.sent(b"PUT", length=UNKNOWN)
    made.body.attach(_Taker())
    made.body.feed(b"abc")
    made.body.detach()
    attempt.failed(STALE, stale=False)
    made.body.feed(b"def")
    up.timers.fire()
    assert made.body.take() == b"abcdef"
    taker = _Taker()
    made.body.attach(taker)
    made.body.feed(b"ghi")
    assert taker.got == b"ghi"


def test_a_body_that_is_not_held_any_more_is_not_sent_again() -> None:
    up = Up(2)
    made, _, attempt = up.sent(b"PUT", length=HELD + 1)
    made.body.attach(_Taker())
    made.body.feed(b"x" * (HELD + 1))
    made.body.end()
    attempt.failed(STALE, stale=False)
    assert (made.tries, made.status, up.timers.waiting) == (1, 502, [])


def test_a_large_body_that_nobody_has_begun_to_take_goes_elsewhere() -> None:
    up = Up(2)
    made, _, attempt = up.ask(b"POST", length=HELD + 1)
    made.body.feed(b"x" * (HELD + 1))
    up.pools[0].line.clear()
    attempt.refused(REFUSED)
    assert (made.tries, len(made.body.take())) == (2, HELD + 1)


class _Taker:
    def __init__(self) -> None:
        self.got = b""

    def body_chunk(self, data: bytes) -> None:
        self.got += data

    def body_end(self) -> None: ...


# Answers that are as good as none


@pytest.mark.parametrize("whole", [True, False])
def test_a_listed_status_is_tried_again(whole: bool) -> None:
    up = Up(2, statuses=(503,))
    made, sink, attempt = up.ask()
    connection = up.connect(attempt)
    _answer(attempt, 503, whole, up)
    assert sink.calls == []
    assert connection.abandoned is not whole
    up.timers.fire()
    up.connect(attempt)
    _answer(attempt, 200, True, up)
    assert (made.status, made.tries, made.failed[0][1]) == (200, 2, "status_503")


@pytest.mark.parametrize(("status", "method"), [(500, b"GET"), (503, b"POST")])
def test_other_statuses_and_what_may_not_come_twice_are_passed_on(status: int, method: bytes) -> None:
    up = Up(2, statuses=(503,))
    made, _, attempt = up.sent(method)
    _answer(attempt, status, True, up)
    assert (made.status, made.tries, up.instances[0].bad) == (status, 1, 1)


def test_when_no_try_is_left_the_bad_answer_is_the_answer() -> None:
    up = Up(2, statuses=(503,), retries=0)
    made, sink, attempt = up.sent()
    _answer(attempt, 503, True, up)
    assert (made.status, sink.body, made.reason) == (503, b"body", "")


def _answer(attempt: object, status: int, whole: bool, up: Up) -> None:
    now = up.clock.advance(0.1)
    if whole:
        attempt.answered_whole(Reply(status, [], b"body"), now)  # type: ignore[attr-defined]
    else:
        attempt.answered(Reply(status, []), RecordingSource(), now)  # type: ignore[attr-defined]


# Somebody who was asked turns out to be down


def test_a_get_that_waits_for_an_instance_that_is_down_goes_elsewhere() -> None:
    up = Up(2)
    made, sink, attempt = up.ask()
    connection = up.connect(attempt)
    attempt.move()
    assert (connection.abandoned, sink.calls, sum(up.in_flight), up.instances[0].bad) == (True, [], 0, 1)
    up.timers.fire()
    assert (made.tries, made.instance, made.failed[0][1]) == (2, b"up1", "instance_down")


@pytest.mark.parametrize("why", ["post", "alone", "begun", "put off", "no budget"])
def test_who_cannot_go_elsewhere_goes_on_waiting(why: str) -> None:
    up = Up(1 if why == "alone" else 2, share=0.0 if why == "no budget" else 1.0)
    made, _, attempt = up.ask(b"POST" if why == "post" else b"GET")
    connection = up.connect(attempt)
    if why == "begun":
        attempt.answered(Reply(200, []), RecordingSource(), up.clock())
    elif why == "put off":
        attempt.failed(STALE, stale=False)
    attempt.move()
    assert not connection.abandoned
    assert made.tries == 1
    assert not made.over


def test_a_change_of_tries_that_race_leaves_the_other() -> None:
    up = Up(3)
    made, _, first = up.sent(hedge=0.1)
    up.timers.fire()
    first.move()
    assert made.work is first or made.work is first._rival  # type: ignore[attr-defined]
    up.pipeline.left(made)
    assert (sum(up.in_flight), up.timers.waiting) == (0, [])


def test_an_empty_idempotency_key_is_none() -> None:
    up = Up(2)
    made, _, attempt = up.sent(b"POST", fields=((b"idempotency-key", b""),))
    attempt.failed(STALE, stale=False)
    assert (made.tries, made.status) == (1, 502)


@pytest.mark.parametrize("whole", [True, False])
def test_who_fails_fast_does_not_look_fast(whole: bool) -> None:
    up = Up(2)
    up.service.chooser = make("p2c", lambda: 0.0)
    made, _, attempt = up.sent(b"POST")
    if whole:
        attempt.answered_whole(Reply(500, [], b""), up.clock())
    else:
        attempt.answered(Reply(500, []), RecordingSource(), up.clock())
        attempt.finished()
    assert (made.status, up.instances[0].latency) == (500, FAILED)
    assert FAILED > EQUAL
