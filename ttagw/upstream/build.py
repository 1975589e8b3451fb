"""From configured services to live ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint

from ttagw.attempt import Instance, Service
from ttagw.config import Service as ServiceConfig
from ttagw.config import Upstream
from ttagw.core import balance
from ttagw.model import Exchange
from ttagw.upstream.pool import InstancePool
from ttagw.upstream.tls import client_options
from ttagw.wire.deadlines import Deadlines


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every live part needs from outside."""

    reactor: Any
    monotonic: Callable[[], float]
    random: Callable[[], float]
    deadlines: Deadlines


def build_service(name: str, config: ServiceConfig, upstream: Upstream, around: Surroundings) -> Service:
    """A service with a pool for each instance. Nothing connects yet. Raises `TlsFileError`."""
    fixed = [each for each in config.instances if not each.source]
    instances = [_instance(each.url, each.weight, config, upstream, around) for each in fixed]
    chooser = balance.make(config.balance, around.random)
    key = _key(config.hash_key) if config.balance == "hash" else None
    return Service(name, instances, chooser, key, around.monotonic)


def _instance(url: str, weight: int, config: ServiceConfig, upstream: Upstream, around: Surroundings) -> Instance:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host = parts.hostname or ""
    port = parts.port or (443 if secure else 80)
    endpoint = _endpoint(around.reactor, host, port, upstream.connect_timeout)
    if secure:
        endpoint = wrapClientTLS(client_options(host, config.tls), endpoint)
    authority = parts.netloc.encode("ascii")
    instance = Instance(url, weight)
    instance.label = authority
    instance.pool = InstancePool(endpoint, authority, upstream, around.deadlines, around.monotonic, tls=secure)
    return instance


def _endpoint(reactor: Any, host: str, port: int, timeout: float) -> IStreamClientEndpoint:
    if isIPAddress(host):
        return TCP4ClientEndpoint(reactor, host, port, timeout=timeout)
    if isIPv6Address(host):
        return TCP6ClientEndpoint(reactor, host, port, timeout=timeout)
    return HostnameEndpoint(reactor, host, port, timeout=timeout)


def _key(hash_key: str) -> Callable[[Exchange], bytes]:
    """What `hash_key` hashes: `ip`, `header:NAME` or `cookie:NAME`."""
    kind, _, name = hash_key.partition(":")
    wanted = name.lower().encode("ascii") if kind == "header" else name.encode("ascii")
    if kind == "header":
        return lambda exchange: exchange.value(wanted) or b""
    if kind == "cookie":
        return lambda exchange: _cookie(exchange, wanted)
    return lambda exchange: exchange.client.encode("ascii")


def _cookie(exchange: Exchange, name: bytes) -> bytes:
    for field, value in exchange.fields:
        if field.lower() == b"cookie":
            for pair in value.split(b";"):
                found, equals, text = pair.strip(b" ").partition(b"=")
                if equals and found == name:
                    return text
    return b""


def pool_metrics(services: dict[str, Service]) -> Iterator[Metric]:
    """What the pools have to tell Prometheus."""
    labels = ["service", "instance"]
    held = GaugeMetricFamily("ttagw_pool_connections", "Connections to an instance.", labels=[*labels, "state"])
    waiting = GaugeMetricFamily("ttagw_pool_waiting", "Requests that wait for a connection.", labels=labels)
    flying = GaugeMetricFamily("ttagw_instance_in_flight", "Requests under way at an instance.", labels=labels)
    opened = CounterMetricFamily("ttagw_pool_opened", "Connections opened.", labels=labels)
    errors = CounterMetricFamily("ttagw_upstream_errors", "What went wrong with an instance.", labels=[*labels, "kind"])
    for name, service in services.items():
        for instance in service.instances:
            pool = instance.pool
            where = [name, instance.label.decode("ascii")]
            held.add_metric([*where, "idle"], pool.idle)
            held.add_metric([*where, "busy"], pool.size - pool.idle)
            waiting.add_metric(where, pool.waiting)
            flying.add_metric(where, instance.in_flight)
            opened.add_metric(where, pool.opened_count)
            for kind, count in list(pool.errors.items()):
                errors.add_metric([*where, kind], count)
    yield from (held, waiting, flying, opened, errors)
