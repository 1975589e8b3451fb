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

from ttagw.attempt import Instance, Retries, Service
from ttagw.config import Service as ServiceConfig
from ttagw.config import Tls, Upstream
from ttagw.core import balance
from ttagw.core.breaker import Breaker
from ttagw.core.budget import RetryBudget
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
    """A service without instances yet."""
    now = around.monotonic()
    retries = Retries(
        upstream.retries,
        RetryBudget(upstream.retry_budget, now),
        around.reactor.callLater,
        around.random,
        frozenset(upstream.retry_statuses),
    )
    chooser = balance.make(config.balance, around.random)
    key = _key(config.hash_key) if config.balance == "hash" else None
    return Service(name, chooser, key, around.monotonic, Breaker(config.breaker, now), retries)


def build_instance(
    url: str, label: str, weight: int, zone: str, config: ServiceConfig, upstream: Upstream, around: Surroundings
) -> Instance:
    """What carries requests to an instance. Nothing connects yet. Raises `TlsFileError`."""
    parts = urlsplit(url)
    endpoint = endpoint_for(url, config.tls, around.reactor, upstream.connect_timeout)
    authority = parts.netloc.encode("ascii")
    instance = Instance(url, Breaker(config.breaker, around.monotonic()), weight, zone)
    instance.label = label.encode("ascii")
    secure = parts.scheme == "https"
    instance.pool = InstancePool(endpoint, authority, upstream, around.deadlines, around.monotonic, tls=secure)
    return instance


def endpoint_for(url: str, tls: Tls | None, reactor: Any, timeout: float) -> IStreamClientEndpoint:
    """How to connect to an instance, over TLS where its URL says so. Raises `TlsFileError`."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host = parts.hostname or ""
    endpoint = _endpoint(reactor, host, parts.port or (443 if secure else 80), timeout)
    return wrapClientTLS(client_options(host, tls), endpoint) if secure else endpoint


def _endpoint(reactor: Any, host: str, port: int, timeout: float) -> IStreamClientEndpoint:
    if isIPAddress(host):
        return TCP4ClientEndpoint(reactor, host, port, timeout=timeout)
    if isIPv6Address(host):
        return TCP6ClientEndpoint(reactor, host, port, timeout=timeout)
    return HostnameEndpoint(reactor, host, port, timeout=timeout)


def _key(hash_key: str) -> Callable[[Exchange], bytes]:
    """What `hash_key` hashes: `session`, `user`, `ip`, `header:NAME` or `cookie:NAME`.

    Of a caller without a session it is the user, of one who is not known the address.
    """
    kind, _, name = hash_key.partition(":")
    wanted = name.lower().encode("ascii") if kind == "header" else name.encode("ascii")
    if kind == "header":
        return lambda exchange: exchange.value(wanted) or b""
    if kind == "cookie":
        return lambda exchange: _cookie(exchange, wanted)
    if kind in ("session", "user"):
        return lambda exchange: _person(exchange, session=kind == "session")
    return lambda exchange: exchange.client.encode("ascii")


def _person(exchange: Exchange, *, session: bool) -> bytes:
    identity = exchange.identity
    if identity is None:
        return exchange.client.encode("ascii")
    return ((identity.session if session else "") or identity.user).encode("ascii")


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
