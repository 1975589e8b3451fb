"""Signatures of tokens (RFC 7518 §3, RFC 8037), by PyJWT.

Only its algorithms are used. Tokens are decoded by `ttagw.auth.compact`, so that nothing is read in two ways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

SHORTEST_SECRET: Mapping[str, int] = {"HS256": 32, "HS384": 48, "HS512": 64}
"""Bytes of a secret: as many as the hash has (RFC 7518 §3.2)."""
SHORTEST_RSA, LONGEST_RSA = 2048, 8192
"""Bits of an RSA modulus (RFC 7518 §3.3); the time for a check grows with the square of it."""
_LARGEST_EXPONENT = 2**32
"""As for the modulus: what anybody uses is 65537."""

FITTING: Mapping[tuple[str, str], Sequence[str]] = {
    ("RSA", ""): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("OKP", "Ed448"): ("EdDSA",),
}
"""What keys can sign with, by `kty` and `crv`."""


class UnusableKeyError(Exception):
    """A key that is not good enough; the message is a fixed token."""


def public_key(jwk: Mapping[str, Any], algorithm: str) -> Any:
    """The key of a JWK whose members have the right form. Raises `UnusableKeyError`."""
    try:
        made = jwt.get_algorithm_by_name(algorithm)
        key = made.prepare_key(made.from_jwk(dict(jwk)))
    except Exception:
        # Numbers that are no key, or one on another curve than the algorithm's, come back in many ways.
        raise UnusableKeyError("numbers") from None
    if isinstance(key, RSAPublicKey):
        if key.key_size < SHORTEST_RSA:
            raise UnusableKeyError("too_short")
        if key.key_size > LONGEST_RSA or key.public_numbers().e > _LARGEST_EXPONENT:
            raise UnusableKeyError("too_long")
    return key


def secret_key(secret: bytes, algorithms: Sequence[str]) -> bytes:
    """A secret that is good for all of these algorithms. Raises `UnusableKeyError`, whose message is a sentence."""
    for name in algorithms:
        least = SHORTEST_SECRET[name]
        if len(secret) < least:
            raise UnusableKeyError(f"expected a secret of {least} bytes or more for {name}, got {len(secret)}")
        try:
            jwt.get_algorithm_by_name(name).prepare_key(secret)
        except jwt.InvalidKeyError:
            # Everybody knows a public key.
            raise UnusableKeyError("expected a secret, got a key of another kind or a certificate") from None
    return secret


def is_signed(algorithm: str, key: Any, signed: bytes, signature: bytes) -> bool:
    """Whether the owner of the key has signed this. The key was made for this algorithm."""
    return bool(jwt.get_algorithm_by_name(algorithm).verify(signed, key, signature))
