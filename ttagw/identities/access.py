"""Who may reach somebody else, and how services know that a request came through here: put together."""

from __future__ import annotations

import os
from collections.abc import Callable

from ttagw.auth.access import Access
from ttagw.auth.assertion import About, Assertions
from ttagw.auth.care import Care
from ttagw.auth.glass import Glass
from ttagw.auth.glass_records import Records
from ttagw.auth.glass_terms import Terms as GlassTerms
from ttagw.auth.grants import Grants
from ttagw.auth.question import ROUTE as CARE_ROUTE
from ttagw.auth.question import CareQuestion
from ttagw.auth.secret import SecretFile
from ttagw.config import Config
from ttagw.core.ids import UUID7
from ttagw.core.rbac import Roles
from ttagw.layers.vouch import Assertion
from ttagw.store.base import StoreError
from ttagw.surroundings import Surroundings


def access_of(
    config: Config,
    roles: Roles,
    records: Records,
    revoked: Callable[[str, float], bool],
    assertion: Assertion | None,
    around: Surroundings,
) -> Access:
    """Who may reach somebody else."""
    auth, store, wall = config.auth, around.store, around.wall
    one = os.urandom(4).hex()
    grants = Grants(store, around.reactor, StoreError, one=one, monotonic=around.monotonic, wall=wall)
    glass = Glass(
        GlassTerms(
            roles.may_break_glass, auth.break_glass.lasts, auth.break_glass.most, config.gateway.name, store.durable
        ),
        records,
        grants,
        around.events.tell,
        around.reactor,
        StoreError,
        monotonic=around.monotonic,
        wall=wall,
        new_id=UUID7(lambda: int(wall() * 1000), os.urandom).next,
        revoked=revoked,
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
    routes = {each.name: About(each.service) for each in config.routes}
    routes[CARE_ROUTE] = About(service=config.auth.care.service)
    return Assertions(SecretFile(path, around.monotonic), routes, around.wall).make
