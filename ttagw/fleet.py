"""Everything that keeps the services' instances: put together from the configuration, started and stopped as one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from ttagw.attempt import Instance, Service
from ttagw.config import Config
from ttagw.config import Service as ServiceConfig
from ttagw.core.breaker import State
from ttagw.registry.checks import Probe
from ttagw.registry.events import Events
from ttagw.registry.records import Origin, Record
from ttagw.registry.registry import Registry
from ttagw.upstream.build import Surroundings, build_instance


class Fleet:
    """The registry and what feeds it."""

    def __init__(self, config: Config, services: Mapping[str, Service], around: Surroundings) -> None:
        """Raises `TlsFileError`."""
        self._config = config
        self._around = around
        self.events = Events(time.time)
        self.registry = Registry(
            {name: (each, services[name]) for name, each in config.services.items()},
            self._make_instance,
            self._make_probe,
            _Unchecked(),
            self.events,
            around.reactor,
            around.monotonic,
        )
        for name, each in config.services.items():
            self.registry.replace(name, Origin.CONFIG, configured(name, each), slowly=False)

    def _make_instance(self, record: Record) -> Instance:
        config = self._config.services[record.service]
        return build_instance(
            record.url, record.id, record.weight, record.zone, config, self._config.upstream, self._around
        )

    def _make_probe(self, record: Record, config: ServiceConfig) -> Probe | None:
        return None

    def start(self) -> None:
        """Keep the registry true from now on."""
        self.registry.start()

    async def stop(self) -> None:
        """Look after nothing any more."""
        self.registry.stop()

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus about services and instances."""
        return service_metrics(self.registry, self.events)


class _Unchecked:
    def watch(self, *args: Any, **more: Any) -> None: ...
    def forget(self, key: Any) -> None: ...
    def hurry(self, key: Any) -> None: ...


def configured(service: str, config: ServiceConfig) -> list[Record]:
    """The instances of a service that its configuration names by their addresses."""
    return [
        Record(service, urlsplit(each.url).netloc, each.url, each.weight, each.zone)
        for each in config.instances
        if each.url.startswith(("http://", "https://"))
    ]


_STATES = tuple(State)


def service_metrics(registry: Registry, events: Events) -> Iterator[Metric]:
    """Metrics of services and instances. Labels are names from the configuration and ids of instances."""
    labels = ["service", "instance"]
    up = GaugeMetricFamily("ttagw_instance_up", "1 while checks have nothing against it.", labels=labels)
    asked = GaugeMetricFamily("ttagw_instance_in_rotation", "1 while it is asked.", labels=labels)
    breaker = GaugeMetricFamily("ttagw_instance_breaker_open", "1 while its breaker is open.", labels=labels)
    checks = CounterMetricFamily("ttagw_checks", "Active checks that have ended.", labels=["service", "result"])
    tries = CounterMetricFamily("ttagw_instance_tries", "Tries that have ended.", labels=[*labels, "outcome"])
    state = GaugeMetricFamily("ttagw_service_up", "1 while somebody can be asked.", labels=["service"])
    degraded = GaugeMetricFamily("ttagw_service_degraded", "1 while a dependency is down.", labels=["service"])
    panic = GaugeMetricFamily("ttagw_service_panic", "1 while failing instances are asked as well.", labels=["service"])
    circuit = GaugeMetricFamily(
        "ttagw_circuit_state", "1 for the state of the service's breaker.", labels=["service", "state"]
    )
    exchanges = CounterMetricFamily(
        "ttagw_service_exchanges", "What happened on the way to a service.", labels=["service", "what"]
    )
    told = CounterMetricFamily("ttagw_events", "Changes of services and instances.", labels=["kind", "service"])
    for name, group in registry.groups.items():
        found: dict[str, int] = {}
        rotation = {id(each) for tier in group.service.tiers for each in tier}
        for member in group.members.values():
            instance = member.instance
            where = [name, member.record.id]
            up.add_metric(where, member.health.up)
            asked.add_metric(where, id(instance) in rotation)
            breaker.add_metric(where, instance.breaker.state in (State.OPEN, State.FORCED_OPEN))
            tries.add_metric([*where, "good"], instance.good)
            tries.add_metric([*where, "bad"], instance.bad)
            for result, count in member.checks.items():
                found[result] = found.get(result, 0) + count
        for result, count in found.items():
            checks.add_metric([name, result], count)
        state.add_metric([name], not group.down)
        degraded.add_metric([name], bool(group.degraded_by))
        panic.add_metric([name], group.panic)
        for each in _STATES:
            circuit.add_metric([name, each.value], group.service.breaker.state is each)
        for what, count in list(group.service.counts.items()):
            exchanges.add_metric([name, what], count)
    kinds: dict[tuple[str, str], int] = {}
    for (kind, service, _), count in events.counts.items():
        kinds[kind, service] = kinds.get((kind, service), 0) + count
    for (kind, service), count in kinds.items():
        told.add_metric([kind, service], count)
    yield from (up, asked, breaker, checks, tries, state, degraded, panic, circuit, exchanges, told)
