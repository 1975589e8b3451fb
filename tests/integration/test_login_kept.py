"""What is known of failed logins outlives a gateway, is known to others, and does without the store for a while."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.integration.kit.gateway import Gateway
from tests.integration.kit.logins import LONG, PASSWORD, gateway_for, tries
from tests.integration.kit.origin import Origin
from tests.integration.kit.pair import IN_STEP
from tests.integration.kit.redis import Redis
from tests.integration.kit.waiting import until

ONE, OTHER, THIRD = "198.51.100.1", "198.51.100.2", "198.51.100.3"


def fail(gateway: Gateway, name: str, address: str, times: int = 5) -> None:
    """Logins that do not work."""
    for _ in range(times):
        assert tries(gateway, name, address=address).status == 401


def written(gateway: Gateway) -> bool:
    """Whether the store knows all of it."""
    return gateway.metric("ttagw_login_unwritten") == 0 and gateway.metric("ttagw_login_local") == 0


def paused(gateway: Gateway, name: str, address: str = THIRD) -> bool:
    """Whether even the right password does not help now."""
    return tries(gateway, name, PASSWORD, address).status == 429


# One gateway


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_pause_outlives_the_gateway(tmp_path: Path, origin: Origin, end: str) -> None:
    store = {"store": f"sqlite:{tmp_path}/state.db"}
    with gateway_for(tmp_path, origin, **store) as gateway:
        until(lambda: written(gateway), "the store is there")
        fail(gateway, "mira", ONE)
        fail(gateway, "ana", OTHER, 4)
        if end == "kill":
            until(lambda: written(gateway), "all is written")
            gateway.kill()
        gateway.restart()
        until(lambda: written(gateway), "the store is there")
        assert paused(gateway, "mira")
        assert paused(gateway, "tom", ONE)
        left = int(tries(gateway, "mira", address=THIRD).value(b"retry-after"))
        assert 1700 < left <= 1800
        assert tries(gateway, "ana", address=THIRD).status == 401
        assert paused(gateway, "ana")
        assert not paused(gateway, "tom")
        assert gateway.failures() == []


def test_nothing_about_a_person_is_in_the_store(tmp_path: Path, origin: Origin) -> None:
    with gateway_for(tmp_path, origin, store=f"sqlite:{tmp_path}/state.db") as gateway:
        fail(gateway, "clarissa", ONE)
        until(lambda: written(gateway), "all is written")
        with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
            rows = connection.execute("SELECT key, value FROM entry WHERE key LIKE 'lockouts/%'").fetchall()
    assert sorted(key.split("/")[1] for key, _ in rows) == ["account", "address"]
    for key, value in rows:
        for private in (b"clarissa", ONE.encode(), bytes(map(int, ONE.split(".")))):
            assert private not in key.encode() + bytes(value)


def test_the_window_and_a_pause_come_to_an_end(tmp_path: Path, origin: Origin) -> None:
    short = {"failures": 2, "window": "4s", "lasts": "3s"}
    with gateway_for(tmp_path, origin, short) as gateway:
        fail(gateway, "mira", ONE, 1)
        until(lambda: gateway.metric("ttagw_login_known") == 2, "it is known")
        began = time.monotonic()
        until(lambda: time.monotonic() - began > 4.0, "the window passes", every=0.2)
        # One of two: the one before does not count any more.
        fail(gateway, "mira", ONE, 1)
        assert not paused(gateway, "mira")
        fail(gateway, "ana", OTHER, 2)
        began = time.monotonic()
        assert paused(gateway, "ana")
        until(lambda: not paused(gateway, "ana"), "the pause ends", every=0.1)
        assert time.monotonic() - began > 2.0
        until(lambda: gateway.metric("ttagw_login_paused") == 0, "nobody is paused")


def test_a_database_that_is_away_changes_nothing_here(tmp_path: Path, origin: Origin) -> None:
    store = tmp_path / "state.db"
    with gateway_for(tmp_path, origin, store=f"sqlite:{store}") as gateway:
        until(lambda: written(gateway), "the store is there")
        away = store.rename(store.with_suffix(".away"))
        fail(gateway, "mira", ONE)
        assert paused(gateway, "mira")
        until(lambda: gateway.metric("ttagw_login_local") == 1, "it is said")
        away.rename(store)
        until(lambda: written(gateway), "all is written")
        gateway.kill()
        gateway.restart()
        until(lambda: written(gateway), "the store is there")
        assert paused(gateway, "mira")
        assert gateway.failures() == []


# Two


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with Redis(tmp_path / "redis") as running:
        yield running


@pytest.fixture
def pair(tmp_path: Path, redis: Redis, origin: Origin) -> Iterator[tuple[Gateway, Gateway]]:
    with ExitStack() as started:
        one, other = (
            started.enter_context(gateway_for(tmp_path / name, origin, LONG, name=name, store=redis.url))
            for name in ("a", "b")
        )
        until(lambda: written(one) and written(other), "both have the store")
        yield one, other
        assert one.failures() == other.failures() == []


def known(gateway: Gateway, count: int) -> bool:
    return gateway.metric("ttagw_login_known") == count


def test_two_gateways_count_together(pair: tuple[Gateway, Gateway]) -> None:
    one, other = pair
    fail(one, "mira", ONE, 3)
    until(lambda: known(other, 2), "the other one knows", within=1.0)
    until(lambda: written(one), "all is written")
    fail(other, "mira", OTHER, 1)
    fail(other, "mira", THIRD, 1)
    assert paused(other, "mira")
    until(lambda: one.metric("ttagw_login_paused", by="account") == 1, "the first one knows", within=1.0)
    assert paused(one, "mira")
    # It is told where it began.
    told = [each.metric("ttagw_events_total", kind="login_paused") for each in pair]
    assert told == [0, 1]
    # A success at one forgives at the other.
    fail(one, "ana", OTHER, 3)
    until(lambda: known(other, 5), "the other one knows")
    assert tries(other, "ana", PASSWORD, "198.51.100.9").status == 200
    until(lambda: written(other), "all is written")
    fail(one, "ana", "198.51.100.8", 4)
    assert not paused(one, "ana", "198.51.100.9")


@pytest.mark.parametrize("fault", ["killed", "stopped"])
def test_without_redis_each_counts_alone_nobody_waits_and_then_they_agree(
    pair: tuple[Gateway, Gateway], redis: Redis, fault: str
) -> None:
    one, other = pair
    if fault == "killed":
        redis.kill()
    else:
        redis.child.signal(signal.SIGSTOP)
    took = []
    for gateway, address in ((one, ONE), (other, OTHER)):
        for _ in range(3):
            began = time.monotonic()
            assert tries(gateway, "nobody", address=address).status == 401
            took.append(time.monotonic() - began)
    # The point of the grid, and not the second that the store may take.
    assert min(took) < 0.9
    until(lambda: all(each.metric("ttagw_login_local") == 1 for each in pair), "it is said")
    assert not paused(one, "mira", "198.51.100.9")
    fail(one, "tom", THIRD)
    assert (paused(one, "tom", "198.51.100.9"), paused(other, "tom", "198.51.100.9")) == (True, False)
    if fault == "killed":
        redis.start()
    else:
        redis.child.signal(signal.SIGCONT)
    until(lambda: all(written(each) for each in pair), "both have written all", within=IN_STEP)
    until(lambda: all(each.metric("ttagw_login_paused", by="account") == 2 for each in pair), "both know all")
    for gateway in pair:
        assert paused(gateway, "nobody", "198.51.100.9")
        assert paused(gateway, "tom", "198.51.100.9")
        assert not paused(gateway, "mira", "198.51.100.9")
