"""What the tests of the SQLite store do in a process of their own: `-m tests.store.sqlite_child SCENARIO PATH`."""

from __future__ import annotations

import os
import random
import sqlite3
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from ttagw.store.base import StoreAwayError, StoreError, StoreFileError, StoreRefusedError
from ttagw.store.counted import Counted
from ttagw.store.make import make_store
from ttagw.store.sqlite_file import at_run_time


def say(*words: object) -> None:
    print(*words, flush=True)


async def write(store: Counted, path: Path) -> None:
    """Write until somebody ends us; each key is said when it was acknowledged."""
    number = 0
    while True:
        number += 1
        key = f"{os.getpid()}/{number}"
        await store.put(key, key.encode() * 50)
        if number % 3 == 0:
            assert await store.swap(key, key.encode() * 50, b"swapped")
        say(key)


async def be(store: Counted, path: Path) -> None:
    """Start, and that is all."""
    await store.put("a", b"1")
    say("fine")


async def fill(store: Counted, path: Path) -> None:
    """Fill the disk, look at what is there, make room, go on."""
    acknowledged: dict[str, bytes] = {}
    room = path.parent / "room"
    room.write_bytes(bytes(200_000))
    for number in range(10_000):
        key, value = f"k/{number}", bytes([number % 256]) * 20_000
        try:
            await store.put(key, value)
        except StoreRefusedError as error:
            say("refused", error.reason)
            break
        acknowledged[key] = value
    assert len(acknowledged) > 10
    assert store.state.up, store.state
    assert await store.scan("k/") == acknowledged
    try:
        await store.swap("k/0", acknowledged["k/0"], bytes(200_000))
    except StoreRefusedError as error:
        say("refused", error.reason)
    assert await store.scan("k/") == acknowledged
    room.unlink()
    await store.put("k/new", b"new")
    assert await store.scan("k/") == {**acknowledged, "k/new": b"new"}
    await store.stop()
    await store.start()
    assert await store.scan("k/") == {**acknowledged, "k/new": b"new"}
    say("works again")


async def meant(store: Counted, path: Path) -> None:
    """On a read-only file system: what a system call that fails means."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    found = at_run_time(str(path), error)
    say(type(found).__name__, found.reason)


SCENARIOS: dict[str, Callable[[Counted, Path], Coroutine[Any, Any, None]]] = {
    "write": write,
    "be": be,
    "fill": fill,
}


async def run(reactor: Any, scenario: str, path: Path) -> None:
    store = make_store(f"sqlite:{path}", reactor, time.monotonic, time.time, random.random)
    if scenario == "meant":
        await meant(store, path)
        return
    try:
        await store.start()
    except StoreFileError as error:
        say("StoreFileError", error)
        return
    try:
        await SCENARIOS[scenario](store, path)
    except StoreAwayError as error:
        say("StoreAwayError", error)
    except StoreError as error:
        say(type(error).__name__, error)
    finally:
        await store.stop()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(run(reactor, sys.argv[1], Path(sys.argv[2]))))
