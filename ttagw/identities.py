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
from ttagw.attempt import Service
from ttagw.auth.access import ByToken
from ttagw.auth.authenticator import Authenticator, NoTokens
from ttagw.auth.keys import Keys
from ttagw.auth.tokens import Tokens
from ttagw.config import Config
from ttagw.core.identity import Identity
from ttagw.core.rbac import Requirement, Role, Roles
from ttagw.layers.authenticate import Asked
from ttagw.layers.authorise import Terms
from ttagw.layers.vouch import Assertion
from ttagw.registry.events import Events
from ttagw.store.base import Store


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
        auth = config.auth
        self.roles = roles_of(config)
        self.tokens = (
            Tokens(auth, self.roles, self._check, around.reactor, wall=around.wall, random=around.random)
            if auth.issuers
            else None
        )
        self.authenticator = Authenticator(self.tokens or NoTokens(), keys, self.roles, self._check)
        self.access = ByToken()
        self.assertion: Assertion | None = None

    def _check(self, identity: Identity) -> None:
        """Raises a `GatewayError` for an identity that was revoked."""

    def start(self) -> None:
        """Begin."""
        if self.tokens is not None:
            self.tokens.start()

    async def stop(self) -> None:
        """End what is under way."""
        if self.tokens is not None:
            self.tokens.stop()

    def pages(self, callers: Callers) -> Mapping[bytes, Resource]:  # noqa: ARG002
        """What the admin side shows of it, by the first segment of the path; `callers` says who may."""
        return {}

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        if self.tokens is not None:
            yield from self.tokens.metrics()


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
