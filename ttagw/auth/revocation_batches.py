"""Changes that come one by one and are told together: to drop what is remembered costs as much for one as for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

CALM = 10.0
LONGEST_CALM = 0.25
"""What telling took, times the first, passes before the next time, and no more seconds than the second."""


class Batches:
    """Tells of changes in the next turn of the reactor, or a little later where that costs much."""

    log = Logger()

    def __init__(self, clock: Any, tell: Callable[[Sequence[str]], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._fresh: dict[str, None] = {}
        self._waiting: list[Deferred[None]] = []
        self._call: Any = None
        self._calm_until = 0.0
        self._stopped = False

    def add(self, change: str) -> None:
        """Tell of this soon."""
        self._fresh[change] = None
        if self._stopped:
            self._now()
        elif self._call is None:
            self._call = self._clock.callLater(max(0.0, self._calm_until - self._clock.seconds()), self._now)

    async def told(self) -> None:
        """Returns when all that was added so far has been told of."""
        if self._fresh:
            waiting: Deferred[None] = Deferred()
            self._waiting.append(waiting)
            await waiting

    def stop(self) -> None:
        """Tell of what is left, and from now on of everything at once."""
        self._stopped = True
        if self._call is not None:
            self._call.cancel()
            self._now()

    def _now(self) -> None:
        self._call = None
        fresh, self._fresh = self._fresh, {}
        began = self._clock.seconds()
        self.at_once(list(fresh))
        over = self._clock.seconds()
        self._calm_until = over + min((over - began) * CALM, LONGEST_CALM)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:  # nobody waits for one that was cancelled
                each.callback(None)

    def at_once(self, changes: Sequence[str]) -> None:
        """Tell of these now."""
        try:
            self._tell(changes)
        except Exception:
            self.log.failure("a change could not be told of")
