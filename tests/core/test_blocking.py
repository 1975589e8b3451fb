from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttagw.core.blocking import LEAST_MEMORY, Rules, Tally, remembered_for

RULES = Rules(5, 60.0, 900.0, 86400.0)

# Powers of two are exact in floats.
rules = st.builds(Rules, st.integers(1, 8), st.sampled_from([1.0, 8.0, 64.0]), st.just(900.0), st.just(86400.0)).filter(
    lambda each: each.most in (1, 2, 4, 8)
)
steps = st.lists(st.tuples(st.integers(0, 64), st.sampled_from("abc")), max_size=60)


class Plain:
    """The same for one subject, exactly, from everything that ever happened to it."""

    def __init__(self, rules: Rules) -> None:
        self.rate = Fraction(rules.most) / Fraction(rules.window)
        self.most = rules.most
        self.times: list[Fraction] = []

    def count(self, now: Fraction) -> bool:
        self.times.append(now)
        # The fullest that any suffix makes it: what came since then, less what has leaked since.
        level = max(len(self.times[at:]) - (now - since) * self.rate for at, since in enumerate(self.times))
        if level > self.most:
            self.times = []
            return True
        return False


@settings(max_examples=60, deadline=None)
@given(rules, steps)
def test_a_bucket_is_as_full_as_all_that_came_since_it_was_empty(rules: Rules, steps: list[tuple[int, str]]) -> None:
    tally = Tally(rules)
    plain = {name: Plain(rules) for name in "abc"}
    now = Fraction(0)
    for passed, name in steps:
        now += Fraction(passed, 4)
        assert tally.count(name, float(now)) == plain[name].count(now)


def test_as_many_as_the_threshold_has_are_no_offence_and_one_more_is() -> None:
    tally = Tally(RULES)
    assert [tally.count("a", 10.0) for _ in range(7)] == [False] * 5 + [True, False]


def test_at_the_rate_of_the_threshold_nobody_ever_offends() -> None:
    tally = Tally(RULES)
    assert not any(tally.count("a", 12.0 * number) for number in range(1000))


def test_time_that_goes_back_leaks_nothing_and_counts_nothing_twice() -> None:
    tally = Tally(RULES)
    assert [tally.count("a", at) for at in (100.0, 40.0, 0.0, 100.0, 50.0, 1.0)] == [False] * 5 + [True]


def test_the_subject_that_was_refused_nothing_for_longest_is_forgotten_first() -> None:
    tally = Tally(Rules(1, 3600.0, 1.0, 1.0), most=3)
    for name in "abc":
        tally.count(name, 0.0)
    assert tally.count("a", 1.0)
    for name in "de":
        tally.count(name, 2.0)
    assert len(tally) == 3
    assert not tally.count("b", 3.0)
    assert tally.count("e", 3.0)


@pytest.mark.parametrize(
    ("offences", "length"), [(1, 900.0), (2, 1800.0), (7, 57600.0), (8, 86400.0), (9, 86400.0), (100_000, 86400.0)]
)
def test_each_block_is_twice_as_long_up_to_the_longest(offences: int, length: float) -> None:
    assert RULES.length(offences) == length


def test_a_block_is_remembered_for_four_times_its_length_and_an_hour_at_the_least() -> None:
    assert remembered_for(1.0) == LEAST_MEMORY
    assert remembered_for(86400.0) == 4 * 86400.0
