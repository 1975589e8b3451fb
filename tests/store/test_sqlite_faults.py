"""What may happen to the file while it is used: by others, by the disk, by the end of the process."""

from __future__ import annotations

import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests.integration.kit.process import Child
from tests.integration.kit.waiting import until as until_now
from tests.store.kit import BACK, new_store, opened, pause, refusal, until
from tests.store.sqlite_kit import child, said
from ttagw.store.base import DEADLINE, StoreAwayError, StoreError, StoreRefusedError
from ttagw.store.sqlite_file import at_run_time


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest_twisted.ensureDeferred
async def test_the_file_is_for_its_owner_only(path: Path) -> None:
    async with opened(f"sqlite:{path}") as store:
        await store.put("a", b"1")
        files = sorted(path.parent.glob("store.db*"))
        assert [each.name for each in files] == ["store.db", "store.db-shm", "store.db-wal"]
        assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
    assert sorted(path.parent.glob("store.db*")) == [path]


@pytest_twisted.ensureDeferred
async def test_what_is_acknowledged_has_been_synced(path: Path) -> None:
    async with opened(f"sqlite:{path}") as store:
        pool = store._store._pool  # type: ignore[attr-defined]
        pragmas = await pool.runInteraction(
            lambda cursor: [
                cursor.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous", "busy_timeout")
            ]
        )
    assert pragmas == ["wal", 2, 400]


@pytest_twisted.ensureDeferred
async def test_a_relative_path_begins_where_the_daemon_does(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    store = new_store("sqlite::memory:")
    monkeypatch.chdir("/")
    await store.start()
    await store.stop()
    assert (path.parent / ":memory:").is_file()


def test_a_disk_that_is_full_refuses_and_is_used_again_when_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["sh", "-c", 'mount -t tmpfs -o size=1m none "$0" && exec "$@"', str(disk)]
    words = said(child(tmp_path / "child", disk / "store.db", "fill", "unshare", "-rm", *mount))
    assert words.splitlines() == ["refused full", "refused full", "works again"]


@pytest_twisted.ensureDeferred
async def test_what_was_acknowledged_survives_kill_9(path: Path, tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for enough in (1, 40, 7, 120):
        with child(tmp_path / "child", path, "write") as writing:
            until_now(lambda enough=enough: len(lines(writing)) >= enough, "it writes")
            writing.process.kill()
            writing.ended()
            acknowledged += lines(writing)
    async with opened(f"sqlite:{path}") as store:
        found = await store.scan("")
    assert len(acknowledged) >= 168
    for key in acknowledged:
        assert found[key] == (b"swapped" if int(key.split("/")[1]) % 3 == 0 else key.encode() * 50)
    assert len(found) <= len(acknowledged) + 4  # one each was not said any more


def lines(writing: Child) -> list[str]:
    """The whole lines so far."""
    return writing.output.read_text().split("\n")[:-1]


@pytest.fixture
def other(path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else who has the file open."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
        yield connection


@pytest_twisted.ensureDeferred
async def test_a_lock_of_somebody_else_is_noticed_and_its_end_too(path: Path, other: sqlite3.Connection) -> None:
    async with opened(f"sqlite:{path}") as store:
        heard: list[str] = []
        states: list[tuple[bool, str]] = []
        store.watch("", lambda key, _: heard.append(key))
        store.on_state(lambda state: states.append((state.up, state.reason)))
        await store.put("a", b"1")
        other.execute("BEGIN IMMEDIATE")
        error = await refusal(store.put("b", b"2"))
        assert isinstance(error, StoreAwayError)
        assert error.reason == "locked"
        began = time.monotonic()
        assert (await refusal(store.get("a"))).reason == "locked"
        assert time.monotonic() - began < 0.3
        await pause(0.8)
        assert not store.state.up
        other.execute("COMMIT")
        await until(lambda: store.state.up, "it is back", within=BACK)
        assert await store.scan("") == {"a": b"1"}
        await store.put("c", b"3")
        assert heard == ["a", "c"]
        assert states == [(False, "locked"), (True, "")]


@pytest_twisted.ensureDeferred
async def test_a_lock_that_is_short_is_waited_for(path: Path, other: sqlite3.Connection) -> None:
    async with opened(f"sqlite:{path}") as store:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.1, lambda: other.execute("COMMIT"))
        timer.start()
        await store.put("a", b"1")
        timer.join()
        assert store.state.up


@pytest_twisted.ensureDeferred
async def test_when_many_wait_for_a_lock_all_are_answered_in_time(path: Path, other: sqlite3.Connection) -> None:
    async with opened(f"sqlite:{path}") as store:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        ends: list[float] = []
        reasons: list[str] = []

        async def one(number: int) -> None:
            try:
                await store.put(f"k/{number}", b"")
            except StoreError as error:
                reasons.append(error.reason)
            ends.append(time.monotonic() - began)

        for number in range(10):
            Deferred.fromCoroutine(one(number))
        await until(lambda: len(ends) == 10, "all are answered")
        assert max(ends) < DEADLINE + 0.5
        assert set(reasons) <= {"locked", "timeout"}
        other.execute("COMMIT")
        await until(lambda: store.state.up, "it is back", within=BACK)
        # Those whose time was over when their turn came are not done behind anybody's back; one was in its turn.
        assert len(await store.scan("k/")) <= 1


@pytest_twisted.ensureDeferred
async def test_a_file_that_was_moved_away_is_not_written_to_unseen(path: Path) -> None:
    async with opened(f"sqlite:{path}") as store:
        await store.put("a", b"1")
        aside = path.with_name("aside.db")
        path.rename(aside)
        error = await refusal(store.put("b", b"2"))
        assert isinstance(error, StoreAwayError)
        assert error.reason == "file_gone"
        assert store.state.reason == "file_gone"
        aside.rename(path)
        await until(lambda: store.state.up, "it is back", within=BACK)
        await store.put("b", b"2")
        assert await store.scan("") == {"a": b"1", "b": b"2"}


@pytest_twisted.ensureDeferred
async def test_two_stores_on_one_file_see_the_same(path: Path) -> None:
    async with opened(f"sqlite:{path}") as one, opened(f"sqlite:{path}") as two:
        await one.put("a", b"1")
        assert await two.swap("a", b"1", b"2")
        assert await one.get("a") == b"2"


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (sqlite3.SQLITE_BUSY, StoreAwayError, "locked"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreAwayError, "locked"),
        (sqlite3.SQLITE_LOCKED, StoreAwayError, "locked"),
        (sqlite3.SQLITE_FULL, StoreRefusedError, "full"),
        (sqlite3.SQLITE_READONLY_DBMOVED, StoreRefusedError, "read_only"),
        (sqlite3.SQLITE_CORRUPT, StoreAwayError, "corrupt"),
        (sqlite3.SQLITE_NOTADB, StoreAwayError, "corrupt"),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreAwayError, "io_error"),
        (sqlite3.SQLITE_ERROR, StoreAwayError, "io_error"),
    ],
)
def test_what_an_error_means(path: Path, code: int, kind: type, reason: str) -> None:
    error = sqlite3.OperationalError("it failed")
    error.sqlite_errorcode = code
    found = at_run_time(str(path), error)
    assert (type(found), found.reason) == (kind, reason)
    found = at_run_time("/no/such/folder/at/all", error)
    assert found.reason == reason


@pytest_twisted.ensureDeferred
async def test_damage_while_it_runs_is_away(path: Path) -> None:
    async with opened(f"sqlite:{path}") as store:
        for number in range(100):
            await store.put(f"key/{number}", b"x" * 500)
    async with opened(f"sqlite:{path}") as store:
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (size - 4096))
        error = await refusal(store.scan("key/"))
        assert isinstance(error, StoreAwayError)
        assert error.reason == "corrupt"


@pytest_twisted.ensureDeferred
async def test_a_thread_that_is_stuck_hangs_nobody(path: Path) -> None:
    stuck = threading.Event()
    store = new_store(f"sqlite:{path}")
    await store.start()
    inner = store._store
    pool = inner._pool  # type: ignore[attr-defined]
    pool.threadpool.callInThread(stuck.wait, 30.0)
    error = await refusal(store.put("a", b"1"))
    assert error.reason == "timeout"
    assert store.state.reason == "timeout"
    stuck.set()
    await until(lambda: store.state.up, "it is back", within=BACK)
    assert await store.get("a") is None  # its turn came when it was over
    stuck.clear()
    pool.threadpool.callInThread(stuck.wait, 30.0)
    left = Deferred.fromCoroutine(store.put("a", b"1"))
    began = time.monotonic()
    await store.stop()
    assert time.monotonic() - began < DEADLINE + 0.5
    assert (await refusal(left)).reason == "timeout"
    stuck.set()
    pool.close()
