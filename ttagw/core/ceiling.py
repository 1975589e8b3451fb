"""How much of one class may come from one address: the generic cell rate algorithm (ITU-T I.371), a time for each key.

It is small on purpose: whoever is above it must cost next to nothing.
"""

from __future__ import annotations

AT_ONCE = 10.0
"""Seconds of the rate that may come at once."""
FEW = 10
"""And so many in any case, as far as the rate itself allows them: a page is more than one request."""
MOST_KEYS = 100_000
"""Keys that are remembered; the one that was used longest ago is the first to go."""


class Ceiling:
    """So many in so many seconds, for each key. `now` is monotonic seconds."""

    __slots__ = ("_ends", "_gap", "_most", "_room", "burst", "count", "seconds")

    def __init__(self, count: int, seconds: float, most: int = MOST_KEYS) -> None:
        self.count = count
        self.seconds = seconds
        self.burst = min(count, max(FEW, int(count * AT_ONCE / seconds)))
        """How many may come at once."""
        self._gap = seconds / count
        self._room = (self.burst - 1) * self._gap
        self._most = most
        self._ends: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._ends)

    def wait(self, key: str, now: float) -> float:
        """0 if one more may come, and it counts then; else the seconds until one may."""
        ends = self._ends
        end = ends.pop(key, now)
        over = end - self._room - now
        if over > 1e-9 * self._gap:
            ends[key] = end
            return over
        ends[key] = max(end, now) + self._gap
        if len(ends) > self._most:
            del ends[next(iter(ends))]
        return 0.0
