"""Real Redis servers, stores against them, and traffic that keeps account of what was acknowledged."""

from __future__ import annotations

import random
import signal
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import hiredis
import pytest
from twisted.internet.defer import Deferred

from tests.integration.kit.process import Child, free_port, program
from tests.integration.kit.waiting import until as until_now
from tests.twisted_hygiene import reactor
from ttagw.store.base import DEADLINE, StoreAwayError, StoreError, StoreRefusedError
from ttagw.store.counted import Counted
from ttagw.store.make import make_store

SLACK = 0.6
"""Seconds by which a slow machine may be late."""

NOTICED = 2.0
BACK = 5.0


def pause(seconds: float) -> Deferred[None]:
    """Lets the reactor go on for so long."""
    done: Deferred[None] = Deferred()
    reactor.callLater(seconds, done.callback, None)
    return done


async def until(fact: Callable[[], object], what: str, within: float = 10.0) -> float:
    """Wait for a fact; returns how long it took. Fails when it has not come true `within` so many seconds."""
    began = time.monotonic()
    while not fact():
        if time.monotonic() - began > within:
            pytest.fail(f"in {within} s: {what}")
        await pause(0.01)
    return time.monotonic() - began


def new_store(url: str) -> Counted:
    """A store that is not started."""
    return make_store(url, reactor, time.monotonic, time.time, random.random)


@asynccontextmanager
async def opened(url: str, up: bool = True, hurry: float = 0.0) -> AsyncIterator[Counted]:
    """A store that is started, and stopped at the end; `up`: it is waited for. For one in a hurry so many seconds pass
    each time that it looks at its clock.
    """
    hurried = count()

    def monotonic() -> float:
        return time.monotonic() + hurry * next(hurried)

    store = make_store(url, reactor, monotonic, time.time, random.random)
    await store.start()
    try:
        if up:
            await until(lambda: store.state.up, "it is up")
        yield store
    finally:
        await store.stop()


async def refusal(work: Any) -> StoreError:
    """The error of an operation, which must come in time."""
    began = time.monotonic()
    with pytest.raises(StoreError) as caught:
        await work
    assert time.monotonic() - began < DEADLINE + SLACK
    return caught.value


class Redis:
    """A `redis-server` that writes each change to its disk before it says so."""

    def __init__(self, folder: Path, *options: str, port: int = 0, mode: tuple[str, ...] = ()) -> None:
        """`mode`: what comes before the options, such as a configuration file."""
        self.folder = folder
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._options = options
        self._mode = mode
        self.password = ""
        self.child = self._spawn()
        self.wait()

    def _spawn(self) -> Child:
        safe = ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0"]
        safe += ["--enable-debug-command", "yes", "--enable-protected-configs", "yes"]
        common = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        if self._mode:
            safe = common = []
        return Child([program("redis-server"), *self._mode, *common, *safe, *self._options], self.folder)

    def wait(self) -> None:
        """Until it answers."""

        def answers() -> bool:
            assert self.child.running(), self.child.output.read_text()[-500:]
            try:
                return self.command("PING") in ("PONG", b"PONG")
            except OSError:
                return False

        until_now(answers, f"it answers; {self.child.output.read_text()[-500:]}")

    def command(self, *command: str | bytes | int) -> Any:
        """Ask it something, on a connection of our own; an error answer is returned."""
        with self.connection() as ask:
            return ask(*command)

    def connection(self) -> Asking:
        """A connection that stays."""
        return Asking(self.port, self.password)

    def kill(self) -> None:
        """End it as the kernel would."""
        self.child.process.kill()
        self.child.ended()

    def start(self) -> None:
        """Start it again, with what it has on its disk."""
        self.child = self._spawn()
        self.wait()

    def stop(self) -> None:
        """It answers nothing, and its connections stay."""
        self.child.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """It answers again."""
        self.child.signal(signal.SIGCONT)

    def __enter__(self) -> Redis:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()  # asked to end, it waits for replicas, or for a disk that can be written


class Asking:
    """A blocking connection to a Redis."""

    def __init__(self, port: int, password: str = "") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5.0)
        self._reader = hiredis.Reader()
        if password:
            assert self("AUTH", password) == b"OK"

    def __call__(self, *command: str | bytes | int) -> Any:
        parts = [each if isinstance(each, bytes) else str(each).encode() for each in command]
        self._socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        while (answer := self._reader.gets()) is False:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionResetError("it has closed the connection")
            self._reader.feed(data)
        return answer

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Asking:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Traffic:
    """Writes one key after the other, and keeps account."""

    def __init__(self, store: Counted) -> None:
        self._store = store
        self._stopping = False
        self.acknowledged: dict[str, bytes] = {}
        self.slowest = 0.0
        self.errors: Counter[str] = Counter()
        self._running = Deferred.fromCoroutine(self._run())

    async def _run(self) -> None:
        number = 0
        while not self._stopping:
            number += 1
            key, value = f"traffic/{number}", b"%d" % number
            began = time.monotonic()
            try:
                await self._store.put(key, value)
                self.acknowledged[key] = value
            except (StoreAwayError, StoreRefusedError) as error:
                self.errors[error.reason] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            await pause(0.01)

    async def some(self, count: int = 5) -> None:
        """Until so many more have been acknowledged."""
        before = len(self.acknowledged)
        await until(lambda: len(self.acknowledged) >= before + count, "more is acknowledged")

    async def nothing_was_lost(self) -> None:
        """Ends it. Nothing hung, and what was acknowledged is there."""
        self._stopping = True
        await self._running
        assert self.slowest < DEADLINE + SLACK
        found = await self._store.scan("traffic/")
        assert {key: found.get(key) for key in self.acknowledged} == self.acknowledged
