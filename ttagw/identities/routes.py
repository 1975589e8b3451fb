"""What the configuration says about who may, as the layers want it."""

from __future__ import annotations

from collections.abc import Mapping

from ttagw.config import Config
from ttagw.core.classes import CLASSES, Rule
from ttagw.core.rbac import Requirement, Role, Roles
from ttagw.layers.authenticate import Asked
from ttagw.layers.authorise import Terms


def roles_of(config: Config) -> Roles:
    """The roles of a configuration."""
    return Roles(
        {name: Role(each.permissions, each.inherits, each.break_glass) for name, each in config.auth.roles.items()}
    )


def rules_of(config: Config) -> tuple[Rule, ...]:
    """Which claims make requests of which traffic class."""
    return tuple(
        Rule(CLASSES[name], claim, frozenset(values))
        for name, each in config.classes.items()
        for claim, values in each.claims.items()
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
