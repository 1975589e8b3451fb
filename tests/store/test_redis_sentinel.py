"""Sentinels, and a Redis that is master somewhere else now."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_twisted

from tests.store.kit import BACK, NOTICED, SLACK, Redis, free_port, opened, pause, refusal, until
from ttagw.store.base import StoreAwayError


class Watched:
    """A master, a replica, and Sentinels of which one is enough."""

    def __init__(self, folder: Path, stack: ExitStack, sentinels: int = 3) -> None:
        self._stack = stack
        self.one = stack.enter_context(Redis(made(folder / "one")))
        self.two = stack.enter_context(Redis(made(folder / "two"), "--replicaof", "127.0.0.1", str(self.one.port)))
        self.sentinels = [self._sentinel(made(folder / f"sentinel{number}")) for number in range(sentinels)]
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)
        self.url = f"redis+sentinel://{hosts}/main"

    def _sentinel(self, folder: Path) -> Redis:
        port = free_port()
        file = folder / "sentinel.conf"
        file.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor main 127.0.0.1 {self.one.port} 1\n"
            "sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 2000\n"
        )
        sentinel = self._stack.enter_context(Redis(folder, "--sentinel", port=port, mode=(str(file),)))
        for period in ("info-period", "publish-period", "ping-period"):
            sentinel.command("SENTINEL", "DEBUG", period, 200)
        return sentinel

    def master(self) -> int:
        """The port of the master, says the last Sentinel."""
        return int(self.sentinels[-1].command("SENTINEL", "get-master-addr-by-name", "main")[1])

    async def ready(self) -> None:
        """Until the Sentinels know the replica, and it has everything."""
        for each in self.sentinels:
            await until(lambda each=each: self._knows(each), "it knows all", within=20.0)
        await until(lambda: b"master_link_status:up" in self.two.command("INFO", "replication"), "it is a copy")

    def _knows(self, sentinel: Redis) -> bool:
        (replica,) = sentinel.command("SENTINEL", "replicas", "main") or [[]]
        said = dict(zip(replica[::2], replica[1::2], strict=True))
        others = len(sentinel.command("SENTINEL", "sentinels", "main"))
        return (
            said.get(b"flags") == b"slave"
            and said.get(b"master-link-status") == b"ok"
            and others == len(self.sentinels) - 1
        )


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with ExitStack() as stack:
        yield Watched(tmp_path, stack)


@pytest_twisted.ensureDeferred
async def test_a_failover_after_the_master_was_lost(watched: Watched) -> None:
    await watched.ready()
    async with opened(watched.url) as store:
        heard: list[str] = []
        store.watch("b", lambda key, _: heard.append(key))
        await store.put("a", b"1")
        await until(lambda: watched.two.command("GET", "ttagw:a") == b"1", "the replica has it")
        watched.one.child.signal(signal.SIGSTOP)
        watched.sentinels[0].stop()  # the store asks this one first, and must do without it
        await until(lambda: not store.state.up, "it is noticed", within=NOTICED + SLACK)
        await until(lambda: watched.master() == watched.two.port, "the other one is the master", within=20.0)
        await until(lambda: store.state.up, "it has followed", within=BACK)
        assert await store.get("a") == b"1"
        await store.put("b", b"2")
        assert watched.two.command("GET", "ttagw:b") == b"2"
        await until(lambda: heard, "changes are told there")


@pytest_twisted.ensureDeferred
async def test_a_failover_that_was_asked_for(watched: Watched) -> None:
    await watched.ready()
    async with opened(watched.url) as store:
        assert watched.sentinels[-1].command("SENTINEL", "FAILOVER", "main") == b"OK"
        await until(lambda: watched.master() == watched.two.port, "the other one is the master", within=20.0)
        last = time.monotonic() + BACK
        while watched.two.command("GET", "ttagw:moved") is None:
            assert time.monotonic() < last, "it has followed"
            try:
                await store.put("moved", b"1")
            except StoreAwayError:
                await pause(0.02)


@pytest_twisted.ensureDeferred
async def test_an_old_master_that_goes_on_as_one_is_left_when_the_sentinels_say_so(
    redis: Redis, tmp_path: Path
) -> None:
    file = made(tmp_path / "sentinel") / "sentinel.conf"
    port = free_port()
    file.write_text(f"port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {redis.port} 1\n")
    with (
        Redis(made(tmp_path / "new")) as new,
        Redis(file.parent, "--sentinel", port=port, mode=(str(file),)) as sentinel,
    ):
        async with opened(f"redis+sentinel://127.0.0.1:{port}/main") as store:
            states: list[tuple[bool, str]] = []
            store.on_state(lambda state: states.append((state.up, state.reason)))
            sentinel.command("SENTINEL", "REMOVE", "main")
            sentinel.command("SENTINEL", "MONITOR", "main", "127.0.0.1", new.port, 1)
            await until(lambda: (True, "") in states, "it has followed", within=BACK)
            assert states[0] == (False, "not_master")
            await store.put("a", b"1")
            assert new.command("GET", "ttagw:a") == b"1"


@pytest_twisted.ensureDeferred
async def test_a_master_that_was_demoted_is_left_at_the_first_refusal(watched: Watched) -> None:
    await watched.ready()
    async with opened(watched.url) as store:
        watched.one.command("REPLICAOF", "127.0.0.1", watched.two.port)
        error = await refusal(store.put("a", b"1"))
        assert isinstance(error, StoreAwayError)
        assert error.reason == "not_master"
        assert not store.state.up


@pytest_twisted.ensureDeferred
async def test_a_name_that_no_sentinel_knows_is_said(watched: Watched) -> None:
    async with opened(watched.url.replace("/main", "/other"), up=False) as store:
        await until(lambda: store.state.reason == "unknown_master", "it is said")


@pytest_twisted.ensureDeferred
async def test_sentinels_that_are_away_are_said_and_awaited(redis: Redis, tmp_path: Path) -> None:
    port = free_port()
    url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{port}/main/3"
    async with opened(url, up=False) as store:
        await until(lambda: store.state.reason == "sentinels_away", "it is said")
        file = made(tmp_path / "sentinel") / "sentinel.conf"
        file.write_text(f"port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {redis.port} 1\n")
        with Redis(file.parent, "--sentinel", port=port, mode=(str(file),)):
            await until(lambda: store.state.up, "it is up", within=BACK)
            await store.put("a", b"1")
            order = store._store._link._where._order  # type: ignore[attr-defined]
            assert order[0].port == port  # the one that knew is asked first from now on
        # Sentinels are needed to find it, not to use it.
        assert await store.get("a") == b"1"
        with redis.connection() as ask:
            ask("SELECT", 3)
            assert ask("GET", "ttagw:a") == b"1"


@pytest_twisted.ensureDeferred
async def test_what_a_sentinel_names_must_say_that_it_is_the_master(redis: Redis, tmp_path: Path) -> None:
    port = free_port()
    redis.command("REPLICAOF", "127.0.0.1", free_port())
    file = made(tmp_path / "sentinel") / "sentinel.conf"
    file.write_text(
        f"port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {redis.port} 1\n"
        "sentinel down-after-milliseconds main 60000\nsentinel failover-timeout main 60000\n"
    )
    with Redis(file.parent, "--sentinel", port=port, mode=(str(file),)):
        async with opened(f"redis+sentinel://127.0.0.1:{port}/main", up=False) as store:
            await until(lambda: store.state.reason == "not_master", "it is said")
            redis.command("REPLICAOF", "NO", "ONE")
            await until(lambda: store.state.up, "it is up", within=BACK)


@pytest_twisted.ensureDeferred
async def test_passwords_of_redis_and_of_sentinels(redis: Redis, tmp_path: Path) -> None:
    port = free_port()
    redis.command("CONFIG", "SET", "requirepass", "pw")
    redis.password = "pw"
    file = made(tmp_path / "sentinel") / "sentinel.conf"
    file.write_text(
        f"port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {redis.port} 1\nsentinel auth-pass main pw\n"
    )
    with Redis(file.parent, "--sentinel", port=port, mode=(str(file),)) as sentinel:
        async with opened(f"redis+sentinel://pw@127.0.0.1:{port}/main") as store:
            await store.put("a", b"1")
        sentinel.command("CONFIG", "SET", "requirepass", "pw")
        sentinel.command("ACL", "SETUSER", "default", ">pw", "resetpass", ">pw")
        async with opened(f"redis+sentinel://pw@127.0.0.1:{port}/main") as store:
            assert await store.get("a") == b"1"
        async with opened(f"redis+sentinel://127.0.0.1:{port}/main", up=False) as store:
            await until(lambda: store.state.reason == "sentinels_away", "it is said")
