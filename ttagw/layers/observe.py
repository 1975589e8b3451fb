"""Layer: count each exchange and write its line into the access log, whatever becomes of it."""

from __future__ import annotations

from collections.abc import Callable

from ttagw.core.classes import TrafficClass
from ttagw.logs.access import AccessLog
from ttagw.metrics import METHODS, Metrics
from ttagw.model import NO_BODY, Exchange
from ttagw.pipeline import Hooks, Route

_CRISIS = TrafficClass.CRISIS
"""Looked up once: that costs more than all the rest of asking."""


class Observe:
    """Outermost, so that nothing escapes it."""

    name = "observe"

    def __init__(
        self,
        metrics: Metrics,
        access: AccessLog | None,
        monotonic: Callable[[], float],
        crisis: Callable[[Exchange], None] = lambda exchange: None,  # noqa: ARG005
    ) -> None:
        """`crisis` is told of what is of that class when it is over."""
        self._metrics = metrics
        self._access = access
        self._monotonic = monotonic
        self._crisis = crisis

    def bind(self, route: Route) -> Hooks:
        """Counts into the route's own cells."""
        cells = self._metrics.route(route.name)
        requests = cells.requests
        observe = cells.seconds.observe
        observe_upstream = cells.upstream_seconds.observe
        record = None if self._access is None else self._access.record
        monotonic = self._monotonic
        crisis = self._crisis

        def ended(exchange: Exchange) -> None:
            cells.in_flight -= 1
            seconds = monotonic() - exchange.started
            observe(seconds)
            if exchange.upstream_seconds:
                observe_upstream(exchange.upstream_seconds)
            method = exchange.method
            key = (method if method in METHODS else b"other", exchange.status)
            requests[key] = requests.get(key, 0) + 1
            reason = exchange.reason
            if reason:
                cells.refusals[reason] = cells.refusals.get(reason, 0) + 1
            if exchange.dry_run:
                cells.dry_runs[exchange.dry_run] = cells.dry_runs.get(exchange.dry_run, 0) + 1
            cells.tries += exchange.tries
            cells.bytes_out += exchange.bytes_out
            if exchange.body is not NO_BODY:
                cells.bytes_in += exchange.body.received
            if exchange.rank is _CRISIS:
                crisis(exchange)
            if record is not None:
                record(exchange, seconds)

        def enter(exchange: Exchange) -> None:
            cells.in_flight += 1
            exchange.on_end.append(ended)

        return Hooks(enter)
