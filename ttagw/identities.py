"""Everything that tells who is asking and whether they may: put together from the configuration, started and stopped
as one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import random
from typing import Any

from prometheus_client.metrics_core import Metric
from twisted.web.resource import Resource

from ttagw.admin.callers import Callers
from ttagw.admin.glass import BreakGlass
from ttagw.attempt import Service
from ttagw.auth.access import Access
from ttagw.auth.assertion import About, Assertions
from ttagw.auth.authenticator import Authenticator, NoTokens
from ttagw.auth.care import Care
from ttagw.auth.glass import Glass
from ttagw.auth.glass import Terms as GlassTerms
from ttagw.auth.glass_records import Records
from ttagw.auth.grants import Grants
from ttagw.auth.keys import Keys
from ttagw.auth.question import ROUTE as CARE_ROUTE
from ttagw.auth.question import CareQuestion
from ttagw.auth.secret import SecretFile
from ttagw.auth.tokens import Tokens
from ttagw.config import Config
from ttagw.core.identity import Identity
from ttagw.core.ids import UUID7
from ttagw.core.rbac import Requirement, Role, Roles
from ttagw.layers.authenticate import Asked
from ttagw.layers.authorise import Terms
from ttagw.layers.vouch import Assertion
from ttagw.registry.events import Events
from ttagw.store.base import Store, StoreError


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
        self.tokens = Tokens(auth, self.roles, self._check, around.reactor) if auth.issuers else None
        self.authenticator = Authenticator(self.tokens or NoTokens(), keys, self.roles, self._check)
        self.assertion = assertion_of(config, around)
        self.records = Records(around.store)
        self.access = access_of(config, self.roles, self.records, self.assertion, around)

    def _check(self, identity: Identity) -> None:
        """Raises a `GatewayError` for an identity that was revoked."""

    def start(self) -> None:
        """Begin."""
        self.access.start()
        if self.tokens is not None:
            self.tokens.start()

    async def stop(self) -> None:
        """End what is under way."""
        if self.tokens is not None:
            self.tokens.stop()
        await self.access.stop()

    def pages(self, callers: Callers) -> Mapping[bytes, Resource]:
        """What the admin side shows of it, by the first segment of the path; `callers` says who may."""
        return {b"break-glass": BreakGlass(self.records, callers, StoreError)}

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        yield from self.access.metrics()


def roles_of(config: Config) -> Roles:
    """The roles of a configuration."""
    return Roles(
        {name: Role(each.permissions, each.inherits, each.break_glass) for name, each in config.auth.roles.items()}
    )


def access_of(
    config: Config, roles: Roles, records: Records, assertion: Assertion | None, around: Surroundings
) -> Access:
    """Who may reach somebody else."""
    auth, store, wall = config.auth, around.store, around.wall
    one = os.urandom(4).hex()
    grants = Grants(store, around.reactor, StoreError, one=one, monotonic=around.monotonic, wall=wall)
    glass = Glass(
        GlassTerms(roles.may_break_glass, auth.break_glass.lasts, config.gateway.name, store.durable),
        records,
        grants,
        around.events.tell,
        around.reactor,
        StoreError,
        monotonic=around.monotonic,
        wall=wall,
        new_id=UUID7(lambda: int(wall() * 1000), os.urandom).next,
    )
    if not auth.care.service:
        return Access(glass)
    service = around.services[auth.care.service]
    question = CareQuestion(service, auth.care.path, auth.care.timeout, around.reactor, assertion)
    return Access(glass, Care(question.ask, auth.care.cache, around.monotonic))


def assertion_of(config: Config, around: Surroundings) -> Assertion | None:
    """What makes `X-TTA-Assertion`; None: nothing does. Raises `ConfigError` for a secret that cannot be used."""
    path = config.auth.upstream.secret_file
    if not path:
        return None
    routes = {each.name: About(each.traffic_class, each.service) for each in config.routes}
    routes[CARE_ROUTE] = About(service=config.auth.care.service)
    return Assertions(SecretFile(path, around.monotonic), routes, around.wall).make


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
