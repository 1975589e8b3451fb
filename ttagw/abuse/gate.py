"""Connections: who is not let in, how many one address may have, and who takes the answers too slowly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ttagw.abuse.entries import Block
from ttagw.abuse.table import Table
from ttagw.core.blocking import ADDRESS
from ttagw.core.forwarded import Peer
from ttagw.core.networks import Places, address_of, subject_of

TICK = 1.0
"""Seconds between two looks at what is slow, and at what should have ended."""
SLOW = 5.0
"""Seconds for which nothing of an answer was taken, from which on a connection is slow."""
GRACE = 30.0
"""Seconds that an answer may still take whose client has been blocked."""

REASONS = ("blocked", "denied", "too_many", "slow_reader")


class Connection(Protocol):
    """A client's connection; see `ttagw.web.channel`."""

    peer: Peer

    def stalled(self, now: float) -> float:
        """Seconds for which the client has taken nothing of what waits for it; 0 if nothing waits."""

    def close_soon(self) -> None:
        """End it, after the answer that is under way."""

    def give_up(self, reason: str) -> None:
        """End it now; `reason` is for the log."""


class Gate:
    """Knows the connections of each address, in IPv6 of each /64. Those that are exempt are none of its business."""

    log = Logger()

    def __init__(
        self,
        places: Places,
        table: Table,
        clock: Any,
        monotonic: Callable[[], float],
        most_connections: int = 0,
        most_slow: int = 0,
    ) -> None:
        """`most_connections` and `most_slow` are of one address; 0: any number."""
        self.counts = dict.fromkeys(REASONS, 0)
        """Connections that were not let in, or cut, by reason."""
        self._places = places
        self._table = table
        self._monotonic = monotonic
        self._most = most_connections
        self._most_slow = most_slow
        self._open: dict[str, set[Connection]] = {}
        self._leaving: dict[Connection, float] = {}
        """Connections of clients that were blocked, and until when they may last."""
        self._loop = LoopingCall(self._tick)
        self._loop.clock = clock

    def start(self) -> None:
        """Begin to look."""
        self._loop.start(TICK, now=False)

    def stop(self) -> None:
        """Look no more."""
        if self._loop.running:
            self._loop.stop()

    def refuses(self, host: str) -> bool:
        """Whether a new connection from this address is closed, before anything of it is read."""
        place = self._places.of(host)
        if place.exempt:
            return False
        if place.denied:
            why = "denied"
        elif self._table.any and self._table.find_address(place, host) is not None:
            why = "blocked"
        elif self._most and len(self._open.get(place.subject, ())) >= self._most:
            why = "too_many"
        else:
            return False
        self.counts[why] += 1
        return True

    def opened(self, connection: Connection) -> None:
        """A connection has begun."""
        place = self._places.of(connection.peer.address)
        if not place.exempt:
            self._open.setdefault(place.subject, set()).add(connection)

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        subject = self._places.of(connection.peer.address).subject
        same = self._open.get(subject)
        if same is not None:
            same.discard(connection)
            if not same:
                del self._open[subject]
        self._leaving.pop(connection, None)

    def began(self, block: Block) -> None:
        """Somebody is blocked from now on: the connections of an address end."""
        if block.kind != ADDRESS or not self._open:
            return
        until = self._monotonic() + GRACE
        for connection in self._under(block):
            self.counts["blocked"] += 1
            self._leaving[connection] = until
            connection.close_soon()

    def _under(self, block: Block) -> list[Connection]:
        network = block.network()
        if block.subject == subject_of(network.network_address):
            return list(self._open.get(block.subject, ()))
        found = []
        for connections in self._open.values():
            for each in connections:
                address = address_of(each.peer.address)
                if address is not None and address.version == network.version and address in network:
                    found.append(each)
        return found

    # Time

    def _tick(self) -> None:
        try:
            self.look(self._monotonic())
        except Exception:
            self.log.failure("connections could not be looked at")

    def look(self, now: float) -> None:
        """Cut what should have ended by now, and of slow readers the slowest that are too many."""
        for connection in [each for each, until in self._leaving.items() if until <= now]:
            del self._leaving[connection]
            connection.give_up("address_blocked")
        if self._most_slow:
            for connections in [each for each in self._open.values() if len(each) > self._most_slow]:
                self._cut_slow(connections, now)

    def _cut_slow(self, connections: set[Connection], now: float) -> None:
        slow = [(stalled, each) for each in connections if (stalled := each.stalled(now)) >= SLOW]
        if len(slow) <= self._most_slow:
            return
        slow.sort(key=lambda each: each[0], reverse=True)
        for _, connection in slow[: len(slow) - self._most_slow]:
            self.counts["slow_reader"] += 1
            connection.give_up("slow_reader")

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        cut = CounterMetricFamily(
            "ttagw_blocked_connections", "Connections that were not let in, or cut.", labels=["reason"]
        )
        for reason, count in self.counts.items():
            cut.add_metric([reason], count)
        yield cut
