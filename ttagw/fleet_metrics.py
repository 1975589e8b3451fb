"""What Prometheus is told about services, their instances and their checks.

Labels are names from the configuration, ids of instances, and short fixed lists.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from ttagw.core.breaker import State
from ttagw.registry.events import Events
from ttagw.registry.ledger import Ledger
from ttagw.registry.poller import Poller
from ttagw.registry.registry import Registry
from ttagw.registry.webhook import Webhooks
from ttagw.wire.names import Names

_STATES = tuple(State)


def fleet_metrics(
    registry: Registry, events: Events, poller: Poller, ledger: Ledger, webhooks: Webhooks
) -> Iterator[Metric]:
    """All of it."""
    yield from _of_services(registry, events)
    running = GaugeMetricFamily("ttagw_checks_running", "Active checks under way.", value=poller.running)
    late = GaugeMetricFamily("ttagw_checks_late_seconds", "By how much checks started late.", value=poller.lateness)
    faults = CounterMetricFamily("ttagw_check_faults", "Checks that failed for a reason of our own.")
    faults.add_metric([], poller.faults)
    unwritten = GaugeMetricFamily(
        "ttagw_registrations_unwritten", "Changes that the store does not have yet.", value=ledger.unwritten
    )
    repaired = CounterMetricFamily("ttagw_registrations_repaired", "Changes found by comparing with the store.")
    repaired.add_metric([], ledger.repaired)
    alerts = CounterMetricFamily("ttagw_alerts", "Alerts for webhooks that have ended.", labels=["outcome"])
    alerts.add_metric(["delivered"], sum([each.delivered for each in webhooks.targets]))
    alerts.add_metric(["dropped"], sum([each.dropped for each in webhooks.targets]))
    alerts.add_metric(["given_up"], sum([each.given_up for each in webhooks.targets]))
    yield from (running, late, faults, unwritten, repaired, alerts)


def names_metrics(names: Names) -> Iterator[Metric]:
    """How resolving names goes."""
    asked = CounterMetricFamily("ttagw_names_asked", "Names that were asked for.")
    asked.add_metric([], names.queries)
    failed = CounterMetricFamily("ttagw_names_failed", "Of those, the ones of which nothing came.")
    failed.add_metric([], names.failures)
    stale = CounterMetricFamily("ttagw_names_stale", "Answers given after their time, because nothing newer came.")
    stale.add_metric([], names.stale)
    yield from (asked, failed, stale)


def _of_services(registry: Registry, events: Events) -> Iterator[Metric]:
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
