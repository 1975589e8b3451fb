"""Layer: a class has a ceiling of its own, by address, so that nobody can use it to take the gateway down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil

from ttagw.core.blocking import ADDRESS, note_earned
from ttagw.core.ceiling import Ceiling
from ttagw.core.classes import TrafficClass
from ttagw.errors import CrisisCeilingError, RateLimitedError
from ttagw.model import Exchange
from ttagw.pipeline import Hooks, Route

RESPITE = 1.0
"""Seconds for which the connection of a request above the ceiling of `crisis` is not read after its answer."""


class Ceilings:
    """Above the ceiling of `crisis` nobody is asked, neither a service nor the store: the answer is help. With other
    classes it is 429.
    """

    name = "ceilings"

    def __init__(
        self,
        ceilings: Mapping[TrafficClass, Ceiling],
        monotonic: Callable[[], float],
        network: Callable[[str], str],
    ) -> None:
        """`network`: what counts as one address."""
        self._ceilings = ceilings
        self._monotonic = monotonic
        self._network = network

    def bind(self, route: Route) -> Hooks | None:  # noqa: ARG002 - any route's request can be of any class
        """Nothing where no class has a ceiling."""
        if not self._ceilings:
            return None
        by_class = tuple([self._ceilings.get(each) for each in TrafficClass])
        network, monotonic = self._network, self._monotonic

        def enter(exchange: Exchange) -> None:
            ceiling = by_class[exchange.rank]
            if ceiling is None:
                return
            client = exchange.client
            wait = ceiling.wait(network(client) if ":" in client else client, monotonic())
            if wait:
                raise _refusal(exchange, ceiling, wait)

        return Hooks(enter)


def _refusal(exchange: Exchange, ceiling: Ceiling, wait: float) -> CrisisCeilingError | RateLimitedError:
    seconds = ceil(wait)
    note_earned(exchange, ADDRESS)
    if exchange.rank is TrafficClass.CRISIS:
        exchange.respite = RESPITE
        return CrisisCeilingError(retry_after=seconds)
    name = exchange.rank.text.encode("ascii")
    policy = b'"class-%b";q=%d;w=%d' % (name, ceiling.count, ceil(ceiling.seconds))
    fields = ((b"ratelimit-policy", policy), (b"ratelimit", b'"class-%b";r=0;t=%d' % (name, seconds)))
    return RateLimitedError("class_rate", retry_after=seconds, fields=fields)
