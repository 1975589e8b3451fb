"""Counts of the last seconds, forgotten a tenth of the window at a time."""

from __future__ import annotations

SLOTS = 10
"""Parts of a window: one of them is forgotten at a time."""


class Window:
    """Sums over a sliding window of `seconds`. `now` is monotonic seconds and never goes back."""

    __slots__ = ("_by_slot", "_slot", "_slot_end", "_slot_seconds", "totals")

    def __init__(self, seconds: float, kinds: int, now: float) -> None:
        """`kinds`: how many things are counted, each by its place in `totals`."""
        self.totals = [0] * kinds
        self._by_slot = [[0] * kinds for _ in range(SLOTS)]
        self._slot = 0
        self._slot_seconds = seconds / SLOTS
        self._slot_end = now + self._slot_seconds

    def count(self, kind: int) -> None:
        """One more, as of the last `move`."""
        self._by_slot[self._slot][kind] += 1
        self.totals[kind] += 1

    def add(self, kind: int, now: float) -> None:
        """One more, now: `move` and `count` in one step, for what every request does."""
        if now >= self._slot_end:
            self.move(now)
        self._by_slot[self._slot][kind] += 1
        self.totals[kind] += 1

    def move(self, now: float) -> None:
        """Forget what is older than the window."""
        if now < self._slot_end:
            return
        passed = int((now - self._slot_end) / self._slot_seconds) + 1
        for _ in range(min(passed, SLOTS)):
            self._slot = (self._slot + 1) % SLOTS
            old = self._by_slot[self._slot]
            for kind, number in enumerate(old):
                self.totals[kind] -= number
                old[kind] = 0
        self._slot_end += passed * self._slot_seconds
