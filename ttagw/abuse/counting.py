"""Which answers are refusals that count, and whose they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric

from ttagw.abuse.entries import KINDS
from ttagw.abuse.table import Table
from ttagw.core.blocking import ADDRESS, USER, Rules, Tally, earned
from ttagw.core.classes import TrafficClass
from ttagw.core.networks import Places
from ttagw.errors import HeadersTooLargeError, MalformedRequestError, UriTooLongError
from ttagw.model import Exchange, Reply

STATUSES = frozenset((401, 403, 429))
"""Refusals, whatever the reason."""
UNREADABLE = (MalformedRequestError, UriTooLongError, HeadersTooLargeError)
"""What is malformed."""
OWN = frozenset(("address_blocked", "address_denied", "user_blocked"))
"""Reasons of answers to those who are blocked already: they do not prolong it."""
CEILING = "crisis_ceiling"
"""The one reason for which answers of the class `crisis` count: nobody who needs help gets so far by themselves."""


class Offended(Protocol):
    """Who blocks; see `ttagw.abuse.blocks`."""

    def offend(self, kind: str, subject: str) -> None: ...


def counts(exchange: Exchange, reply: Reply) -> bool:
    """Whether this answer is a refusal that counts. One that a service gave has no reason."""
    if exchange.rank is TrafficClass.CRISIS:
        return reply.reason == CEILING
    if reply.status in STATUSES:
        return reply.reason not in OWN
    return isinstance(exchange.refusal, UNREADABLE) and reply.status == exchange.refusal.status


class Counting:
    """Counts refusals of addresses and users, and has those blocked that get too many."""

    def __init__(
        self, rules: Rules, places: Places, table: Table, blocks: Offended, monotonic: Callable[[], float]
    ) -> None:
        self._places = places
        self._table = table
        self._blocks = blocks
        self._monotonic = monotonic
        self._tallies = {kind: Tally(rules) for kind in KINDS}
        self.counted = dict.fromkeys(KINDS, 0)

    def count(self, exchange: Exchange) -> None:
        """The answer to this was a refusal that counts."""
        now = self._monotonic()
        client = exchange.client
        place = self._places.of(client)
        apart = not place.exempt and not place.denied and earned(exchange, ADDRESS)
        if apart and self._table.find_address(place, client) is None:
            self._count(ADDRESS, place.subject, now)
        identity = exchange.identity
        if identity is None or identity.kind != "token" or not earned(exchange, USER):
            return
        if self._table.find_user(identity.user) is None:
            self._count(USER, identity.user, now)

    def _count(self, kind: str, subject: str, now: float) -> None:
        self.counted[kind] += 1
        if self._tallies[kind].count(subject, now):
            self._blocks.offend(kind, subject)

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        counted = CounterMetricFamily("ttagw_refusals_counted", "Refusals that count towards blocks.", labels=["kind"])
        for kind, count in self.counted.items():
            counted.add_metric([kind], count)
        yield counted
