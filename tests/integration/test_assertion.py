"""A service can tell that a request came through the gateway."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import get, once
from tests.integration.kit.tokens import Issuer
from tests.integration.kit.waiting import until

PROOF = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def issuer(folder: Path) -> Issuer:
    return Issuer(folder)


@pytest.fixture(scope="module")
def secret(folder: Path) -> Path:
    path = folder / "proof"
    path.write_text(f"{PROOF}\n")
    return path


@pytest.fixture(scope="module")
def gateway(folder: Path, origin: Origin, issuer: Issuer, secret: Path) -> Iterator[Gateway]:
    routes = [
        route("/open/*", name="open"),
        route("/mine/*", name="mine", auth="required"),
        route("/split/*", name="split", split={"s": 1, "other": 1}),
    ]
    auth = {"issuers": [issuer.section], "upstream": {"secret_file": str(secret)}}
    services = {"s": service(origin.port), "other": service(origin.port)}
    with Gateway(folder, services, routes, auth=auth) as running:
        yield running
        texts = running.access.read_text() + running.child.errors.read_text()
        assert PROOF not in texts
        assert "eyJ" not in texts


def assertion(gateway: Gateway, origin: Origin, path: str, *fields: str) -> tuple[str, str]:
    """What the service got, and the id of the request."""
    answer = once(gateway.port, get(path, *fields))
    assert answer.status == 200
    request = origin.seen(path.encode())[-1]
    return request.value(b"x-tta-assertion").decode(), answer.id


def decoded(text: str, key: str = PROOF, audience: str | None = "s") -> dict[str, Any]:
    return jwt.decode(text, key, algorithms=["HS256"], audience=audience, issuer="ttagw")


def test_it_says_who_asks_on_what_route(gateway: Gateway, origin: Origin, issuer: Issuer) -> None:
    before = int(time.time())
    token = issuer.token("thea", "therapist")
    text, id_ = assertion(gateway, origin, "/mine/a", f"Authorization: Bearer {token}")
    claims = decoded(text)
    assert before <= claims["iat"] <= time.time()
    assert claims["exp"] == claims["iat"] + 60
    assert {name: claims[name] for name in claims.keys() - {"iat", "exp"}} == {
        "iss": "ttagw",
        "aud": "s",
        "sub": "thea",
        "roles": ["therapist"],
        "class": "normal",
        "request_id": id_,
    }


def test_nobody_is_nobody(gateway: Gateway, origin: Origin) -> None:
    claims = decoded(assertion(gateway, origin, "/open/a", "X-TTA-Assertion: forged")[0])
    assert ("sub" in claims, claims["roles"]) == (False, [])


def test_where_the_service_is_chosen_for_each_it_is_for_none_of_them(gateway: Gateway, origin: Origin) -> None:
    assert "aud" not in decoded(assertion(gateway, origin, "/split/a")[0], audience=None)


def test_what_is_altered_is_refused(gateway: Gateway, origin: Origin) -> None:
    text, _ = assertion(gateway, origin, "/open/b")
    head, claims, signature = text.split(".")
    for other in (
        f"{head}.{claims[:-1]}{'A' if claims[-1] != 'A' else 'B'}.{signature}",
        f"{head}.{claims}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}",
        f"{head}.{claims}.",
    ):
        with pytest.raises(jwt.InvalidTokenError):
            decoded(other)
    with pytest.raises(jwt.InvalidSignatureError):
        decoded(text, "f" * 32)


def test_another_secret_is_taken_up_and_one_that_is_none_is_not(gateway: Gateway, origin: Origin, secret: Path) -> None:
    def signed_with(key: str) -> bool:
        try:
            decoded(assertion(gateway, origin, "/open/c")[0], key)
        except jwt.InvalidSignatureError:
            return False
        return True

    other = "another secret, just as long as the one before"
    secret.write_text(other)
    until(lambda: signed_with(other), "the new secret is used", every=0.05)
    secret.write_text("too short")
    until(lambda: signed_with(other) and gateway.failures(), "the fault is told", every=0.05)
    (fault,) = gateway.failures()
    assert "too short" not in str(fault)
    secret.unlink()
    until(lambda: signed_with(other) and len(gateway.failures()) == 2, "that is told too", every=0.05)
    secret.write_text(PROOF)
    until(lambda: signed_with(PROOF), "it is used again", every=0.05)
