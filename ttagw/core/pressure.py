"""When memory or files run short: who is let in is decided by how short they are."""

from __future__ import annotations

from typing import Literal

from ttagw.core.classes import TrafficClass

STEPS = ((0.85, TrafficClass.NORMAL), (0.90, TrafficClass.THERAPEUTIC), (0.95, TrafficClass.CRISIS))
"""From which share that is in use which class is the lowest that is let in."""
BACK = 0.03
"""By how much the share has to be lower until a step is taken back."""

Scarce = Literal["memory", "files"]


class Pressure:
    """What is short, and who is let in all the same."""

    __slots__ = ("_steps", "least", "reason", "shares")

    def __init__(self) -> None:
        self.shares: dict[Scarce, float] = {"memory": 0.0, "files": 0.0}
        """The part that is in use."""
        self._steps: dict[Scarce, int] = {"memory": 0, "files": 0}
        self.least = 0
        """The lowest class that is let in."""
        self.reason: Scarce = "memory"
        """Why others are not."""

    def short(self, what: Scarce) -> bool:
        """Whether so little is left of it that anybody is sent away."""
        return self._steps[what] > 0

    def seen(self, what: Scarce, share: float) -> bool:
        """So much is in use now. Whether that begins or ends a shortage."""
        self.shares[what] = share
        before = self._steps[what]
        up = sum([share >= start for start, _ in STEPS])
        kept = sum([share >= start - BACK for start, _ in STEPS])
        step = self._steps[what] = max(up, min(before, kept))
        worst: Scarce = "memory" if self._steps["memory"] >= self._steps["files"] else "files"
        most = self._steps[worst]
        self.reason = worst
        self.least = int(STEPS[most - 1][1]) if most else 0
        return (step > 0) != (before > 0)
