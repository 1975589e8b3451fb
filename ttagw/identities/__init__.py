"""Everything that tells who is asking and whether they may: put together from the configuration, started and stopped
as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.metrics_core import Metric
from twisted.web.resource import Resource

from ttagw.admin.callers import Callers
from ttagw.admin.glass import BreakGlass
from ttagw.admin.revocations import RevocationPages
from ttagw.auth.authenticator import MOST_CALLERS, Authenticator, NoTokens
from ttagw.auth.certificates import Certificates
from ttagw.auth.glass_records import Records
from ttagw.auth.keys import Caller, Keys
from ttagw.auth.revocations import Revocations
from ttagw.auth.revocations import Terms as RevocationTerms
from ttagw.auth.tokens import Tokens
from ttagw.config import Config
from ttagw.core.identity import Identity
from ttagw.identities.access import access_of, assertion_of
from ttagw.identities.logins import Logins
from ttagw.identities.routes import asked, roles_of, rules_of, terms
from ttagw.store.base import StoreAwayError, StoreError
from ttagw.surroundings import Surroundings

__all__ = ["Identities", "Surroundings", "asked", "roles_of", "terms"]


class Identities:
    """Who is asking, and may they."""

    def __init__(self, config: Config, keys: Keys | None, around: Surroundings) -> None:
        """Raises `ConfigError` for key files that cannot be used."""
        self._wall = around.wall
        auth = config.auth
        self.roles = roles_of(config)
        self.revocations = Revocations(
            around.store,
            RevocationTerms(auth.longest_life, auth.leeway, auth.cache + MOST_CALLERS),
            around.reactor,
            around.wall,
            (StoreError, StoreAwayError),
            self._forget,
        )
        self.tokens = (
            Tokens(
                auth,
                self.roles,
                self._check,
                around.reactor,
                wall=around.wall,
                random=around.random,
                classes=rules_of(config),
            )
            if auth.issuers
            else None
        )
        certificates = Certificates(auth.certificates.clients, self.roles, around.wall)
        self.authenticator = Authenticator(
            self.tokens or NoTokens(), keys, self.roles, self._check, certificates.identify, around.monotonic
        )
        self.assertion = assertion_of(config, around)
        self.records = Records(around.store)
        self.access = access_of(config, self.roles, self.records, self.revocations.user_revoked, self.assertion, around)
        self.logins = Logins(config, around)

    def _check(self, identity: Identity) -> None:
        """Raises a `GatewayError` for an identity that was revoked."""
        self.revocations.check(identity)

    def check_caller(self, caller: Caller) -> None:
        """Raises `CredentialsRefusedError` for a key that was revoked. One of which that is not known is let through:
        services must be able to register while the store is away.
        """
        self.revocations.check_key(caller.name)

    def _forget(self, forbidden: Callable[[Identity], bool]) -> int:
        return 0 if self.tokens is None else self.tokens.forget(forbidden)

    @property
    def loaded(self) -> bool:
        """Whether it was tried to find out who is revoked."""
        return self.revocations.tried

    def start(self) -> None:
        """Begin. The store is started by somebody else."""
        self.revocations.start()
        self.access.start()
        if self.tokens is not None:
            self.tokens.start()
        self.logins.start()

    async def stop(self) -> None:
        """End what is under way."""
        await self.revocations.stop()
        if self.tokens is not None:
            self.tokens.stop()
        await self.logins.stop()
        await self.access.stop()

    def pages(self, callers: Callers) -> Mapping[bytes, Resource]:
        """What the admin side shows of it, by the first segment of the path; `callers` says who may."""
        return {
            b"break-glass": BreakGlass(self.records, callers, StoreError),
            b"revocations": RevocationPages(self.revocations, callers, self._wall),
        }

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        if self.tokens is not None:
            yield from self.tokens.metrics()
        yield from self.revocations.metrics()
        yield from self.access.metrics()
        yield from self.logins.metrics()
