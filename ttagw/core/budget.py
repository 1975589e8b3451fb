"""How many retries there may be: a share of the requests of the last seconds, so that an outage makes no storm.

As Finagle's retry budget and Envoy's `retry_budget`: a service in trouble gets at most so much more than it was asked.
"""

from __future__ import annotations

WINDOW = 10.0
"""Seconds that are looked back on."""

LEAST = 3
"""Retries that a window may always have: a service that is hardly asked has no share to speak of."""

_SLOTS = 10


class RetryBudget:
    """The retries of one service. `now` is monotonic seconds and never goes back."""

    __slots__ = ("_requests", "_requests_by_slot", "_retries", "_retries_by_slot", "_share", "_slot", "_slot_end")

    def __init__(self, share: float, now: float) -> None:
        """`share`: retries for each request, 0 to 1; 0 is none at all."""
        self._share = share
        self._requests = self._retries = self._slot = 0
        self._requests_by_slot = [0] * _SLOTS
        self._retries_by_slot = [0] * _SLOTS
        self._slot_end = now + WINDOW / _SLOTS

    def requested(self, now: float) -> None:
        """A request came, whatever becomes of it; its retries are not requests."""
        if now >= self._slot_end:
            self._turn(now)
        self._requests_by_slot[self._slot] += 1
        self._requests += 1

    def take(self, now: float) -> bool:
        """Whether one more retry may be made; then it is counted."""
        if now >= self._slot_end:
            self._turn(now)
        if not self._share or self._retries >= max(LEAST, self._share * self._requests):
            return False
        self._retries_by_slot[self._slot] += 1
        self._retries += 1
        return True

    def _turn(self, now: float) -> None:
        """Forget the slots whose time is over."""
        seconds = WINDOW / _SLOTS
        passed = int((now - self._slot_end) / seconds) + 1
        for _ in range(min(passed, _SLOTS)):
            self._slot = slot = (self._slot + 1) % _SLOTS
            self._requests -= self._requests_by_slot[slot]
            self._retries -= self._retries_by_slot[slot]
            self._requests_by_slot[slot] = self._retries_by_slot[slot] = 0
        self._slot_end += passed * seconds
