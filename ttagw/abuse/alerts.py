"""Operators are told of blocks; of many at once they are told once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from ttagw.abuse.entries import OPERATOR, REFUSALS, Block
from ttagw.core.blocking import ADDRESS

MOST, WITHIN = 10, 60.0
"""Blocks of which each is told within so many seconds; of further ones it is told once that there are many."""


class Events(Protocol):
    """Who hands it on; see `ttagw.registry.events`."""

    def tell(self, kind: str, service: str, instance: str = "", reason: str = "", severity: str = "info") -> object:
        """Something has happened."""


class Alerts:
    """Tells of blocks that were made or lifted here. Of users it is told that there is one, and not who."""

    def __init__(self, events: Events, monotonic: Callable[[], float]) -> None:
        self._events = events
        self._monotonic = monotonic
        self._told: deque[float] = deque(maxlen=MOST)
        self._many = float("-inf")

    def blocked(self, block: Block) -> None:
        """Somebody is blocked."""
        severity = "info" if block.by == OPERATOR else "alert"
        if block.by != OPERATOR and not self._room():
            return
        kind = "address_blocked" if block.kind == ADDRESS else "user_blocked"
        # What an operator has written may be anything: here stand fixed words.
        reason = OPERATOR if block.by == OPERATOR else REFUSALS
        self._events.tell(kind, "", _network(block), reason, severity=severity)

    def lifted(self, block: Block) -> None:
        """Somebody is not blocked any more, because an operator says so."""
        self._events.tell("block_lifted", "", _network(block), block.kind)

    def _room(self) -> bool:
        now = self._monotonic()
        if len(self._told) < MOST or now - self._told[0] >= WITHIN:
            self._told.append(now)
            return True
        if now - self._many >= WITHIN:
            self._many = now
            self._events.tell("many_blocked", "", reason="refusals", severity="alert")
        return False


def _network(block: Block) -> str:
    return block.subject if block.kind == ADDRESS else ""
