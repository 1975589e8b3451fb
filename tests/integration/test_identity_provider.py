"""People who log in at an identity provider that nobody here wrote: Canaille, whose tokens and keys come from Authlib
and joserfc.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.operated import Key, Operator, make_key
from tests.integration.kit.origin import Origin
from tests.integration.kit.provider import Document, Provider
from tests.integration.kit.raw import Answer, Client
from tests.integration.kit.waiting import until

SOON = 1.0
"""Seconds within which every gateway knows what was revoked."""
BUSY = 2.0
"""Seconds that this machine may add to anything."""


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    running = Provider(tmp_path_factory.mktemp("provider"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def key(folder: Path) -> Key:
    return make_key(folder)


@pytest.fixture(scope="module")
def gateway(folder: Path, origin: Origin, provider: Provider, key: Key) -> Iterator[Gateway]:
    issuer = {
        "issuer": provider.about["issuer"],
        "audience": ["story"],
        "algorithms": ["RS256"],
        "jwks_url": provider.about["jwks_uri"],
        "role_claim": "groups",
        "role_map": {"players": "patient", "clinicians": "therapist"},
    }
    routes = [
        route("/me/{person}/*", name="own", auth="required", owner="person"),
        route("/clinic", name="clinic", auth="required", roles=["therapist"]),
        route("/all", name="all", auth="required"),
    ]
    auth = {"issuers": [issuer], **key.section}
    with Gateway(folder, {"s": service(origin.port)}, routes, auth=auth) as running:
        yield running


def call(gateway: Gateway, path: str, tokens: Document | str) -> Answer:
    """GET with an access token."""
    token = tokens if isinstance(tokens, str) else tokens["access_token"]
    with Client(gateway.port) as client:
        return client.ask(f"GET {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n".encode())


def told(answer: Answer) -> Mapping[str, Any]:
    """What the service was told about the caller."""
    assert answer.status == 200, answer.body
    return {name.lower(): value for name, value in json.loads(answer.body)["fields"]}


def test_a_person_logs_in_and_is_known_to_the_service(gateway: Gateway, provider: Provider) -> None:
    fields = told(call(gateway, "/me/mira/stories", provider.log_in("mira")))
    assert (fields["x-user-id"], fields["x-user-role"]) == ("mira", "patient")
    assert "create_character" in fields["x-user-permissions"].split(",")
    assert "authorization" not in fields


def test_groups_are_roles(gateway: Gateway, provider: Provider) -> None:
    mira, noor = provider.log_in("mira"), provider.log_in("noor")
    assert told(call(gateway, "/clinic", noor))["x-user-role"] == "therapist"
    refused = call(gateway, "/clinic", mira)
    assert (refused.status, refused.reason) == (403, b"access_refused")
    assert call(gateway, "/me/mira", noor).status == 403


def test_a_group_that_means_nothing_here_is_a_guest(gateway: Gateway, provider: Provider) -> None:
    fields = told(call(gateway, "/all", provider.log_in("zoe")))
    assert (fields["x-user-role"], fields["x-user-permissions"]) == ("guest", "")


def test_a_token_that_was_changed_is_refused(gateway: Gateway, provider: Provider) -> None:
    token = provider.log_in("mira")["access_token"]
    other = provider.log_in("noor")["access_token"]
    head, claims, signature = token.split(".")
    for changed in (
        f"{head}.{claims}.{other.split('.')[2]}",
        f"{head}.{other.split('.')[1]}.{signature}",
        f"{head}.{claims}.",
        f"{head}.{claims}.{'A' * len(signature)}",
    ):
        answer = call(gateway, "/all", changed)
        assert (answer.status, answer.reason) == (401, b"token_refused")
        assert b'error="invalid_token"' in answer.value(b"www-authenticate")
    assert call(gateway, "/all", token).status == 200


def test_what_refreshes_does_not_open(gateway: Gateway, provider: Provider) -> None:
    tokens = provider.log_in("mira")
    assert call(gateway, "/all", tokens["refresh_token"]).status == 401
    again = provider.refresh(tokens)
    assert again["refresh_token"] != tokens["refresh_token"]
    assert told(call(gateway, "/all", again))["x-user-id"] == "mira"


def test_the_provider_signs_with_a_new_key(gateway: Gateway, provider: Provider) -> None:
    before = provider.log_in("mira")
    assert call(gateway, "/all", before).status == 200
    provider.rotate()
    assert told(call(gateway, "/all", provider.log_in("noor")))["x-user-id"] == "noor"
    assert told(call(gateway, "/all", before))["x-user-id"] == "mira"


def test_a_person_who_is_revoked_logs_in_again(gateway: Gateway, provider: Provider, key: Key) -> None:
    tokens = provider.log_in("mira")
    assert call(gateway, "/all", tokens).status == 200
    assert Operator(gateway, key).ask("POST", "/revocations", {"user": "mira"})[0] == 201
    began = time.monotonic()
    answer = until(lambda: _refused(call(gateway, "/all", tokens)), "the token is refused")
    assert time.monotonic() - began < SOON + BUSY
    assert answer.status == 401
    assert told(call(gateway, "/all", provider.log_in("noor")))["x-user-id"] == "noor"
    # Tokens tell their time in whole seconds: one of the same second may have been made before.
    again = until(lambda: _let_in(call(gateway, "/all", provider.log_in("mira"))), "a new token is good", every=0.2)
    assert told(again)["x-user-id"] == "mira"
    assert call(gateway, "/all", tokens).status == 401


def test_nothing_unforeseen_was_logged(gateway: Gateway) -> None:
    assert gateway.failures() == []


def _refused(answer: Answer) -> Answer | None:
    return None if answer.status == 200 else answer


def _let_in(answer: Answer) -> Answer | None:
    return answer if answer.status == 200 else None
