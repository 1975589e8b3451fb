"""Layer: find out who is asking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

from twisted.internet.defer import Deferred

from ttagw.core.classes import TrafficClass, note_bypass
from ttagw.core.identity import Identity
from ttagw.errors import CredentialsRequiredError, GatewayError
from ttagw.model import Exchange, Reply
from ttagw.pipeline import Hooks, Route

_BEARER = b"Bearer "
BYPASS = "identity"
"""What is noted about a request of the class `crisis` that goes on as nobody's: it cannot be found out whose it is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a route wants to know about its callers."""

    auth: Literal["required", "optional", "none"] = "required"
    dry_run: bool = False


class Authenticator(Protocol):
    """Tells who has sent a request; see `ttagw.auth.authenticator`."""

    def known(self, token: bytes) -> Identity | None:
        """Who has this token, if that is remembered and still true. Costs next to nothing."""

    def identify(self, exchange: Exchange) -> Identity | Deferred[Identity] | None:
        """Who it is; None if nothing says so. Raises, or fails with, a `GatewayError`."""


class Authenticate:
    """401 without an identity that was verified, where a route requires one; where one is optional, 401 for a bad one.
    Where it is optional, nobody in a crisis waits for what it depends on: it goes on as if nobody had said who it is.

    In a dry run everybody is let through, and the exchange has the reason why not.
    """

    name = "authenticate"

    def __init__(self, asked: Mapping[str, Asked], authenticator: Authenticator) -> None:
        """`asked` by name of the route; a route that is not there asks nothing."""
        self._asked = asked
        self._authenticator = authenticator

    def bind(self, route: Route) -> Hooks | None:
        """Nothing on a route that asks for no identity."""
        asked = self._asked.get(route.name)
        if asked is None or asked.auth == "none":
            return None
        known = self._authenticator.known
        identify = partial(_identify, self._authenticator, asked)
        start = len(_BEARER)

        def enter(exchange: Exchange) -> Deferred[Reply | None] | None:
            credentials = exchange.credentials
            if credentials is not None and len(credentials) == 1:
                name, value = credentials[0]
                if name == b"authorization" and value[:start] == _BEARER:
                    identity = known(value[start:])
                    if identity is not None:
                        exchange.identity = identity
                        return None
            return identify(exchange)

        return Hooks(enter)


def _identify(authenticator: Authenticator, asked: Asked, exchange: Exchange) -> Deferred[Reply | None] | None:
    """The longer way: whoever is not remembered."""
    try:
        found = authenticator.identify(exchange)
        if isinstance(found, Deferred):
            return Deferred.fromCoroutine(_wait(found, exchange, asked))
        _take(found, exchange, asked)
    except GatewayError as error:
        _refuse(error, exchange, asked)
    return None


async def _wait(found: Deferred[Identity], exchange: Exchange, asked: Asked) -> None:
    try:
        _take(await found, exchange, asked)
    except GatewayError as error:
        _refuse(error, exchange, asked)


def _take(identity: Identity | None, exchange: Exchange, asked: Asked) -> None:
    exchange.identity = identity
    if identity is None and asked.auth == "required":
        raise CredentialsRequiredError


def _refuse(error: GatewayError, exchange: Exchange, asked: Asked) -> None:
    if asked.dry_run:
        exchange.dry_run = error.reason
    elif asked.auth == "optional" and exchange.rank is TrafficClass.CRISIS and error.status >= 429:
        # Nothing is wrong with who it is. Somebody of whom nobody knows would be let in, too.
        note_bypass(exchange, BYPASS)
    else:
        raise error
