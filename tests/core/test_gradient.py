"""The bound in front of services that are simulated, over minutes."""

from __future__ import annotations

from random import Random

import pytest

from tests.core.simulated import Simulated
from ttagw.core.gradient import Gradient

LEAST, MOST = 8, 1000
MANY = 1_000_000


def service(places: int, seconds: float) -> Simulated:
    return Simulated(Gradient(LEAST, MOST, 0.0), places, lambda number: seconds)


def bimodal(share: float) -> Simulated:
    random = Random(7)
    gradient = Gradient(LEAST, MOST, 0.0)
    return Simulated(gradient, MANY, lambda number: 2.0 if random.random() < share else 0.005)


def test_what_is_not_used_is_left_alone() -> None:
    simulated = service(10, 0.02)
    simulated.run(5, 100)
    simulated.takes = lambda number: 0.5
    simulated.run(20, 15)
    assert set(simulated.bounds) == {float(MOST)}
    assert simulated.shed == 0


@pytest.mark.parametrize(("places", "seconds"), [(20, 0.02), (100, 0.1), (12, 0.05)])
def test_ten_times_as_much_as_a_service_can_do_leaves_it_as_quick_and_as_busy(places: int, seconds: float) -> None:
    can = places / seconds
    simulated = service(places, seconds)
    simulated.run(5, can / 10)
    simulated.run(6, can * 10)
    assert places <= simulated.gradient.bound <= 2 * places
    simulated.run(10, can * 10)
    assert simulated.done > 0.95 * can * 10
    assert simulated.mean < 2 * seconds


def test_a_long_overload_does_not_become_the_usual() -> None:
    simulated = service(20, 0.02)
    simulated.run(3, 100)
    simulated.run(70, 2000)
    assert simulated.gradient.usual < 0.03
    assert simulated.run(5, 2000).mean < 0.04


def test_a_service_that_was_never_seen_in_calm_is_found_out() -> None:
    simulated = service(20, 0.02)
    simulated.run(10, 10_000)
    assert simulated.run(5, 10_000).mean < 0.06
    assert simulated.done > 0.9 * 5000


def test_a_service_that_gets_slower_for_everybody_keeps_its_bound() -> None:
    simulated = service(MANY, 0.01)
    simulated.run(5, 5000)
    simulated.takes = lambda number: 0.12
    simulated.run(20, 5000)
    assert simulated.gradient.bound >= 600
    assert simulated.run(10, 5000).shed == 0


def test_slow_and_quick_answers_of_one_service_do_not_lower_its_bound_when_few_are_under_way() -> None:
    simulated = bimodal(0.1)
    for _ in range(5):
        simulated.run(10, 300)
        assert simulated.shed == 0
    assert simulated.gradient.bound == MOST


def test_nor_for_long_when_many_are() -> None:
    simulated = bimodal(0.3)
    simulated.run(5, 100)
    simulated.run(15, 1100)
    simulated.run(20, 1100)
    assert simulated.shed < 0.05 * 1100 * 20


def test_chance_in_what_takes_long_does_not_narrow_the_bound_ever_more() -> None:
    random = Random(5)
    # Half a second on the average, and everything that it is asked for can be done at once.
    simulated = Simulated(Gradient(LEAST, 100, 0.0), MANY, lambda number: random.lognormvariate(-0.818, 0.5))
    simulated.run(120, 120)
    assert simulated.shed < 0.03 * 120 * 120
    assert min(simulated.bounds) >= 24


def test_when_the_load_is_gone_nobody_is_sent_away() -> None:
    simulated = service(20, 0.02)
    simulated.run(5, 100)
    simulated.run(10, 10_000)
    simulated.run(1, 100)
    assert simulated.run(30, 700).shed == 0


def test_a_service_that_says_that_it_is_too_much_is_asked_less() -> None:
    simulated = Simulated(Gradient(LEAST, 100, 0.0), 20, lambda number: 0.05)
    simulated.refuses_beyond = 20
    simulated.run(2, 100)
    # It refuses at once, so that no more than it can do are ever under way: many of them come together.
    gradient = simulated.gradient
    for turn in range(1, 21):
        gradient.overrun(60, simulated.now + turn * 0.05)
    assert LEAST <= gradient.bound <= 50


def test_only_overruns_lower_the_bound_to_the_least_and_no_further() -> None:
    gradient = Gradient(LEAST, 100, 0.0)
    for turn in range(400):
        gradient.overrun(100, turn * 0.02)
    assert gradient.bound == LEAST


def test_a_few_overruns_mean_nothing() -> None:
    gradient = Gradient(LEAST, 100, 0.0)
    for turn in range(1000):
        gradient.answered(0.02, 9, turn * 0.02)
    for turn in range(2000, 3000):
        now = turn * 0.01
        if turn % 15:
            gradient.answered(0.02, 90, now)
        else:
            gradient.overrun(90, now)
    assert gradient.bound > 90


def silent_for_a_minute(seconds: float, rate: float, most: int) -> Simulated:
    """A service that did well, says nothing for a minute, and is there again."""
    simulated = Simulated(Gradient(LEAST, most, 0.0), MANY, lambda number: seconds)
    simulated.run(60, rate)
    simulated.takes = lambda number: 10.0
    simulated.run(5, rate)
    simulated.silent = True
    simulated.run(60, rate)
    assert simulated.gradient.bound == LEAST
    simulated.takes = lambda number: seconds
    simulated.run(10, rate)
    simulated.silent = False
    return simulated


@pytest.mark.parametrize(
    ("seconds", "rate", "most"), [(0.05, 1000, 200), (0.5, 100, 200), (2.0, 50, 200), (2.0, 50, 1000)]
)
def test_a_service_that_is_there_again_soon_gets_as_much_as_before(seconds: float, rate: float, most: int) -> None:
    simulated = silent_for_a_minute(seconds, rate, most)
    simulated.run(8 * max(seconds, 0.5), rate)
    assert simulated.run(60, rate).shed < 0.03 * 60 * rate


def test_one_that_can_do_less_than_before_is_not_asked_for_it_for_long() -> None:
    simulated = silent_for_a_minute(0.05, 1000, 200)
    simulated.places = 20
    simulated.run(10, 1000)
    assert simulated.run(20, 1000).mean < 0.15
    assert simulated.done > 0.9 * 20 * 20 / 0.05


def test_what_takes_long_is_doubted_ever_more_rarely() -> None:
    simulated = Simulated(Gradient(LEAST, 200, 0.0), MANY, lambda number: 2.0)
    simulated.run(60, 50)
    assert simulated.run(600, 50).shed < 0.01 * 600 * 50


def test_it_never_is_over_the_most_or_under_the_least() -> None:
    random = Random(3)
    gradient = Gradient(LEAST, 64, 0.0)
    now = 0.0
    for _ in range(20_000):
        now += random.random() * 0.02
        if random.random() < 0.05:
            gradient.overrun(random.randrange(1, 80), now)
        else:
            gradient.answered(random.choice((0.001, 0.1, 3.0)), random.randrange(1, 80), now, random.choice((1, 4)))
        assert LEAST <= gradient.bound <= 64


def test_whoever_is_told_whether_the_bound_has_changed_can_rely_on_it() -> None:
    random = Random(4)
    gradient = Gradient(LEAST, 100, 0.0)
    known, now = 100, 0.0
    for _ in range(20_000):
        now += 0.005
        if gradient.answered(random.choice((0.01, 0.2)), 100, now):
            known = int(gradient.bound)
        assert known == int(gradient.bound)


def test_a_bound_that_nothing_has_lowered_follows_the_most() -> None:
    gradient = Gradient(LEAST, 100, 0.0)
    assert gradient.limit(40)
    assert gradient.bound == 40
    assert gradient.limit(200)
    assert gradient.bound == 200
    assert not gradient.limit(200)
    assert gradient.limit(2)
    assert gradient.bound == LEAST


def test_one_that_was_lowered_stays_so() -> None:
    gradient = Gradient(LEAST, 100, 0.0)
    for turn in range(400):
        gradient.overrun(100, turn * 0.02)
    assert not gradient.limit(50)
    assert not gradient.limit(500)
    assert gradient.bound == LEAST
