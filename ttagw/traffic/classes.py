"""Which class a request is of, and what is never refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from twisted.web.resource import Resource

from ttagw.admin.callers import Callers
from ttagw.admin.sessions import SessionPages
from ttagw.auth.refusals import network
from ttagw.config import Config
from ttagw.core.ceiling import Ceiling
from ttagw.core.classes import CLASSES
from ttagw.layers.ceilings import Ceilings
from ttagw.layers.classify import Classify
from ttagw.model import Exchange
from ttagw.pipeline import Layer
from ttagw.surroundings import Surroundings
from ttagw.traffic.crisis import CrisisRecord
from ttagw.traffic.marks import Marks
from ttagw.traffic.part import Part


class Classes(Part):
    """Which class a request is of, and what is never refused."""

    def __init__(self, config: Config, around: Surroundings) -> None:
        self._asking = {each.name for each in config.routes if each.auth != "none"} if config.auth.issuers else set()
        self._ceilings = {
            CLASSES[name]: Ceiling(each.rate.count, each.rate.seconds)
            for name, each in config.classes.items()
            if each.rate is not None
        }
        self._around = around
        self.marks = Marks(around.store, around.reactor, around.wall)
        self.record = CrisisRecord(around.events, around.reactor)

    def layers(self) -> Sequence[Layer]:
        """Which class it is, and then whether there is too much of that."""
        return (
            Classify(self._asking, self.marks.all),
            Ceilings(self._ceilings, self._around.monotonic, network),
        )

    def ended(self, exchange: Exchange) -> None:
        """To be told of every exchange of the class crisis that is over."""
        self.record.ended(exchange)

    def start(self) -> None:
        """Learn which sessions are marked."""
        self.marks.start()
        self.record.start()

    async def stop(self) -> None:
        """Say what has not been said yet."""
        self.record.stop()
        await self.marks.stop()

    def pages(self, callers: Callers) -> Mapping[bytes, Resource]:
        """Marks of sessions."""
        return {b"sessions": SessionPages(self.marks, callers, self._around.wall)}

    def metrics(self) -> Iterable[Metric]:
        """What crisis requests did, and how much there is of what is remembered."""
        record = self.record
        requests = CounterMetricFamily("ttagw_crisis_requests", "Requests of the class crisis.", labels=["route"])
        for route, count in sorted(record.requests.items()):
            requests.add_metric([route], count)
        bypasses = CounterMetricFamily(
            "ttagw_crisis_bypasses", "What would have refused them.", labels=["route", "reason"]
        )
        for (route, reason), count in sorted(record.bypasses.items()):
            bypasses.add_metric([route, reason], count)
        fallbacks = CounterMetricFamily("ttagw_crisis_fallbacks", "Safe answers to them.", labels=["reason"])
        for reason, count in sorted(record.fallbacks.items()):
            fallbacks.add_metric([reason], count)
        marks = GaugeMetricFamily("ttagw_session_marks", "Sessions that are marked.", value=len(self.marks.all))
        keys = GaugeMetricFamily("ttagw_class_ceiling_keys", "Addresses that are remembered.", labels=["class"])
        for rank, ceiling in self._ceilings.items():
            keys.add_metric([rank.text], len(ceiling))
        return (requests, bypasses, fallbacks, marks, keys)
