"""Gateways that ask for tokens, and what is revoked at them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.operated import Key, Operator, make_key
from tests.integration.kit.origin import Origin
from tests.integration.kit.pace import Pace
from tests.integration.kit.raw import get, once
from tests.integration.kit.tokens import Issuer
from tests.integration.kit.waiting import until

EVERYWHERE = 1.0
"""Seconds in which a revocation is in effect on every gateway."""


@dataclass(frozen=True)
class People:
    """Who asks, and who revokes."""

    issuer: Issuer
    admin: Key
    program: Key
    """A key that is no admin's."""

    @classmethod
    def in_folder(cls, folder: Path) -> People:
        """New ones, with their files in `folder`."""
        return cls(Issuer(folder), make_key(folder), make_key(folder, "program", ("service",)))

    def token(self, user: str, jti: str = "", **claims: Any) -> str:
        """A token; without `jti` its id is made of the user and the time."""
        return self.issuer.token(user, jti=jti or f"{user}-{time.time()}", **claims)

    def undated(self, user: str) -> str:
        """A token that does not say when it was issued."""
        claims = jwt.decode(self.token(user), options={"verify_signature": False})
        del claims["iat"]
        return jwt.encode(claims, self.issuer._secret, algorithm="HS256")


def asking(folder: Path, people: People, origin: Origin, store: str, name: str = "g", **auth: Any) -> Gateway:
    """A gateway whose only route asks for a token or a key."""
    section = {**people.admin.section, "issuers": [people.issuer.section], **auth}
    return Gateway(
        folder,
        {"s": service(origin.port)},
        [route(auth="required")],
        auth=section,
        gateway={"store": store, "name": name},
    )


@contextmanager
def two_asking(
    folder: Path, people: People, origin: Origin, store: str, **auth: Any
) -> Iterator[tuple[Operator, Operator]]:
    """Two gateways that share a store, as their operators."""
    with ExitStack() as started:
        operators = []
        for name in ("a", "b"):
            (folder / name).mkdir()
            gateway = started.enter_context(asking(folder / name, people, origin, store, name, **auth))
            operators.append(Operator(gateway, people.admin))
        one, other = operators
        until(lambda: all(state(each) == "current" for each in operators), "both know what is revoked")
        yield one, other
        for each in operators:
            assert each.gateway.failures() == []


def state(operator: Operator) -> str:
    """How good a gateway says that its table is."""
    return str(operator.ask("GET", "/revocations")[1]["state"])


def revoke(operator: Operator, **document: Any) -> int:
    """The status."""
    return operator.ask("POST", "/revocations", document)[0]


def lift(operator: Operator, **document: Any) -> int:
    """The status."""
    return operator.ask("DELETE", "/revocations", document)[0]


def asked(operator: Operator, credential: str) -> tuple[int, str]:
    """Status and code of an answer to whoever has this token or key."""
    answer = once(operator.gateway.port, get("/", f"Authorization: Bearer {credential}"))
    return answer.status, "" if answer.status == 200 else str(json.loads(answer.body)["code"])


class TokenPace(Pace):
    """Asks all the time, with a token."""

    def __init__(self, port: int, token: str, every: float = 0.005) -> None:
        super().__init__(port, every=every)
        self._request = get("/", f"Authorization: Bearer {token}")
