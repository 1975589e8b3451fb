"""How late things have been lately."""

from __future__ import annotations

PERIOD = 10.0
"""Seconds after which what was worst begins to be forgotten; after twice that it is."""


class Lateness:
    """The worst of the last period or two. `now` is monotonic seconds."""

    __slots__ = ("_before", "_end", "_worst")

    def __init__(self, now: float) -> None:
        self._end = now + PERIOD
        self._worst = self._before = 0.0

    def note(self, late: float, now: float) -> None:
        """Something was so many seconds late."""
        if now >= self._end:
            self._turn(now)
        if late > self._worst:
            self._worst = late

    def worst(self, now: float) -> float:
        """Seconds by which the latest was late."""
        if now >= self._end:
            self._turn(now)
        return max(self._worst, self._before)

    def _turn(self, now: float) -> None:
        self._before = self._worst if now < self._end + PERIOD else 0.0
        self._worst = 0.0
        self._end = now + PERIOD
