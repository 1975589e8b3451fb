from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.ceiling import FEW, Ceiling


@pytest.mark.parametrize(
    ("count", "seconds", "burst"),
    [(600, 60.0, 100), (10, 1.0, 10), (1, 1.0, 1), (10, 60.0, FEW), (5, 60.0, 5), (100_000, 86_400.0, 11)],
)
def test_what_ten_seconds_bring_may_come_at_once(count: int, seconds: float, burst: int) -> None:
    ceiling = Ceiling(count, seconds)
    assert ceiling.burst == burst
    assert [ceiling.wait("a", 0.0) == 0.0 for _ in range(burst + 2)] == [True] * burst + [False, False]


def test_it_says_how_long_to_wait_and_means_it() -> None:
    ceiling = Ceiling(60, 60.0)
    for _ in range(ceiling.burst):
        assert ceiling.wait("a", 100.0) == 0.0
    wait = ceiling.wait("a", 100.0)
    assert wait == pytest.approx(1.0)
    assert ceiling.wait("a", 100.9) == pytest.approx(0.1)
    assert ceiling.wait("a", 101.0) == 0.0
    assert ceiling.wait("a", 101.0) > 0.0


def test_each_key_has_its_own() -> None:
    ceiling = Ceiling(1, 1.0)
    assert [ceiling.wait(key, 0.0) for key in ("a", "b", "a", "b")] == [0.0, 0.0, 1.0, 1.0]


def test_those_who_were_seen_longest_ago_are_forgotten_first() -> None:
    ceiling = Ceiling(1, 1000.0, most=3)
    for number, key in enumerate("abcad"):
        ceiling.wait(key, float(number))
    assert len(ceiling) == 3
    assert ceiling.wait("a", 10.0) > 0.0
    assert ceiling.wait("d", 10.0) > 0.0
    assert ceiling.wait("b", 10.0) == 0.0


@given(
    st.integers(1, 50),
    st.sampled_from([1.0, 10.0, 60.0]),
    st.lists(st.integers(0, 40), min_size=1, max_size=80),
)
def test_in_no_time_is_there_more_than_the_rate_and_what_may_come_at_once(
    count: int, seconds: float, gaps: list[int]
) -> None:
    ceiling = Ceiling(count, seconds)
    now, times = 0.0, []
    for gap in gaps:
        now += gap * seconds / 40
        if ceiling.wait("a", now) == 0.0:
            times.append(now)
    for first in range(len(times)):
        for last in range(first, len(times)):
            most = ceiling.burst + (times[last] - times[first]) * count / seconds
            assert last - first + 1 <= most + 1e-6


@given(st.integers(1, 50), st.lists(st.integers(0, 3), max_size=60))
def test_whoever_stays_within_the_rate_never_waits(count: int, more: list[int]) -> None:
    ceiling = Ceiling(count, 60.0)
    now = 0.0
    for each in more:
        now += (1 + each / 4) * 60.0 / count
        assert ceiling.wait("a", now) == 0.0
