"""How long to wait before a check."""

from __future__ import annotations

JITTER = 0.1
"""Share of an interval by which it is longer or shorter, so that gateways that start together do not check together."""

SPREAD = 0.5
"""Seconds over which a first check is spread, with those of other gateways in mind."""

FIRSTS = 500
"""First checks that may start in a second."""

SOONER = 5
"""How many times sooner the next check comes when there is doubt."""

LEAST = 0.2
"""Seconds between two checks of one instance, whatever is asked for."""

PATIENCE = 2
"""Timeouts after which a check that does not end is given up."""

LEAST_PATIENCE = 1.0
"""Seconds that it has beyond its timeout in any case: deadlines are looked at now and then."""


def pause(interval: float, chance: float, *, doubt: bool, again: bool) -> float:
    """Seconds from the beginning of a check to that of the next. `chance` in [0, 1); `again`: it is wanted now."""
    usual = interval * (1 - JITTER + 2 * JITTER * chance)
    if again:
        return min(usual, LEAST)
    return min(usual, max(LEAST, usual / SOONER)) if doubt else usual


def patience(timeout: float) -> float:
    """Seconds that a check may take which should end within `timeout`."""
    return max(PATIENCE * timeout, timeout + LEAST_PATIENCE)


class Firsts:
    """Gives each first check its time: soon, but not many at once. `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._next = float("-inf")

    def due(self, now: float, interval: float, chance: float) -> float:
        """When to make the first check of one that is checked every `interval`. `chance` in [0, 1)."""
        slot = max(now, self._next)
        self._next = slot + 1 / FIRSTS
        return slot + chance * min(interval, SPREAD)
