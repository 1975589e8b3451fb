"""A log file that never makes a request wait.

Lines are handed to a thread that writes them: a full disk or a pipe that nobody reads stops the thread, not the
gateway. What does not fit into the bounded queue meanwhile is dropped, counted and said.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Condition, Thread

LIMIT = 8 * 1024 * 1024
"""Bytes that may wait to be written."""

STANDARD = {"-": 1}
"""Names of files that are open already."""


class LogFile:
    """Appends bytes to a file, `-` for standard output, in a thread of its own.

    `complain` is called, from the thread, with a sentence when writing fails and when it works again.
    """

    def __init__(self, path: str, complain: Callable[[str], None], *, descriptor: int | None = None) -> None:
        """Raises `OSError` if the file cannot be opened."""
        self.path = path
        self._fixed = STANDARD.get(path) if descriptor is None else descriptor
        self._complain = complain
        self._fd = self._open()
        self._changed = Condition()
        self._waiting: list[bytes] = []
        self._size = 0
        self._reopen = False
        self._stopping = False
        self._torn = False
        self._failing = False
        self.dropped = 0
        """Lines lost since the start."""
        self._thread = Thread(target=self._run, name=f"log {path}", daemon=True)

    def _open(self) -> int:
        if self._fixed is not None:
            return self._fixed
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def start(self) -> None:
        """Begin to write. Not before the daemon has forked: threads do not survive that."""
        self._thread.start()

    def write(self, lines: bytes) -> None:
        """Append whole lines, soon."""
        with self._changed:
            if self._size + len(lines) > LIMIT:
                self.dropped += lines.count(b"\n")
                return
            self._waiting.append(lines)
            self._size += len(lines)
            self._changed.notify()

    def reopen(self) -> None:
        """The file may have been moved away: open it anew by its name."""
        with self._changed:
            self._reopen = True
            self._changed.notify()

    def stop(self, timeout: float = 5.0) -> None:
        """Write what waits, for at most so many seconds, and close."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._reopen or self._stopping)
                lines, self._waiting = b"".join(self._waiting), []
                reopen, self._reopen = self._reopen, False
                stopping = self._stopping
            if reopen:
                self._open_again()
            if lines:
                self._append(lines)
                with self._changed:
                    self._size -= len(lines)
            if stopping:
                self._close()
                return

    def _open_again(self) -> None:
        try:
            descriptor = self._open()
        except OSError as error:
            self._complain(f"log {self.path}: cannot be opened again, going on with the old file: {error.strerror}")
            return
        self._close()
        self._fd = descriptor

    def _append(self, lines: bytes) -> None:
        if self._torn:
            lines = b"\n" + lines
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            self._torn = len(rest) < len(lines) and lines[-len(rest) - 1 : -len(rest)] != b"\n"
            with self._changed:
                self.dropped += bytes(rest).count(b"\n")
            if not self._failing:
                self._failing = True
                self._complain(f"log {self.path}: lines are being lost: {error.strerror}")
            return
        self._torn = False
        if self._failing:
            self._failing = False
            self._complain(f"log {self.path}: writing again, {self.dropped} lines were lost")

    def _close(self) -> None:
        if self._fixed is None:
            os.close(self._fd)
