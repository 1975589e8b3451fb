from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred

from tests.store.kit import opened, until
from tests.twisted_hygiene import Failures, reactor
from ttagw.store.sqlite import SqliteStore


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
