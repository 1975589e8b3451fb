"""Files that cannot be used, and what is said about them at the start."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import pytest_twisted

from tests.store.kit import new_store, opened
from tests.store.sqlite_kit import child, said
from ttagw.store.base import StoreFileError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


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


def test_a_disk_that_is_full_at_the_start_is_said(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["sh", "-c", 'mount -t tmpfs -o size=4k none "$0" && exec "$@"', str(disk)]
    words = said(child(tmp_path / "child", disk / "store.db", "be", "unshare", "-rm", *mount))
    assert words.startswith("StoreFileError full:")
