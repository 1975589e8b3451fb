from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.task import Clock

from tests.twisted_hygiene import Failures
from ttagw.wire.deadlines import NEVER, TICK, Deadlines


class Late:
    """Has a deadline and notes when it is told."""

    def __init__(self, deadline: float, then: Callable[[Late], None] | None = None) -> None:
        self.deadline = deadline
        self.told: list[float] = []
        self._then = then

    def expire(self, now: float) -> None:
        self.told.append(now)
        if self._then is not None:
            self._then(self)
        else:
            self.deadline = NEVER


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def deadlines(clock: Clock) -> Deadlines:
    made = Deadlines(clock, clock.seconds)
    made.start()
    return made


def test_a_deadline_is_told_once_when_it_is_due(clock: Clock, deadlines: Deadlines) -> None:
    late = Late(0.25)
    deadlines.watch(late)
    clock.pump([TICK] * 2)
    assert late.told == []
    clock.pump([TICK] * 10)
    assert len(late.told) == 1
    assert 0.25 <= late.told[0] <= 0.25 + TICK


def test_it_is_told_again_until_it_moves_the_deadline(clock: Clock, deadlines: Deadlines) -> None:
    late = Late(0.0, then=lambda self: None)
    deadlines.watch(late)
    clock.pump([TICK] * 3)
    assert len(late.told) == 3


def test_what_is_forgotten_is_not_told(clock: Clock, deadlines: Deadlines) -> None:
    late = Late(0.0)
    deadlines.watch(late)
    deadlines.forget(late)
    deadlines.forget(late)
    clock.pump([TICK] * 3)
    assert late.told == []


def test_an_error_is_logged_and_stops_nothing_else(clock: Clock, deadlines: Deadlines, failures: Failures) -> None:
    def fail(self: Late) -> None:
        raise ZeroDivisionError

    bad, good = Late(0.0, fail), Late(0.0, then=lambda self: None)
    deadlines.watch(bad)
    deadlines.watch(good)
    clock.pump([TICK] * 3)
    assert len(good.told) == 3
    assert len(bad.told) == 1
    assert bad.deadline == NEVER
    assert len(failures.take(ZeroDivisionError)) == 1


def test_one_may_forget_another_while_both_are_told(clock: Clock, deadlines: Deadlines) -> None:
    first, second = Late(0.0), Late(0.0)
    first._then = lambda self: deadlines.forget(second)
    second._then = lambda self: deadlines.forget(first)
    deadlines.watch(first)
    deadlines.watch(second)
    clock.pump([TICK] * 3)
    # Whoever came first went on being told.
    assert sorted([len(first.told), len(second.told)]) == [0, 3]


def test_one_that_is_used_anew_while_another_is_told_is_not_late(clock: Clock, deadlines: Deadlines) -> None:
    first, second = Late(0.0), Late(0.0)

    def use_other(used: Late) -> None:
        used.deadline = NEVER
        (second if used is first else first).deadline = 5.0

    first._then = second._then = use_other
    deadlines.watch(first)
    deadlines.watch(second)
    clock.pump([TICK] * 3)
    assert len(first.told) + len(second.told) == 1


def test_after_stop_nothing_is_told(clock: Clock, deadlines: Deadlines) -> None:
    late = Late(0.0)
    deadlines.watch(late)
    deadlines.stop()
    deadlines.stop()
    clock.pump([TICK] * 3)
    assert late.told == []
    assert clock.getDelayedCalls() == []
