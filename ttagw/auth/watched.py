"""Files with keys in them, read again when they have changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from twisted.logger import Logger

from ttagw.config.faults import ConfigError, Fault


class Watched:
    """A file of which somebody makes use. One that cannot be used any more changes nothing, and is said once."""

    log = Logger()

    def __init__(self, path: str, most: int, use: Callable[[bytes], None]) -> None:
        """`use` takes what is in it, `most` bytes or less, and raises `ConfigError` if it cannot. So does this."""
        self._path = path
        self._most = most
        self._use = use
        self._seen = signature(path)
        use(read(path, most))

    def look(self) -> None:
        """Read it again if it has changed."""
        seen = signature(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._use(read(self._path, self._most))
        except ConfigError as error:
            faults = "; ".join([str(fault) for fault in error.faults[:5]])
            self.log.error("what was in a file stays in use, because it cannot be used now: {faults}", faults=faults)
        else:
            self.log.info("{path}: read again", path=self._path)


def read(path: str, most: int) -> bytes:
    """What is in a file. Raises `ConfigError`, for one of more than `most` bytes too."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise fault(path, "not a file")
            data = file.read(most + 1)
    except OSError as error:
        raise fault(path, f"cannot be read: {error.strerror}") from None
    if len(data) > most:
        raise fault(path, f"more than {most // 1024} KiB")
    return data


def fault(path: str, sentence: str) -> ConfigError:
    """What is wrong with a file, as an error."""
    return ConfigError([Fault(0, "", sentence, path)])


def _without_waiting(path: str, flags: int) -> int:
    """What is a pipe would keep us waiting for somebody who writes."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def signature(path: str) -> tuple[int, int, int] | None:
    """What is another whenever a file is another."""
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_mtime_ns, about.st_ino, about.st_size
