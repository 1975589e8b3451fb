from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint

from tests.twisted_hygiene import reactor
from ttagw.config import Service as ServiceConfig
from ttagw.config import Upstream
from ttagw.core.balance import P2C
from ttagw.testing import Clock, exchange
from ttagw.upstream.build import Surroundings, build_instance, build_service, pool_metrics
from ttagw.wire.deadlines import Deadlines


def built(*urls: str, **config: Any) -> Any:
    clock = Clock()
    around = Surroundings(reactor, clock, lambda: 0.5, Deadlines(reactor, clock))
    section = ServiceConfig.model_validate({"instances": list(urls), **config})
    service = build_service("players", section, Upstream(), around)
    service.instances = [
        build_instance(each.url, urlsplit(each.url).netloc, each.weight, each.zone, section, Upstream(), around)
        for each in section.instances
    ]
    return service


@pytest.mark.parametrize(
    ("url", "kind", "label"),
    [
        ("http://127.0.0.1:8080", TCP4ClientEndpoint, b"127.0.0.1:8080"),
        ("http://[::1]:8080", TCP6ClientEndpoint, b"[::1]:8080"),
        ("http://players.test", HostnameEndpoint, b"players.test"),
    ],
)
def test_an_address_needs_no_resolver(url: str, kind: type, label: bytes) -> None:
    service = built(url)
    (instance,) = service.instances
    assert isinstance(instance.pool._endpoint, kind)
    assert instance.label == label
    assert instance.pool.authority == b" HTTP/1.1\r\nhost: %b\r\n" % label
    assert not instance.pool.tls


def test_https_is_tls() -> None:
    assert built("https://players.test").instances[0].pool.tls


def test_instances_keep_their_weight_and_place() -> None:
    service = built("http://a.test", {"url": "http://b.test", "weight": 3})  # type: ignore[arg-type]
    assert [(each.name, each.weight) for each in service.instances] == [("http://a.test", 1), ("http://b.test", 3)]
    assert isinstance(service.chooser, P2C)
    assert service.key is None


@pytest.mark.parametrize(
    ("hash_key", "key"),
    [
        ("ip", b"192.0.2.7"),
        ("header:X-Tenant", b"blue"),
        ("header:x-none", b""),
        ("cookie:sid", b"s=1"),
        ("cookie:none", b""),
        ("cookie:bare", b""),
    ],
)
def test_what_is_hashed(hash_key: str, key: bytes) -> None:
    service = built("http://a.test", balance="hash", hash_key=hash_key)
    fields = ((b"x-tenant", b"blue"), (b"Cookie", b"a=b; bare"), (b"cookie", b"sid=s=1; sid=2"))
    assert service.key(exchange(fields=fields)) == key


def test_the_pools_have_something_to_tell() -> None:
    service = built("http://a.test:1")
    (instance,) = service.instances
    instance.in_flight = 3
    instance.pool.count_error("connect_timeout")
    instance.pool.count_error("connect_timeout")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in pool_metrics({"players": service})
        for sample in metric.samples
    }
    assert samples == {
        ("ttagw_pool_connections", "players", "a.test:1", "idle"): 0,
        ("ttagw_pool_connections", "players", "a.test:1", "busy"): 0,
        ("ttagw_pool_waiting", "players", "a.test:1"): 0,
        ("ttagw_instance_in_flight", "players", "a.test:1"): 3,
        ("ttagw_pool_opened_total", "players", "a.test:1"): 0,
        ("ttagw_upstream_errors_total", "players", "a.test:1", "connect_timeout"): 2,
    }
