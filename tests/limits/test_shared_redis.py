"""Gateways that share limits by a real Redis, which is healthy, and then is not."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory

from tests.store.conftest import redis, shared_redis
from tests.store.kit import BACK, Redis, pause, until
from tests.store.test_redis_garbage import GARBAGE, Nearly, Says
from tests.store.test_redis_sentinel import Watched
from tests.twisted_hygiene import _frozen_garbage, failures, reactor
from ttagw.core.lease import SLACK
from ttagw.limits.base import OnFailure, Terms, Verdict, Want
from ttagw.limits.local import LocalBuckets
from ttagw.limits.shared import SharedBuckets
from ttagw.store.make import make_counters

__all__ = ["_frozen_garbage", "failures", "redis", "shared_redis"]

# The 40 ms that an answer of Redis may take are real here: where the machine stands still for longer, buckets do what
# they do without Redis, and rightly. What holds is tested with a clock of its own in the modules beside this one.
pytestmark = pytest.mark.flaky(reruns=2)

LATE = 0.5
"""Seconds by which a slow machine may be late with what is due in 50 ms."""


class Gateway:
    """One of several, in this process."""

    def __init__(self, url: str) -> None:
        self.told: list[tuple[bool, str]] = []
        ledger = make_counters(url, reactor, time.monotonic, random.random)
        assert ledger is not None
        self.ledger = ledger
        self.buckets = SharedBuckets(
            ledger, LocalBuckets(time.monotonic), reactor, time.monotonic, lambda up, why: self.told.append((up, why))
        )
        self.slowest = 0.0

    async def take(self, terms: Terms, key: str = "k", cost: float = 1.0) -> Verdict:
        began = time.monotonic()
        answer = self.buckets.take([Want(terms, key, cost)])
        verdict = answer if isinstance(answer, Verdict) else await answer
        self.slowest = max(self.slowest, time.monotonic() - began)
        return verdict


@asynccontextmanager
async def gateways(url: str, count: int = 1, up: bool = True) -> AsyncIterator[list[Gateway]]:
    made = [Gateway(url) for _ in range(count)]
    for each in made:
        each.buckets.start()
    try:
        if up:
            await until(lambda: all(each.buckets.there for each in made), "they are there")
        yield made
    finally:
        for each in made:
            await each.buckets.stop()


def terms(rate: int, burst: float, mode: OnFailure = "deny", window: float = 1.0) -> Terms:
    return Terms(f"l{random.random()}", rate, window, burst, mode)


async def there(gateway: Gateway, limit: Terms) -> None:
    """It decides with the others again."""
    await until(lambda: gateway.buckets.there, "it is back", within=BACK)
    verdict = await gateway.take(limit)
    while verdict.unknown:  # a machine that is slow at this moment
        await until(lambda: gateway.buckets.there, "it is back", within=BACK)
        verdict = await gateway.take(limit)


async def away(gateway: Gateway, limit: Terms) -> None:
    """It does not, which is found out by the first who asks."""
    began = time.monotonic()
    while not (await gateway.take(limit, f"{random.random()}")).unknown:
        assert time.monotonic() - began < 2.0
        await pause(0.01)
    assert not gateway.buckets.there
    assert gateway.slowest < 0.05 + LATE


@pytest_twisted.ensureDeferred
async def test_ten_gateways_let_through_what_one_would(shared_redis: Redis) -> None:
    limit = terms(6, 20.0, window=60.0)
    async with gateways(shared_redis.url, 10) as ten:
        began = time.monotonic()
        verdicts = [await gateway.take(limit) for _ in range(5) for gateway in ten]
        took = time.monotonic() - began
        unknown = sum(each.unknown for each in verdicts)
        allowed = sum(each.allowed for each in verdicts)
        assert allowed <= 20 + took * 0.1
        assert allowed >= 20 or unknown
        last = verdicts[-1]
        assert last.refused is limit
        assert 0.0 < last.wait <= 10.0
        assert last.states[0].left < 1.0


@pytest.mark.parametrize("count", [1, 4])
@pytest_twisted.ensureDeferred
async def test_the_law_holds_with_leases_and_little_is_lost(shared_redis: Redis, count: int) -> None:
    limit = terms(500, 100.0)
    used: list[float] = []
    async with gateways(shared_redis.url, count) as some:
        began = time.monotonic()
        sent = 0
        while (now := time.monotonic()) - began < 1.5:
            while sent < (now - began) * 1000:
                sent += 1
                answer = some[sent % count].buckets.take([Want(limit, "k", 1.0)])
                if isinstance(answer, Deferred):
                    answer.addCallback(lambda verdict: used.append(time.monotonic()) if verdict.allowed else None)
                elif answer.allowed:
                    used.append(time.monotonic())
            await pause(0.001)
        took = time.monotonic() - began
        calm = all(each.told == [] for each in some)
        leased = sum(each.buckets.decisions["lease"] for each in some)
        remembered = sum(each.buckets.decisions["memory"] for each in some)
    # What was asked for counts from when Redis charged it, which may be so much earlier than we know of it.
    for first, at in enumerate(used):
        for last in (first + 50, len(used) - 1):
            if last < len(used):
                assert last - first + 1 <= limit.burst + (used[last] - at + 0.06) * 500 + 1
    assert leased > 0
    assert remembered > 0
    if calm and took < 1.6:
        assert len(used) >= (1 - SLACK) * (100 + 500 * 1.5) - 0.06 * 500


@pytest_twisted.ensureDeferred
async def test_it_is_not_away_because_we_were_busy(shared_redis: Redis) -> None:
    async with gateways(shared_redis.url) as (gateway,):
        answer = gateway.buckets.take([Want(terms(1, 5.0), "k", 1.0)])
        assert isinstance(answer, Deferred)
        busy_until = time.monotonic() + 0.1
        while time.monotonic() < busy_until:
            pass
        assert (await answer).allowed
        assert gateway.buckets.there


class Others:
    """There is always something to read, and it takes longer than Redis may."""

    def __init__(self) -> None:
        self._ends = socket.socketpair()
        self._ends[1].send(b"x")

    def fileno(self) -> int:
        return self._ends[0].fileno()

    def logPrefix(self) -> str:
        return "others"

    def doRead(self) -> None:
        time.sleep(0.06)

    def connectionLost(self, _: object) -> None:
        for each in self._ends:
            each.close()


@pytest_twisted.ensureDeferred
async def test_one_that_is_busy_all_the_time_is_with_the_others_all_the_same(shared_redis: Redis) -> None:
    """It sends a question in the turn after, and reads the answer in the next but one."""
    limit = terms(1, 1000.0)
    others = Others()
    async with gateways(shared_redis.url) as (gateway,):
        reactor.addReader(others)
        try:
            for _ in range(8):
                assert not (await gateway.take(limit)).unknown
            assert gateway.told == []
            # Nor does it stay away for that.
            gateway.buckets._asking._lose("timeout")
            await until(lambda: gateway.buckets.there, "it is back")
        finally:
            reactor.removeReader(others)
            others.connectionLost(None)


@pytest_twisted.ensureDeferred
async def test_a_flood_that_is_refused_does_not_reach_redis(shared_redis: Redis) -> None:
    limit = terms(1, 1.0, window=60.0)
    async with gateways(shared_redis.url) as (gateway,):
        await there(gateway, limit)
        before = sum(gateway.buckets._asking.outcomes.values())
        for _ in range(1000):
            assert not (await gateway.take(limit)).allowed
        assert sum(gateway.buckets._asking.outcomes.values()) - before <= 5


@pytest_twisted.ensureDeferred
async def test_what_is_used_stays_when_the_terms_change_and_goes_when_it_is_forgiven(shared_redis: Redis) -> None:
    limit = terms(1, 10.0, window=60.0)
    async with gateways(shared_redis.url, 2) as (one, two):
        for _ in range(9):
            assert (await one.take(limit)).allowed
        limit.count, limit.burst = 2, 11.0
        assert (await two.take(limit)).states[0].left == pytest.approx(1.0, abs=0.2)
        limit.burst = 5.0
        assert not (await two.take(limit)).allowed
        one.buckets.reset(limit, "k")
        await pause(0.05)
        assert (await one.take(limit)).states[0].left == pytest.approx(4.0, abs=0.2)


@pytest_twisted.ensureDeferred
async def test_scripts_that_are_forgotten_are_loaded_again(redis: Redis) -> None:
    limit = terms(1, 100.0, window=60.0)
    async with gateways(redis.url) as (gateway,):
        for number in range(3):
            redis.command("SCRIPT", "FLUSH")
            verdict = await gateway.take(limit)
            assert verdict.allowed
            assert verdict.states[0].left == pytest.approx(99.0 - number, abs=0.2)


Break = Callable[[Redis], None]
TROUBLE: dict[str, tuple[Break, Break]] = {
    "killed": (Redis.kill, Redis.start),
    "silent": (Redis.stop, Redis.go_on),
    "full": (
        lambda redis: redis.command("CONFIG", "SET", "maxmemory", 1),
        lambda redis: redis.command("CONFIG", "SET", "maxmemory", 0),
    ),
    "read-only": (
        lambda redis: redis.command("REPLICAOF", "127.0.0.1", 1),
        lambda redis: redis.command("REPLICAOF", "NO", "ONE"),
    ),
    "slow": (lambda redis: redis.command("CLIENT", "PAUSE", 700, "ALL"), lambda _: None),
    "busy": (lambda redis: asleep(redis, 0.7), lambda _: None),
}


def asleep(redis: Redis, seconds: float) -> None:
    with redis.connection() as ask:
        ask._socket.sendall(f"DEBUG SLEEP {seconds}\r\n".encode())


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest_twisted.ensureDeferred
async def test_nobody_waits_for_one_in_trouble_and_it_is_back_in_time(redis: Redis, trouble: str) -> None:
    begin, end = TROUBLE[trouble]
    deny, allow = terms(1, 20.0, window=60.0), terms(1, 3.0, "allow", 60.0)
    local = terms(10, 8.0, "local", 600.0)
    async with gateways(redis.url, 2) as (one, two):
        await until(lambda: one.buckets._asking.gateways == two.buckets._asking.gateways == 2, "they know each other")
        assert (await one.take(local)).allowed
        # On a busy machine the answer may have been late, and this one was decided without it.
        spent = one.buckets.decisions["local"]
        begin(redis)
        await away(one, deny)
        one.slowest = 0.0
        if not one.buckets.there:
            assert (await one.take(deny)).refused is deny
            verdicts = [(await one.take(local)).allowed for _ in range(8)]
            assert [(await one.take(allow)).allowed for _ in range(5)] == [True] * 5
            assert sum(verdicts) == 4 - spent  # half of eight, since there are two
            assert one.slowest < 0.05 + LATE
        await until(lambda: (False, one.told[0][1]) in one.told, "it is said")
        end(redis)
        await there(one, deny)
        await there(two, deny)
        # What was let through meanwhile is known to both.
        left = (await two.take(local)).states[0].left
        assert 8.0 - 1.0 - 4.0 - 1.0 - 0.3 <= left <= 8.0 - 1.0 - 4.0 - 1.0 + spent + 0.3
        await until(lambda: one.told[-1][0], "that it is back is said")


@pytest_twisted.ensureDeferred
async def test_one_that_takes_no_more_clients(redis: Redis) -> None:
    limit = terms(1, 20.0, window=60.0)
    async with gateways(redis.url) as (gateway,):
        with redis.connection() as admin:
            admin("CONFIG", "SET", "maxclients", 1)
            admin("CLIENT", "KILL", "TYPE", "normal")
            await away(gateway, limit)
            await until(lambda: gateway.buckets.reason == "too_many_clients", "it is said why")
            admin("CONFIG", "SET", "maxclients", 100)
        await there(gateway, limit)


@pytest_twisted.ensureDeferred
async def test_a_failover(tmp_path: Path) -> None:
    limit = terms(1, 20.0, window=60.0)
    with ExitStack() as stack:
        watched = Watched(tmp_path, stack)
        await watched.ready()
        async with gateways(watched.url) as (gateway,):
            for _ in range(5):
                await there(gateway, limit)
            assert watched.sentinels[-1].command("SENTINEL", "FAILOVER", "main") == b"OK"
            await until(lambda: watched.master() == watched.two.port, "the other one is the master", within=20.0)
            last = time.monotonic() + BACK
            while not watched.two.command("ZCARD", "ttagw:counting") or not gateway.buckets.there:
                assert time.monotonic() < last
                await pause(0.02)
                await gateway.take(limit)
            assert gateway.slowest < 0.05 + LATE
            verdict = await gateway.take(limit)
            assert verdict.states[0].left < 15.0


@pytest.fixture
def answers() -> dict[bytes, bytes]:
    return {}


@pytest.fixture
def nearly(answers: dict[bytes, bytes]) -> Iterator[str]:
    factory = Factory()
    factory.noisy = False
    factory.buildProtocol = lambda address: Nearly(answers)  # type: ignore[method-assign,assignment]
    port: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
    yield f"redis://127.0.0.1:{port.getHost().port}"
    pytest_twisted.blockon(port.stopListening())


@pytest.mark.parametrize("answer", [b"$5\r\nhello\r\n", b":1\r\n", b"*0\r\n", b"$-1\r\n", b"-ERR what\r\n"])
@pytest_twisted.ensureDeferred
async def test_one_that_answers_something_else_is_away(nearly: str, answers: dict[bytes, bytes], answer: bytes) -> None:
    answers[b"SCRIPT"] = b"+OK\r\n"
    async with gateways(nearly, up=False) as (gateway,):
        await until(lambda: gateway.buckets.reason == "garbage", "it is said")
        answers[b"EVALSHA"] = answer
        assert (await gateway.take(terms(1, 2.0))).unknown


@pytest.mark.parametrize("answer", GARBAGE)
@pytest_twisted.ensureDeferred
async def test_what_is_no_redis_is_away(answer: bytes) -> None:
    factory = Factory.forProtocol(type("Says", (Says,), {"answer": answer}))
    factory.noisy = False
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    async with gateways(f"redis://127.0.0.1:{port.getHost().port}", up=False) as (gateway,):
        await until(lambda: gateway.buckets.reason != "starting", "it is tried")
        assert (await gateway.take(terms(1, 2.0))).unknown
        assert (await gateway.take(terms(1, 2.0, "allow"))).allowed
    await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_password_and_database_are_those_of_the_store(redis: Redis) -> None:
    redis.command("CONFIG", "SET", "requirepass", "pw")
    redis.password = "pw"
    limit = terms(1, 20.0, window=60.0)
    async with gateways(redis.url.replace("//", "//:pw@") + "/3") as (gateway,):
        await there(gateway, limit)
        with redis.connection() as ask:
            assert ask("DBSIZE") == 0
            ask("SELECT", 3)
            assert sorted(ask("KEYS", "*"))[-1] == b"ttagw:counting"
    async with gateways(redis.url, up=False) as (gateway,):
        await until(lambda: gateway.buckets.reason == "no_password", "it is said")
