"""Everything that tells who is asking and whether they may: put together from the configuration, started and stopped
as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ttagw.auth.access import ByToken
from ttagw.auth.authenticator import Authenticator, NoTokens
from ttagw.auth.keys import Keys
from ttagw.auth.tokens import Tokens
from ttagw.config import Config
from ttagw.core.identity import Identity
from ttagw.core.rbac import Requirement, Role, Roles
from ttagw.layers.authenticate import Asked, Authenticate
from ttagw.layers.authorise import Authorise, Terms
from ttagw.layers.vouch import Vouch
from ttagw.pipeline import Layer


class Identities:
    """Who is asking, and may they."""

    def __init__(self, config: Config, keys: Keys | None, reactor: Any) -> None:
        """Raises `ConfigError` for key files that cannot be used."""
        self._config = config
        auth = config.auth
        self.roles = roles_of(config)
        self.tokens = Tokens(auth, self.roles, self._check, reactor) if auth.issuers else None
        self.authenticator = Authenticator(self.tokens or NoTokens(), keys, self.roles, self._check)
        self.access = ByToken()

    def layers(self) -> Sequence[Layer]:
        """The layers, in their order."""
        auth = self._config.auth
        return (
            Authenticate(asked(self._config), self.authenticator),
            Authorise(terms(self._config), self.access),
            Vouch(forward=auth.forward_token, query_token=auth.query_token),
        )

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
