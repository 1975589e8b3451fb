"""Two real gateways share limits by a Redis. They let through what one would, and nobody waits for one in trouble."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.operated import Key, Operator, make_key
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import Answer, Client, get
from tests.integration.kit.redis import Redis, killed, paused
from tests.integration.kit.waiting import until

LIMITS = {
    "strict": {"rate": "1/h", "burst": 20, "key": [], "on_store_failure": "deny"},
    "lax": {"rate": "1/h", "burst": 20, "key": [], "on_store_failure": "allow"},
    "own": {"rate": "1/h", "burst": 20, "key": ["header:X-Try"], "on_store_failure": "local"},
    "busy": {"rate": "1000/s", "burst": 1000, "key": []},
}

# The 40 ms that an answer of Redis may take are real here: where the machine stands still for longer, a gateway does
# what it does without Redis, and rightly. What holds is tested with a clock of its own in tests/limits.
pytestmark = pytest.mark.flaky(reruns=2)

BACK = 5.0
SLOW = 0.5
"""Seconds by which a busy machine may be late with what is due in 50 ms."""


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with Redis(tmp_path_factory.mktemp("redis"), saved=True) as redis:
        yield redis


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return make_key(tmp_path_factory.mktemp("keys"), "ops")


@pytest.fixture(scope="module")
def gateways(
    redis: Redis, tmp_path_factory: pytest.TempPathFactory, origin: Origin, key: Key
) -> Iterator[list[Gateway]]:
    routes = [route(f"/{name}/*", name=name, limits=[name]) for name in LIMITS]
    with ExitStack() as started:
        running = [
            started.enter_context(
                Gateway(
                    tmp_path_factory.mktemp(name),
                    {"s": service(origin.port)},
                    routes,
                    limits=LIMITS,
                    auth=key.section,
                    gateway={"store": redis.url, "name": name},
                )
            )
            for name in ("a", "b")
        ]
        yield running
        for each in running:
            assert each.failures() == []


@pytest.fixture(autouse=True)
def _fresh(redis: Redis, gateways: list[Gateway]) -> None:
    """Both count together, nothing is used, nothing is remembered."""
    together(gateways)
    redis.ask("FLUSHALL")
    time.sleep(1.2)  # so long a refusal is remembered at the most
    together(gateways)


def together(gateways: list[Gateway]) -> None:
    def they_do() -> bool:
        return all(
            each.metric("ttagw_limits_shared") == 1 and each.metric("ttagw_limits_shared_gateways") == len(gateways)
            for each in gateways
        )

    until(they_do, "they count together", within=BACK + 10)


def health(gateway: Gateway) -> str:
    """What the health page says about limits."""
    return str(json.loads(gateway.admin("/health/ready")[1])["limits"])


def ask(gateway: Gateway, path: str, name: str = "") -> tuple[Answer, float]:
    """`name`: whose request it is, for the limit that looks at that."""
    began = time.monotonic()
    with Client(gateway.port) as client:
        answer = client.ask(get(path, f"X-Try: {name}"))
    return answer, time.monotonic() - began


def statuses(gateways: list[Gateway], path: str, count: int, name: str = "") -> Counter[int]:
    """Of so many requests, by turns."""
    return Counter(ask(gateways[number % len(gateways)], path, name)[0].status for number in range(count))


def test_two_let_through_what_one_would(gateways: list[Gateway]) -> None:
    assert statuses(gateways, "/strict/a", 30) == {200: 20, 429: 10}
    answer, _ = ask(gateways[0], "/strict/a")
    assert answer.reason == b"rate_limited"
    assert int(answer.value(b"retry-after")) > 3000
    assert b'"strict";r=0' in answer.value(b"ratelimit")
    for each in gateways:
        assert each.metric("ttagw_limits_shared_decisions_total", by="memory") > 0


def test_most_requests_of_a_busy_key_do_not_wait(gateways: list[Gateway]) -> None:
    before = [decided(each) for each in gateways]
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(each.port)) for each in gateways]
        for _ in range(150):
            for client in clients:
                assert client.ask(get("/busy/a")).status == 200
    for each, (asked, leased) in zip(gateways, before, strict=True):
        now_asked, now_leased = decided(each)
        assert now_leased - leased > (now_asked - asked) * 5


def busy(gateways: list[Gateway], seconds: float) -> Counter[int]:
    """The statuses of as many requests as there can be."""
    found: Counter[int] = Counter()
    last = time.monotonic() + seconds
    while time.monotonic() < last:
        with ExitStack() as stack:
            clients = [stack.enter_context(Client(each.port)) for each in gateways]
            for _ in range(50):
                found.update(client.ask(get("/busy/a")).status for client in clients)
    return found


def test_a_limit_that_is_changed_counts_for_a_busy_key_at_once(gateways: list[Gateway], key: Key) -> None:
    one, two = gateways
    operator = Operator(one, key)
    changed = b'"busy";q=1;w=3600'
    assert set(busy(gateways, 0.5)) == {200}
    try:
        assert operator.ask("PUT", "/limits/busy", {"rate": "1/h", "burst": 5})[0] == 200
        assert ask(one, "/busy/a")[0].value(b"ratelimit-policy") == changed
        until(lambda: ask(two, "/busy/a")[0].value(b"ratelimit-policy") == changed, "the other knows")
        # What was used stays used: either it is more than that, or was let through by these terms.
        assert busy(gateways, 0.5)[200] <= 5
        assert set(busy(gateways, 0.5)) == {429}
    finally:
        assert operator.ask("DELETE", "/limits/busy")[0] == 200
    until(lambda: ask(two, "/busy/a")[0].status == 200, "all is as before")


def decided(gateway: Gateway) -> tuple[float, float]:
    name = "ttagw_limits_shared_decisions_total"
    return gateway.metric(name, by="asked"), gateway.metric(name, by="lease")


@pytest.mark.parametrize("trouble", [killed, paused])
def test_nobody_waits_for_a_redis_in_trouble(
    gateways: list[Gateway], redis: Redis, trouble: Callable[[Redis], AbstractContextManager[None]]
) -> None:
    one, _ = gateways
    # What was let through alone counts when it happens again, so that the second time would be another.
    name = trouble.__name__
    for path in ("/strict/a", "/lax/a", "/own/a"):
        assert statuses(gateways, path, 4, name) == {200: 4}
    with trouble(redis):
        answers = [ask(one, path, name) for path in ("/strict/a", "/lax/a", "/own/a") * 15]
        assert max(took for _, took in answers) < 0.05 + SLOW
        strict, lax, own = (Counter(answer.status for answer, _ in answers[first::3]) for first in range(3))
        assert strict == {503: 15}
        assert answers[0][0].reason == b"limit_unknown"
        assert lax == {200: 15}
        assert own == {200: 10, 429: 5}  # half of twenty
        assert one.metric("ttagw_limits_shared") == 0
        assert health(one) == "alone"
        until(lambda: one.metric("ttagw_events_total", kind="limits_store_away") >= 1, "an alert")
    began = time.monotonic()
    together(gateways)
    assert time.monotonic() - began < BACK + SLOW
    assert health(one) == "shared"
    # Four before, ten meanwhile, all known to both.
    assert statuses(gateways, "/own/a", 10, name) == {200: 6, 429: 4}
    assert statuses(gateways, "/strict/a", 20) == {200: 16, 429: 4}
    until(lambda: one.metric("ttagw_events_total", kind="limits_store_back") >= 1, "it is said")


def test_scripts_that_are_forgotten_are_loaded_again(gateways: list[Gateway], redis: Redis) -> None:
    redis.ask("SCRIPT", "FLUSH")
    assert statuses(gateways, "/strict/a", 25) == {200: 20, 429: 5}
