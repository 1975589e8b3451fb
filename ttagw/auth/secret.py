"""A secret in a file, read again when the file has changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twisted.logger import Logger

from ttagw.auth.watched import signature
from ttagw.config.faults import ConfigError, Fault
from ttagw.config.files import SHORTEST_SECRET

LOOK_EVERY = 1.0
"""Seconds between two looks at the file, at the least."""


class SecretFile:
    """The secret that a file holds now; spaces and line breaks around it are not part of it."""

    log = Logger()

    def __init__(self, path: str, monotonic: Callable[[], float]) -> None:
        """Raises `ConfigError` for a file that cannot be used."""
        self._path = path
        self._monotonic = monotonic
        self._looked = monotonic()
        self._seen = signature(path)
        try:
            self._value = _read(path)
        except ValueError as error:
            raise ConfigError([Fault(0, "", str(error), path)]) from None

    def current(self) -> bytes:
        """The secret. A file that cannot be used any more changes nothing, and is said once."""
        now = self._monotonic()
        if now - self._looked >= LOOK_EVERY:
            self._looked = now
            seen = signature(self._path)
            if seen != self._seen:
                self._seen = seen
                self._read_again()
        return self._value

    def _read_again(self) -> None:
        try:
            self._value = _read(self._path)
        except ValueError as error:
            self.log.error("{path}: the secret stays as it was: {why}", path=self._path, why=str(error))
        else:
            self.log.info("{path}: the secret was read again", path=self._path)


def _read(path: str) -> bytes:
    """Raises `ValueError`, which says nothing of what is in the file."""
    try:
        secret = Path(path).read_bytes().strip()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(f"expected a secret of {SHORTEST_SECRET} bytes or more")
    return secret
