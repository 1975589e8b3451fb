"""Layer: whether the caller may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred

from ttagw.core.identity import USER, Identity
from ttagw.core.pattern import Pattern, Shape
from ttagw.core.rbac import Lack, Requirement, lack
from ttagw.errors import AccessRefusedError, CredentialsRequiredError, GatewayError
from ttagw.model import Exchange, Reply
from ttagw.pipeline import Hooks, Route


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a route may be used."""

    requirement: Requirement
    path: str
    """The route's path, for the place of `owner` in it."""
    owner: str = ""
    """The `{param}` that is the person it belongs to."""
    dry_run: bool = False


class Access(Protocol):
    """Who may reach somebody else, beyond what a token says; see `ttagw.auth.access`."""

    def may(self, exchange: Exchange, identity: Identity, person: str) -> bool | Deferred[bool]:
        """Whether the caller cares for this person, or has broken the glass. Raises, or fails with, `GatewayError`."""


class Authorise:
    """403 for a caller who lacks what the route requires; what it leads to is never looked at for that."""

    name = "authorise"

    def __init__(self, terms: Mapping[str, Terms], access: Access) -> None:
        """`terms` by name of the route; a route that is not there has none."""
        self._terms = terms
        self._access = access

    def bind(self, route: Route) -> Hooks | None:
        """Nothing on a route that asks for nothing but an identity."""
        terms = self._terms.get(route.name)
        if terms is None or not terms.requirement.anything:
            return None
        requirement = terms.requirement
        owner = Shape(Pattern(terms.path)).names.index(terms.owner) if terms.owner else -1
        may = self._access.may

        def enter(exchange: Exchange) -> Deferred[Reply | None] | None:
            identity = exchange.identity
            person = ""
            if owner >= 0:
                person = person_in(exchange.params[owner])
            missing = lack(requirement, identity, person)
            if missing is None:
                return None
            try:
                if missing is Lack.OWNER and identity is not None and USER.fullmatch(person):
                    found = may(exchange, identity, person)
                    if isinstance(found, Deferred):
                        return Deferred.fromCoroutine(_look(found, exchange, terms))
                    if found:
                        return None
                raise refusal(missing, requirement)
            except GatewayError as error:
                _refuse(exchange, error, terms)
            return None

        return Hooks(enter)


def person_in(segment: bytes) -> str:
    """Whose id a segment of a path is; "" where it has parameters (`7;x`, RFC 3986 §3.3): a service that passes over
    them would show somebody else than was asked about and recorded. A `;` of an id comes as `%3B`.
    """
    return "" if b";" in segment else unquote_to_bytes(segment).decode("latin-1")


async def _look(found: Deferred[bool], exchange: Exchange, terms: Terms) -> None:
    try:
        if not await found:
            raise refusal(Lack.OWNER, terms.requirement)
    except GatewayError as error:
        _refuse(exchange, error, terms)


def _refuse(exchange: Exchange, error: GatewayError, terms: Terms) -> None:
    if not terms.dry_run:
        raise error
    exchange.dry_run = exchange.dry_run or error.reason


def refusal(missing: Lack, requirement: Requirement) -> GatewayError:
    """The error that says what is missing."""
    if missing is Lack.IDENTITY:
        return CredentialsRequiredError()
    if missing is Lack.ROLE:
        roles = " or ".join(sorted(requirement.roles))
        return AccessRefusedError("role_missing", f"role: {roles}", f"This is for the role {roles}.")
    if missing is Lack.PERMISSION:
        asked = sorted(requirement.permissions)
        names = ", ".join(asked)
        return AccessRefusedError(
            "permission_missing", f"permissions: {names}", f"This is for accounts with: {names}.", " ".join(asked)
        )
    if missing is Lack.MFA:
        detail = "This needs a second factor. Signing in again with it opens this address."
        return AccessRefusedError("mfa_missing", "mfa", detail)
    detail = "This is open to the person it belongs to, and to those who care for them."
    return AccessRefusedError("owner_only", "care relationship", detail)
