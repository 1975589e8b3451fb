"""The buckets of one limit by key: bounded, the oldest idle go first, and no turn of the reactor pays for all of it."""

from __future__ import annotations

GENERATIONS = 16
"""Kept apart by when they were used last; what goes is as old as this at the least."""
MOST = 1_000_000
"""Keys of one limit."""
SHORTEST = 1.0
"""Seconds for which a generation takes keys, at the least."""
AT_ONCE = 4
"""Keys of a generation that is over which go with each new one: a million at once would hold everybody up."""


class Table:
    """When each bucket will be empty, by key.

    One dict that is reordered with every use would be rebuilt as a whole now and then. So there are some small ones:
    what is used moves to the newest, and what has not been used for as long as a bucket needs to become empty goes
    with the oldest. What is not empty even then, since more is used than a bucket holds now, begins anew while there
    is room.
    """

    __slots__ = ("_each", "_full", "_leaving", "_older", "_span", "_turns", "dropped", "newest")

    def __init__(self, now: float, most: int = MOST) -> None:
        self.newest: dict[str, float] = {}
        self.dropped = 0
        """Keys that went before their buckets were empty."""
        self._older: list[dict[str, float]] = []
        """Newest first; none is empty."""
        self._leaving: dict[str, float] = {}
        """These go, a few at a time."""
        self._full = False
        """Whether they go for want of room, whatever is in their buckets."""
        self._each = max(most // GENERATIONS, 1)
        self._span = SHORTEST
        self._turns = now + SHORTEST

    def __len__(self) -> int:
        return len(self.newest) + sum([len(each) for each in self._older]) + len(self._leaving)

    def keep_for(self, seconds: float, now: float) -> None:
        """A bucket that was not used for so long is empty."""
        # What was used last so many generations ago is empty by so many parts of `seconds`, before a change and after.
        self._span = max(seconds / (GENERATIONS - 2), SHORTEST)
        self._turns = now + self._span

    def find(self, key: str) -> float:
        """When this bucket will be empty; the beginning of all time for one that is not known."""
        found = self.newest.get(key)
        if found is not None:
            return found
        for each in self._older:
            found = each.get(key)
            if found is not None:
                return found
        return self._leaving.get(key, 0.0)

    def put(self, key: str, empty: float, now: float, at: float) -> None:
        """Keep it. `at` is the time of the limit's clock."""
        if key not in self.newest:
            self._make_room(now, at)
            for each in self._older:
                if each.pop(key, None) is not None:
                    break
            else:
                self._leaving.pop(key, None)
        self.newest[key] = empty

    def remove(self, key: str) -> None:
        """Forget it."""
        for each in (self.newest, *self._older, self._leaving):
            each.pop(key, None)

    def _make_room(self, now: float, at: float) -> None:
        leaving = self._leaving
        for _ in range(min(AT_ONCE, len(leaving))):
            key, empty = leaving.popitem()
            if empty > at:
                if self._full:
                    self.dropped += 1
                else:
                    self.newest[key] = empty
        if len(self.newest) >= self._each or now >= self._turns:
            self._turn(now, at)

    def _turn(self, now: float, at: float) -> None:
        early = now < self._turns
        self._turns = now + self._span
        self._older = [each for each in (self.newest, *self._older) if each]
        self.newest = {}
        if len(self._older) <= GENERATIONS - 2:
            return
        kept = {key: empty for key, empty in self._leaving.items() if empty > at}
        if self._full:
            self.dropped += len(kept)
        else:
            self.newest = kept
        self._leaving, self._full = self._older.pop(), early
