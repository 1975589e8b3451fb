"""How much somebody may still use: the generic cell rate algorithm (ITU-T I.371, annex A), a leaky bucket as a meter.

A bucket is one number, the time at which it is empty again, and that time is counted in units of cost: the clock of a
limit goes `rate` units forward in a second. What was used is then the distance between the two, in units, whatever the
rate is now: a limit changes in one step for all its buckets, and nobody's use is forgotten or counted anew.
"""

from __future__ import annotations

INFINITE = float("inf")

_UNITS = 1e-9
"""Sums of thirds and the like are off by less; nobody gains a request by it."""
_SHARE = 1e-12
"""The same for large buckets."""
_SECONDS = 2e-8
"""Two readings of a monotonic clock that has run for years are off by about so much: who waits exactly as long as was
said is let through.
"""
_DIGITS = 1e-15
"""What a number of units loses when it is large."""


class Meter:
    """The clock of one limit, and what its buckets hold. Times are monotonic seconds.

    `now` that is given twice does not go backwards; if it does, nothing leaks until it has caught up.
    """

    __slots__ = ("_base", "_slack", "_start", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        """`rate`: units in a second, more than 0. `burst`: what a bucket holds."""
        self._base = 0.0
        self._start = now
        self._set(rate, burst)

    def _set(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._slack = _UNITS + burst * _SHARE + rate * _SECONDS

    def change(self, rate: float, burst: float, now: float) -> None:
        """From now on it is so much. What was used in each bucket stays used."""
        self._base = self.at(now)
        self._start = now
        self._set(rate, burst)

    def at(self, now: float) -> float:
        """The time of this clock, in units: where a bucket that is not known stands, or one that is empty."""
        return self._base + (now - self._start) * self.rate

    def ask(self, empty: float, now: float, cost: float) -> tuple[bool, float, float, float]:
        """All at once, for a bucket that would be empty at `empty`: whether `cost` fits, when it will be empty if that
        is put in, and then what is left and seconds until it is empty.
        """
        at = self._base + (now - self._start) * self.rate
        after = (empty if empty > at else at) + cost
        used = after - at
        left = self.burst - used
        return left + self._slack + at * _DIGITS >= 0.0, after, left if left > 0.0 else 0.0, used / self.rate

    def charged(self, empty: float, at: float, cost: float) -> float:
        """When a bucket will be empty that would be at `empty`, after `cost` more is put into it."""
        return (empty if empty > at else at) + cost

    def fits(self, after: float, at: float) -> bool:
        """Whether a bucket that will be empty at `after` does not hold too much."""
        return after - at <= self.burst + self._slack + at * _DIGITS

    def left(self, empty: float, at: float) -> float:
        """What can be put into it at once."""
        left = self.burst - (empty - at if empty > at else 0.0)
        return left if left > 0.0 else 0.0

    def reset(self, empty: float, at: float) -> float:
        """Seconds until it is empty, and all of it can be used again."""
        return (empty - at) / self.rate if empty > at else 0.0

    def wait(self, after: float, at: float, cost: float) -> float:
        """Seconds until this would fit, were it asked for again: `after` is with `cost` in it. Infinite for a cost that
        never fits.
        """
        if cost > self.burst + self._slack:
            return INFINITE
        over = after - at - self.burst
        return over / self.rate if over > 0.0 else 0.0
