"""Everything that tells who is asking and whether they may: put together from the configuration, started and stopped
as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.metrics_core import Metric
from twisted.web.resource import Resource

from ttagw.admin.callers import Callers
from ttagw.admin.glass import BreakGlass
from ttagw.auth.authenticator import Authenticator, NoTokens
from ttagw.auth.certificates import Certificates
from ttagw.auth.glass_records import Records
from ttagw.auth.keys import Keys
from ttagw.auth.tokens import Tokens
from ttagw.config import Config
from ttagw.core.identity import Identity
from ttagw.identities.access import access_of, assertion_of
from ttagw.identities.around import Surroundings
from ttagw.identities.logins import Logins
from ttagw.identities.routes import asked, roles_of, terms
from ttagw.store.base import StoreError

__all__ = ["Identities", "Surroundings", "asked", "roles_of", "terms"]


class Identities:
    """Who is asking, and may they."""

    def __init__(self, config: Config, keys: Keys | None, around: Surroundings) -> None:
        """Raises `ConfigError` for key files that cannot be used."""
        self._config = config
        auth = config.auth
        self.roles = roles_of(config)
        self.tokens = Tokens(auth, self.roles, self._check, around.reactor) if auth.issuers else None
        certificates = Certificates(auth.certificates.clients, self.roles, around.wall)
        self.authenticator = Authenticator(
            self.tokens or NoTokens(), keys, self.roles, self._check, certificates.identify, around.monotonic
        )
        self.assertion = assertion_of(config, around)
        self.records = Records(around.store)
        self.access = access_of(config, self.roles, self.records, self.assertion, around)
        self.logins = Logins(config, around)

    def _check(self, identity: Identity) -> None:
        """Raises a `GatewayError` for an identity that was revoked."""

    def start(self) -> None:
        """Begin."""
        self.access.start()
        if self.tokens is not None:
            self.tokens.start()
        self.logins.start()

    async def stop(self) -> None:
        """End what is under way."""
        if self.tokens is not None:
            self.tokens.stop()
        await self.logins.stop()
        await self.access.stop()

    def pages(self, callers: Callers) -> Mapping[bytes, Resource]:
        """What the admin side shows of it, by the first segment of the path; `callers` says who may."""
        return {b"break-glass": BreakGlass(self.records, callers, StoreError)}

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        yield from self.access.metrics()
        yield from self.logins.metrics()
