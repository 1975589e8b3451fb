"""Tokens: JSON Web Tokens (RFC 7519) of the issuers that are configured. What is good is remembered."""

from __future__ import annotations

import random as chance
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from traceback import extract_tb
from typing import Any, NamedTuple

from prometheus_client.metrics_core import Metric
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from ttagw.auth import claims
from ttagw.auth.compact import Compact, decode
from ttagw.auth.fetch import Fetch, fetching
from ttagw.auth.issuers import Keys, KeysOfFile, KeySource, Secret
from ttagw.auth.jwks import PublishedKeys
from ttagw.auth.keyset import MOST_BYTES
from ttagw.auth.signatures import is_signed
from ttagw.auth.token_metrics import of_issuers, of_tokens
from ttagw.auth.verified import Verified
from ttagw.config.auth import Auth, Issuer
from ttagw.core.classes import Rule
from ttagw.core.identity import Identity
from ttagw.core.rbac import Roles
from ttagw.errors import GatewayError, TokenRefusedError

LOOK_EVERY = 1.0
"""Seconds between two looks at the files of issuers."""
SWEEP_EVERY = 60.0
"""Seconds after which tokens that have ended are forgotten, whoever asks for them or not."""


class _Trusted(NamedTuple):
    """An issuer, and its keys."""

    terms: claims.Terms
    keys: KeySource


class Tokens:
    """Verifies tokens and remembers those that are good."""

    log = Logger()

    def __init__(
        self,
        auth: Auth,
        roles: Roles,
        check: Callable[[Identity], None],
        reactor: Any,
        *,
        wall: Callable[[], float] = time.time,
        random: Callable[[], float] = chance.random,
        fetch: Fetch | None = None,
        classes: tuple[Rule, ...] = (),
    ) -> None:
        """`check` raises a `GatewayError` for an identity that was revoked. `fetch` gets documents of issuers, over the
        network if nothing else is said. `classes`: claims that make requests of a traffic class.

        Raises `ConfigError` for files that cannot be used.
        """
        self._check = check
        self._reactor = reactor
        self._wall = wall
        self._random = random
        self._fetch = fetch or fetching(reactor, MOST_BYTES)
        self._verified = Verified(auth.cache)
        self._remembered = self._verified.get
        self._issuers: Mapping[str, _Trusted] = {
            each.issuer: _Trusted(
                claims.Terms(each, roles, auth.leeway, auth.longest_life, classes), self._source(each)
            )
            for each in auth.issuers
        }
        self._looking: Any = None
        self._swept = 0.0
        self.hits = 0
        self.misses = 0
        self.failures = 0
        """Tokens that could not be checked for a reason that nobody foresaw; they were refused."""

    def _source(self, issuer: Issuer) -> KeySource:
        def changed() -> None:
            count = self.forget(lambda identity: identity.issuer == issuer.issuer)
            self.log.info("{issuer}: {count} tokens are looked at again", issuer=issuer.issuer, count=count)

        if issuer.secret_file:
            return Secret(issuer, changed)
        if issuer.jwks_file:
            return KeysOfFile(issuer, changed)
        return PublishedKeys(issuer, changed, self._reactor, self._fetch, random=self._random)

    # Who has a token

    def known(self, token: bytes) -> Identity | None:
        """Who has this token, if that is remembered and still true."""
        remembered = self._remembered
        identity = remembered(token)
        if identity is not None and identity.begins <= self._wall() < identity.ends:
            self.hits += 1
            return identity
        return None

    def verify(self, token: bytes) -> Identity | Deferred[Identity]:
        """Who has this token. Raises, or fails with, `TokenRefusedError` or `IdentityUnknownError`, or what `check`
        raises; never with anything else but `CancelledError`.
        """
        self.misses += 1
        try:
            parts = decode(token)
            trusted = self._trusted(parts)
            keys = trusted.keys.find(parts.kid, parts.algorithm)
            if not isinstance(keys, Deferred):
                return self._good(token, parts, trusted, keys)
            # Nobody waits for what cannot be good in the end.
            try:
                claims.identity_of(parts.claims, trusted.terms, self._wall())
            except BaseException:
                keys.addErrback(lambda _: None)
                keys.cancel()
                raise
        except GatewayError:
            raise
        except Exception as error:
            raise self._unforeseen(error) from None
        return Deferred.fromCoroutine(self._later(token, parts, trusted, keys))

    async def _later(self, token: bytes, parts: Compact, trusted: _Trusted, keys: Deferred[Keys]) -> Identity:
        try:
            return self._good(token, parts, trusted, await keys)
        except (CancelledError, GatewayError):
            raise
        except Exception as error:
            raise self._unforeseen(error) from None

    def _trusted(self, parts: Compact) -> _Trusted:
        """Whose token it says it is."""
        issuer = parts.claims.get("iss")
        trusted = self._issuers.get(issuer) if isinstance(issuer, str) else None
        if trusted is None:
            raise TokenRefusedError("token_issuer")
        if parts.algorithm not in trusted.terms.issuer.algorithms:
            raise TokenRefusedError("token_algorithm")
        return trusted

    def _good(self, token: bytes, parts: Compact, trusted: _Trusted, keys: Keys) -> Identity:
        if not any(is_signed(parts.algorithm, key, parts.signed, parts.signature) for key in keys):
            raise TokenRefusedError("token_signature")
        identity = claims.identity_of(parts.claims, trusted.terms, self._wall())
        self._check(identity)
        self._verified.add(token, identity)
        return identity

    def _unforeseen(self, error: Exception) -> TokenRefusedError:
        """Refused. The message of such an error, and what stands in its traceback, may be about the token."""
        self.failures += 1
        frames = extract_tb(error.__traceback__)
        place = f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"
        self.log.error("a token could not be checked: {kind} at {place}", kind=type(error).__name__, place=place)
        return TokenRefusedError("token_failed")

    def forget(self, forbidden: Callable[[Identity], bool]) -> int:
        """Remember nobody of whom this is true any more; says how many that were."""
        return self._verified.forget(forbidden)

    # Life

    def start(self) -> None:
        """Fetch keys from now on."""
        for each in self._issuers.values():
            each.keys.start()
        self._swept = self._reactor.seconds()
        self._looking = self._reactor.callLater(LOOK_EVERY, self._look)

    def stop(self) -> None:
        """Fetch no more."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
        for each in self._issuers.values():
            each.keys.stop()

    def _look(self) -> None:
        self._looking = self._reactor.callLater(LOOK_EVERY, self._look)
        for each in self._issuers.values():
            try:
                each.keys.look()
            except Exception:
                self.log.failure("{issuer}: its file could not be looked at", issuer=each.terms.issuer.issuer)
        if self._reactor.seconds() - self._swept >= SWEEP_EVERY:
            self._swept = self._reactor.seconds()
            now = self._wall()
            self.forget(lambda identity: identity.ends <= now)

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        yield from of_tokens(len(self._verified), self.hits, self.misses, self.failures)
        yield from of_issuers({name: each.keys for name, each in self._issuers.items()}, self._reactor.seconds())
