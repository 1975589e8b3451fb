"""The breaker against a plain model that remembers every call, and each of its promises by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ttagw.core.breaker import LONGEST, REFUSED, Breaker, State
from ttagw.core.window import SLOTS


@dataclass(frozen=True)
class Limits:
    consecutive_failures: int = 3
    failure_ratio: float = 0.5
    minimum_calls: int = 10
    window: float = 30.0
    slow_call: float = 1.0
    slow_ratio: float = 1.0
    open_for: float = 60.0
    half_open_calls: int = 3


def fail(breaker: Breaker, times: int, now: float) -> None:
    for _ in range(times):
        breaker.failure(breaker.admit(now), 0.1, now)


def succeed(breaker: Breaker, times: int, now: float, seconds: float = 0.1) -> None:
    for _ in range(times):
        breaker.success(breaker.admit(now), seconds, now)


def opened(now: float = 0.0, **limits: float) -> Breaker:
    breaker = Breaker(Limits(**limits), now)  # type: ignore[arg-type]
    fail(breaker, breaker_streak(limits), now)
    assert breaker.state is State.OPEN
    return breaker


def breaker_streak(limits: dict[str, float]) -> int:
    return int(limits.get("consecutive_failures", 3))


def test_so_many_failures_in_a_row_open_it() -> None:
    breaker = Breaker(Limits(), 0.0)
    fail(breaker, 2, 0.0)
    succeed(breaker, 1, 0.0)
    fail(breaker, 2, 0.0)
    assert breaker.state is State.CLOSED
    fail(breaker, 1, 0.0)
    assert breaker.state is State.OPEN
    assert breaker.admit(59.9) == REFUSED
    assert breaker.wait(20.0) == 40.0


def test_a_share_of_failures_opens_it_once_there_are_enough_calls() -> None:
    breaker = Breaker(Limits(consecutive_failures=100), 0.0)
    succeed(breaker, 4, 0.0)
    fail(breaker, 4, 0.0)
    succeed(breaker, 1, 0.0)
    assert breaker.state is State.CLOSED
    fail(breaker, 1, 0.0)
    assert breaker.state is State.OPEN


def test_what_is_older_than_the_window_does_not_count() -> None:
    breaker = Breaker(Limits(consecutive_failures=100), 0.0)
    fail(breaker, 9, 0.0)
    fail(breaker, 9, 31.0)
    assert breaker.state is State.CLOSED
    fail(breaker, 1, 31.0)
    assert breaker.state is State.OPEN


def test_slow_calls_open_it() -> None:
    breaker = Breaker(Limits(slow_ratio=0.5), 0.0)
    succeed(breaker, 5, 0.0)
    succeed(breaker, 4, 0.0, seconds=1.1)
    assert breaker.state is State.CLOSED
    succeed(breaker, 1, 0.0, seconds=1.1)
    assert breaker.state is State.OPEN


def test_half_open_lets_a_bounded_number_try_and_their_success_closes_it() -> None:
    breaker = opened()
    tickets = [breaker.admit(60.0) for _ in range(10)]
    assert [ticket != REFUSED for ticket in tickets] == [True] * 3 + [False] * 7
    assert breaker.state is State.HALF_OPEN
    breaker.success(tickets[0], 0.1, 61.0)
    assert breaker.admit(61.0) == REFUSED
    breaker.success(tickets[1], 0.1, 61.0)
    breaker.success(tickets[2], 0.1, 61.0)
    assert breaker.state is State.CLOSED


def test_one_probe_that_fails_opens_it_for_twice_as_long_up_to_a_limit() -> None:
    breaker = opened()
    now, waits = 0.0, []
    for _ in range(5):
        now += breaker.wait(now)
        fail(breaker, 1, now)
        waits.append(breaker.wait(now))
    assert waits == [120.0, 240.0, LONGEST, LONGEST, LONGEST]


def test_who_waits_longer_than_the_limit_by_configuration_waits_that_long() -> None:
    breaker = opened(open_for=1000.0)
    fail(breaker, 1, 1000.0)
    assert breaker.wait(1000.0) == 1000.0


def test_doubling_is_forgotten_after_a_while_and_goes_on_before_that() -> None:
    for closed_for, seconds in ((10.0, 120.0), (300.0, 60.0)):
        breaker = opened()
        succeed(breaker, 3, 60.0)
        assert breaker.state is State.CLOSED
        fail(breaker, 3, 60.0 + closed_for)
        assert breaker.wait(60.0 + closed_for) == seconds


def test_slow_probes_do_not_close_it() -> None:
    breaker = opened()
    succeed(breaker, 3, 60.0, seconds=2.0)
    assert breaker.state is State.OPEN


def test_a_call_that_is_forgotten_gives_its_place_back() -> None:
    breaker = opened(half_open_calls=1)
    first = breaker.admit(60.0)
    assert breaker.admit(60.0) == REFUSED
    breaker.forget(first)
    succeed(breaker, 1, 60.0)
    assert breaker.state is State.CLOSED


def test_probes_that_do_not_end_keep_nobody_out_for_ever() -> None:
    breaker = opened(open_for=10.0, half_open_calls=2)
    streams = [breaker.admit(10.0), breaker.admit(12.0)]
    assert breaker.admit(21.5) == REFUSED
    later = [breaker.admit(22.0) for _ in range(3)]
    assert [bool(each) for each in later] == [True, True, False]
    breaker.success(streams[0], 0.1, 23.0)
    breaker.success(later[0], 0.1, 23.0)
    assert breaker.state is State.CLOSED


def test_a_late_answer_counts_for_nothing() -> None:
    breaker = Breaker(Limits(), 0.0)
    late = [breaker.admit(0.0) for _ in range(3)]
    fail(breaker, 3, 0.0)
    probe = breaker.admit(60.0)
    breaker.failure(late[0], 60.0, 60.0)
    breaker.forget(late[1])
    breaker.success(late[2], 60.0, 60.0)
    assert breaker.state is State.HALF_OPEN
    assert breaker.admit(60.0) != REFUSED
    assert breaker.admit(60.0) != REFUSED
    assert breaker.admit(60.0) == REFUSED
    breaker.failure(probe, 0.1, 60.0)
    assert breaker.state is State.OPEN


def test_an_operator_has_the_last_word() -> None:
    breaker = Breaker(Limits(), 0.0)
    breaker.force(State.FORCED_OPEN, 0.0)
    assert breaker.admit(1e9) == REFUSED
    assert breaker.wait(0.0) == 0.0
    breaker.force(State.FORCED_CLOSED, 0.0)
    fail(breaker, 1000, 0.0)
    assert breaker.admit(0.0) != REFUSED
    breaker.force(None, 0.0)
    assert breaker.state is State.CLOSED
    fail(breaker, 3, 0.0)
    breaker.force(None, 0.0)
    assert breaker.state is State.OPEN, "what is not forced is not released"
    with pytest.raises(ValueError, match="cannot be forced"):
        breaker.force(State.HALF_OPEN, 0.0)


def test_good_news_let_it_try_at_once() -> None:
    breaker = opened()
    breaker.hasten(5.0)
    assert breaker.admit(5.0) != REFUSED
    closed = Breaker(Limits(), 0.0)
    closed.hasten(5.0)
    assert closed.state is State.CLOSED


def test_how_long_it_could_have_been_tried_is_known() -> None:
    breaker = opened(open_for=10.0, half_open_calls=1)
    assert [breaker.overdue(now) for now in (0.0, 10.0, 14.0)] == [0.0, 0.0, 4.0]
    ticket = breaker.admit(14.0)
    assert breaker.overdue(15.0) == 5.0
    breaker.success(ticket, 0.1, 15.0)
    assert breaker.overdue(16.0) == 0.0


def test_changes_are_told() -> None:
    told: list[tuple[State, State]] = []
    breaker = Breaker(Limits(half_open_calls=1), 0.0, lambda before, after: told.append((before, after)))
    fail(breaker, 3, 0.0)
    succeed(breaker, 1, 60.0)
    assert told == [
        (State.CLOSED, State.OPEN),
        (State.OPEN, State.HALF_OPEN),
        (State.HALF_OPEN, State.CLOSED),
    ]


# Against a model


@dataclass
class Call:
    generation: int
    ticket: int


@dataclass
class Model:
    """Remembers every call of this generation with its slot; nothing is kept as a sum."""

    limits: Limits
    began: float
    state: State = State.CLOSED
    generation: int = 1
    calls: list[tuple[int, bool, bool]] = field(default_factory=list)
    streak: int = 0
    probes: int = 0
    passed: list[bool] = field(default_factory=list)
    trips: int = 0
    open_until: float = 0.0
    closed_at: float = 0.0
    probed: float = 0.0

    def begin(self, state: State, now: float) -> None:
        self.state, self.began = state, now
        self.generation += 1
        self.calls, self.passed, self.streak, self.probes = [], [], 0, 0

    def slot(self, now: float) -> int:
        return floor((now - self.began) / (self.limits.window / SLOTS))

    def admit(self, now: float) -> bool:
        if self.state is State.OPEN and now >= self.open_until:
            self.begin(State.HALF_OPEN, now)
        if self.state is State.HALF_OPEN:
            if self.probes + len(self.passed) >= self.limits.half_open_calls:
                if now < self.probed + self.limits.open_for:
                    return False
                self.probes = 0
            self.probes += 1
            self.probed = now
            return True
        return self.state in (State.CLOSED, State.FORCED_CLOSED)

    def seconds(self) -> float:
        return min(self.limits.open_for * 2**self.trips, max(LONGEST, self.limits.open_for))

    def open(self, now: float) -> None:
        if self.state is State.CLOSED and now - self.closed_at > 2 * self.seconds():
            self.trips = 0
        self.open_until = now + self.seconds()
        self.trips += 1
        self.begin(State.OPEN, now)

    def settle(self, good: bool, slow: bool, now: float) -> None:
        if self.state is State.HALF_OPEN:
            self.settle_probe(good, slow, now)
            return
        self.streak = 0 if good else self.streak + 1
        self.calls.append((self.slot(now), good, slow))
        recent = [each for each in self.calls if each[0] > self.slot(now) - SLOTS]
        failed, dragged = sum(not each[1] for each in recent), sum(each[2] for each in recent)
        limits = self.limits
        judged = self.state is State.CLOSED and (not good or slow)
        enough = len(recent) >= limits.minimum_calls
        if judged and (
            self.streak >= limits.consecutive_failures
            or (enough and failed / len(recent) >= limits.failure_ratio)
            or (enough and dragged / len(recent) >= limits.slow_ratio)
        ):
            self.open(now)

    def settle_probe(self, good: bool, slow: bool, now: float) -> None:
        if not good:
            self.open(now)
            return
        self.probes = max(0, self.probes - 1)
        self.passed.append(slow)
        if len(self.passed) == self.limits.half_open_calls:
            if sum(self.passed) / len(self.passed) >= self.limits.slow_ratio:
                self.open(now)
            else:
                self.closed_at = now
                self.begin(State.CLOSED, now)


class BreakerMachine(RuleBasedStateMachine):
    """Times are whole numbers and ratios halves, so that rounding cannot make the two differ."""

    @initialize(
        limits=st.builds(
            Limits,
            consecutive_failures=st.integers(1, 6),
            failure_ratio=st.sampled_from([0.25, 0.5, 1.0]),
            minimum_calls=st.integers(1, 8),
            window=st.sampled_from([10.0, 20.0]),
            slow_ratio=st.sampled_from([0.5, 1.0]),
            open_for=st.sampled_from([4.0, 64.0, 512.0]),
            half_open_calls=st.integers(1, 4),
        )
    )
    def begin(self, limits: Limits) -> None:
        self.now = 0.0
        self.real = Breaker(limits, 0.0)
        self.model = Model(limits, 0.0)
        self.under_way: list[Call] = []

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def wait_until_it_may_try(self) -> None:
        self.now += self.real.wait(self.now)

    @rule(times=st.integers(1, 4))
    def admit(self, times: int) -> None:
        for _ in range(times):
            allowed = self.model.admit(self.now)
            ticket = self.real.admit(self.now)
            assert (ticket != REFUSED) == allowed
            if allowed:
                self.under_way.append(Call(self.model.generation, ticket))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), good=st.booleans(), slow=st.booleans())
    def settle(self, data: st.DataObject, good: bool, slow: bool) -> None:
        call = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        settle = self.real.success if good else self.real.failure
        settle(call.ticket, 2.0 if slow else 0.5, self.now)
        if call.generation == self.model.generation:
            self.model.settle(good, slow, self.now)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        call = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        self.real.forget(call.ticket)
        if call.generation == self.model.generation and self.model.state is State.HALF_OPEN:
            self.model.probes = max(0, self.model.probes - 1)

    @rule(state=st.sampled_from([None, State.FORCED_OPEN, State.FORCED_CLOSED]))
    def force(self, state: State | None) -> None:
        forced = self.model.state in (State.FORCED_OPEN, State.FORCED_CLOSED)
        self.real.force(state, self.now)
        wanted = state or State.CLOSED
        if wanted is not self.model.state and (state is not None or forced):
            self.model.trips, self.model.closed_at = 0, self.now
            self.model.begin(wanted, self.now)

    @rule()
    def hasten(self) -> None:
        self.real.hasten(self.now)
        if self.model.state is State.OPEN:
            self.model.open_until = self.now

    @invariant()
    def agree(self) -> None:
        if hasattr(self, "real"):
            assert self.real.state is self.model.state
            assert self.real.generation == self.model.generation
            if self.model.state is State.OPEN:
                assert self.real.wait(self.now) == max(0.0, self.model.open_until - self.now)


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
