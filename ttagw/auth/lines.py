"""Those who wait until somebody else is done: bounded, in order, and not for long."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as LateError

MOST_WAITING = 50
"""In one line."""


class LineFullError(Exception):
    """There is no room in the line, or it did not move in time."""


class _Line:
    __slots__ = ("under_way", "waiting")

    def __init__(self) -> None:
        self.under_way = 0
        self.waiting: list[Deferred[None]] = []


class Lines:
    """How many are under way for each key, and who waits for one of them to end."""

    def __init__(self, clock: Any, most: int = MOST_WAITING) -> None:
        """`clock` is the reactor."""
        self._clock = clock
        self._most = most
        self._lines: dict[Hashable, _Line] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def under_way(self, key: Hashable) -> int:
        """How many."""
        line = self._lines.get(key)
        return 0 if line is None else line.under_way

    def enter(self, key: Hashable) -> None:
        """One more is under way."""
        self._lines.setdefault(key, _Line()).under_way += 1

    def leave(self, key: Hashable) -> None:
        """One is done: those who wait look again, in the order in which they came."""
        line = self._lines[key]
        line.under_way -= 1
        if not line.under_way:
            del self._lines[key]
        waiting, line.waiting = line.waiting, []
        for each in waiting:
            if not each.called:
                each.callback(None)

    async def turn(self, key: Hashable, seconds: float) -> None:
        """Wait until one of those under way is done. Raises `LineFullError`, after so many seconds at the latest."""
        line = self._lines[key]
        if len(line.waiting) >= self._most or seconds <= 0.0:
            raise LineFullError
        turn: Deferred[None] = Deferred()
        line.waiting.append(turn)
        try:
            await turn.addTimeout(seconds, self._clock)
        except LateError:
            raise LineFullError from None
        finally:
            if turn in line.waiting:
                line.waiting.remove(turn)
