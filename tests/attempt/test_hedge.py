"""Two tries at once: the first good answer is the answer, and nothing is left of the other."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.attempt.up import STALE, Up
from ttagw.attempt import Attempt, forward_to
from ttagw.attempt.hedge import HedgedAttempt
from ttagw.errors import UpstreamClosedError, UpstreamTimeoutError, UpstreamUnavailableError
from ttagw.model import Exchange, Reply
from ttagw.testing import RecordingSink, RecordingSource, ScriptedConnection, exchange


def racing(**more: object) -> tuple[Up, Exchange, RecordingSink, HedgedAttempt, HedgedAttempt]:
    """A GET that is under way at two instances."""
    up = Up(3, **more)  # type: ignore[arg-type]
    made, sink, first = up.sent(hedge=0.1)
    assert up.timers.fire() == 0.1
    assert isinstance(first, HedgedAttempt)
    second = first._rival
    assert second is not None
    up.connect(second)
    return up, made, sink, first, second


def test_an_answer_in_time_starts_no_second_try() -> None:
    up = Up(2)
    made, _, attempt = up.sent(hedge=0.1)
    attempt.answered_whole(Reply(200, [], b""), up.clock())
    assert (up.timers.waiting, made.tries, up.service.counts) == ([], 1, {})


@pytest.mark.parametrize("winner", [0, 1])
@pytest.mark.parametrize("whole", [True, False])
def test_the_first_answer_is_passed_on_and_the_other_try_is_let_go(winner: int, whole: bool) -> None:
    up, made, sink, *both = racing()
    won, lost = both[winner], both[1 - winner]
    connection = lost._connection
    assert isinstance(connection, ScriptedConnection)
    if whole:
        won.answered_whole(Reply(200, [], b"ok"), up.clock())
    else:
        won.answered(Reply(200, []), RecordingSource(), up.clock())
        assert made.work is won
        won.finished()
        sink.finish()
    assert connection.abandoned
    assert (made.status, made.over, sum(up.in_flight)) == (200, True, 0)
    assert made.instance == b"up%d" % winner
    assert up.service.counts.get("hedges_won", 0) == winner
    assert sum(each.good for each in up.instances) == 1
    assert sum(each.bad for each in up.instances) == 0


@pytest.mark.parametrize("loser", [0, 1])
def test_a_try_that_fails_leaves_the_exchange_to_the_other(loser: int) -> None:
    up, made, sink, *both = racing(retries=0)
    both[loser].failed(UpstreamTimeoutError("response_timeout"), stale=False)
    assert (sink.calls, made.work) == ([], both[1 - loser])
    both[1 - loser].answered_whole(Reply(200, [], b"ok"), up.clock())
    assert (made.status, sum(up.in_flight), made.work) == (200, 0, None)
    assert (made.instance, made.failed[0][0]) == (b"up%d" % (1 - loser), b"up%d" % loser)


@pytest.mark.parametrize("first", [0, 1])
def test_when_both_fail_the_exchange_does(first: int) -> None:
    up, made, sink, *both = racing(retries=0)
    both[first].failed(UpstreamClosedError("one"), stale=False)
    both[1 - first].failed(UpstreamClosedError("two"), stale=False)
    assert (made.status, made.reason, sink.calls, sum(up.in_flight)) == (502, "two", ["start"], 0)


@pytest.mark.parametrize("bad", [0, 1])
@pytest.mark.parametrize("whole", [True, False])
def test_a_5xx_is_not_the_answer_while_the_other_may_bring_a_better_one(bad: int, whole: bool) -> None:
    up, made, sink, *both = racing()
    if whole:
        both[bad].answered_whole(Reply(500, [], b""), up.clock())
    else:
        both[bad].answered(Reply(500, []), RecordingSource(), up.clock())
    assert sink.calls == []
    both[1 - bad].answered_whole(Reply(200, [], b""), up.clock())
    assert (made.status, sum(up.in_flight)) == (200, 0)


def test_who_leaves_leaves_both() -> None:
    up, made, _, first, second = racing()
    connections = [first._connection, second._connection]
    up.pipeline.left(made)
    assert all(isinstance(each, ScriptedConnection) and each.abandoned for each in connections)
    assert (sum(up.in_flight), made.status) == (0, 499)


def test_who_leaves_before_the_second_try_stops_its_clock() -> None:
    up = Up(2)
    made, _, _ = up.sent(hedge=0.1)
    up.pipeline.left(made)
    assert up.timers.waiting == []


def test_there_is_no_second_try_without_somebody_else_or_a_budget() -> None:
    alone = Up(1)
    made, _, _ = alone.sent(hedge=0.1)
    alone.timers.fire()
    poor = Up(2, share=0.0)
    other, _, _ = poor.sent(hedge=0.1)
    poor.timers.fire()
    assert (made.tries, other.tries) == (1, 1)


def test_only_a_get_without_a_body_is_hedged() -> None:
    up = Up(2)
    forward = forward_to(lambda each: up.service, None, 0.1)
    for method, length, timers in ((b"POST", 0, 0), (b"GET", 3, 0), (b"HEAD", 0, 0), (b"GET", 0, 1)):
        forward(up.pipeline, exchange(method, length=length))
        assert len(up.timers.waiting) == timers


class Machine(RuleBasedStateMachine):
    """Hedged exchanges under anything that can happen: each is answered once, and what is taken is given back."""

    @initialize(count=st.integers(1, 3), retries=st.integers(0, 2))
    def begin(self, count: int, retries: int) -> None:
        self.up = Up(count, retries=retries, statuses=(503,))
        self.all: list[tuple[Exchange, RecordingSink]] = []

    def _racers(self) -> list[Attempt]:
        found: list[Attempt] = []
        for made, _ in self.all:
            if isinstance(made.work, HedgedAttempt):
                found += [each for each in (made.work, made.work._rival) if each is not None]
        return found

    @rule()
    def ask(self) -> None:
        made, sink, _ = self.up.ask(hedge=0.1)
        self.all.append((made, sink))

    @precondition(lambda self: self.up.timers.waiting)
    @rule()
    def time_passes(self) -> None:
        self.up.clock.advance(0.1)
        self.up.timers.fire()

    @precondition(lambda self: any(each.line for each in self.up.pools))
    @rule(number=st.integers(0, 99), good=st.booleans())
    def connect(self, number: int, good: bool) -> None:
        lines = [(pool, waiter) for pool in self.up.pools for waiter in pool.line]
        pool, waiter = lines[number % len(lines)]
        pool.line.remove(waiter)
        if good:
            waiter.connected(ScriptedConnection())
        else:
            waiter.refused(UpstreamUnavailableError("connection_refused"))

    @precondition(lambda self: any(each._connection is not None for each in self._racers()))
    @rule(number=st.integers(0, 99), how=st.sampled_from(["whole", "stream", "bad", "bad-stream", "fail"]))
    def reply(self, number: int, how: str) -> None:
        sent = [each for each in self._racers() if each._connection is not None]
        attempt = sent[number % len(sent)]
        sink = attempt._exchange.sink
        if how == "fail" or sink.started:
            attempt.failed(STALE, stale=False)
        elif how in ("whole", "bad"):
            attempt.answered_whole(Reply(200 if how == "whole" else 503, [], b"x"), self.up.clock.advance(0.1))
        else:
            attempt.answered(Reply(200 if how == "stream" else 503, []), RecordingSource(), self.up.clock.advance(0.1))
            if sink.started and number % 2:
                attempt.finished()
                sink.finish()  # type: ignore[attr-defined]

    @precondition(lambda self: self.all)
    @rule(number=st.integers(0, 99))
    def leave(self, number: int) -> None:
        self.up.pipeline.left(self.all[number % len(self.all)][0])

    @invariant()
    def each_exchange_is_answered_and_ended_once(self) -> None:
        if hasattr(self, "up"):
            assert all(sink.calls.count("start") <= 1 for _, sink in self.all)
            assert all(self.up.ends[id(made)] == made.over for made, _ in self.all)
            assert min(self.up.in_flight) >= 0

    def teardown(self) -> None:
        if hasattr(self, "up"):
            for made, _ in self.all:
                self.up.pipeline.left(made)
            assert sum(self.up.in_flight) == 0
            assert [each.line for each in self.up.pools] == [[]] * len(self.up.pools)
            assert self.up.timers.waiting == []
            assert all(made.over and made.work is None for made, _ in self.all)


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestMachine = Machine.TestCase
