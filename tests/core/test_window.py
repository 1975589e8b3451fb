"""Counts of the last seconds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.window import SLOTS, Window


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0.0, 20.0)), max_size=50))
def test_adding_is_moving_and_counting(steps: list[tuple[int, float]]) -> None:
    one, other = Window(10.0, 2, 0.0), Window(10.0, 2, 0.0)
    now = 0.0
    for kind, passed in steps:
        now += passed
        one.add(kind, now)
        other.move(now)
        other.count(kind)
        assert one.totals == other.totals


def test_what_is_older_than_the_window_is_forgotten() -> None:
    window = Window(10.0, 1, 0.0)
    window.add(0, 0.5)
    window.add(0, 9.0)
    window.move(10.0 + 10.0 / SLOTS)
    assert window.totals == [1]
