"""What each user of the class `crisis` holds: no limit counts for that class, and nobody shall have all of its places.

Whoever holds more than so many times what is free gets no more (dynamic thresholds, as Choudhury and Hahne have them
for the memory of switches): so somebody who holds nothing finds a place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

GREED = 2
"""So many times what is free: one alone has two thirds at the most."""
HELD = "crisis_place"
"""Under which an exchange carries whose place at a gate it has."""


class Shared:
    """The places of one kind, by user."""

    __slots__ = ("users",)

    def __init__(self) -> None:
        self.users: dict[str, int] = {}

    def greedy(self, user: str, free: int) -> bool:
        """Whether this one has so much already that what is left is for others."""
        return self.users.get(user, 0) > max(0, GREED * free - 1)

    def take(self, user: str) -> None:
        """This one holds one more."""
        self.users[user] = self.users.get(user, 0) + 1

    def give(self, user: str) -> None:
        """One less."""
        left = self.users[user] - 1
        if left:
            self.users[user] = left
        else:
            del self.users[user]


class Sharing(Protocol):
    """A request that holds places."""

    notes: dict[str, Any] | None
    on_end: list[Callable[[Any], None]]


def share(exchange: Sharing, user: str, gate: Shared, hall: Shared) -> None:
    """It asks for a place at the gate until its answer begins, and for one in the hall until it is over."""
    gate.take(user)
    hall.take(user)
    if exchange.notes is None:
        exchange.notes = {}
    exchange.notes[HELD] = user

    def ended(_: object) -> None:
        answered(exchange, gate)
        hall.give(user)

    exchange.on_end.append(ended)


def answered(exchange: Sharing, gate: Shared) -> None:
    """Its answer has begun, if it had not yet."""
    user = None if exchange.notes is None else exchange.notes.pop(HELD, None)
    if user is not None:
        gate.give(user)
