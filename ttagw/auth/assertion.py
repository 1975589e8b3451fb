"""`X-TTA-Assertion`: a JSON Web Token (RFC 7519) by which a service knows that a request came through the gateway.

It is made for every request, so the few lines of JWS (RFC 7515 §3.1, HS256) are here: PyJWT takes five times as long.
The tests have PyJWT verify what comes out.
"""

from __future__ import annotations

import hmac
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from ttagw.auth.secret import SecretFile
from ttagw.model import Exchange

LIFE = 60
"""Seconds for which an assertion is good."""

_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class About(NamedTuple):
    """What an assertion says about the route of a request."""

    service: str = ""
    """Whom it is for; "" when that is not known beforehand."""


def _base64(data: bytes) -> bytes:
    return b2a_base64(data, newline=False).translate(_URL_SAFE).rstrip(b"=")


_HEAD = _base64(b'{"alg":"HS256","typ":"JWT"}') + b"."
_encode = msgspec.json.Encoder().encode


class Assertions:
    """Makes assertions."""

    def __init__(self, secret: SecretFile, routes: Mapping[str, About], wall: Callable[[], float]) -> None:
        """`routes` by name; what comes by one that is not there is for whoever gets it."""
        self._secret = secret
        self._routes = routes
        self._wall = wall

    def make(self, exchange: Exchange) -> bytes:
        """The value of the field."""
        identity = exchange.identity
        about = self._routes.get(exchange.route.name, About())
        now = int(self._wall())
        claims: dict[str, object] = {
            "iss": "ttagw",
            "roles": [] if identity is None else sorted(identity.roles),
            "class": exchange.rank.text,
            "request_id": exchange.id.decode("ascii"),
            "iat": now,
            "exp": now + LIFE,
        }
        if identity is not None:
            claims["sub"] = identity.user
        if about.service:
            claims["aud"] = about.service
        signed = _HEAD + _base64(_encode(claims))
        return b"%b.%b" % (signed, _base64(hmac.digest(self._secret.current(), signed, "sha256")))
