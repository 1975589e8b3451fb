"""A key pair and a token, made anew for each run, for the proxy that verifies tokens."""

from __future__ import annotations

import functools
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

LIFETIME = 24 * 3600


@functools.cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def make() -> str:
    """Return an RS256 token that is good for a day."""
    now = int(time.time())
    claims = {"sub": "bench-1", "iss": "https://auth.tta.example", "aud": "tta", "iat": now, "exp": now + LIFETIME}
    return jwt.encode(claims, _key(), algorithm="RS256")


def write_public_key(folder: Path) -> Path:
    """Write the public key as PEM."""
    path = folder / "public.pem"
    path.write_bytes(_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path
