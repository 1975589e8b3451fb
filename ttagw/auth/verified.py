"""Tokens that were found good, and who has them."""

from __future__ import annotations

from collections.abc import Callable

from ttagw.core.identity import Identity

MOST_BYTES = 20 * 1024 * 1024
"""Of all that is kept, as `_size` reckons."""
_WORD_SIZE = 100
"""Bytes for each id and permission that came with a token, about."""


class Verified:
    """Who has which token, by its text, oldest out first.

    By the text and not by a digest of it: looking up 700 bytes in a dictionary takes a third of the time of SHA-256
    over them. The hash of a dictionary is keyed with a secret of the process, so looking says nothing about what is in
    it; and no two texts are one token, since only one form of each is taken.
    """

    def __init__(self, most: int) -> None:
        """`most` entries; 0 keeps nothing."""
        self._most = most
        self._size = 0
        self._found: dict[bytes, Identity] = {}
        self.get = self._found.get
        """Who has a token; whether it is still good, or good already, the caller looks."""

    def __len__(self) -> int:
        return len(self._found)

    def add(self, token: bytes, identity: Identity) -> None:
        """Remember who has it."""
        if not self._most:
            return
        self._drop(token)
        self._found[token] = identity
        self._size += _size(token, identity)
        while len(self._found) > self._most or self._size > MOST_BYTES:
            self._drop(next(iter(self._found)))

    def forget(self, forbidden: Callable[[Identity], bool]) -> int:
        """Forget those of whom this is true; says how many that were."""
        gone = [token for token, identity in self._found.items() if forbidden(identity)]
        for token in gone:
            self._drop(token)
        return len(gone)

    def _drop(self, token: bytes) -> None:
        identity = self._found.pop(token, None)
        if identity is not None:
            self._size -= _size(token, identity)


def _size(token: bytes, identity: Identity) -> int:
    return len(token) + _WORD_SIZE * (len(identity.people) + len(identity.permissions))
