"""Tokens: JSON Web Tokens (RFC 7519) of the issuers that are configured, verified by PyJWT."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jwt
from twisted.internet.defer import Deferred

from ttagw.config.auth import Auth, Issuer
from ttagw.core.identity import Identity
from ttagw.core.rbac import Roles
from ttagw.errors import TokenExpiredError, TokenRefusedError


class Tokens:
    """Verifies tokens and remembers those that are good."""

    def __init__(
        self,
        auth: Auth,
        roles: Roles,
        check: Callable[[Identity], None],
        reactor: Any,  # noqa: ARG002
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`check` raises a `GatewayError` for an identity that was revoked."""
        self._auth = auth
        self._roles = roles
        self._check = check
        self._wall = wall
        self._known: dict[bytes, Identity] = {}
        self._issuers: Mapping[str, tuple[Issuer, Sequence[Any]]] = {
            each.issuer: (each, _keys(each)) for each in auth.issuers
        }

    def known(self, token: bytes) -> Identity | None:
        """Who has this token, if that is remembered and still true."""
        identity = self._known.get(token)
        return identity if identity is not None and identity.begins <= self._wall() < identity.ends else None

    def verify(self, token: bytes) -> Identity | Deferred[Identity]:
        """Who has this token. Raises, or fails with, `TokenRefusedError` or `IdentityUnknownError`."""
        try:
            issuer, keys = self._issuers[jwt.decode(token, options={"verify_signature": False})["iss"]]
            claims: dict[str, Any] = {}
            for key in keys:
                try:
                    claims = jwt.decode(
                        token,
                        key,
                        algorithms=list(issuer.algorithms),
                        audience=issuer.audience or None,
                        leeway=self._auth.leeway,
                        options={"require": ["exp", "sub"]},
                    )
                    break
                except jwt.InvalidSignatureError:
                    continue
            else:
                raise TokenRefusedError("signature")
        except jwt.ExpiredSignatureError:
            raise TokenExpiredError("token_expired") from None
        except (jwt.InvalidTokenError, KeyError):
            raise TokenRefusedError("token_malformed") from None
        roles = self._roles.mapped([claims.get(issuer.role_claim, "")], issuer.role_map)
        identity = Identity(
            "token",
            claims["sub"],
            roles,
            self._roles.permissions(roles) | {*claims.get(issuer.permissions_claim, [])},
            people=claims.get(issuer.care_claim, []),
            session=claims.get("session_id", ""),
            mfa=claims.get("mfa_verified") is True,
            issuer=issuer.issuer,
            token_id=claims.get("jti", ""),
            issued=claims.get("iat", 0),
            ends=claims["exp"] + self._auth.leeway,
        )
        self._check(identity)
        self._known[token] = identity
        return identity

    def forget(self, forbidden: Callable[[Identity], bool]) -> int:
        """Remember nobody of whom this is true any more; says how many that were."""
        gone = [token for token, identity in self._known.items() if forbidden(identity)]
        for token in gone:
            del self._known[token]
        return len(gone)

    def start(self) -> None:
        """Fetch keys from now on."""

    def stop(self) -> None:
        """Fetch no more."""


def _keys(issuer: Issuer) -> Sequence[Any]:
    if issuer.secret_file:
        return [Path(issuer.secret_file).read_bytes().strip()]
    return [each.key for each in jwt.PyJWKSet.from_dict(json.loads(Path(issuer.jwks_file).read_text("utf-8"))).keys]
