"""Row 23: whatever happens to Redis, no request waits for it, and two gateways that share it are in step again soon."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.operated import Key, Operator, facts, make_key
from tests.integration.kit.origin import Origin
from tests.integration.kit.pace import Pace
from tests.integration.kit.pair import IN_STEP, LONG, agree, store_up, two_gateways, unwritten
from tests.integration.kit.process import free_port
from tests.integration.kit.raw import get, once
from tests.integration.kit.redis import Redis, ask, killed, paused
from tests.integration.kit.waiting import until

BEYOND = 0.05
"""Seconds that requests may take longer than normal."""
BLOCKED = 0.4
"""Seconds that not even one may; to wait for Redis once takes twice as long."""
ASKED = 150
"""Requests on which that is seen."""
RARELY = 0.1
"""Seconds between two looks at what is no request: looking costs the gateways, and this process, time too."""


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return make_key(tmp_path_factory.mktemp("keys"))


def test_a_gateway_that_starts_without_redis_serves_and_takes_up_what_it_knows_when_it_comes(
    tmp_path: Path, key: Key, origin: Origin
) -> None:
    services = {"s": service(), "fixed": service(origin.port)}
    with Redis(tmp_path / "redis", saved=True) as redis:
        about = {"store": redis.url}
        with Gateway(tmp_path, services, [route("/*", "fixed")], auth=key.section, gateway=about) as gateway:
            operator = Operator(gateway, key)
            assert operator.put("s", "one", 9, ttl=LONG) == 201
            redis.kill()
            gateway.restart()
            assert once(gateway.port, get("/")).status == 200
            assert operator.put("s", "two", 9, ttl=LONG) == 201
            assert list(operator.instances()) == ["two"]
            redis.start()
            until(lambda: sorted(operator.instances()) == ["one", "two"], "they are there", within=IN_STEP)
            until(lambda: not unwritten(operator), "all is written", within=IN_STEP)
            assert gateway.failures() == []
            # One that is told to end while it waits for Redis just ends.
            redis.kill()
            gateway.kill()
            gateway.spawn()
            until(lambda: lives(gateway), "it has begun")
            gateway.child.signal(signal.SIGTERM)
            assert gateway.child.ended() == 0
            assert gateway.failures() == []


def lives(gateway: Gateway) -> bool:
    try:
        return gateway.admin("/health/live")[0] == 200
    except OSError:
        return False


class Beating(Thread):
    """An instance that lives: its heartbeats go to one gateway, and when that does not know it, it registers again."""

    def __init__(self, operator: Operator) -> None:
        super().__init__(daemon=True)
        self._operator = operator
        self._over = Event()

    def run(self) -> None:
        while not self._over.wait(0.4):
            if self._operator.beat("s", "beating") == 404:
                self._operator.put("s", "beating", 9, ttl="2s")

    def end(self) -> None:
        self._over.set()
        self.join(20)


@pytest.fixture(scope="module")
def shared(folder: Path, key: Key, origin: Origin) -> Iterator[tuple[Redis, Operator, Operator]]:
    options = ["--enable-debug-command", "yes"]
    with Redis(folder / "redis", *options) as redis, two_gateways(folder, redis, key, origin) as (one, other):
        beating = Beating(one)
        beating.start()
        yield redis, one, other
        beating.end()


@contextmanager
def refusing(redis: Redis) -> Iterator[None]:
    """It takes nobody in any more."""
    with redis.connected() as connection:
        assert ask(connection, "CONFIG", "SET", "maxclients", "1") == b"OK"
        for kind in ("normal", "pubsub"):
            ask(connection, "CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        yield
        assert ask(connection, "CONFIG", "SET", "maxclients", "1000") == b"OK"


@contextmanager
def full(redis: Redis) -> Iterator[None]:
    redis.set("maxmemory", 1)
    yield
    redis.set("maxmemory", 0)


@contextmanager
def read_only(redis: Redis) -> Iterator[None]:
    """It has become somebody's replica."""
    assert redis.ask("REPLICAOF", "127.0.0.1", str(free_port())) == b"OK"
    yield
    assert redis.ask("REPLICAOF", "NO", "ONE") == b"OK"


@contextmanager
def silent(redis: Redis) -> Iterator[None]:
    """It takes commands and does not answer."""
    began = time.monotonic()
    assert redis.ask("CLIENT", "PAUSE", "3000", "ALL") == b"OK"
    yield
    until(lambda: time.monotonic() - began > 3, "the pause is over")


@contextmanager
def slow(redis: Redis) -> Iterator[None]:
    """It takes a fifth of a second for everything."""
    over = Event()

    def sleep() -> None:
        with redis.connected() as connection:
            while not over.is_set():
                ask(connection, "DEBUG", "SLEEP", "0.2")

    sleeping = Thread(target=sleep, daemon=True)
    sleeping.start()
    yield
    over.set()
    sleeping.join(20)


Fault = Callable[[Redis], "contextmanager[None]"]

AWAY = (killed, paused, refusing, silent)
"""With these it cannot be asked anything."""
UNWILLING = (full, read_only)
"""With these it can be asked, and keeps nothing."""


@pytest.mark.parametrize("fault", [*AWAY, *UNWILLING, slow], ids=lambda fault: fault.__name__)
def test_requests_go_on_and_registrations_are_kept(shared: tuple[Redis, Operator, Operator], fault: Fault) -> None:
    redis, *operators = shared
    for tried in range(3):
        usual, worst = through(redis, operators, fault, f"{fault.__name__}{tried}")
        # The machine has its own moments; what the gateway does wrong it does each time.
        if usual < BEYOND and worst < BLOCKED:
            return
    raise AssertionError(f"requests took {usual:.3f} s longer than normal, one {worst:.3f} s")


def through(redis: Redis, operators: list[Operator], fault: Fault, name: str) -> tuple[float, float]:
    """Go through a fault under load; returns by how much the slowest requests were slower than normal: those of which
    there are two in a hundred, and the one that was the slowest of all.
    """
    one, other = operators
    assert one.put("s", f"{name}-before", 9, ttl=LONG) == 201
    until(lambda: agree(one, other), "both are in step", within=IN_STEP)
    with ExitStack() as running:
        paces = [running.enter_context(Pace(each.gateway.port)) for each in operators]
        until(lambda: all(len(each.took) > ASKED for each in paces), "requests run", every=RARELY)
        normal = [len(each.took) for each in paces]
        with fault(redis):
            if fault in AWAY:
                until(lambda: not any(store_up(each) for each in operators), "both have noticed", every=RARELY)
            assert [each.put("s", f"{name}-{n}", 9, ttl=LONG) for n, each in enumerate(operators)] == [201, 201]
            assert one.put("s", f"{name}-gone", 9, ttl=LONG) == 201
            assert one.delete("s", f"{name}-gone") == 202
            assert other.delete("s", f"{name}-before") == 202
            if fault in UNWILLING:
                until(lambda: all(unwritten(each) for each in operators), "it is said that they wait", every=RARELY)
            if fault is not slow:
                assert f"{name}-0" not in other.instances()
            until(lambda: all(len(each.took) > 2 * ASKED for each in paces), "requests go on", every=RARELY)
        until(lambda: in_step(operators, name), "both are in step again", within=IN_STEP, every=RARELY)
        assert all(store_up(each) for each in operators)
        took = [(sorted(each.took[5:many]), sorted(each.took[many:])) for each, many in zip(paces, normal, strict=True)]
    for each in paces:
        assert (set(each.statuses), each.lost) == ({200}, 0)
    usual = max([rare(after) - rare(before) for before, after in took])
    return usual, max([after[-1] - before[-1] for before, after in took])


def rare(took: list[float]) -> float:
    """What two in a hundred take longer than."""
    return took[len(took) * 98 // 100]


def in_step(operators: list[Operator], name: str) -> bool:
    """Whether both say that everything has happened, and nothing waits to be written."""
    found = [facts(each) for each in operators]
    ours = [{id_ for id_ in each if id_.startswith(name)} for each in found]
    wanted = {f"{name}-0", f"{name}-1"}
    return found[0] == found[1] and ours[0] == wanted and "beating" in found[0] and not any(map(unwritten, operators))
