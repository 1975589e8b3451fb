"""Things that are said seldom, however often they happen."""

from __future__ import annotations

from collections.abc import Callable, Hashable

MOST = 10_000
"""Things that are remembered; beyond them the one that was said first is forgotten."""


class Rarely:
    """Whether something may be said again."""

    def __init__(self, seconds: float, monotonic: Callable[[], float]) -> None:
        """`seconds` must pass between two times."""
        self._seconds = seconds
        self._monotonic = monotonic
        self._said: dict[Hashable, float] = {}

    def due(self, what: Hashable) -> bool:
        """Whether it may be said now; then it counts as said."""
        now = self._monotonic()
        last = self._said.get(what)
        if last is not None and now - last < self._seconds:
            return False
        self.said(what)
        return True

    def said(self, what: Hashable) -> None:
        """Somebody has said it."""
        self._said.pop(what, None)
        self._said[what] = self._monotonic()
        if len(self._said) > MOST:
            del self._said[next(iter(self._said))]
