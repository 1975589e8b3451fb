"""Layers: who is blocked is refused, by address before anything else is done, by user as soon as they are known.

The connections of a blocked address are closed before that; here it is about clients behind a proxy that is trusted,
and about requests that were there when the block began. A request of the class `crisis` is never refused for it: where
it may turn out to be one by who is asking, that is found out first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from math import ceil

from ttagw.abuse.counting import counts
from ttagw.abuse.entries import Block
from ttagw.abuse.table import Table
from ttagw.core.blocking import ADDRESS
from ttagw.core.classes import TrafficClass, note_bypass
from ttagw.core.networks import Places
from ttagw.errors import BlockedError
from ttagw.model import Exchange, Reply
from ttagw.pipeline import Enter, Hooks, Leave, Route

BYPASS = "blocked"
"""What is noted about a request that would have been refused, were it not for its class."""


class Guard:
    """403 for addresses that are denied or blocked; and refusals are counted."""

    name = "guard"

    def __init__(
        self,
        places: Places,
        table: Table,
        wall: Callable[[], float],
        rising: Collection[str],
        logins: Collection[str],
        count: Callable[[Exchange], None] | None,
    ) -> None:
        """`rising`: routes that ask who it is. `logins`: routes where refusals of the service count, too. `count` is
        told of refusals; None: none counts.
        """
        self._places = places
        self._table = table
        self._wall = wall
        self._rising = rising
        self._logins = logins
        self._count = count

    def bind(self, route: Route) -> Hooks:
        """Looks at addresses only while somebody is denied or blocked."""
        return Hooks(self._enter(route.name in self._rising), self._leave(route.name in self._logins))

    def _enter(self, rises: bool) -> Enter:
        places, table, wall = self._places, self._table, self._wall
        denies = bool(places.deny)

        def check(exchange: Exchange) -> None:
            place = places.of(exchange.client)
            if place.exempt:
                return
            if place.denied:
                raise BlockedError("address_denied")
            block = table.find_address(place, exchange.client)
            if block is not None and not (rises and exchange.credentials):
                _refuse(exchange, block, wall())

        def enter(exchange: Exchange) -> None:
            if table.any or denies:
                check(exchange)

        return enter

    def _leave(self, login: bool) -> Leave | None:
        count = self._count
        if count is None:
            return None

        def leave(exchange: Exchange, reply: Reply) -> None:
            # What a service has answered has no reason.
            if (reply.reason or login) and counts(exchange, reply):
                count(exchange)

        return leave


class GuardUsers:
    """403 for users who are blocked, and for addresses that are and that `Guard` has let through until here."""

    name = "guard_users"

    def __init__(self, places: Places, table: Table, wall: Callable[[], float], rising: Collection[str]) -> None:
        self._places = places
        self._table = table
        self._wall = wall
        self._rising = rising

    def bind(self, route: Route) -> Hooks | None:
        """Nothing where nobody is asked who it is."""
        if route.name not in self._rising:
            return None
        places, table, wall = self._places, self._table, self._wall

        def check(exchange: Exchange) -> None:
            identity = exchange.identity
            if identity is not None and identity.kind == "token":
                block = table.find_user(identity.user)
                if block is not None:
                    _refuse(exchange, block, wall())
            place = places.of(exchange.client)
            block = None if place.exempt else table.find_address(place, exchange.client)
            if block is not None:
                _refuse(exchange, block, wall())

        def enter(exchange: Exchange) -> None:
            if table.any:
                check(exchange)

        return Hooks(enter)


def _refuse(exchange: Exchange, block: Block, now: float) -> None:
    if exchange.rank is TrafficClass.CRISIS:
        note_bypass(exchange, BYPASS)
        return
    reason = "address_blocked" if block.kind == ADDRESS else "user_blocked"
    raise BlockedError(reason, retry_after=None if block.end is None else max(1, ceil(block.end - now)))
