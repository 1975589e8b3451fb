from __future__ import annotations

from fractions import Fraction
from math import inf

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ttagw.limits.base import Buckets, State, Terms, Want
from ttagw.limits.local import LocalBuckets
from ttagw.testing import Clock


def user(**more: object) -> Terms:
    return Terms(**{"name": "user", "count": 60, "window": 60.0, "burst": 3.0, **more})  # type: ignore[arg-type]


def address(**more: object) -> Terms:
    return Terms(**{"name": "ip", "count": 120, "window": 60.0, "burst": 5.0, **more})  # type: ignore[arg-type]


def test_it_keeps_what_the_layer_asks_of_it() -> None:
    buckets: Buckets = LocalBuckets(Clock())
    assert buckets.take(()) == (True, [], None, 0.0, None, False)


def test_one_limit() -> None:
    clock = Clock()
    buckets, terms = LocalBuckets(clock), user()
    want = Want(terms, "7", 1.0)
    assert [buckets.take((want,)).states[0].left for _ in range(3)] == [2.0, 1.0, 0.0]
    refused = buckets.take((want,))
    assert refused == (False, [State(0.0, 3.0)], terms, 1.0, None, False)
    assert buckets.take((Want(terms, "8", 1.0),)).allowed
    clock.advance(1.0)
    assert buckets.take((want,)).allowed
    assert not buckets.take((want,)).allowed


def test_all_or_none() -> None:
    clock = Clock()
    buckets = LocalBuckets(clock)
    both = (Want(user(), "7", 1.0), Want(address(), "a", 1.0))
    assert [buckets.take(both).allowed for _ in range(4)] == [True, True, True, False]
    verdict = buckets.take(both)
    assert verdict.refused == both[0].terms
    assert verdict.states == [State(0.0, 3.0), State(2.0, 1.5)]
    other = (Want(both[0].terms, "8", 1.0), both[1])
    assert [buckets.take(other).allowed for _ in range(3)] == [True, True, False]
    verdict = buckets.take(other)
    assert (verdict.refused, verdict.wait) == (both[1].terms, 0.5)
    assert verdict.states[0] == State(1.0, 2.0)


def test_of_several_that_refuse_the_one_that_is_over_last_is_named() -> None:
    buckets = LocalBuckets(Clock())
    both = (Want(address(burst=1.0), "a", 1.0), Want(user(burst=1.0), "7", 1.0))
    assert buckets.take(both).allowed
    verdict = buckets.take(both)
    assert (verdict.refused, verdict.wait) == (both[1].terms, 1.0)
    assert buckets.take(both[::-1]).refused == both[1].terms
    never = (*both, Want(user(name="third"), "7", 4.0))
    assert (buckets.take(never).refused, buckets.take(never).wait) == (never[2].terms, inf)


def test_two_wants_for_one_bucket_see_each_other() -> None:
    buckets, terms = LocalBuckets(Clock()), user()
    twice = (Want(terms, "7", 1.0), Want(terms, "7", 1.0))
    assert buckets.take(twice).allowed
    verdict = buckets.take(twice)
    assert (verdict.allowed, verdict.wait) == (False, 1.0)
    assert verdict.states == [State(1.0, 2.0)] * 2
    assert buckets.take(twice[:1]).allowed
    apart = (Want(terms, "8", 2.0), Want(address(), "a", 1.0), Want(terms, "8", 2.0))
    verdict = buckets.take(apart)
    assert (verdict.allowed, verdict.refused, verdict.wait) == (False, terms, inf)
    assert buckets.take((Want(terms, "8", 3.0),)).allowed


def test_what_is_tried_out_is_charged_and_told_and_refuses_nothing() -> None:
    buckets = LocalBuckets(Clock())
    tried = user(dry_run=True)
    assert [buckets.take((Want(tried, "7", 1.0),)).dry for _ in range(3)] == [None] * 3
    verdict = buckets.take((Want(tried, "7", 1.0),))
    assert (verdict.allowed, verdict.dry, verdict.states[0].left) == (True, tried, 0.0)
    both = (Want(tried, "7", 1.0), Want(address(), "a", 1.0))
    assert [buckets.take(both).allowed for _ in range(6)] == [True] * 5 + [False]
    assert buckets.take(both).dry == tried
    # Refused by another: not charged either.
    other = (Want(tried, "8", 1.0), both[1])
    assert not buckets.take(other).allowed
    assert buckets.look(other[:1]).states[0].left == 3.0


def test_what_costs_nothing_is_not_charged_and_never_refused() -> None:
    clock = Clock()
    buckets, terms = LocalBuckets(clock), user()
    assert buckets.take((Want(terms, "7", 3.0),)).allowed
    terms.burst = 1.0
    assert buckets.take((Want(terms, "7", 0.0),)).allowed
    assert buckets.take((Want(terms, "9", 0.0),)).states == [State(1.0, 0.0)]
    assert buckets.keys("user") == 1


def test_looking_charges_nothing() -> None:
    buckets, terms = LocalBuckets(Clock()), user()
    want = Want(terms, "7", 3.0)
    for _ in range(5):
        assert buckets.look((want,)) == (True, [State(3.0, 0.0)], None, 0.0, None, False)
    assert buckets.keys("user") == 0
    assert buckets.take((want,)).allowed
    assert not buckets.look((want,)).allowed


def test_what_was_not_used_after_all_is_there_again() -> None:
    clock = Clock()
    buckets, terms = LocalBuckets(clock), user()
    want = Want(terms, "7", 3.0)
    assert buckets.take((want,)).allowed
    buckets.give_back((want,))
    assert buckets.take((want,)).allowed
    clock.advance(100.0)
    buckets.give_back((want,))
    assert buckets.take((want,)).allowed
    assert not buckets.take((Want(terms, "7", 1.0),)).allowed
    buckets.give_back((Want(terms, "nobody", 5.0),))
    assert buckets.look((Want(terms, "nobody", 1.0),)).states[0] == State(3.0, 0.0)


def test_an_operator_forgives() -> None:
    buckets, terms = LocalBuckets(Clock()), user()
    for key in ("7", "8"):
        assert buckets.take((Want(terms, key, 3.0),)).allowed
    buckets.reset(terms, "7")
    assert buckets.take((Want(terms, "7", 3.0),)).allowed
    assert not buckets.take((Want(terms, "8", 1.0),)).allowed


def test_what_has_been_used_already_is_a_debt() -> None:
    clock = Clock()
    buckets, terms = LocalBuckets(clock), Terms("bytes", 1000, 1.0, 1000.0)
    assert buckets.debt(terms, "7") == (0.0, State(1000.0, 0.0))
    buckets.charge(Want(terms, "7", 1000.0))
    assert buckets.debt(terms, "7") == (0.0, State(0.0, 1.0))
    buckets.charge(Want(terms, "7", 4000.0))
    assert buckets.debt(terms, "7") == (4.0, State(0.0, 5.0))
    clock.advance(4.0)
    assert buckets.debt(terms, "7")[0] == 0.0


@pytest.mark.parametrize("told", [True, False])
def test_terms_that_change_forget_nothing(told: bool) -> None:
    clock = Clock()
    buckets, terms = LocalBuckets(clock), user(burst=10.0)
    want = Want(terms, "7", 1.0)
    assert [buckets.take((want,)).allowed for _ in range(8)] == [True] * 8
    clock.advance(2.0)
    terms.count, terms.burst = 240, 7.0
    if told:
        buckets.refresh(terms)
    assert buckets.take((want,)).states[0].left == 0.0
    clock.advance(1.0)
    assert buckets.take((Want(terms, "7", 4.0),)).allowed
    assert not buckets.take((want,)).allowed
    terms.window = 1.0
    assert not buckets.take((want,)).allowed
    clock.advance(1 / 240)
    assert buckets.take((want,)).allowed


def test_a_gateway_has_its_share() -> None:
    clock = Clock()
    buckets, terms = LocalBuckets(clock, 0.5), user(burst=10.0)
    want = Want(terms, "7", 1.0)
    assert [buckets.take((want,)).allowed for _ in range(6)] == [True] * 5 + [False]
    assert buckets.take((want,)).wait == 2.0
    buckets.scale = 1.0
    assert buckets.scale == 1.0
    assert [buckets.take((want,)).allowed for _ in range(6)] == [True] * 5 + [False]
    buckets.scale = 0.01
    clock.advance(1000.0)
    assert [buckets.take((want,)).allowed for _ in range(2)] == [True, False]


def test_keys_are_bounded_and_those_that_were_lost_are_counted() -> None:
    buckets, terms = LocalBuckets(Clock(), most=64), user()
    assert (buckets.keys("user"), buckets.dropped("user")) == (0, 0)
    for number in range(1000):
        buckets.take((Want(terms, str(number), 1.0),))
        assert buckets.keys("user") <= 64
    assert buckets.dropped("user") >= 900


def test_two_of_one_bucket_see_each_other_whatever_stands_before_them() -> None:
    buckets, terms = LocalBuckets(Clock()), user(burst=1.0)
    wants = [Want(terms, "7", cost) for cost in (0.0, 1.0, 1.0)]
    assert not buckets.take(wants).allowed
    assert buckets.take(wants[:2]).states[1].left == 0.0


# The model

QUARTERS = st.integers(0, 20).map(lambda number: Fraction(number, 4))
SOME = st.integers(1, 20).map(lambda number: Fraction(number, 4))
NAMES = ("a", "b", "c")


class Log(RuleBasedStateMachine):
    """Every bucket as a log of what was admitted; all of it or nothing."""

    @initialize(terms=st.tuples(*[st.tuples(st.integers(1, 8), SOME, st.booleans()) for _ in NAMES]))
    def begin(self, terms: tuple[tuple[int, Fraction, bool], ...]) -> None:
        self.clock = Clock()
        self.buckets = LocalBuckets(self.clock)
        self.terms = {
            name: Terms(name, count, 4.0, float(burst), dry_run=dry)
            for name, (count, burst, dry) in zip(NAMES, terms, strict=True)
        }
        self.leaked = dict.fromkeys(NAMES, Fraction(0))
        self.admitted: dict[tuple[str, str], list[tuple[Fraction, Fraction]]] = {}

    def used(self, name: str, key: str) -> Fraction:
        used, most = Fraction(0), Fraction(0)
        for leaked, cost in reversed(self.admitted.get((name, key), [])):
            used += cost
            most = max(most, used - (self.leaked[name] - leaked))
        return most

    @rule(seconds=QUARTERS)
    def passes(self, seconds: Fraction) -> None:
        self.clock.advance(float(seconds))
        for name, terms in self.terms.items():
            self.leaked[name] += seconds * Fraction(terms.count, 4)

    @rule(name=st.sampled_from(NAMES), count=st.integers(1, 8), burst=SOME, told=st.booleans())
    def changes(self, name: str, count: int, burst: Fraction, told: bool) -> None:
        terms = self.terms[name]
        terms.count, terms.burst = count, float(burst)
        self.buckets.refresh(terms)

    @rule(wants=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from("xy"), QUARTERS), max_size=4))
    def asks(self, wants: list[tuple[str, str, Fraction]]) -> None:
        new: dict[tuple[str, str], Fraction] = {}
        allowed, dry = True, False
        for name, key, cost in wants:
            more = new.get((name, key), Fraction(0)) + cost
            fits = not cost or self.used(name, key) + more <= Fraction(self.terms[name].burst)
            if fits or not self.terms[name].dry_run:
                new[name, key] = more
            if not fits:
                dry = dry or self.terms[name].dry_run
                allowed = allowed and self.terms[name].dry_run
        asked = [Want(self.terms[name], key, float(cost)) for name, key, cost in wants]
        looked = self.buckets.look(asked)
        verdict = self.buckets.take(asked)
        assert (verdict.allowed, verdict.dry is not None) == (allowed, dry)
        assert (looked.allowed, looked.refused, looked.wait) == (allowed, verdict.refused, verdict.wait)
        if allowed:
            for (name, key), cost in new.items():
                self.admitted.setdefault((name, key), []).append((self.leaked[name], cost))
        else:
            assert verdict.wait > 0
        for (name, key, _), state in zip(wants, verdict.states, strict=True):
            left = max(Fraction(self.terms[name].burst) - self.used(name, key), Fraction(0))
            assert sum([each[:2] == (name, key) for each in wants]) > 1 or state.left == float(left)


Log.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestLog = Log.TestCase


def test_a_debt_of_many_windows_is_not_forgotten_meanwhile() -> None:
    clock = Clock()
    buckets = LocalBuckets(clock)
    terms = Terms("b", 10, 1.0, 10.0)
    buckets.charge(Want(terms, "k", 1000.0))
    for number in range(60):
        clock.advance(1.0)
        buckets.charge(Want(terms, f"{number}", 1.0))
    assert buckets.debt(terms, "k")[0] == pytest.approx(39.0)


def test_a_smaller_burst_forgets_nothing() -> None:
    clock = Clock()
    buckets = LocalBuckets(clock)
    terms = Terms("b", 60, 60.0, 1000.0)
    assert buckets.take([Want(terms, "k", 1000.0)]).allowed
    terms.burst = 10.0
    buckets.refresh(terms)
    for number in range(900):
        clock.advance(1.0)
        buckets.take([Want(terms, f"{number}", 1.0)])
        assert not buckets.take([Want(terms, "k", 1.0)]).allowed


def test_what_costs_more_than_a_share_passes_when_that_is_unused() -> None:
    clock = Clock()
    buckets = LocalBuckets(clock, scale=0.25)
    terms = user(burst=8.0)
    dear = [Want(terms, "k", 5.0)]
    assert buckets.take(dear).allowed
    refused = buckets.take(dear)
    assert (refused.allowed, refused.wait) == (False, 20.0)
    clock.advance(19.9)
    assert not buckets.take([Want(terms, "k", 2.0)]).allowed
    assert not buckets.take(dear).allowed
    clock.advance(0.1)
    assert buckets.take(dear).allowed
    assert buckets.take([Want(terms, "other", 9.0)]).wait == inf
