from __future__ import annotations

from ttagw.registry.lateness import PERIOD, Lateness


def test_the_worst_of_the_last_period_or_two() -> None:
    late = Lateness(100.0)
    assert late.worst(100.0) == 0.0
    late.note(0.5, 101.0)
    late.note(0.2, 102.0)
    assert late.worst(103.0) == 0.5
    late.note(0.3, 101.0 + PERIOD)
    assert late.worst(102.0 + PERIOD) == 0.5
    late.note(0.1, 103.0 + 2 * PERIOD)
    assert late.worst(103.0 + 2 * PERIOD) == 0.3


def test_what_is_long_ago_is_forgotten() -> None:
    late = Lateness(0.0)
    late.note(0.5, 1.0)
    assert late.worst(2 * PERIOD + 1.0) == 0.0
    late.note(0.1, 9 * PERIOD)
    assert late.worst(9 * PERIOD) == 0.1
