from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred, gatherResults

from tests.store.kit import opened, until
from tests.twisted_hygiene import Failures, reactor
from ttagw.store.base import StoreAwayError
from ttagw.store.sqlite import SqliteStore
from ttagw.store.sqlite_file import put


class Hands:
    """Clocks that are set by hand."""

    def __init__(self) -> None:
        self.wall = 1_000_000.0

    def seconds(self) -> float:
        return self.wall


def rows(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT key FROM entry ORDER BY key")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest_twisted.ensureDeferred
async def test_what_is_over_is_swept(path: Path) -> None:
    hands = Hands()
    store = SqliteStore(str(path), reactor, lambda: 0.0, hands.seconds, sweep=0.02)
    await store.start()
    await store.put("a", b"1", ttl=10.0)
    await store.put("b", b"1", ttl=30.0)
    await store.put("c", b"1")
    hands.wall += 20.0
    await until(lambda: rows(path) == ["b", "c"], "it is swept")
    await store.stop()


@pytest_twisted.ensureDeferred
async def test_the_end_of_a_value_follows_the_wall_clock_through_a_restart(path: Path) -> None:
    hands = Hands()
    store = SqliteStore(str(path), reactor, lambda: 0.0, hands.seconds)
    await store.start()
    await store.put("a", b"1", ttl=10.0)
    await store.stop()
    hands.wall += 9.0
    await store.start()
    assert await store.get("a") == b"1"
    hands.wall += 1.0
    assert await store.get("a") is None
    await store.stop()


@pytest_twisted.ensureDeferred
async def test_a_change_whose_caller_gave_up_is_told_all_the_same(path: Path) -> None:
    async with opened(f"sqlite:{path}") as store:
        heard: list[str] = []
        gone: list[Any] = []
        store.watch("", lambda key, _: heard.append(key))
        putting = Deferred.fromCoroutine(store.put("a", b"1"))
        putting.addErrback(gone.append)
        putting.cancel()
        assert gone[0].check(CancelledError)
        await until(lambda: heard == ["a"], "it is told")
        assert await store.get("a") == b"1"


@pytest_twisted.ensureDeferred
async def test_a_bug_is_logged_counted_and_harms_nobody(path: Path, failures: Failures) -> None:
    async with opened(f"sqlite:{path}") as store:
        with pytest.raises(TypeError):
            await store.put("a", b"1", ttl="soon")  # type: ignore[arg-type]
        inner = store._store
        inner._wall = lambda: 1 // 0  # type: ignore[attr-defined]
        with pytest.raises(ZeroDivisionError):
            await store.get("a")
        assert store.operations == {("get", "failed"): 1}
        assert store.state.up
    assert len(failures.take(ZeroDivisionError)) == 1


@pytest_twisted.ensureDeferred
async def test_what_waits_is_done_together(path: Path) -> None:
    async with opened(f"sqlite:{path}") as store:
        await store.get("a")  # it is connected
        (connection,) = store._store._pool.connections.values()  # type: ignore[attr-defined]
        said: list[str] = []
        connection.set_trace_callback(said.append)
        await gatherResults([Deferred.fromCoroutine(store.put(f"k/{number}", b"")) for number in range(101)])
        assert said.count("COMMIT") == 2
        connection.set_trace_callback(None)
        assert len(await store.scan("k/")) == 101


@pytest_twisted.ensureDeferred
async def test_one_that_fails_takes_none_of_those_along_that_it_was_done_together_with(
    path: Path, failures: Failures
) -> None:
    async with opened(f"sqlite:{path}") as store:
        heard: list[str] = []
        store.watch("", lambda key, _: heard.append(key))
        inner: Any = store._store

        def bad(cursor: Any) -> None:
            put(cursor, "bad", b"", None)
            cursor.execute("SELECT nothing")

        first = Deferred.fromCoroutine(store.put("a", b"1"))
        rest = [Deferred.fromCoroutine(store.put(key, b"2")) for key in "bc"]
        failing = Deferred.fromCoroutine(inner._do(bad))
        last = Deferred.fromCoroutine(store.swap("c", b"2", b"3"))
        with pytest.raises(StoreAwayError):
            await failing
        await gatherResults([first, *rest])
        assert await last is True
        await until(lambda: store.state.up, "it is looked at again")
        assert await store.scan("") == {"a": b"1", "b": b"2", "c": b"3"}
        assert heard == ["a", "b", "c", "c"]
