"""Room for requests: how many are under way, how many may be, and what of it is kept for whom.

A part of the room is kept for each class that has a share of its own; what is left is for everybody. A class fills its
own part first. So no class can take what is kept for another, and what nobody needs is not wasted on anybody but those
it is kept for.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from ttagw.core.classes import TrafficClass

CLASSES = len(TrafficClass)
_ROUNDING = 1e-9
"""0.1 + 0.2 of ten places are three, whatever the floating point says."""


class Shares(NamedTuple):
    """Shares of a bound, by class from the lowest to the highest."""

    reserved: tuple[float, ...] = (0.0,) * CLASSES
    """What is kept for a class alone."""
    ceilings: tuple[float, ...] = (1.0,) * CLASSES
    """What it may have at the most."""


class Room:
    """A bound, and who is inside."""

    __slots__ = ("_common", "_shares", "bound", "ceilings", "easy", "half", "held", "quiet", "reserved", "total")

    def __init__(self, bound: int, shares: Shares) -> None:
        self._shares = shares
        self.held = [0] * CLASSES
        """By class."""
        self.total = 0
        self.resize(bound)

    def resize(self, bound: int) -> None:
        """From now on there is room for so many. Nobody who is inside has to leave."""
        self.bound = bound
        self.reserved = [int(share * bound + _ROUNDING) for share in self._shares.reserved]
        self.ceilings = [max(1, ceil(share * bound - _ROUNDING)) for share in self._shares.ceilings]
        self._common = bound - sum(self.reserved)
        self.easy = min(self._common, *self.ceilings)
        """While fewer than that are inside, there is room for one more of any class."""
        self.half = min(self.easy, bound // 2)
        """While fewer than that are inside, nobody asks who has how much of it."""
        self.quiet = min(self.easy, bound // 4)
        """While fewer than that are inside, nothing has to be known of anybody."""

    def fits(self, rank: int) -> bool:
        """Whether there is room for one more of this class."""
        if self.total < self.easy:
            return True
        held = self.held[rank]
        if held >= self.ceilings[rank]:
            return False
        return held < self.reserved[rank] or self._beyond() < self._common

    def take(self, rank: int) -> None:
        """One more is inside, whether there was room or not."""
        self.held[rank] += 1
        self.total += 1

    def give(self, rank: int) -> None:
        """One has left."""
        self.held[rank] -= 1
        self.total -= 1

    def _beyond(self) -> int:
        """Those who are in the part that is for everybody."""
        return sum([held - own for held, own in zip(self.held, self.reserved, strict=True) if held > own])
