"""How much each may use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.web.resource import Resource

from ttagw.admin.callers import Callers
from ttagw.admin.limits import LimitPages
from ttagw.config import Config
from ttagw.layers.limit import Limit, RouteLimits
from ttagw.layers.limit.held import TICKS
from ttagw.limits.base import Buckets, Verdict, Want
from ttagw.limits.live import LiveLimit, LiveLimits
from ttagw.limits.local import LocalBuckets
from ttagw.limits.shared import SharedBuckets
from ttagw.pipeline import Layer
from ttagw.store.make import make_counters
from ttagw.surroundings import Surroundings
from ttagw.traffic.limit_changes import LimitChanges
from ttagw.traffic.part import Part


class Limits(Part):
    """How much each may use."""

    log = Logger()

    def __init__(self, config: Config, around: Surroundings) -> None:
        self._config = config
        self._around = around
        self._local: list[LocalBuckets] = []
        self.shared: SharedBuckets | None = None
        self.limits = LiveLimits(config.limits)
        self.limits.on_change(self._refresh)
        self._own = self.local()
        self.shared = self._shared()
        self.buckets: Buckets = self.shared or self.local()
        routes = {
            each.name: RouteLimits(each.limits, each.cost, "+".join(each.split or (each.service,)))
            for each in config.routes
            if each.limits
        }
        self._layer = Limit(routes, self.limits, self.buckets, self._own, self._look)
        costs = {
            name: {each.name: each.cost for each in config.routes if name in each.limits} for name in config.limits
        }
        self._changes = LimitChanges(self.limits, costs, around, self._reset, self._keys)
        self._loop = LoopingCall(self._tick)
        self._loop.clock = around.reactor

    def local(self, scale: float = 1.0) -> LocalBuckets:
        """New buckets in this process, which hear of changes."""
        made = LocalBuckets(self._around.monotonic, scale)
        self._local.append(made)
        return made

    def _shared(self) -> SharedBuckets | None:
        """Where it is kept what was used by rate, if other gateways may be there."""
        around = self._around
        if not self._config.limits:
            return None
        ledger = make_counters(self._config.gateway.store, around.reactor, around.monotonic, around.random)
        if ledger is None:
            return None
        return SharedBuckets(ledger, self.local(), around.reactor, around.monotonic, self._tell)

    def _tell(self, there: bool, reason: str) -> None:
        if there:
            self._around.events.tell("limits_store_back", "")
        else:
            self._around.events.tell("limits_store_away", "", reason=reason, severity="alert")

    def _look(self, wants: Sequence[Want]) -> Verdict | None:
        look = getattr(self.buckets, "look", None)
        return None if look is None else look(wants)

    def _refresh(self, live: LiveLimit) -> None:
        for each in self._local:
            each.refresh(live.rate)
            each.refresh(live.bandwidth)
        if self.shared is not None:
            self.shared.refresh(live.rate)

    def _reset(self, live: LiveLimit, key: str) -> None:
        self.buckets.reset(live.rate, key)
        self._own.reset(live.bandwidth, key)

    def _keys(self, live: LiveLimit) -> int:
        return sum([each.keys(live.rate.name) + each.keys(live.bandwidth.name) for each in self._local])

    # As of `Part`

    def layers(self) -> Sequence[Layer]:
        """What requests pass."""
        return (self._layer,)

    def start(self) -> None:
        """Begin. The store is started by somebody else."""
        if self.shared is not None:
            self.shared.start()
        self._changes.start()
        self._loop.start(1 / TICKS, now=False)

    async def stop(self) -> None:
        """End what is under way."""
        if self._loop.running:
            self._loop.stop()
        await self._changes.stop()
        if self.shared is not None:
            await self.shared.stop()

    def _tick(self) -> None:
        try:
            self._layer.tick()
        except Exception:
            self.log.failure("bytes could not be charged")

    def pages(self, callers: Callers) -> Mapping[bytes, Resource]:
        """What the admin side shows of it."""
        return {b"limits": LimitPages(self._changes, callers)}

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        checks = CounterMetricFamily("ttagw_limit_checks", "Checks, by outcome.", labels=["limit", "outcome"])
        keys = GaugeMetricFamily("ttagw_limit_keys", "Keys that are kept.", labels=["limit"])
        dropped = CounterMetricFamily(
            "ttagw_limit_dropped_keys", "Keys in use that went because there were too many.", labels=["limit"]
        )
        under_way = GaugeMetricFamily(
            "ttagw_limit_under_way", "Requests under way that a limit counts.", labels=["limit"]
        )
        for name, live in self.limits.by_name.items():
            for outcome, count in live.outcomes.items():
                checks.add_metric([name, outcome], count)
            keys.add_metric([name], self._keys(live))
            lost = [each.dropped(live.rate.name) + each.dropped(live.bandwidth.name) for each in self._local]
            dropped.add_metric([name], sum(lost))
            under_way.add_metric([name], sum(live.under_way.values()))
        yield from (checks, keys, dropped, under_way)
        if self.shared is not None:
            yield from self.shared.metrics()
