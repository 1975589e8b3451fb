"""Layer: which traffic class a request is of, by what is known about its caller."""

from __future__ import annotations

from collections.abc import Mapping, Set

from ttagw.core.classes import raise_to
from ttagw.core.marks import Mark
from ttagw.model import Exchange
from ttagw.pipeline import Hooks, Route


class Classify:
    """The highest wins: the route's class, which is there already, what the caller's claims say, and the mark of their
    session. All of it was verified; nothing that a client says of itself is looked at.
    """

    name = "classify"

    def __init__(self, asking: Set[str], marks: Mapping[str, Mark]) -> None:
        """`asking`: names of the routes that ask who is there. `marks` by `session_key`, as it is at any time."""
        self._asking = asking
        self._marks = marks

    def bind(self, route: Route) -> Hooks | None:
        """Nothing on a route that does not know its callers."""
        if route.name not in self._asking:
            return None
        marks = self._marks

        def enter(exchange: Exchange) -> None:
            identity = exchange.identity
            if identity is None:
                return
            if identity.rank > exchange.rank:
                exchange.rank = identity.rank
            if marks and identity.mark in marks:
                raise_to(exchange, marks[identity.mark].rank)

        return Hooks(enter)
