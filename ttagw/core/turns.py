"""Who is next of those who wait: the highest class first, and inside a class one user after the other.

Whoever sends a thousand requests waits behind everybody else's first one, and when nobody else can wait any more, it is
the newest of theirs that has to go.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar

from ttagw.core.room import CLASSES


class Waits(Protocol):
    """Somebody who waits."""

    @property
    def rank(self) -> int: ...
    @property
    def user(self) -> str: ...


W = TypeVar("W", bound=Waits)


class Turns(Generic[W]):
    """Those who wait in one place."""

    __slots__ = ("_users", "counts", "size")

    def __init__(self) -> None:
        # By class: the users in their turns, each with what they wait with, oldest first.
        self._users: list[OrderedDict[str, OrderedDict[W, None]]] = [OrderedDict() for _ in range(CLASSES)]
        self.counts = [0] * CLASSES
        """By class."""
        self.size = 0

    def add(self, who: W) -> None:
        """One more waits. A user who has not waited is the last of their class."""
        users = self._users[who.rank]
        waiting = users.get(who.user)
        if waiting is None:
            waiting = users[who.user] = OrderedDict()
        waiting[who] = None
        self.counts[who.rank] += 1
        self.size += 1

    def remove(self, who: W) -> None:
        """One does not wait any more."""
        users = self._users[who.rank]
        waiting = users[who.user]
        del waiting[who]
        if not waiting:
            del users[who.user]
        self.counts[who.rank] -= 1
        self.size -= 1

    def take(self, rank: int, held: Mapping[str, int], most: int) -> W:
        """The next of a class of which somebody waits; the others come before that user has another turn.

        Users who hold `most` or more stand back for those who hold less.
        """
        users = self._users[rank]
        user = next((each for each in users if held.get(each, 0) < most), None)
        if user is None:
            user = next(iter(users))
        found = next(iter(users[user]))
        users.move_to_end(user)
        self.remove(found)
        return found

    def yields(self, rank: int, user: str) -> W | None:
        """Who has to go so that one more of this class and user can wait; None: nobody.

        That is the newest of whoever waits with most in the lowest class, if that class is lower; if it is the same,
        only of somebody who would still have as many as the newcomer then.
        """
        lowest = next((each for each in range(CLASSES) if self.counts[each]), CLASSES)
        if lowest > rank:
            return None
        if lowest == rank:
            return self.yields_within(rank, user)
        users = self._users[lowest]
        return next(reversed(users[self._heaviest(users)]))

    def yields_within(self, rank: int, user: str) -> W | None:
        """Who of this class has to go so that one more of this user can wait; None: nobody."""
        users = self._users[rank]
        if not users:
            return None
        heaviest = self._heaviest(users)
        if len(users[heaviest]) < len(users.get(user, ())) + 2:
            return None
        return next(reversed(users[heaviest]))

    @staticmethod
    def _heaviest(users: Mapping[str, OrderedDict[W, None]]) -> str:
        return max(users, key=lambda each: len(users[each]))

    def of_class(self, rank: int) -> list[W]:
        """All of a class who wait."""
        return [who for waiting in self._users[rank].values() for who in waiting]
