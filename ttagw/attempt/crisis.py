"""What a request of the class crisis may do that others may not: nothing that only guesses keeps it from a service.

A breaker and a check say how it most likely is; a person who needs help now is not kept away by that. What an operator
has decided is obeyed. None of these tries is counted by a breaker that refused it, well or badly as it may end.
"""

from __future__ import annotations

from collections.abc import Sequence

from ttagw.attempt.service import Instance, Service
from ttagw.core.breaker import State
from ttagw.core.classes import TrafficClass, note_bypass
from ttagw.model import Exchange

_CRISIS = TrafficClass.CRISIS


def in_crisis(exchange: Exchange) -> bool:
    """Whether it is of the class crisis."""
    return exchange.rank is _CRISIS


def passes(exchange: Exchange, reason: str) -> bool:
    """Whether the exchange goes on although it would be refused for this reason; it is noted then."""
    if not in_crisis(exchange):
        return False
    note_bypass(exchange, reason)
    return True


def passes_breaker(exchange: Exchange, service: Service) -> bool:
    """Whether it goes on although the service's breaker refuses it."""
    return service.breaker.state is not State.FORCED_OPEN and passes(exchange, "breaker")


def all_that_can_be_asked(exchange: Exchange, service: Service) -> Sequence[Sequence[Instance]]:
    """Those that can be asked, by zone; where there are none, those that are only believed to be down."""
    if service.tiers or not service.spare or not passes(exchange, "health"):
        return service.tiers
    return (service.spare,)


def last_resort(exchange: Exchange, service: Service, tiers: Sequence[Sequence[Instance]]) -> Sequence[Instance]:
    """Whom to ask although every breaker refuses it; nobody where that is not for this exchange."""
    for each in (*tiers, service.spare):
        found = [instance for instance in each if instance.breaker.state is not State.FORCED_OPEN]
        if found:
            return found if passes(exchange, "breaker") else ()
    return ()
