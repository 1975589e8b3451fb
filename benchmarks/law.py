"""What a limit says about the requests that were let through, as arithmetic.

A limit lets at most `burst + rate * W` requests through in any time `W`. Nobody outside knows when a request was
decided about, only that it was after it had been sent and before its answer had come: those that were sent and answered
inside a time were decided about inside it, whatever the network did.
"""

from __future__ import annotations

from collections.abc import Sequence

NEVER = float("-inf")
ROUNDING = 1e-6
"""Of a request."""


def exact(times: Sequence[float], rate: float, burst: float) -> int:
    """How many a limit without any error lets through of those that come at these times, in order."""
    level, before, admitted = 0.0, 0.0, 0
    for now in times:
        level = max(0.0, level - (now - before) * rate)
        before = now
        if level + 1 <= burst + ROUNDING:
            level += 1
            admitted += 1
    return admitted


def error(admitted: int, due: int) -> float:
    """By how many per cent the number that was let through is off."""
    return 100 * (admitted - due) / due if due else 0.0


def excess(admitted: Sequence[tuple[float, float]], rate: float, burst: float) -> float:
    """By how many requests the law was broken at the worst, over all times; 0 or less: nowhere.

    `admitted`: when each of those that were let through was sent and when its answer came, in any order.
    """
    if not admitted:
        return -burst
    starts = sorted(range(len(admitted)), key=lambda number: admitted[number][0])
    place = {number: position for position, number in enumerate(starts)}
    tree = _Most([rate * admitted[number][0] for number in starts])
    worst = NEVER
    for number in sorted(range(len(admitted)), key=lambda number: admitted[number][1]):
        tree.count(place[number])
        worst = max(worst, tree.most() - rate * admitted[number][1])
    return worst - burst


class _Most:
    """For times that begin with one of those that are counted: `offset` of it, and one for each from it on, at most."""

    def __init__(self, offsets: Sequence[float]) -> None:
        self._size = 1 << (len(offsets) - 1).bit_length()
        self._offsets = offsets
        self._sums = [0] * (2 * self._size)
        self._best = [NEVER] * (2 * self._size)

    def count(self, position: int) -> None:
        """This one as well."""
        sums, best = self._sums, self._best
        node = position + self._size
        sums[node], best[node] = 1, 1 + self._offsets[position]
        while node > 1:
            node >>= 1
            right = 2 * node + 1
            sums[node] = sums[right - 1] + sums[right]
            best[node] = max(best[right], best[right - 1] + sums[right])

    def most(self) -> float:
        """The most."""
        return self._best[1]
