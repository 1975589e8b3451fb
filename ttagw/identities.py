"""Everything that tells who is asking and whether they may: put together from the configuration, started and stopped
as one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import random
from typing import Any

from prometheus_client.metrics_core import Metric
from twisted.web.resource import Resource

from ttagw.admin.callers import Callers
from ttagw.admin.revocations import RevocationPages
from ttagw.attempt import Service
from ttagw.auth.access import ByToken
from ttagw.auth.authenticator import MOST_CALLERS, Authenticator, NoTokens
from ttagw.auth.keys import Keys
from ttagw.auth.revocations import Revocations
from ttagw.auth.revocations import Terms as RevocationTerms
from ttagw.auth.tokens import Tokens
from ttagw.config import Config
from ttagw.core.identity import Identity
from ttagw.core.rbac import Requirement, Role, Roles
from ttagw.layers.authenticate import Asked
from ttagw.layers.authorise import Terms
from ttagw.layers.vouch import Assertion
from ttagw.registry.events import Events
from ttagw.store.base import Store, StoreAwayError, StoreError


@dataclass(frozen=True)
class Surroundings:
    """What identities need of the rest of the gateway."""

    reactor: Any
    store: Store
    events: Events
    services: Mapping[str, Service]
    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    random: Callable[[], float] = random


class Identities:
    """Who is asking, and may they."""

    def __init__(self, config: Config, keys: Keys | None, around: Surroundings) -> None:
        """Raises `ConfigError` for key files that cannot be used."""
        self._config = config
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
        self.tokens = Tokens(auth, self.roles, self._check, around.reactor) if auth.issuers else None
        self.authenticator = Authenticator(self.tokens or NoTokens(), keys, self.roles, self._check)
        self.access = ByToken()
        self.assertion: Assertion | None = None

    def _check(self, identity: Identity) -> None:
        """Raises a `GatewayError` for an identity that was revoked."""
        self.revocations.check(identity)

    def _forget(self, forbidden: Callable[[Identity], bool]) -> int:
        return 0 if self.tokens is None else self.tokens.forget(forbidden)

    @property
    def loaded(self) -> bool:
        """Whether it was tried to find out who is revoked."""
        return self.revocations.tried

    def start(self) -> None:
        """Begin. The store is started by somebody else."""
        self.revocations.start()
        if self.tokens is not None:
            self.tokens.start()

    async def stop(self) -> None:
        """End what is under way."""
        await self.revocations.stop()
        if self.tokens is not None:
            self.tokens.stop()

    def pages(self, callers: Callers) -> Mapping[bytes, Resource]:
        """What the admin side shows of it, by the first segment of the path; `callers` says who may."""
        return {b"revocations": RevocationPages(self.revocations, callers, self._wall)}

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        yield from self.revocations.metrics()


def roles_of(config: Config) -> Roles:
    """The roles of a configuration."""
    return Roles(
        {name: Role(each.permissions, each.inherits, each.break_glass) for name, each in config.auth.roles.items()}
    )


def asked(config: Config) -> Mapping[str, Asked]:
    """What each route asks its callers."""
    return {each.name: Asked(each.auth, each.dry_run) for each in config.routes}


def terms(config: Config) -> Mapping[str, Terms]:
    """The terms of each route."""
    return {
        each.name: Terms(
            Requirement(
                each.auth == "required",
                frozenset(each.roles),
                frozenset(each.permissions),
                each.mfa,
                bool(each.owner),
            ),
            each.path,
            each.owner,
            each.dry_run,
        )
        for each in config.routes
    }
