"""The meter against what it stands for: a log of everything that was admitted, looked through each time."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ttagw.core.gcra import INFINITE, Meter


class Bucket:
    """One bucket of a meter."""

    def __init__(self, rate: float, burst: float, now: float = 0.0) -> None:
        self.meter = Meter(rate, burst, now)
        self.empty = 0.0

    def take(self, now: float, cost: float = 1.0) -> bool:
        meter = self.meter
        after = meter.charged(self.empty, meter.at(now), cost)
        fits = meter.fits(after, meter.at(now))
        if fits:
            self.empty = after
        return fits

    def left(self, now: float) -> float:
        return self.meter.left(self.empty, self.meter.at(now))

    def reset(self, now: float) -> float:
        return self.meter.reset(self.empty, self.meter.at(now))

    def wait(self, now: float, cost: float = 1.0) -> float:
        meter = self.meter
        return meter.wait(meter.charged(self.empty, meter.at(now), cost), meter.at(now), cost)


# Plain cases


def test_a_burst_fits_and_not_one_more() -> None:
    bucket = Bucket(100 / 60, 200)
    assert [bucket.take(0.0) for _ in range(201)] == [True] * 200 + [False]
    assert bucket.left(0.0) == 0.0
    assert bucket.reset(0.0) == pytest.approx(120.0)
    assert bucket.wait(0.0) == pytest.approx(0.6)


def test_what_leaks_is_there_again() -> None:
    bucket = Bucket(2.0, 4)
    assert [bucket.take(0.0) for _ in range(5)] == [True] * 4 + [False]
    assert [bucket.take(1.0) for _ in range(3)] == [True, True, False]
    assert bucket.left(2.0) == 2.0
    assert bucket.left(3.0) == bucket.left(1e9) == 4.0
    assert bucket.reset(3.0) == bucket.wait(3.0) == 0.0


def test_what_costs_more_than_there_can_be_never_fits() -> None:
    bucket = Bucket(1.0, 3)
    assert not bucket.take(0.0, 4.0)
    assert bucket.wait(0.0, 4.0) == INFINITE
    assert bucket.wait(0.0, 3.0) == 0.0
    assert bucket.left(0.0) == 3.0


def test_nothing_can_be_asked_for_at_any_time() -> None:
    bucket = Bucket(1.0, 1)
    assert bucket.take(0.0)
    assert bucket.take(0.0, 0.0)
    assert not bucket.take(0.0, 0.25)


def test_thirds_add_up() -> None:
    bucket = Bucket(0.001, 200)
    assert [bucket.take(0.0, 1 / 3) for _ in range(601)] == [True] * 600 + [False]


@pytest.mark.parametrize("started", [0.0, 1e5, 3e7])
@pytest.mark.parametrize(("rate", "burst"), [(1e-4, 1), (5 / 3, 200), (50.0, 100), (1e6, 1e6), (1e9, 1e9)])
def test_who_waits_as_long_as_was_said_is_let_through(rate: float, burst: float, started: float) -> None:
    bucket = Bucket(rate, burst, started)
    now = started + 12345.678
    cost = max(1.0, burst / 1000)
    assert bucket.take(now, float(burst))
    assert not bucket.take(now, cost)
    for _ in range(100):
        wait = bucket.wait(now, cost)
        assert wait > 0.0
        assert not bucket.take(now + wait * 0.99, cost)
        now += wait
        assert bucket.take(now, cost)


# Changes


@pytest.mark.parametrize("cost", [1.0, 1 / 3])
@pytest.mark.parametrize("rate", [100 / 86400, 100 / 60, 1000.0, 1e5])
def test_after_years_it_is_as_exact_as_on_the_first_day(rate: float, cost: float) -> None:
    started, years = 12_345.678, 3e8
    bucket = Bucket(rate, 10.0, started)
    bucket.meter.change(rate, 10.0, started + years / 3)
    now = started + years
    tries = 20_000
    step = cost / rate / 2  # twice as often as fits
    fitted = sum([bucket.take(now + number * step, cost) for number in range(tries)])
    assert fitted * cost == pytest.approx(10.0 + tries * cost / 2, rel=0.005, abs=1.0)


def test_a_change_forgets_nothing_and_gives_nothing() -> None:
    bucket = Bucket(1.0, 10)
    assert [bucket.take(0.0) for _ in range(8)] == [True] * 8
    bucket.meter.change(4.0, 10, 2.0)
    assert bucket.left(2.0) == 4.0
    assert bucket.left(3.0) == 8.0
    bucket.meter.change(4.0, 3, 3.0)
    assert bucket.left(3.0) == 1.0
    assert [bucket.take(3.0), bucket.take(3.0)] == [True, False]


def test_less_than_was_used_refuses_until_that_has_leaked() -> None:
    bucket = Bucket(1.0, 10)
    assert [bucket.take(0.0) for _ in range(10)] == [True] * 10
    bucket.meter.change(1.0, 2, 0.0)
    assert bucket.left(0.0) == 0.0
    assert bucket.wait(0.0) == 9.0
    assert [bucket.take(8.5), bucket.take(9.0), bucket.take(9.0)] == [False, True, False]


# The model. Quarters are exact in binary, so that both say the same where it is just enough.

QUARTERS = st.integers(0, 40).map(lambda number: Fraction(number, 4))
RATES = st.integers(1, 40).map(lambda number: Fraction(number, 4))


class Log(RuleBasedStateMachine):
    """Admitted is what keeps, from every earlier start to now, within the burst and what has leaked since."""

    @initialize(rate=RATES, burst=RATES)
    def begin(self, rate: Fraction, burst: Fraction) -> None:
        self.now = Fraction(1000)
        self.rate, self.burst = rate, burst
        self.leaked = Fraction(0)
        self.admitted: list[tuple[Fraction, Fraction]] = []
        """How much had leaked since the beginning, and the cost."""
        self.bucket = Bucket(float(rate), float(burst), float(self.now))

    def most(self) -> Fraction:
        """What is used, of that start from which it is most."""
        used, most = Fraction(0), Fraction(0)
        for leaked, cost in reversed(self.admitted):
            used += cost
            most = max(most, used - (self.leaked - leaked))
        return most

    @rule(seconds=QUARTERS)
    def passes(self, seconds: Fraction) -> None:
        self.now += seconds
        self.leaked += seconds * self.rate

    @rule(cost=QUARTERS, times=st.integers(1, 5))
    def asks(self, cost: Fraction, times: int) -> None:
        for _ in range(times):
            expected = self.most() + cost <= self.burst
            wait = self.bucket.wait(float(self.now), float(cost))
            assert self.bucket.take(float(self.now), float(cost)) == expected
            if expected:
                self.admitted.append((self.leaked, cost))
                assert wait == 0.0
            elif cost > self.burst:
                assert wait == INFINITE
            else:
                assert wait == pytest.approx(float((self.most() + cost - self.burst) / self.rate))

    @rule(rate=RATES, burst=RATES)
    def changes(self, rate: Fraction, burst: Fraction) -> None:
        self.rate, self.burst = rate, burst
        self.bucket.meter.change(float(rate), float(burst), float(self.now))

    @invariant()
    def says_what_is_left(self) -> None:
        if hasattr(self, "bucket"):
            used = self.most()
            assert self.bucket.left(float(self.now)) == float(max(self.burst - used, Fraction(0)))
            assert self.bucket.reset(float(self.now)) == pytest.approx(float(used / self.rate))


Log.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
TestLog = Log.TestCase


@given(
    st.floats(1e-4, 1e6),
    st.integers(1, 1000),
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 50)), min_size=1, max_size=60),
)
def test_with_any_numbers_it_is_never_over_by_more_than_a_hair(
    rate: float, burst: int, asked: list[tuple[float, float]]
) -> None:
    bucket = Bucket(rate, burst)
    now = 0.0
    admitted: list[tuple[float, float]] = []
    for seconds, cost in asked:
        now += seconds
        if bucket.take(now, cost):
            admitted.append((now, cost))
            for index, (start, _) in enumerate(admitted):
                used = sum([each for _, each in admitted[index:]])
                assert used <= burst + rate * (now - start) + 1e-6 + 1e-6 * rate
