"""Points in time at which failures leave, so that what took long looks like what did not."""

from __future__ import annotations

from collections.abc import Callable
from math import floor
from typing import Any

from twisted.internet.defer import Deferred

STEP = 0.5
"""Seconds between two points."""


class Grid:
    """Points every `step` seconds, counted from when each login begins."""

    def __init__(self, monotonic: Callable[[], float], call_later: Callable[..., Any], step: float = STEP) -> None:
        """`call_later` is `reactor.callLater`."""
        self.now = monotonic
        self._call_later = call_later
        self._step = step

    def point(self, since: float) -> Deferred[None]:
        """Fires at the first point after now. Cancelled, it leaves nothing behind."""
        now = self.now()
        at = since + self._step * (floor((now - since) / self._step) + 1)
        fired: Deferred[None] = Deferred(lambda _: timer.cancel())
        timer = self._call_later(at - now, lambda: fired.callback(None))
        return fired
