"""Traffic classes: who goes first when not everybody can.

A class comes from what the gateway itself knows (the route, a verified claim, the session's state, the result of
screening), never from anything that a client can set. Of several the highest wins.
"""

from __future__ import annotations

from enum import IntEnum


class TrafficClass(IntEnum):
    """From the first that is shed to the last."""

    LOW = 0
    """Administrative and bulk work."""
    NORMAL = 1
    HIGH = 2
    THERAPEUTIC = 3
    CRISIS = 4
    """Never refused by an ordinary limit, a breaker or for want of room."""

    @property
    def text(self) -> str:
        """As it is written in the configuration, in logs and in header fields."""
        return self.name.lower()


CLASSES = {each.text: each for each in TrafficClass}
"""By what they are called."""
