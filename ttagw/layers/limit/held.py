"""What one exchange holds of its limits beyond their rates, until it is over."""

from __future__ import annotations

from collections.abc import Sequence

from ttagw.layers.limit.offer import Line
from ttagw.limits.base import Want
from ttagw.limits.live import LiveLimit
from ttagw.limits.local import LocalBuckets
from ttagw.model import Exchange

TICKS = 10
"""In so many parts those under way are looked at in a second."""


class Metered:
    """The exchanges under way whose bytes count."""

    def __init__(self, buckets: LocalBuckets) -> None:
        self.buckets = buckets
        self.under_way: set[Held] = set()
        self._due: list[Held] = []
        self._share = 0

    def tick(self) -> None:
        """Charge what has passed, of a part of them each time: a body of an hour is not free until its end, and
        thousands of them hold nobody up. Call it `TICKS` times a second.
        """
        if not self._due:
            self._due = list(self.under_way)
            self._share = -(-len(self._due) // TICKS)
        for _ in range(min(self._share, len(self._due))):
            self._due.pop().charge()


class Held:
    """Places among the requests under way, and bytes that are charged as they pass."""

    __slots__ = ("_charged", "_exchange", "_held", "_metered", "dry", "keys", "lines")

    def __init__(self, exchange: Exchange, lines: Sequence[Line], keys: Sequence[str], metered: Metered) -> None:
        self.lines = lines
        self.keys = keys
        self._exchange = exchange
        self._metered = metered
        self._charged = 0
        self._held = False
        self.dry: list[LiveLimit] = []
        """What would have refused it, were it not only tried out."""

    def begin(self) -> None:
        """It is let through: from now on it counts, and once it is over it does not any more, whatever happens."""
        self._held = True
        for line, key in zip(self.lines, self.keys, strict=True):
            if line.concurrent:
                line.live.begin(key)
        if any(line.has_bandwidth for line in self.lines):
            self._metered.under_way.add(self)
        self._exchange.on_end.append(self._ended)

    def release(self) -> None:
        """It was refused after all: nothing is charged."""
        if self._held:
            self._held = False
            self._metered.under_way.discard(self)
            for line, key in zip(self.lines, self.keys, strict=True):
                if line.concurrent:
                    line.live.end(key)

    def charge(self) -> None:
        """Charge the bytes of bodies that have passed and were not charged yet."""
        if not self._held:
            return
        exchange = self._exchange
        passed = exchange.body.received + exchange.bytes_out
        more = passed - self._charged
        if more > 0:
            self._charged = passed
            for line, key in zip(self.lines, self.keys, strict=True):
                if line.has_bandwidth:
                    self._metered.buckets.charge(Want(line.live.bandwidth, key, more / line.multiple))

    def _ended(self, exchange: Exchange) -> None:  # noqa: ARG002 - the shape of what is called at the end
        if self._held:
            self.charge()
            self.release()
