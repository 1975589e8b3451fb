"""Where the keys of an issuer come from: a URL, a file of public keys, or a file with a secret."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ttagw.auth.keyset import MOST_BYTES, KeySet, KeySetError, Skipped, parse
from ttagw.auth.signatures import UnusableKeyError, secret_key
from ttagw.auth.watched import Watched, fault, read
from ttagw.config.auth import Issuer
from ttagw.config.faults import ConfigError
from ttagw.errors import TokenRefusedError

MOST_SECRET = 64 * 1024
"""Bytes of a file with a secret."""

Changed = Callable[[], None]
"""Called when a key that was there is there no more, or is another."""


Keys = tuple[Any, ...]


class KeySource(Protocol):
    """The keys of one issuer."""

    def find(self, kid: str | None, algorithm: str) -> Keys | Deferred[Keys]:
        """The key that a token names, or those that it may mean. Raises, or fails with, `TokenRefusedError` or
        `IdentityUnknownError`.
        """

    def look(self) -> None:
        """Called now and then: whether what is on disk has changed."""

    def start(self) -> None:
        """Begin to fetch."""

    def stop(self) -> None:
        """Fetch no more."""


class Secret:
    """The secret that an issuer shares with us. What a token names as its key makes no difference."""

    def __init__(self, issuer: Issuer, changed: Changed) -> None:
        """Raises `ConfigError`."""
        self._issuer = issuer
        self._changed = changed
        self._secret = b""
        self._file = Watched(issuer.secret_file, MOST_SECRET, self._use)
        self.look = self._file.look

    def _use(self, data: bytes) -> None:
        before, self._secret = self._secret, _secret(self._issuer, data)
        if before not in (b"", self._secret):
            self._changed()

    def find(self, kid: str | None, algorithm: str) -> Keys:  # noqa: ARG002 - there is only one
        """The secret."""
        return (self._secret,)

    def start(self) -> None:
        """Nothing to fetch."""

    stop = start


class KeysOfFile:
    """The public keys in a file."""

    log = Logger()

    def __init__(self, issuer: Issuer, changed: Changed) -> None:
        """Raises `ConfigError`."""
        self._issuer = issuer
        self._changed = changed
        self.keys = KeySet(())
        self._file = Watched(issuer.jwks_file, MOST_BYTES, self._use)
        self.look = self._file.look

    def _use(self, data: bytes) -> None:
        keys, skipped = _keys(self._issuer, data)
        before, self.keys = self.keys, keys
        for each in skipped:
            warn_skipped(self.log, self._issuer.issuer, each)
        if not before.facts() <= keys.facts():
            self._changed()

    def find(self, kid: str | None, algorithm: str) -> Keys:
        """The key that a token names, or those that it may mean. Raises `TokenRefusedError`."""
        found = self.keys.find(kid, algorithm)
        if not found:
            raise TokenRefusedError("token_key")
        return found

    def start(self) -> None:
        """Nothing to fetch."""

    stop = start


def warn_skipped(log: Logger, issuer: str, skipped: Skipped) -> None:
    """Say that a key is not used."""
    log.warn(
        "{issuer}: the key {kid} is not used: {reason}",
        issuer=issuer,
        kid=repr(skipped.kid) if skipped.kid else "without a name",
        reason=skipped.reason,
    )


def _secret(issuer: Issuer, data: bytes) -> bytes:
    try:
        return secret_key(data.strip(), issuer.algorithms)
    except UnusableKeyError as error:
        raise fault(issuer.secret_file, str(error)) from None


def _keys(issuer: Issuer, data: bytes) -> tuple[KeySet, Sequence[Skipped]]:
    try:
        return parse(data, issuer.algorithms)
    except KeySetError as error:
        why = "".join([f"; {repr(each.kid) if each.kid else 'a key'}: {each.reason}" for each in error.skipped[:20]])
        raise fault(issuer.jwks_file, f"no key set that can be used: {error.reason}{why}") from None


def faults(issuer: Issuer) -> Iterator[tuple[str, ConfigError]]:
    """What is wrong with the files of an issuer, by the key of the configuration that names them."""
    try:
        if issuer.secret_file:
            _secret(issuer, read(issuer.secret_file, MOST_SECRET))
    except ConfigError as error:
        yield "secret_file", error
    try:
        if issuer.jwks_file:
            _keys(issuer, read(issuer.jwks_file, MOST_BYTES))
    except ConfigError as error:
        yield "jwks_file", error
