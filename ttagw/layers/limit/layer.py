"""Layer: 429 for whoever uses more than a limit lets through, and word of what is left in every answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ttagw.layers.limit.held import Metered
from ttagw.layers.limit.keys import Keys, Place
from ttagw.layers.limit.offer import Multiples
from ttagw.layers.limit.on_route import OnRoute, Part
from ttagw.limits.base import Buckets, Verdict, Want
from ttagw.limits.live import LiveLimit, LiveLimits
from ttagw.limits.local import LocalBuckets
from ttagw.pipeline import Hooks, Route

Look = Callable[[Sequence[Want]], "Verdict | None"]
"""What `take` would say, charging nothing and waiting for nobody; None if that is not known here."""


class RouteLimits(NamedTuple):
    """What of a route matters here."""

    limits: Sequence[str]
    cost: int
    service: str


class Limit:
    """When it is known who is asking, and that they may: limits are about people, and refusals cost nothing of them."""

    name = "limit"

    def __init__(
        self,
        routes: Mapping[str, RouteLimits],
        limits: LiveLimits,
        buckets: Buckets,
        own: LocalBuckets,
        look: Look = lambda wants: None,  # noqa: ARG005
    ) -> None:
        """`routes` by name; one that is not there has no limits. `own`: where bytes are counted, which is here."""
        self._routes = routes
        self._limits = limits
        self._buckets = buckets
        self._look = look
        self._keys = Keys()
        self._metered = Metered(own)
        self._bound: list[OnRoute] = []
        self.tick = self._metered.tick
        """Call this ten times a second: it charges the bytes of what takes long."""
        limits.on_change(self._changed)

    def bind(self, route: Route) -> Hooks | None:
        """Nothing on a route without limits."""
        about = self._routes.get(route.name)
        if about is None or not about.limits:
            return None
        place = Place(route.name, about.service)
        limits = [self._limits.by_name[name] for name in about.limits]
        parts: list[Part] = []
        for live in limits:
            configured = live.configured
            multiples = Multiples(configured.roles, {str(name): each for name, each in configured.classes.items()})
            parts.append((live, self._keys.maker(configured.key, place), multiples))
        bound = OnRoute(parts, about.cost, self._buckets, self._metered, self._look)
        self._bound.append(bound)
        return Hooks(bound.enter, bound.leave)

    def _changed(self, live: LiveLimit) -> None:
        for each in self._bound:
            each.forget(live)
