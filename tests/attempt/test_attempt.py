from __future__ import annotations

from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.attempt.up import STALE, Up
from ttagw.attempt import Attempt
from ttagw.core.balance import make
from ttagw.errors import ConnectTimeoutError, UpstreamClosedError, UpstreamUnavailableError
from ttagw.model import Exchange, Reply
from ttagw.testing import (
    RecordingSink,
    RecordingSource,
    ScriptedConnection,
    ScriptedPool,
)


def test_a_ready_connection_is_used_at_once() -> None:
    up, connection = Up(1), ScriptedConnection()
    up.pools[0].ready.append(connection)
    made, _, attempt = up.ask()
    assert (connection.attempt, connection.target, up.in_flight) == (attempt, b"/up", [1])
    assert (made.instance, made.tries, made.work) == (b"up0", 1, attempt)


def test_an_answer_is_timed_and_passed_on_and_the_instance_given_back() -> None:
    up = Up(1)
    made, sink, attempt = up.ask()
    up.clock.advance(5.0)
    attempt.connected(ScriptedConnection())
    attempt.answered(Reply(200, [], None, 2), RecordingSource(), up.clock.advance(0.25))
    assert (made.upstream_seconds, up.in_flight, sink.started) == (0.25, [1], True)
    assert made.work is attempt
    attempt.finished()
    sink.finish()
    assert (up.in_flight, made.work, made.over) == ([0], None, True)


def test_a_whole_answer_is_timed_and_passed_on() -> None:
    up = Up(1)
    made, sink, attempt = up.ask()
    attempt.connected(ScriptedConnection())
    attempt.answered_whole(Reply(200, [], b"ok"), up.clock.advance(0.5))
    assert (made.upstream_seconds, up.in_flight, sink.body, made.over) == (0.5, [0], b"ok", True)


def test_refused_by_one_instance_the_next_is_tried() -> None:
    up = Up(3)
    made, sink, attempt = up.ask()
    first = made.instance
    attempt.refused(UpstreamUnavailableError("connection_refused"))
    assert (made.tries, sum(up.in_flight)) == (2, 1)
    second = made.instance
    attempt.refused(UpstreamUnavailableError("connection_refused"))
    assert len({first, second, made.instance}) == 3
    attempt.refused(ConnectTimeoutError("connect_timeout"))
    assert (sum(up.in_flight), made.tries, made.status, made.reason) == (0, 3, 504, "connect_timeout")
    assert sink.calls == ["start"]


def test_a_post_is_tried_elsewhere_when_nothing_was_sent() -> None:
    up = Up(2)
    made, _, attempt = up.ask(b"POST", length=3)
    attempt.refused(UpstreamUnavailableError("connection_refused"))
    assert made.tries == 2


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"])
def test_a_stale_connection_is_tried_once_more_on_a_fresh_one(method: bytes) -> None:
    up = Up(1)
    made, _, attempt = up.ask(method)
    attempt.connected(ScriptedConnection(fresh=False))
    attempt.failed(STALE, stale=True)
    assert (made.tries, up.in_flight) == (2, [1])
    assert up.pools[0].asked == [False, True]
    attempt.connected(ScriptedConnection())
    up.service.retries.most = 0
    attempt.failed(STALE, stale=True)
    assert (made.tries, made.status, up.in_flight) == (2, 502, [0])


@pytest.mark.parametrize(("method", "length"), [(b"POST", 0), (b"POST", 3), (b"PATCH", 0)])
def test_what_cannot_be_sent_twice_is_not(method: bytes, length: int) -> None:
    up = Up(1)
    made, _, attempt = up.ask(method, length=length)
    attempt.connected(ScriptedConnection(fresh=False))
    attempt.failed(STALE, stale=True)
    assert (made.tries, made.status, up.in_flight) == (1, 502, [0])


def test_a_failure_after_something_came_is_the_exchanges_own() -> None:
    up = Up(2)
    made, sink, attempt = up.ask()
    attempt.connected(ScriptedConnection())
    attempt.answered(Reply(200, []), RecordingSource(), up.clock())
    attempt.failed(STALE, stale=False)
    assert (made.tries, sink.calls, up.in_flight) == (1, ["start", "abort"], [0, 0])
    assert up.timers.waiting == []


def test_who_leaves_the_line_is_not_called_any_more() -> None:
    up = Up(1)
    made, _, _ = up.ask()
    up.pipeline.left(made)
    assert (up.pools[0].line, up.in_flight, made.work) == ([], [0], None)


def test_who_leaves_during_the_answer_abandons_the_connection() -> None:
    up, connection = Up(1), ScriptedConnection()
    made, _, attempt = up.ask()
    attempt.connected(connection)
    up.pipeline.left(made)
    assert (connection.abandoned, up.in_flight, made.status) == (True, [0], 499)


class Machine(RuleBasedStateMachine):
    """Exchanges, pools and connections in any order: what is taken is given back, and each exchange ends once."""

    @initialize(count=st.integers(1, 3))
    def begin(self, count: int) -> None:
        self.up = Up(count, statuses=(503,))
        self.all: list[tuple[Exchange, RecordingSink]] = []

    def _lines(self) -> list[tuple[ScriptedPool, Attempt]]:
        return [(pool, waiter) for pool in self.up.pools for waiter in pool.line]  # type: ignore[misc]

    def _sent(self) -> list[ScriptedConnection]:
        alive = [made.work for made, _ in self.all if isinstance(made.work, Attempt)]
        return [work._connection for work in alive if work._connection is not None]  # type: ignore[misc]

    @rule(method=st.sampled_from([b"GET", b"POST"]), length=st.sampled_from([0, 5]))
    def ask(self, method: bytes, length: int) -> None:
        made, sink, _ = self.up.ask(method, length=length)
        self.all.append((made, sink))

    @rule(place=st.integers(0, 2), fresh=st.booleans())
    def ready(self, place: int, fresh: bool) -> None:
        self.up.pools[place % len(self.up.pools)].ready.append(ScriptedConnection(fresh=fresh))

    @precondition(lambda self: self._lines())
    @rule(number=st.integers(0, 99), fresh=st.booleans())
    def connect(self, number: int, fresh: bool) -> None:
        pool, waiter = self._lines()[number % len(self._lines())]
        pool.line.remove(waiter)
        waiter.connected(ScriptedConnection(fresh=fresh))

    @precondition(lambda self: self._lines())
    @rule(number=st.integers(0, 99))
    def refuse(self, number: int) -> None:
        pool, waiter = self._lines()[number % len(self._lines())]
        pool.line.remove(waiter)
        waiter.refused(UpstreamUnavailableError("connection_refused"))

    @precondition(lambda self: self._sent())
    @rule(number=st.integers(0, 99), how=st.sampled_from(["whole", "stream", "bad", "bad-stream", "fail", "stale"]))
    def reply(self, number: int, how: str) -> None:
        connection = self._sent()[number % len(self._sent())]
        attempt = connection.attempt
        assert attempt is not None
        sink = attempt._exchange.sink
        if how == "fail" or sink.started:
            attempt.failed(STALE, stale=False)
        elif how == "stale":
            attempt.failed(STALE, stale=not connection.fresh)
        elif how == "whole":
            attempt.answered_whole(Reply(200, [], b"ok"), self.up.clock.advance(0.1))
        elif how == "bad":
            attempt.answered_whole(Reply(503, [], b"no"), self.up.clock.advance(0.1))
        elif how == "bad-stream":
            attempt.answered(Reply(503, []), RecordingSource(), self.up.clock.advance(0.1))
        else:
            attempt.answered(Reply(200, []), RecordingSource(), self.up.clock.advance(0.1))
            if number % 2:
                attempt.finished()
                sink.finish()

    @precondition(lambda self: self.all)
    @rule(number=st.integers(0, 99), left=st.booleans())
    def leave(self, number: int, left: bool) -> None:
        made, _ = self.all[number % len(self.all)]
        if left:
            self.up.pipeline.left(made)
        else:
            self.up.pipeline.fail(made, UpstreamClosedError("any"))

    @precondition(lambda self: self.up.timers.waiting)
    @rule()
    def time_passes(self) -> None:
        self.up.timers.fire()

    @invariant()
    def each_exchange_under_way_holds_one_instance_or_waits_to_be_tried_again(self) -> None:
        if hasattr(self, "up"):
            waiting = len(self.up.timers.waiting)
            assert sum(self.up.in_flight) + waiting == len([made for made, _ in self.all if not made.over])
            assert min(self.up.in_flight) >= 0

    @invariant()
    def each_exchange_is_answered_and_ended_once(self) -> None:
        if hasattr(self, "up"):
            assert all(sink.calls.count("start") <= 1 for _, sink in self.all)
            assert all(self.up.ends[id(made)] == made.over for made, _ in self.all)

    def teardown(self) -> None:
        if hasattr(self, "up"):
            for made, _ in self.all:
                self.up.pipeline.left(made)
            assert sum(self.up.in_flight) == 0
            assert self._lines() == []
            assert self.up.timers.waiting == []
            assert all(made.over and made.work is None for made, _ in self.all)


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestMachine = Machine.TestCase


def test_an_instance_that_fails_looks_slower_than_one_that_takes_long() -> None:
    up = Up(2)
    up.service.chooser = make("p2c", Random(7).random)
    bad = 0
    for _ in range(300):
        for pool in up.pools:
            pool.ready.append(ScriptedConnection())
        made, _, attempt = up.ask()
        now = up.clock.advance(0.5)
        if made.instance == b"up1":
            bad += 1
            attempt.failed(UpstreamClosedError("closed_before_answer"), stale=False)
        else:
            attempt.answered_whole(Reply(200, [], b"ok"), now + 20.0)
    assert bad < 100
    assert up.instances[1].latency <= 600.0


def test_failures_now_and_then_do_not_hide_which_instance_is_slow() -> None:
    up = Up(4)
    up.service.chooser = make("p2c", Random(7).random)
    takes = [0.005, 0.005, 0.005, 0.05]
    asked = [0, 0, 0, 0]
    for number in range(4000):
        for pool in up.pools:
            pool.ready = [ScriptedConnection()]
        made, _, attempt = up.ask(b"POST")
        place = int(made.instance[2:])
        asked[place] += 1
        now = up.clock.advance(takes[place])
        if number % 100:
            attempt.answered_whole(Reply(200, [], b"ok"), now)
        else:
            attempt.failed(UpstreamClosedError("closed_before_answer"), stale=False)
    assert asked[3] < 20
    assert max(each.latency for each in up.instances) < 0.1
