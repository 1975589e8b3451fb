"""Layer: how much body a route takes."""

from __future__ import annotations

from ttagw.errors import BodyTooLargeError
from ttagw.model import NO_BODY, Exchange
from ttagw.pipeline import Hooks, Route


class Bounds:
    """413 before anything is sent on when the length is announced; the channel cuts what turns out too long later."""

    name = "bounds"

    def bind(self, route: Route) -> Hooks:
        """Compares with the route's own limit."""
        most = route.max_body

        def enter(exchange: Exchange) -> None:
            if exchange.body is not NO_BODY and (exchange.length > most or exchange.body.received > most):
                raise BodyTooLargeError

        return Hooks(enter)
