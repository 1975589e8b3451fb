"""Who can sign in to the demo, and the tokens they get: real ones, with a key that is made anew with each process."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

ISSUER = "https://auth.tta.example"
AUDIENCE = "tta"
ALGORITHM = "RS256"
ACCESS_SECONDS = 30 * 60
REFRESH_SECONDS = 7 * 24 * 3600

_NAME = re.compile(r"[\x21-\x7e]{1,64}")


class Person(NamedTuple):
    """Somebody who signs in."""

    id: str
    role: str
    """As this issuer calls it: `player` is the gateway's `patient`, `clinician` its `therapist`."""
    patients: tuple[str, ...] = ()
    """The ids of those whom they care for."""
    mfa: bool = False


PEOPLE: Mapping[str, Person] = {
    "mira": Person("1", "player"),
    "odo": Person("2", "player"),
    "quill": Person("3", "player"),
    "dr.lee": Person("t-1", "clinician", ("1",), mfa=True),
    "ada": Person("a-1", "admin", mfa=True),
    "rosa": Person("r-1", "researcher", mfa=True),
    "max": Person("m-1", "moderator", mfa=True),
}
"""Those who are known by name; anybody else is a player of their own."""


def person(name: str) -> Person | None:
    """Who signs in with this name; None for what cannot be one."""
    if not _NAME.fullmatch(name):
        return None
    return PEOPLE.get(name) or Person(f"u-{name}", "player")


class Issuer:
    """Issues tokens, and takes its refresh tokens back for new ones."""

    def __init__(self, wall: Callable[[], float]) -> None:
        """`wall`: Unix seconds."""
        self._wall = wall
        self._key = generate_private_key(65537, 2048)
        self._kid = uuid4().hex

    def keys(self) -> dict[str, object]:
        """The key that its tokens can be checked with, as a JSON Web Key Set (RFC 7517)."""
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": self._kid, "alg": ALGORITHM, "use": "sig"}]}

    def issue(self, name: str, who: Person) -> dict[str, object]:
        """What a login answers (RFC 6749 §5.1)."""
        access = {
            "role": who.role,
            "patients": list(who.patients),
            "mfa_verified": who.mfa,
            "session_id": f"s-{uuid4().hex[:8]}",
        }
        return {
            "access_token": self._token(name, who, ACCESS_SECONDS, access),
            "refresh_token": self._token(name, who, REFRESH_SECONDS, {"type": "refresh"}),
            "token_type": "Bearer",
            "expires_in": ACCESS_SECONDS,
        }

    def refreshed(self, token: object) -> dict[str, object] | None:
        """New tokens for a refresh token; None if it is none of ours, or its time is over."""
        try:
            claims = jwt.decode(
                token if isinstance(token, str) else "",
                self._key.public_key(),
                [ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": ["exp"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            return None
        name = claims["username"]
        who = person(name)
        if claims.get("type") != "refresh" or claims["exp"] <= self._wall() or who is None:
            return None
        return self.issue(name, who)

    def _token(self, name: str, who: Person, seconds: int, more: Mapping[str, Any]) -> str:
        now = int(self._wall())
        always = {"iss": ISSUER, "aud": AUDIENCE, "sub": who.id, "username": name, "jti": uuid4().hex}
        return jwt.encode(
            {**always, "iat": now, "exp": now + seconds, **more}, self._key, ALGORITHM, headers={"kid": self._kid}
        )
