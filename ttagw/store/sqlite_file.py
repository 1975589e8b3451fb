"""The file of a SQLite store: made, checked, read and written. All of it blocks, and runs in the store's thread."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Mapping
from typing import Protocol

from ttagw.store.base import StoreAwayError, StoreError, StoreFileError, StoreRefusedError

SCHEMA = 1
"""Version of the table below, kept in the file."""

BUSY = 0.4
"""Seconds to wait for a lock that somebody else has. Below the deadline, with room for the operation itself."""

SWEPT = 1000
"""Rows that are over and removed at a time."""

_TABLE = (
    "CREATE TABLE entry (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL, expires REAL)",
    "CREATE INDEX entry_expires ON entry (expires) WHERE expires IS NOT NULL",
    f"PRAGMA user_version = {SCHEMA}",
)
_LIVE = "(expires IS NULL OR expires > ?)"
_GET = f"SELECT value FROM entry WHERE key = ? AND {_LIVE}"  # noqa: S608
_SCAN = f"SELECT key, value FROM entry WHERE key >= ? AND key < ? AND {_LIVE}"  # noqa: S608
_PUT = "INSERT OR REPLACE INTO entry (key, value, expires) VALUES (?, ?, ?)"
_DELETE = f"DELETE FROM entry WHERE key = ? AND {_LIVE}"  # noqa: S608
_SWEEP = "DELETE FROM entry WHERE rowid IN (SELECT rowid FROM entry WHERE expires <= ? LIMIT ?)"

_BEYOND = "\x7f"
"""Sorts after everything that a key may hold."""


class Cursor(Protocol):
    """What of a database cursor is used."""

    rowcount: int

    def execute(self, sql: str, parameters: tuple[object, ...] = ..., /) -> object: ...
    def fetchone(self) -> tuple[object, ...] | None: ...
    def fetchall(self) -> list[tuple[str, bytes]]: ...


def begin(cursor: Cursor) -> None:
    """Take the lock that writing needs."""
    cursor.execute("BEGIN IMMEDIATE")


def get(cursor: Cursor, key: str, now: float) -> bytes | None:
    """The value that is not over at `now`, Unix seconds."""
    cursor.execute(_GET, (key, now))
    row = cursor.fetchone()
    return None if row is None else bytes(row[0])  # type: ignore[call-overload]


def scan(cursor: Cursor, prefix: str, now: float) -> Mapping[str, bytes]:
    """All that begin with `prefix`."""
    cursor.execute(_SCAN, (prefix, prefix + _BEYOND, now))
    return dict(cursor.fetchall())


def put(cursor: Cursor, key: str, value: bytes, expires: float | None) -> None:
    """Set a value."""
    begin(cursor)
    cursor.execute(_PUT, (key, value, expires))


def delete(cursor: Cursor, key: str, now: float) -> bool:
    """Whether there was something to remove."""
    begin(cursor)
    cursor.execute(_DELETE, (key, now))
    return cursor.rowcount > 0


def swap(cursor: Cursor, key: str, expected: bytes | None, row: tuple[bytes, float | None], now: float) -> bool:
    """Set value and end if the present value is `expected`."""
    begin(cursor)
    if get(cursor, key, now) != expected:
        return False
    cursor.execute(_PUT, (key, *row))
    return True


def sweep(cursor: Cursor, now: float) -> None:
    """Remove some of what is over."""
    begin(cursor)
    cursor.execute(_SWEEP, (now, SWEPT))


def configure(connection: sqlite3.Connection) -> None:
    """What holds for a connection: what has been acknowledged survives a loss of power."""
    connection.execute("PRAGMA synchronous = FULL")


def identity(path: str) -> tuple[int, int] | None:
    """Which file it is that has this name."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def prepare(path: str) -> None:
    """Make sure that there is a database of ours at `path`, and that it can be written. Raises `StoreFileError`."""
    name = path if path.isprintable() else repr(path)
    try:
        _make(path)
        connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None)
        try:
            _check(connection, name)
        finally:
            connection.close()
    except OSError as error:
        raise _not_usable(name, error) from None
    except sqlite3.Error as error:
        raise _not_readable(name, error) from None


def _make(path: str) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a file")
    finally:
        os.close(descriptor)


def _check(connection: sqlite3.Connection, name: str) -> None:
    # First of all: the journal's mode is kept in the file, and that of somebody else is not ours to change.
    _is_empty(connection, name)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreFileError("no_wal", f"{name}: its file system allows no write-ahead log; use a local disk")
    configure(connection)
    connection.execute("BEGIN IMMEDIATE")
    if _is_empty(connection, name):
        for statement in _TABLE:
            connection.execute(statement)
    (fine,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if fine != "ok":
        raise StoreFileError("corrupt", _CORRUPT.format(name=name))
    connection.execute("COMMIT")


def _is_empty(connection: sqlite3.Connection, name: str) -> bool:
    """Whether nothing is in it yet. Raises `StoreFileError` if what is there is not ours."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA:
        raise StoreFileError(
            "newer",
            f"{name}: written by a newer version (schema {version}, known is {SCHEMA}); upgrade, or move it away",
        )
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if version == 0 and not tables:
        return True
    if version != SCHEMA or "entry" not in tables:
        raise StoreFileError("not_ours", f"{name}: a database of something else; name another file")
    return False


_CORRUPT = "{name}: the database is damaged; restore it from a copy, or move it away to begin with an empty one"

_SYSTEM = {
    errno.ENOENT: ("no_folder", "its folder does not exist; create it"),
    errno.ENOTDIR: ("no_folder", "its folder is not a folder; name another one"),
    errno.EISDIR: ("not_a_file", "a folder; name a file in it"),
    errno.EINVAL: ("not_a_file", "not an ordinary file; name another one"),
    errno.ENXIO: ("not_a_file", "not an ordinary file; name another one"),
    errno.EACCES: ("no_permission", "no permission to read and write it; change its owner or mode, or the folder's"),
    errno.EPERM: ("no_permission", "no permission to read and write it; change its owner or mode, or the folder's"),
    errno.EROFS: ("read_only", "its file system is read-only; put it elsewhere"),
    errno.ENOSPC: ("full", "the disk is full; make room"),
    errno.EDQUOT: ("full", "the disk quota is used up; make room"),
}


def _not_usable(name: str, error: OSError) -> StoreFileError:
    reason, sentence = _SYSTEM.get(error.errno or 0, ("unusable", f"cannot be opened: {error.strerror}"))
    return StoreFileError(reason, f"{name}: {sentence}")


_FILE = {
    sqlite3.SQLITE_BUSY: ("locked", "{name}: locked by another process; stop that, or name another file"),
    sqlite3.SQLITE_LOCKED: ("locked", "{name}: locked by another process; stop that, or name another file"),
    sqlite3.SQLITE_NOTADB: ("not_a_database", "{name}: not a SQLite database; name another file, or move it away"),
    sqlite3.SQLITE_CORRUPT: ("corrupt", _CORRUPT),
    sqlite3.SQLITE_FULL: ("full", "{name}: the disk is full; make room"),
    sqlite3.SQLITE_READONLY: ("read_only", "{name}: it, its folder or one of its companions is read-only"),
    sqlite3.SQLITE_CANTOPEN: ("no_permission", "{name}: files beside it cannot be made; make its folder writable"),
}


def _primary(error: sqlite3.Error) -> int:
    """The error without its refinements."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _no_room(path: str) -> bool:
    try:
        found = os.statvfs(os.path.dirname(path))
    except OSError:
        return False
    return found.f_bavail == 0


def _not_readable(name: str, error: sqlite3.Error) -> StoreFileError:
    code = _primary(error)
    if code == sqlite3.SQLITE_IOERR and _no_room(name):
        code = sqlite3.SQLITE_FULL
    reason, sentence = _FILE.get(code, ("unusable", f"{{name}}: {error}"))
    return StoreFileError(reason, sentence.format(name=name))


def at_run_time(path: str, error: sqlite3.Error) -> StoreError:
    """What an error means for an operation."""
    code = _primary(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreAwayError("locked")
    # The index of the write-ahead log is a file too; for it a full disk is any failure of its system calls.
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _no_room(path)):
        return StoreRefusedError("full")
    if code == sqlite3.SQLITE_READONLY:
        return StoreRefusedError("read_only")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreAwayError("corrupt")
    return StoreAwayError("io_error", str(error))
