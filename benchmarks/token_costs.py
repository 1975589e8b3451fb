"""What a token costs a request: `python -m benchmarks.token_costs`.

In this process, without sockets, with as many real tokens as the load has, each cut out of its field anew as a request
brings it, so that nothing of the one before helps. The best of all rounds counts, since whatever else runs here can
only add.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

from twisted.internet.task import Clock

from benchmarks import jwt_token
from benchmarks.load import TOKENS
from benchmarks.resilience import ROUNDS, Work, nothing, timed
from ttagw.auth.authenticator import Authenticator
from ttagw.auth.tokens import Tokens
from ttagw.config.auth import Auth, Issuer
from ttagw.core.forwarded import Trust, client_view
from ttagw.core.identity import Identity
from ttagw.core.rbac import Requirement, Roles
from ttagw.layers.authenticate import Asked, Authenticate
from ttagw.layers.authorise import Authorise, Terms
from ttagw.layers.vouch import Vouch
from ttagw.model import Exchange, Fields
from ttagw.pipeline import Layer
from ttagw.testing import exchange, route

BEARER = b"Bearer "
FIRST_ROUNDS = 5
ROUTE = "r"


@dataclass(frozen=True, slots=True)
class TokenCosts:
    """Microseconds of processor time, the best round and the median."""

    seen: tuple[float, float]
    layers: tuple[float, float]
    first: tuple[float, float]

    def rows(self) -> list[list[str]]:
        """For the table."""
        named = [
            ("a token seen before: looked up", self.seen),
            ("a token seen before: all three layers", self.layers),
            ("a token seen for the first time: verified", self.first),
        ]
        return [[name, f"{best:.2f}", f"{middle:.2f}"] for name, (best, middle) in named]


class _Nobody:
    """Reaches nobody else."""

    def may(self, exchange: Exchange, identity: Identity, person: str) -> bool:  # noqa: ARG002
        """No."""
        return False


class Bench:
    """What the gateway has for tokens, with tokens."""

    def __init__(self, folder: Path, count: int = TOKENS) -> None:
        issuer = Issuer(
            issuer=jwt_token.ISSUER,
            audience=(jwt_token.AUDIENCE,),
            algorithms=(jwt_token.ALGORITHM,),
            jwks_file=str(jwt_token.write_key_set(folder)),
            role_map={jwt_token.ROLE: "patient"},
        )
        self.roles = Roles()
        self.tokens = Tokens(Auth(issuers=(issuer,)), self.roles, _check, Clock())
        self.made: Exchange = exchange()
        self.values = [BEARER + token.encode() for token in jwt_token.many(count)]

    def remember(self) -> None:
        """Verify each token."""
        start = len(BEARER)
        for value in self.values:
            if not isinstance(self.tokens.verify(value[start:]), Identity):
                raise TypeError("the keys are not there yet")

    def verifying(self) -> Work:
        """Tokens that nobody has seen before."""

        def work(calls: int) -> None:
            start, verify = len(BEARER), self.tokens.verify
            self.tokens.forget(_everybody)
            for value in islice(self.values, calls):
                verify(value[start:])

        return work

    def looking_up(self) -> Work:
        """Tokens that are remembered."""

        def work(calls: int) -> None:
            start, known = len(BEARER), self.tokens.known
            for value in islice(cycle(self.values), calls):
                known(value[start:])

        return work

    def entering(self) -> Work:
        """The same through the layers of a route that asks for a role."""
        authenticator = Authenticator(self.tokens, None, self.roles, _check)
        requirement = Requirement(roles=frozenset(("patient", "therapist")))
        layers: Sequence[Layer] = (
            Authenticate({ROUTE: Asked()}, authenticator),
            Authorise({ROUTE: Terms(requirement, "/r")}, _Nobody()),
            Vouch(False, "access_token"),
        )
        bound = route(name=ROUTE).bind(layers)
        return self._exchanges(bound.enters)

    def arriving(self) -> Work:
        """What `entering` does beside the layers."""
        return self._exchanges(())

    def _exchanges(self, enters: Sequence[Any]) -> Work:
        made = self.made
        forwarded = client_view(made.peer, Trust(()), made.authority, []).lines
        all_credentials: list[Fields] = [[(b"authorization", value)] for value in self.values]

        def work(calls: int) -> None:
            for credentials in islice(cycle(all_credentials), calls):
                made.credentials = credentials
                made.identity = None
                made.forwarded = forwarded
                for enter in enters:
                    enter(made)

        return work


def _check(identity: Identity) -> None:
    """Nobody is revoked."""


def _everybody(_: Identity) -> bool:
    return True


def measure(rounds: int = ROUNDS, first_rounds: int = FIRST_ROUNDS) -> TokenCosts:
    """Measure all of it."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        (first,) = timed([bench.verifying()], first_rounds)
        bench.remember()
        idle, seen, arriving, entering = timed(
            [nothing(), bench.looking_up(), bench.arriving(), bench.entering()], rounds
        )
    return TokenCosts(_over(seen, idle), _over(entering, arriving), (min(first), median(first)))


def _over(times: Sequence[float], idle: Sequence[float]) -> tuple[float, float]:
    return min(times) - min(idle), median(times) - median(idle)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.token_costs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    for name, best, middle in measure(parser.parse_args().rounds).rows():
        print(f"{name:44}{best:>8} us best {middle:>8} us median")


if __name__ == "__main__":
    main()
