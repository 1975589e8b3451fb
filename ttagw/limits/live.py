"""Limits as they are now: what the configuration says, or what an operator has said since."""

from __future__ import annotations

from collections.abc import Callable

from ttagw.config.policies import Limit
from ttagw.config.units import RateValue
from ttagw.limits.base import Terms

ALLOWED, REFUSED, DRY_RUN, BYPASSED, UNKNOWN = OUTCOMES = ("allowed", "refused", "dry_run", "bypassed", "unknown")
"""What a check can find."""


class LiveLimit:
    """One limit: its terms, and what is counted about it.

    The `Terms` are the same objects for ever, and change: what was used of them stays used. Which of them count now is
    in `limit`.
    """

    def __init__(self, name: str, configured: Limit) -> None:
        self.name = name
        self.configured = configured
        self.limit = configured
        """As it is now."""
        self.rate = Terms(name, 1, 1.0, 1.0)
        self.bandwidth = Terms(f"{name}:bandwidth", 1, 1.0, 1.0)
        self.under_way: dict[str, int] = {}
        """Requests by key, where they are counted."""
        self.outcomes = dict.fromkeys(OUTCOMES, 0)
        self.set(configured)

    def set(self, limit: Limit) -> None:
        """From now on it is this."""
        self.limit = limit
        rate = limit.rate or RateValue(1, 1.0)
        bandwidth = limit.bandwidth or RateValue(1, 1.0)
        _set(self.rate, rate, float(limit.burst or rate.count), limit)
        _set(self.bandwidth, bandwidth, float(bandwidth.count), limit)

    def begin(self, key: str) -> None:
        """One more is under way."""
        self.under_way[key] = self.under_way.get(key, 0) + 1

    def end(self, key: str) -> None:
        """One less."""
        count = self.under_way.get(key, 0) - 1
        if count > 0:
            self.under_way[key] = count
        else:
            self.under_way.pop(key, None)


def _set(terms: Terms, rate: RateValue, burst: float, limit: Limit) -> None:
    terms.count, terms.window, terms.burst = rate.count, rate.seconds, burst
    terms.on_store_failure = limit.on_store_failure
    terms.dry_run = limit.dry_run


class LiveLimits:
    """All limits. Whoever prepares something from them is told when they change."""

    def __init__(self, configured: dict[str, Limit]) -> None:
        self.by_name = {name: LiveLimit(name, each) for name, each in configured.items()}
        self._told: list[Callable[[LiveLimit], None]] = []

    def on_change(self, told: Callable[[LiveLimit], None]) -> None:
        """Call `told` with each limit that has changed, right after it has."""
        self._told.append(told)

    def set(self, name: str, limit: Limit) -> None:
        """From now on a limit is this."""
        live = self.by_name[name]
        live.set(limit)
        for told in self._told:
            told(live)
