"""Argon2id (RFC 9106), as hashes in PHC form."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

MEMORY, PASSES, LANES = 19456, 2, 1
"""KiB, passes and lanes: the second choice of OWASP's "Password Storage Cheat Sheet"."""

_SALT = 16
_LENGTH = 32


def hashed(key: bytes, randbytes: Callable[[int], bytes] = os.urandom) -> str:
    """The hash of a key. Takes some 50 ms."""
    salt = randbytes(_SALT)
    kdf = Argon2id(salt=salt, length=_LENGTH, iterations=PASSES, lanes=LANES, memory_cost=MEMORY)
    return kdf.derive_phc_encoded(key)


def matches(key: bytes, phc: str) -> bool:
    """Whether this is the hash of the key, compared in constant time. Takes as long as making it."""
    try:
        Argon2id.verify_phc_encoded(key, phc)
    except InvalidKey:
        return False
    return True


def like(phc: str, randbytes: Callable[[int], bytes] = os.urandom) -> str:
    """A hash of nothing that is as much work to check as this one."""
    *settings, salt, digest = phc.split("$")
    return "$".join([*settings, *[_base64(randbytes(len(each) * 3 // 4)) for each in (salt, digest)]])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii").rstrip("=")
