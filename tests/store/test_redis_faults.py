"""A Redis that is away, and comes back: it is noticed, nothing hangs, nothing that was acknowledged is lost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import pytest_twisted

from tests.store.kit import BACK, NOTICED, SLACK, Redis, Traffic, free_port, opened, pause, refusal, until
from ttagw.store.base import StoreAwayError, StoreRefusedError, StoreState
from ttagw.store.counted import Counted


async def down(store: Counted, *reasons: str) -> None:
    """It is noticed in time, and whoever asks then is answered at once."""
    await until(lambda: not store.state.up, "it is noticed", within=NOTICED + SLACK)
    began = time.monotonic()
    for work in (store.get("a"), store.scan(""), store.put("a", b""), store.delete("a"), store.swap("a", None, b"")):
        assert isinstance(await refusal(work), StoreAwayError)
    assert time.monotonic() - began < 0.3
    if reasons:
        await until(lambda: store.state.reason in reasons, f"it is said why, not {store.state.reason}")


async def back(store: Counted) -> None:
    await until(lambda: store.state.up, "it is back", within=BACK)


@pytest_twisted.ensureDeferred
async def test_killed_and_started_again(redis: Redis) -> None:
    async with opened(redis.url) as store:
        states: list[StoreState] = []
        heard: list[str] = []
        store.on_state(states.append)
        store.watch("traffic/", lambda key, _: heard.append(key))
        traffic = Traffic(store)
        for _ in range(2):
            await traffic.some()
            redis.kill()
            await down(store, "connection_refused")
            redis.start()
            await back(store)
            await traffic.some()
        before = len(heard)
        await traffic.some()
        await until(lambda: len(heard) > before, "changes are told again")
        await traffic.nothing_was_lost()
        assert [state.up for state in states if state.reason in ("", "connection_lost")] == [False, True, False, True]


@pytest_twisted.ensureDeferred
async def test_one_that_is_not_there_at_the_start_is_awaited(tmp_path: Path) -> None:
    port = free_port()
    async with opened(f"redis://127.0.0.1:{port}", up=False) as store:
        await until(lambda: store.state.reason == "connection_refused", "it is said")
        heard: list[str] = []
        store.watch("a", lambda key, _: heard.append(key))
        with Redis(tmp_path, port=port):
            await back(store)
            await store.put("a", b"1")
            await until(lambda: heard, "who watched before is told")


@pytest_twisted.ensureDeferred
async def test_one_that_is_silent_and_goes_on(redis: Redis) -> None:
    async with opened(redis.url) as store:
        traffic = Traffic(store)
        await traffic.some()
        redis.stop()
        await down(store, "timeout")
        redis.go_on()
        await back(store)
        await traffic.some()
        await traffic.nothing_was_lost()
        assert traffic.errors["timeout"] >= 1


@pytest_twisted.ensureDeferred
async def test_silence_is_noticed_when_nobody_asks_anything(redis: Redis) -> None:
    async with opened(redis.url) as store:
        redis.stop()
        await down(store, "timeout")
        redis.go_on()
        await back(store)


@pytest.mark.parametrize("kind", ["normal", "pubsub"])
@pytest_twisted.ensureDeferred
async def test_one_connection_that_is_cut_takes_the_other_along(redis: Redis, kind: str) -> None:
    async with opened(redis.url) as store:
        heard: list[str] = []
        store.watch("a", lambda key, _: heard.append(key))
        await store.put("a", b"1")
        await until(lambda: heard, "it is told")
        states: list[StoreState] = []
        store.on_state(states.append)
        assert redis.command("CLIENT", "KILL", "TYPE", kind) >= 1
        await until(lambda: len(states) == 2, "it is noticed, and back", within=BACK)
        assert [(state.up, state.reason) for state in states] == [(False, "connection_lost"), (True, "")]
        await store.put("a", b"1")
        await until(lambda: len(heard) == 2, "changes are told again")


@pytest_twisted.ensureDeferred
async def test_one_that_takes_no_more_clients(redis: Redis) -> None:
    async with opened(redis.url) as store:
        traffic = Traffic(store)
        await traffic.some()
        with redis.connection() as admin:
            admin("CONFIG", "SET", "maxclients", 1)
            admin("CLIENT", "KILL", "TYPE", "normal")
            await down(store, "too_many_clients")
            since = store.state.since
            await until(lambda: time.monotonic() > since + 1.0, "it is tried some more times")
            assert store.state.reason == "too_many_clients"
            admin("CONFIG", "SET", "maxclients", 100)
            await back(store)
        await traffic.some()
        await traffic.nothing_was_lost()


@pytest_twisted.ensureDeferred
async def test_one_that_is_full_refuses_and_has_room_again(redis: Redis) -> None:
    async with opened(redis.url) as store:
        await store.put("a", b"1")
        redis.command("CONFIG", "SET", "maxmemory", 1)
        for work in (store.put("b", b"2"), store.swap("a", b"1", b"2")):
            error = await refusal(work)
            assert isinstance(error, StoreRefusedError)
            assert error.reason == "full"
        assert await store.get("a") == b"1"
        assert store.state.up
        redis.command("CONFIG", "SET", "maxmemory", 0)
        await store.put("b", b"2")
        assert await store.scan("") == {"a": b"1", "b": b"2"}


@pytest_twisted.ensureDeferred
async def test_what_is_refused_is_told_to_nobody(redis: Redis) -> None:
    async with opened(redis.url) as store:
        heard: list[bytes | None] = []
        store.watch("a", lambda key, value: heard.append(value))
        await store.put("a", b"1")
        redis.command("CONFIG", "SET", "maxmemory", 1)
        await refusal(store.put("a", b"2"))
        redis.command("CONFIG", "SET", "maxmemory", 0)
        await store.put("a", b"3")
        await until(lambda: len(heard) >= 2, "it is told")
        assert heard == [b"1", b"3"]


@pytest_twisted.ensureDeferred
async def test_one_whose_disk_fails_is_read_and_refuses_to_write(redis: Redis) -> None:
    async with opened(redis.url) as store:
        await store.put("a", b"1")
        with redis.connection() as admin:
            admin("CONFIG", "SET", "dir", "/proc")  # nothing can be saved there
            admin("CONFIG", "SET", "save", "3600 1")
            admin("BGSAVE")
            await until(lambda: b"rdb_last_bgsave_status:err" in admin("INFO", "persistence"), "it fails to save")
        assert (await refusal(store.put("b", b"2"))).reason == "cannot_persist"
        since = time.monotonic()
        await until(lambda: time.monotonic() > since + 0.8, "it is looked at again")
        assert store.state.up
        assert await store.get("a") == b"1"


@pytest_twisted.ensureDeferred
async def test_a_replica_is_read_and_refuses_to_write(redis: Redis, tmp_path: Path) -> None:
    redis.command("SET", "ttagw:a", "1")
    with Redis(tmp_path, "--replicaof", "127.0.0.1", str(redis.port)) as replica:
        await until(lambda: replica.command("GET", "ttagw:a") == b"1", "it is a copy")
        async with opened(replica.url) as store:
            assert await store.get("a") == b"1"
            assert (await refusal(store.put("a", b"2"))).reason == "read_only"
            assert (await refusal(store.delete("a"))).reason == "read_only"
            assert store.state.up
            replica.command("REPLICAOF", "NO", "ONE")
            await store.put("a", b"2")


@pytest_twisted.ensureDeferred
async def test_a_replica_that_gives_nothing_without_its_master_is_away(redis: Redis, tmp_path: Path) -> None:
    with Redis(tmp_path, "--replicaof", "127.0.0.1", str(redis.port)) as replica:
        async with opened(replica.url) as store:
            replica.command("CONFIG", "SET", "replica-serve-stale-data", "no")
            redis.kill()
            await down(store, "master_down")
            redis.start()
            await back(store)


@pytest_twisted.ensureDeferred
async def test_scripts_that_are_forgotten_are_loaded_again(redis: Redis) -> None:
    async with opened(redis.url) as store:
        for number in range(3):
            redis.command("SCRIPT", "FLUSH")
            await store.put("a", b"%d" % number)
            redis.command("SCRIPT", "FLUSH")
            assert await store.swap("a", b"%d" % number, b"x") is True
            redis.command("SCRIPT", "FLUSH")
            assert await store.delete("a") is True
        scripts = redis.command("INFO", "commandstats")
        await store.put("a", b"1")
        await store.put("a", b"2")
        again = redis.command("INFO", "commandstats")
        calls = [text.split(b"cmdstat_eval:calls=")[1].split(b",")[0] for text in (scripts, again)]
        assert int(calls[1]) == int(calls[0]) + 1  # and are not sent each time


@pytest_twisted.ensureDeferred
async def test_one_that_is_slow_is_waited_for_within_the_deadline(redis: Redis) -> None:
    async with opened(redis.url) as store:
        states: list[StoreState] = []
        store.on_state(states.append)
        with redis.connection() as admin:
            admin._socket.sendall(b"DEBUG SLEEP 0.3\r\n")
            await pause(0.05)
            began = time.monotonic()
            await store.put("a", b"1")
            assert time.monotonic() - began > 0.1
        assert states == []


@pytest_twisted.ensureDeferred
async def test_one_that_is_paused_longer_than_the_deadline(redis: Redis) -> None:
    async with opened(redis.url) as store:
        traffic = Traffic(store)
        await traffic.some()
        redis.command("CLIENT", "PAUSE", 2500, "ALL")
        await down(store, "timeout")
        await back(store)
        await traffic.some()
        await traffic.nothing_was_lost()
