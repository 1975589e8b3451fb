"""Who has sent a request: by a token, by a key, or by a certificate."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from twisted.internet.defer import Deferred

from ttagw.auth.keyfile import name_in
from ttagw.auth.keys import Caller
from ttagw.auth.refusals import Refusals
from ttagw.core.identity import Identity
from ttagw.core.rbac import Roles
from ttagw.errors import CredentialsRefusedError, CredentialsRequiredError, CredentialsTwiceError, TokenRefusedError
from ttagw.model import Exchange

MOST_CALLERS = 10_000
"""Programs whose identity is remembered."""

Check = Callable[[Identity], None]
"""Raises a `GatewayError` for an identity that was revoked, or of which that cannot be said."""


class TokenVerifier(Protocol):
    """See `ttagw.auth.tokens`."""

    def known(self, token: bytes) -> Identity | None:
        """Who has this token, if that is remembered and still true."""

    def verify(self, token: bytes) -> Identity | Deferred[Identity]:
        """Who has this token. Raises, or fails with, `TokenRefusedError` or `IdentityUnknownError`."""


class Keys(Protocol):
    """See `ttagw.auth.keys`."""

    def known(self, key: bytes) -> Caller | None:
        """Who it is, if that is remembered. Raises a `GatewayError` for a key that is remembered as refused."""

    async def check(self, key: bytes) -> Caller:
        """Who it is. Raises a `GatewayError`."""


class NoTokens:
    """Without issuers no token is good."""

    def known(self, token: bytes) -> Identity | None:
        """Nobody."""

    def verify(self, token: bytes) -> Identity | Deferred[Identity]:  # noqa: ARG002
        """Raises `TokenRefusedError`."""
        raise TokenRefusedError("no_issuers")


class Authenticator:
    """Looks at what a request has brought to say who is asking."""

    def __init__(
        self,
        tokens: TokenVerifier,
        keys: Keys | None,
        roles: Roles,
        check: Check,
        certificate: Callable[[Exchange], Identity | None] = lambda exchange: None,  # noqa: ARG005
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`check` is asked about identities that are not of tokens (`tokens` asks for itself). `certificate` is asked
        only about who has sent neither a token nor a key: what was sent on purpose is what counts.
        """
        self.known = tokens.known
        self._verify = tokens.verify
        self._keys = keys
        self._roles = roles
        self._check = check
        self._certificate = certificate
        self._callers: dict[Caller, Identity] = {}
        self._refusals = Refusals(monotonic)

    def identify(self, exchange: Exchange) -> Identity | Deferred[Identity] | None:
        """Who it is; None if nothing says so. Raises, or fails with, a `GatewayError`."""
        presented = _presented(exchange)
        if presented is None:
            identity = self._certificate(exchange)
            if identity is not None:
                self._check(identity)
            return identity
        text, is_key = presented
        if is_key or name_in(text):
            return self._of_key(text, exchange.client)
        return self.known(text) or self._verify(text)

    def _of_key(self, key: bytes, client: str) -> Identity | Deferred[Identity]:
        if self._keys is None:
            raise CredentialsRefusedError("no_keys")
        caller = self._keys.known(key)
        if caller is not None:
            return self.of(caller)
        checking = self._refusals.guarded(client, partial(self._keys.check, key))
        return Deferred.fromCoroutine(checking).addCallback(self.of)

    def of(self, caller: Caller) -> Identity:
        """The identity of a program that has shown its key. Raises what `check` raises."""
        identity = self._callers.get(caller)
        if identity is None:
            identity = Identity(
                "key",
                caller.name,
                caller.roles,
                self._roles.permissions(caller.roles) | {*caller.permissions},
                ends=caller.ends,
            )
            if len(self._callers) >= MOST_CALLERS:
                self._callers.clear()
            self._callers[caller] = identity
        self._check(identity)
        return identity


def _presented(exchange: Exchange) -> tuple[bytes, bool] | None:
    """The one token or key, and whether it can only be a key; None without any. Raises `GatewayError`."""
    found: list[tuple[bytes, bool]] = []
    for name, value in exchange.credentials or ():
        if name == b"authorization":
            scheme, _, text = value.partition(b" ")
            if scheme.lower() != b"bearer":
                raise CredentialsRequiredError("scheme")
            found.append((text.strip(b" "), False))
        elif name == b"x-api-key":
            found.append((value, True))
    if len(found) > 1:
        raise CredentialsTwiceError("credentials_twice")
    if not found:
        return None
    if not found[0][0]:
        raise CredentialsRequiredError("credentials_empty")
    return found[0]
