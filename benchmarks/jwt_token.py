"""Keys and tokens for proxies that verify them, made anew for each run."""

from __future__ import annotations

import functools
import json
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

ISSUER = "https://auth.tta.example"
AUDIENCE = "tta"
ALGORITHM: Final = "RS256"
ROLE = "player"
"""As the issuer calls it."""
KEY_ID = "2026-11"
LIFETIME = 24 * 3600
HOUR = 3600
OURS, ANOTHER = "ours", "another's"
"""Names of keys."""


@functools.cache
def _key(name: str) -> rsa.RSAPrivateKey:  # noqa: ARG001 - the cache has it
    """The key of this name, one for each run."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def make() -> str:
    """Return an RS256 token that is good for a day."""
    now = int(time.time())
    claims = {"sub": "bench-1", "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + LIFETIME}
    return jwt.encode(claims, _key(OURS), algorithm=ALGORITHM)


def claims(now: float) -> dict[str, Any]:
    """What a token of the authentication service says, about somebody whom no other token is about."""
    issued = int(now)
    return {
        "sub": str(uuid.uuid4()),
        "iss": ISSUER,
        "aud": AUDIENCE,
        "role": ROLE,
        "iat": issued,
        "exp": issued + HOUR,
        "jti": str(uuid.uuid4()),
        "session_id": uuid.uuid4().hex,
        "mfa_verified": False,
    }


def sign(said: Mapping[str, Any], key: str = OURS) -> str:
    """A token that says this, signed with the key of this name under the id of the real one."""
    return jwt.encode(dict(said), _key(key), algorithm=ALGORITHM, headers={"kid": KEY_ID})


def many(count: int, now: Callable[[], float] = time.time) -> list[str]:
    """So many good tokens, each of another person, all for the next hour."""
    return [sign(claims(now())) for _ in range(count)]


def bad(now: Callable[[], float] = time.time) -> dict[str, str]:
    """What nobody may accept, by what is wrong with it."""
    good = claims(now())
    head, said, signature = sign(good).split(".")
    middle = len(signature) // 2
    other = "A" if signature[middle] != "A" else "B"
    return {
        "no token at all": "",
        "not a token": "x",
        "another signature": f"{head}.{said}.{signature[:middle]}{other}{signature[middle + 1 :]}",
        "another's key": sign(good, ANOTHER),
        "no signature": jwt.encode(good, "", algorithm="none", headers={"kid": KEY_ID}),
        "expired": sign({**good, "iat": good["iat"] - 2 * HOUR, "exp": good["exp"] - 2 * HOUR}),
        "another issuer": sign({**good, "iss": "https://other.example"}),
        "another audience": sign({**good, "aud": "other"}),
    }


def authorization(token: str) -> dict[str, str]:
    """The field that has this token; none for none."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def write_public_key(folder: Path) -> Path:
    """Write the public key as PEM."""
    path = folder / "public.pem"
    path.write_bytes(_key(OURS).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def write_key_set(folder: Path) -> Path:
    """Write the public key as a JSON Web Key Set (RFC 7517)."""
    key: dict[str, Any] = RSAAlgorithm.to_jwk(_key(OURS).public_key(), as_dict=True)
    path = folder / "jwks.json"
    about = {"kid": KEY_ID, "use": "sig", "alg": ALGORITHM, "key_ops": ["verify"]}
    path.write_text(json.dumps({"keys": [{**key, **about}]}))
    return path
