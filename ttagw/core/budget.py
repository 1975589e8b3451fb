"""How many retries there may be: a share of the requests of the last seconds, so that an outage makes no storm.

As Finagle's retry budget and Envoy's `retry_budget`: a service in trouble gets at most so much more than it was asked.
"""

from __future__ import annotations

from ttagw.core.window import Window

WINDOW = 10.0
"""Seconds that are looked back on."""

LEAST = 3
"""Retries that a window may always have: a service that is hardly asked has no share to speak of."""

_REQUESTS, _RETRIES = range(2)


class RetryBudget:
    """The retries of one service. `now` is monotonic seconds and never goes back."""

    __slots__ = ("_share", "_window")

    def __init__(self, share: float, now: float) -> None:
        """`share`: retries for each request, 0 to 1; 0 is none at all."""
        self._share = share
        self._window = Window(WINDOW, 2, now)

    def requested(self, now: float) -> None:
        """A request came, whatever becomes of it; its retries are not requests."""
        self._window.add(_REQUESTS, now)

    def take(self, now: float) -> bool:
        """Whether one more retry may be made; then it is counted."""
        self._window.move(now)
        requests, retries = self._window.totals
        if not self._share or retries >= max(LEAST, self._share * requests):
            return False
        self._window.count(_RETRIES)
        return True
