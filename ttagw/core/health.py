"""What the results of checks say about an instance: up or down, and not to and fro.

So many failures in a row take it down, so many successes in a row bring it up again (HAProxy's `fall` and `rise`). One
that changes all the time is held down until it has been quiet for long enough, as routes are that flap (RFC 2439).
"""

from __future__ import annotations

from collections import deque

MOST_CHANGES = 4
"""Changes within `SPAN` after which an instance that is down stays down."""

SPAN = 60.0
"""Seconds that are looked back on for changes."""


class Health:
    """One instance as its checks see it. `now` is monotonic seconds and never goes back."""

    __slots__ = ("_changes", "_fall", "_rise", "_streak", "up")

    def __init__(self, rise: int, fall: int, *, up: bool) -> None:
        """`rise`, `fall`: results in a row, 1 or more. `up`: what it counts as before anything is known of it."""
        self._rise = rise
        self._fall = fall
        self._streak = 0
        self._changes: deque[float] = deque(maxlen=MOST_CHANGES)
        self.up = up

    @property
    def doubtful(self) -> bool:
        """Whether the last results speak against what it counts as: the next check should not wait long."""
        return self._streak > 0

    def passed(self, now: float) -> bool:
        """A check succeeded. Returns whether it has come up by that."""
        if self.up:
            self._streak = 0
            return False
        self._streak += 1
        if self._streak < self._rise or self.held(now):
            return False
        self._change(now)
        return True

    def failed(self, now: float) -> bool:
        """A check failed. Returns whether it has gone down by that."""
        if not self.up:
            self._streak = 0
            return False
        self._streak += 1
        if self._streak < self._fall:
            return False
        self._change(now)
        return True

    def suspect(self) -> None:
        """Somebody else has seen enough to say that this has changed: one more result like it will do."""
        self._streak = max(self._streak, (self._fall if self.up else self._rise) - 1)

    def held(self, now: float) -> bool:
        """Whether it is held down, however well it is, because it has changed too often lately."""
        changes = self._changes
        return not self.up and len(changes) == MOST_CHANGES and now - changes[0] < SPAN

    def _change(self, now: float) -> None:
        self.up = not self.up
        self._streak = 0
        self._changes.append(now)
