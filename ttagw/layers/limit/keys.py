"""Whose bucket it is: what a limit counts apart, as one short text for each request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from ttagw.auth.refusals import network
from ttagw.core.headers import CREDENTIAL, REQUESTS, value_of
from ttagw.core.identity import Identity
from ttagw.model import Exchange

Key = Callable[[Exchange], str]

EVERYTHING = "*"
"""The key of a limit that counts everything together."""
ABSENT = "-"
"""What stands for a field that a request does not have."""
LONGEST = 64
"""Characters that stand as they are; of what is longer, or is not ASCII, there is a digest: a key has a bound."""
MOST_NETWORKS = 10_000
MOST_ROLES = 1000
"""So many are remembered."""


class Place(NamedTuple):
    """Where requests go: it is the same for all of a route."""

    route: str
    service: str
    """With several, their names with `+` between them."""


class Keys:
    """Makes keys, and remembers what it takes long to find out."""

    def __init__(self) -> None:
        self._networks: dict[str, str] = {}
        self._roles: dict[frozenset[str], str] = {}

    def maker(self, parts: Sequence[str], place: Place) -> Key:
        """What makes the key of a request, for a limit that counts apart by these parts (`limits.*.key`)."""
        made = [self._part(part, place) for part in parts]
        if not made:
            return lambda exchange: EVERYTHING  # noqa: ARG005 - the shape of every maker
        if len(made) == 1:
            return made[0]
        # No part has a line feed in it, so that no two sets of parts look alike.
        return lambda exchange: short("\n".join([part(exchange) for part in made]))

    def _part(self, part: str, place: Place) -> Key:
        if part == "user":
            return self._user
        if part == "ip":
            return self._ip
        if part == "role":
            return self._role
        if part in ("route", "service"):
            text = place.route if part == "route" else place.service
            return lambda exchange: text  # noqa: ARG005 - the shape of every maker
        return _field(part.partition(":")[2].lower().encode("ascii"))

    def _user(self, exchange: Exchange) -> str:
        identity = exchange.identity
        if identity is None:
            return nobody(self._ip(exchange))
        user = identity.user
        return user if len(user) <= LONGEST else short(user)

    def _ip(self, exchange: Exchange) -> str:
        client = exchange.client
        if ":" not in client:
            return client
        found = self._networks.get(client)
        if found is None:
            if len(self._networks) >= MOST_NETWORKS:
                self._networks.clear()
            found = self._networks[client] = network(client)
        return found

    def _role(self, exchange: Exchange) -> str:
        identity = exchange.identity
        return "" if identity is None else self._sorted(identity)

    def _sorted(self, identity: Identity) -> str:
        roles = identity.roles
        found = self._roles.get(roles)
        if found is None:
            if len(self._roles) >= MOST_ROLES:
                self._roles.clear()
            found = self._roles[roles] = short(",".join(sorted(roles)))
        return found


def nobody(address: str) -> str:
    """The key of somebody of whom only the address is known: no id of a user begins with a space."""
    return f" {address}"


def short(text: str) -> str:
    """A text of any length as a short one. Nothing else that becomes a key begins like this."""
    if len(text) <= LONGEST and text.isascii():
        return text
    return " #" + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def present(value: bytes, secret: bool = False) -> str:
    """What stands for the value of a field, whatever is in it. A secret is not kept."""
    text = "=" + value.decode("latin-1")
    return short(text + " " * LONGEST) if secret or "\n" in text else short(text)


def _secret(name: bytes) -> bool:
    return REQUESTS.kind(name) == CREDENTIAL


def _field(name: bytes) -> Key:
    if _secret(name):

        def credential(exchange: Exchange) -> str:
            value = value_of(exchange.credentials or (), name)
            return ABSENT if value is None else present(value, secret=True)

        return credential

    def field(exchange: Exchange) -> str:
        value = exchange.value(name)
        return ABSENT if value is None else present(value)

    return field


def key_of(parts: Sequence[str], values: Sequence[str | None]) -> str:
    """The key of whoever is named by a value for each part; None is a field that is not there."""
    made = [_named(part, value) for part, value in zip(parts, values, strict=True)]
    if len(made) == 1:
        return made[0]
    return short("\n".join(made)) if made else EVERYTHING


def _named(part: str, value: str | None) -> str:
    if part == "ip":
        return network(value or "")
    if part == "role":
        return short(",".join(sorted((value or "").split(","))))
    if part.startswith("header:"):
        name = part.partition(":")[2].encode("ascii")
        return ABSENT if value is None else present(value.encode("utf-8"), _secret(name))
    return short(value or "") if part == "user" else value or ""
