from __future__ import annotations

import pytest

from ttagw.registry.pace import FIRSTS, LEAST, SPREAD, Firsts, patience, pause


@pytest.mark.parametrize(
    ("interval", "chance", "doubt", "again", "expected"),
    [
        (10.0, 0.0, False, False, 9.0),
        (10.0, 0.5, False, False, 10.0),
        (10.0, 1.0, False, False, 11.0),
        (10.0, 0.0, True, False, 1.8),
        (10.0, 1.0, True, False, 2.2),
        (0.5, 0.5, True, False, LEAST),
        (0.1, 0.5, True, False, 0.1),
        (10.0, 0.5, False, True, LEAST),
        (10.0, 0.5, True, True, LEAST),
        (0.1, 0.5, False, True, 0.1),
    ],
)
def test_pauses(interval: float, chance: float, doubt: bool, again: bool, expected: float) -> None:
    assert pause(interval, chance, doubt=doubt, again=again) == pytest.approx(expected)


def test_patience_is_twice_the_timeout_and_a_second_at_least() -> None:
    assert (patience(2.0), patience(0.1)) == (4.0, pytest.approx(1.1))


def test_firsts_come_one_after_the_other_and_soon_again_after_a_while() -> None:
    firsts = Firsts()
    assert [firsts.due(100.0, 10.0, 0.0) for _ in range(3)] == pytest.approx([100 + n / FIRSTS for n in range(3)])
    assert firsts.due(200.0, 10.0, 1.0) == 200.0 + SPREAD
    assert firsts.due(300.0, 0.1, 1.0) == 300.1
