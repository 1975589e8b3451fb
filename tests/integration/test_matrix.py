"""Who may what, as etc/ttagw.toml says: every caller at every method of every route, against a table made by hand."""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from tests.integration.kit.gateway import Gateway, service
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import Answer, get, once, post
from ttagw.checks import EXTRA
from ttagw.config import Route, load
from ttagw.core.rbac import PERMISSIONS

FILE = Path(__file__).parents[2] / "etc" / "ttagw.toml"
ROUTES = load(FILE, {}, EXTRA).routes
PERSON = "p-7"
"""Whom the places with `{player_id}` belong to."""

# What is in the token of each caller, beside what every token has.
CALLERS: Mapping[str, Mapping[str, Any]] = {
    "patient": {"sub": PERSON, "role": "patient"},
    "patient mfa": {"sub": PERSON, "role": "patient", "mfa_verified": True},
    "player": {"sub": PERSON, "role": "player"},
    "other patient": {"sub": "p-8", "role": "patient"},
    "therapist": {"sub": "t-1", "role": "therapist", "patients": [PERSON]},
    "therapist mfa": {"sub": "t-1", "role": "therapist", "patients": [PERSON], "mfa_verified": True},
    "clinician mfa": {"sub": "t-1", "role": "clinician", "patients": [PERSON], "mfa_verified": True},
    "other therapist mfa": {"sub": "t-2", "role": "therapist", "patients": ["p-8"], "mfa_verified": True},
    "granted therapist": {"sub": "t-3", "role": "therapist", "permissions": ["access_therapeutic_content"]},
    "researcher": {"sub": "r-1", "role": "researcher"},
    "researcher mfa": {"sub": "r-1", "role": "researcher", "mfa_verified": True},
    "moderator": {"sub": "m-1", "role": "moderator"},
    "moderator mfa": {"sub": "m-1", "role": "moderator", "mfa_verified": True},
    "admin": {"sub": "a-1", "role": "admin"},
    "admin mfa": {"sub": "a-1", "role": "admin", "mfa_verified": True},
    "admin says mfa": {"sub": "a-1", "role": "admin", "mfa_verified": "true"},
    "admin of the same name": {"sub": PERSON, "role": "admin", "mfa_verified": True},
    "service": {"sub": "core-gameplay", "role": "service"},
    "guest": {"sub": "g-1", "role": "guest"},
    "guest mfa": {"sub": "g-1", "role": "guest", "mfa_verified": True},
    "captain": {"sub": "c-1", "role": "captain", "mfa_verified": True},
    "no role": {"sub": "n-1"},
}
UNKNOWN = ("nobody", "garbage", "forged", "expired", "refresh", "endless", "other issuer", "other audience")
"""Those who have not said who they are in a way that can be believed."""

EVERYBODY = "everybody"
ANY_TOKEN = "any token"

# Who may, by route; whoever is not here may not.
MAY: Mapping[str, str] = {
    "login": EVERYBODY,
    "refresh": EVERYBODY,
    "auth": ANY_TOKEN,
    "players": "therapist mfa, clinician mfa, other therapist mfa, admin mfa, admin of the same name",
    "players-new": "admin mfa, admin of the same name",
    "player": "patient, patient mfa, player, therapist, therapist mfa, clinician mfa",
    "player-delete": "patient, patient mfa, player",
    "characters": "patient, patient mfa, player, other patient",
    "worlds": "patient, patient mfa, player, other patient, therapist, therapist mfa, clinician mfa, "
    "other therapist mfa, granted therapist, moderator, moderator mfa",
    "worlds-change": "therapist mfa, clinician mfa, other therapist mfa",
    "sessions": "patient, patient mfa, player, other patient, granted therapist",
    "gameplay": "patient, patient mfa, player, other patient, granted therapist",
    "agents": "therapist mfa, clinician mfa, other therapist mfa, admin mfa, admin of the same name",
    "agents-change": "admin mfa, admin of the same name",
}
ONLY_ITSELF = ("players", "players-new")
"""Routes below whose place there is another one's."""


def expected(route: str, caller: str) -> int:
    """The status by the table."""
    if MAY[route] == EVERYBODY:
        return 200
    if caller in UNKNOWN:
        return 401
    return 200 if MAY[route] == ANY_TOKEN or caller in MAY[route].split(", ") else 403


def paths(route: Route) -> list[str]:
    """A route's own place, and one below it."""
    place = route.path.replace("{player_id}", PERSON)
    own = place.removesuffix("/*")
    return [own] if own == place or route.name in ONLY_ITSELF else [own, f"{own}/1/notes"]


class Issuer:
    """Issues tokens; its keys are in a file."""

    def __init__(self, folder: Path) -> None:
        self._key = generate_private_key(65537, 2048)
        self._other = generate_private_key(65537, 2048)
        self.file = folder / "jwks.json"
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        self.file.write_text(json.dumps({"keys": [{**public, "kid": "matrix", "alg": "RS256", "use": "sig"}]}))
        self.tokens = {name: self._token(claims) for name, claims in CALLERS.items()}
        good = CALLERS["admin mfa"]
        self.tokens |= {
            "garbage": "not.a.token",
            "forged": self._token(good, self._other),
            "expired": self._token(good, at=time.time() - 7200),
            "refresh": self._token({**good, "type": "refresh"}),
            "endless": self._token({**good, "exp": int(time.time()) + 10 * 365 * 86400}),
            "other issuer": self._token({**good, "iss": "https://elsewhere.example"}),
            "other audience": self._token({**good, "aud": "elsewhere"}),
        }

    def _token(self, claims: Mapping[str, Any], key: RSAPrivateKey | None = None, at: float = 0.0) -> str:
        issued = int(at or time.time())
        always = {"iss": "https://auth.tta.example", "aud": "tta", "iat": issued, "exp": issued + 1800}
        return jwt.encode({**always, **claims}, key or self._key, "RS256", headers={"kid": "matrix"})


@pytest.fixture(scope="module")
def issuer(folder: Path) -> Issuer:
    return Issuer(folder)


@pytest.fixture(scope="module")
def gateway(folder: Path, origin: Origin, issuer: Issuer) -> Iterator[Gateway]:
    """As the file says, but for where the services and the issuer's keys are, and without limits."""
    document = tomllib.loads(FILE.read_text("utf-8"))
    auth = document["auth"]
    (only,) = auth["issuers"]
    del only["jwks_url"]
    only["jwks_file"] = str(issuer.file)
    services = {name: service(origin.port) for name in document["services"]}
    # Who may, and not how often: thousands of requests come from here, of few people.
    routes = [{name: value for name, value in each.items() if name != "limits"} for each in document["routes"]]
    with Gateway(folder, services, routes, auth=auth) as running:
        yield running


def ask(gateway: Gateway, method: str, path: str, token: str | None) -> Answer:
    fields = [] if token is None else [f"Authorization: Bearer {token}"]
    if method in ("GET", "DELETE"):
        return once(gateway.port, get(path, *fields, method=method))
    body = b'{"username": "mira"}'
    return once(gateway.port, post(path, body, "Content-Type: application/json", *fields, method=method))


COMBINATIONS = [
    pytest.param(route, method, caller, id=f"{caller}-{method}-{route.name}")
    for route in ROUTES
    for method in route.methods
    for caller in (*UNKNOWN, *CALLERS)
]


@pytest.mark.parametrize(("route", "method", "caller"), COMBINATIONS)
def test_only_those_come_through_who_may(
    gateway: Gateway, origin: Origin, issuer: Issuer, route: Route, method: str, caller: str
) -> None:
    status = expected(route.name, caller)
    for path in paths(route):
        before = len(origin.requests)
        answer = ask(gateway, method, path, issuer.tokens.get(caller))
        assert answer.status == status, path
        assert len(origin.requests) - before == (status == 200)
        challenge = answer.value(b"www-authenticate")
        assert challenge.startswith(b'Bearer realm="tta"') == (status != 200)
        assert (b"insufficient_scope" in challenge) == (status == 403)


def test_each_place_of_the_table_is_that_of_its_route(gateway: Gateway, issuer: Issuer) -> None:
    asked = [(route.name, method, path) for route in ROUTES for method in route.methods for path in paths(route)]
    answers = [ask(gateway, method, path, issuer.tokens["guest"]) for _, method, path in asked]
    assert [gateway.line(answer.id)["route"] for answer in answers] == [name for name, _, _ in asked]


def test_the_services_hear_who_it_is_and_nothing_of_how_that_is_known(
    gateway: Gateway, origin: Origin, issuer: Issuer
) -> None:
    for caller, path in (("clinician mfa", f"/api/v1/players/{PERSON}"), ("nobody", "/api/v1/auth/login")):
        ask(gateway, "GET" if caller != "nobody" else "POST", path, issuer.tokens.get(caller))
        request = origin.requests[-1]
        known = caller != "nobody"
        assert request.value(b"x-user-id") == (b"t-1" if known else b"")
        assert request.value(b"x-user-role") == (b"therapist" if known else b"")
        permissions = ",".join(sorted(PERMISSIONS["therapist"])).encode()
        assert request.value(b"x-user-permissions") == (permissions if known else b"")
        assert request.value(b"authorization") == b""


def test_the_table_is_whole() -> None:
    assert [route.name for route in ROUTES] == list(MAY)
    assert {str(claims.get("role")) for claims in CALLERS.values()} >= set(PERMISSIONS)
    named = {each for who in MAY.values() for each in who.split(", ")}
    assert named <= {EVERYBODY, ANY_TOKEN, *CALLERS}
    assert len(COMBINATIONS) > 800
