"""What may happen to the file: by others, by the disk, by the end of the process."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
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
from ttagw.store.base import DEADLINE, StoreAwayError, StoreError, StoreFileError, StoreRefusedError
from ttagw.store.sqlite_file import at_run_time

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def child(folder: Path, path: Path, scenario: str, *around: str) -> Child:
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return Child(
        [*around, sys.executable, "-m", "tests.store.sqlite_child", scenario, path], folder, environment=environment
    )


def said(child: Child) -> str:
    """What it says until it ends."""
    with child:
        assert child.ended() == 0, child.errors.read_text()
    return child.output.read_text().strip()


async def unusable(path: Path) -> StoreFileError:
    """Why the store cannot be started, in a line that names the file."""
    store = new_store(f"sqlite:{path}")
    with pytest.raises(StoreFileError) as caught:
        await store.start()
    await store.stop()
    assert not store.state.up
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


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


def not_a_database(path: Path) -> None:
    path.write_bytes(b"once upon a time " * 1000)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def of_something_else(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (name TEXT)")


def of_something_else_with_a_version(path: Path) -> None:
    of_something_else(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 1")


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (not_a_database, "not_a_database"),
        (a_folder, "not_a_file"),
        (a_pipe, "not_a_file"),
        (of_something_else, "not_ours"),
        (of_something_else_with_a_version, "not_ours"),
        (newer, "newer"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_file_that_is_no_store_is_left_as_it_is(path: Path, make: object, reason: str) -> None:
    make(path)  # type: ignore[operator]
    before = path.read_bytes() if path.is_file() else b""
    assert (await unusable(path)).reason == reason
    assert (path.read_bytes() if path.is_file() else b"") == before


@pytest_twisted.ensureDeferred
async def test_a_folder_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    assert (await unusable(tmp_path / "missing" / "store.db")).reason == "no_folder"
    (tmp_path / "file").write_bytes(b"")
    assert (await unusable(tmp_path / "file" / "store.db")).reason == "no_folder"
    assert not (tmp_path / "missing").exists()


@pytest_twisted.ensureDeferred
async def test_a_name_over_two_lines_is_said_in_one(tmp_path: Path) -> None:
    store = new_store(f"sqlite:{tmp_path}/a\nb/store.db")
    with pytest.raises(StoreFileError) as caught:
        await store.start()
    assert "\n" not in str(caught.value)


@pytest_twisted.ensureDeferred
async def test_a_damaged_file_is_not_used(path: Path) -> None:
    async with opened(f"sqlite:{path}") as store:
        for number in range(200):
            await store.put(f"key/{number}", b"x" * 500)
    whole = path.read_bytes()
    damaged = 0
    for place in range(4096, len(whole), len(whole) // 8):
        path.write_bytes(whole[:place] + b"\xff" * 600 + whole[place + 600 :])
        damaged += (await unusable(path)).reason == "corrupt"
    path.write_bytes(whole[: len(whole) // 2])
    assert (await unusable(path)).reason == "corrupt"
    assert damaged >= 7
    path.write_bytes(whole)
    async with opened(f"sqlite:{path}") as store:
        assert len(await store.scan("key/")) == 200


@pytest_twisted.ensureDeferred
async def test_one_that_is_locked_at_the_start_is_said(path: Path) -> None:
    async with opened(f"sqlite:{path}"):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert (await unusable(path)).reason == "locked"


def test_a_read_only_file_system_is_said_at_the_start(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["sh", "-c", 'mount -t tmpfs -o ro none "$0" && exec "$@"', str(disk)]
    words = said(child(tmp_path / "child", disk / "store.db", "be", "unshare", "-rm", *mount))
    assert words.startswith("StoreFileError read_only:")
    assert "\n" not in words
    assert str(disk / "store.db") in words
    words = said(child(tmp_path / "child", disk / "store.db", "meant", "unshare", "-rm", *mount))
    assert words == "StoreRefusedError read_only"


def test_a_file_or_folder_without_permission_is_said_at_the_start(tmp_path: Path) -> None:
    # An owner like any other: root may do everything, until it has given that away.
    weak = ("unshare", "-r", "setpriv", "--bounding-set=-all", "--inh-caps=-all")
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "store.db"
    assert said(child(tmp_path / "child", path, "be", *weak)) == "fine"
    path.chmod(0o400)
    assert said(child(tmp_path / "child", path, "be", *weak)).startswith("StoreFileError no_permission:")
    path.chmod(0o600)
    folder.chmod(0o500)
    words = said(child(tmp_path / "child", path, "be", *weak))
    assert words.startswith(("StoreFileError no_permission:", "StoreFileError read_only:"))
    folder.chmod(0o700)
    assert said(child(tmp_path / "child", path, "be", *weak)) == "fine"


def test_a_disk_that_is_full_refuses_and_is_used_again_when_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["sh", "-c", 'mount -t tmpfs -o size=1m none "$0" && exec "$@"', str(disk)]
    words = said(child(tmp_path / "child", disk / "store.db", "fill", "unshare", "-rm", *mount))
    assert words.splitlines() == ["refused full", "refused full", "works again"]


def test_a_disk_that_is_full_at_the_start_is_said(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["sh", "-c", 'mount -t tmpfs -o size=4k none "$0" && exec "$@"', str(disk)]
    words = said(child(tmp_path / "child", disk / "store.db", "be", "unshare", "-rm", *mount))
    assert words.startswith("StoreFileError full:")


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
    error = await refusal(store.get("a"))
    assert error.reason == "timeout"
    assert store.state.reason == "timeout"
    stuck.set()
    await until(lambda: store.state.up, "it is back", within=BACK)
    stuck.clear()
    pool.threadpool.callInThread(stuck.wait, 30.0)
    left = Deferred.fromCoroutine(store.put("a", b"1"))
    began = time.monotonic()
    await store.stop()
    assert time.monotonic() - began < DEADLINE + 0.5
    assert (await refusal(left)).reason == "timeout"
    stuck.set()
    pool.close()
