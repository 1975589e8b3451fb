"""Files that are replaced whole: at every moment there is either the old one or the new one."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class KeyFileError(Exception):
    """A change that was not made; the message says why."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep out others who change files in this folder the same way. Raises `KeyFileError`."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise KeyFileError(f"{folder}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def replace(path: Path, data: bytes) -> None:
    """Put `data` into the place of the file. Owner and mode stay; a new one is 0600. Raises `KeyFileError`."""
    try:
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        with open(number, "wb") as file:
            if path.exists():
                about = path.stat()
                if (about.st_uid, about.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(number, about.st_uid, about.st_gid)
                os.fchmod(number, stat.S_IMODE(about.st_mode))
            file.write(data)
            file.flush()
            os.fsync(number)
        os.replace(name, path)
    except OSError as error:
        os.unlink(name)
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from None
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
