"""How much is under way at once, and who is shed when there is no room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.web.resource import Resource

from ttagw.admin.answers import Given
from ttagw.admin.callers import Callers
from ttagw.config import Config
from ttagw.core import admission as core
from ttagw.core.classes import CLASSES, TrafficClass
from ttagw.core.gradient import Gradient
from ttagw.core.pressure import Pressure
from ttagw.core.room import Shares
from ttagw.layers.admit import Admit, Crowd
from ttagw.pipeline import Layer
from ttagw.surroundings import Surroundings
from ttagw.traffic import load
from ttagw.traffic.part import Part

LEAST = 8
"""However slow a service is, so many may wait for its answers."""
TICK = 0.25
"""Seconds between two looks at memory and files."""
TRIM = 5.0
"""Seconds at the least between two tries to give memory back while it is short, ..."""
SELDOM = 200
"""... and so many times what the last one took: nobody is answered meanwhile."""
CRISIS_CEILING = 0.5
"""The default of `classes.crisis.ceiling`."""


class Admission(Part):
    """How much is under way at once, and who is shed when there is no room."""

    log = Logger()

    def __init__(self, config: Config, around: Surroundings) -> None:
        self._config = config
        self._around = around
        settings = config.admission
        bound = settings.in_flight
        self._admission = core.Admission(bound, _shares(config), settings.queue, settings.queue_time)
        self._crowd = Crowd(self._admission, around.reactor, around.monotonic, around.random)
        self._pressure = Pressure()
        # Shares of a split are decided later, and who has the most room is not known yet: its first service stands for
        # all of them.
        services = {each.name: next(iter(each.split), each.service) for each in config.routes}
        least = min(LEAST, bound)
        self._gradients: dict[str, Gradient] = {}
        if settings.adaptive:
            now = around.monotonic()
            self._gradients = {name: Gradient(least, bound, now) for name in set(services.values())}
        self._layer = Admit(self._crowd, services, self._gradients, self._pressure)
        self._limits = load.memory_limits(settings.memory)
        self._give_back = load.giver_back()
        self._give_back_at = around.monotonic()
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = around.reactor

    def layers(self) -> Sequence[Layer]:
        """One, for every route that leads to a service."""
        return (self._layer,)

    def start(self) -> None:
        """Begin to look at memory and files."""
        self._follow()
        self._ticking.start(TICK, now=False)

    async def stop(self) -> None:
        """Whoever waits is sent away."""
        if self._ticking.running:
            self._ticking.stop()
        self._crowd.stop()

    # Memory and files

    def _tick(self) -> None:
        try:
            self._look()
        except Exception:
            self.log.failure("memory and files could not be looked at")

    def _look(self) -> None:
        pressure, around = self._pressure, self._around
        self._follow()
        least = pressure.least
        memory = load.memory_share(load.memory_used(), self._limits)
        if pressure.seen("memory", memory):
            if pressure.short("memory"):
                around.events.tell("memory_short", "", reason="memory", severity="alert")
            else:
                around.events.tell("memory_short_over", "", reason="memory")
        files = load.files_share(
            load.files_open(around.reactor),
            load.files_limit(),
            around.services,
            self._config.upstream.max_connections,
        )
        if pressure.seen("files", files):
            if pressure.short("files"):
                around.events.tell("files_short", "", reason="files", severity="alert")
            else:
                around.events.tell("files_short_over", "", reason="files")
        if pressure.least > least:
            self._crowd.send_away_below(pressure.least, pressure.reason)
        now = around.monotonic()
        if pressure.short("memory") and now >= self._give_back_at:
            # What was needed for a moment is not held for ever: it would count as used.
            self._give_back()
            done = around.monotonic()
            self._give_back_at = done + max(TRIM, SELDOM * (done - now))

    def _follow(self) -> None:
        """Whoever has a place should find a connection: beyond them, `crisis` would wait in line like everybody."""
        for name, gradient in self._gradients.items():
            service = self._around.services.get(name)
            places = 0 if service is None else len(service.instances) * self._config.upstream.max_connections
            most = min(places or self._admission.hall.bound, self._admission.hall.bound)
            if most != gradient.most and gradient.limit(most):
                self._admission.gate(name).resize(int(gradient.bound))
                self._crowd.serve()

    # What others ask

    def pages(self, callers: Callers) -> Mapping[bytes, Resource]:  # noqa: ARG002 - nothing in it is anybody's
        """`/admission`."""
        return {b"admission": Given(lambda: (200, b"application/json", msgspec.json.encode(self.view()) + b"\n"))}

    def view(self) -> dict[str, Any]:
        """Bounds, who is under way, and who waits."""
        hall, pressure = self._admission.hall, self._pressure
        return {
            "in_flight": _by_class(hall.held),
            "limit": hall.bound,
            "reserved": _by_class(hall.reserved),
            "ceilings": _by_class(hall.ceilings),
            "services": {
                name: {
                    "limit": gate.room.bound,
                    "awaited": _by_class(gate.room.held),
                    "waiting": _by_class(gate.turns.counts),
                    "usual_seconds": self._gradients[name].usual if name in self._gradients else None,
                }
                for name, gate in sorted(self._admission.gates.items())
            },
            "pressure": {**pressure.shares, "lowest_class": TrafficClass(pressure.least).text},
        }

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        admission, crowd = self._admission, self._crowd
        flying = GaugeMetricFamily("ttagw_admission_in_flight", "Requests under way.", labels=["class"])
        for name, count in _by_class(admission.hall.held).items():
            flying.add_metric([name], count)
        limit = GaugeMetricFamily("ttagw_admission_limit", "Requests that may be awaited.", labels=["service"])
        waiting = GaugeMetricFamily("ttagw_admission_waiting", "Requests that wait.", labels=["service", "class"])
        for service, gate in admission.gates.items():
            limit.add_metric([service], gate.room.bound)
            for name, count in _by_class(gate.turns.counts).items():
                waiting.add_metric([service, name], count)
        shed = CounterMetricFamily("ttagw_admission_shed", "Requests sent away.", labels=["class", "reason"])
        for (rank, reason), count in list(crowd.shed.items()):
            shed.add_metric([TrafficClass(rank).text, reason], count)
        bypasses = CounterMetricFamily("ttagw_admission_bypasses", "Crisis requests let in without room.")
        bypasses.add_metric([], crowd.bypasses)
        waited = HistogramMetricFamily("ttagw_admission_waited_seconds", "Until let in.", labels=["class"])
        for each in TrafficClass:
            waited.add_metric([each.text], crowd.waited[each].buckets(), crowd.waited[each].total)
        memory = GaugeMetricFamily("ttagw_memory_share", "Part of the memory that is in use.")
        memory.add_metric([], self._pressure.shares["memory"])
        files = GaugeMetricFamily("ttagw_files_share", "Part in use of the files kept for services.")
        files.add_metric([], self._pressure.shares["files"])
        yield from (flying, limit, waiting, shed, bypasses, waited, memory, files)


def _shares(config: Config) -> Shares:
    reserved, ceilings = [0.0] * len(CLASSES), [1.0] * len(CLASSES)
    ceilings[TrafficClass.CRISIS] = CRISIS_CEILING
    for name, settings in config.classes.items():
        rank = CLASSES[name]
        reserved[rank] = settings.reserved
        if settings.ceiling is not None:
            ceilings[rank] = settings.ceiling
    ceilings = [max(pair) for pair in zip(ceilings, reserved, strict=True)]
    return Shares(tuple(reserved), tuple(ceilings))


def _by_class(counts: Sequence[int]) -> dict[str, int]:
    return {each.text: counts[each] for each in reversed(TrafficClass)}
