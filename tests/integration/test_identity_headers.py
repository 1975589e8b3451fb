"""What services are told about callers, and where tokens and keys are not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.operated import Key, make_key
from tests.integration.kit.origin import Origin, Request
from tests.integration.kit.process import free_port
from tests.integration.kit.raw import Answer, Client, get, once, post
from tests.integration.kit.tokens import Issuer
from ttagw.auth import keyfile

ROUTES = [
    route("/none/*", name="none"),
    route("/optional/*", name="optional", auth="optional"),
    route("/required/*", name="required", auth="required"),
    route("/tried/*", name="tried", auth="required", roles=["admin"], dry_run=True),
    route("/own/{person}", name="own", auth="required", owner="person"),
    route("/away/*", "away", "away", auth="required"),
]
SPOOFED = {
    "X-User-ID": "root",
    "x-user-role": "admin",
    "X-USER-PERMISSIONS": "everything",
    "X-Therapeutic-Session-Id": "s-0",
    "X-Traffic-Class": "crisis",
    "X-Safety-Level": "safe",
    "X-TTA-Assertion": "signed",
    "X-TTA-Anything": "signed",
    "ttagw-reason": "none",
}
BASIC = "Basic bWlyYTpzZXNhbWU="


class Place(NamedTuple):
    """A gateway, the service behind it, who issues tokens, and a key."""

    gateway: Gateway
    origin: Origin
    issuer: Issuer
    key: Key

    def ask(self, path: str, *fields: str, **more: Any) -> Answer:
        return once(self.gateway.port, get(path, *fields, **more))

    def arrived(self, path: str, *fields: str) -> Request:
        """The request as the service has read it."""
        answer = self.ask(path, *fields)
        assert answer.status == 200, answer.body
        return next(
            each for each in reversed(self.origin.requests) if each.value(b"x-request-id").decode() == answer.id
        )


def open_place(folder: Path, origin: Origin, **auth: Any) -> Iterator[Place]:
    issuer, key = Issuer(folder), make_key(folder, "nightly", ["service"])
    services = {"s": service(origin.port), "away": service(free_port())}
    section = {**auth, **key.section, "issuers": [issuer.section]}
    with Gateway(folder, services, ROUTES, auth=section, log={"level": "debug"}) as running:
        yield Place(running, origin, issuer, key)
        assert running.failures() == []


@pytest.fixture(scope="module")
def place(folder: Path, origin: Origin) -> Iterator[Place]:
    yield from open_place(folder, origin)


@pytest.fixture(scope="module")
def forwarding(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> Iterator[Place]:
    """A gateway that hands tokens on."""
    yield from open_place(tmp_path_factory.mktemp("forwarding"), origin, forward_token=True, query_token="")


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


def said(request: Request, *names: str) -> dict[str, bytes]:
    """The values of these fields that are there."""
    found = {name: request.all(name.encode()) for name in names}
    assert all(len(values) < 2 for values in found.values()), found
    return {name: values[0] for name, values in found.items() if values}


USER = ("x-user-id", "x-user-role", "x-user-permissions", "x-therapeutic-session-id")


# Identity


@pytest.mark.parametrize("path", ["/none/a", "/optional/a", "/tried/a"])
@pytest.mark.parametrize("credentials", [(), (BASIC,)])
def test_nobody_is_what_they_say_they_are(place: Place, path: str, credentials: Sequence[str]) -> None:
    if path == "/optional/a" and credentials:
        assert place.ask(path, f"Authorization: {BASIC}").status == 401
        return
    request = place.arrived(
        path,
        *[f"{name}: {value}" for name, value in SPOOFED.items()],
        *[f"Authorization: {each}" for each in credentials],
    )
    assert said(request, *[name.lower() for name in SPOOFED]) == {"x-traffic-class": b"normal"}


@pytest.mark.parametrize("path", ["/optional/a", "/required/a", "/tried/a", "/own/mira"])
def test_who_is_known_is_who_was_verified(place: Place, path: str) -> None:
    for _ in range(2):  # verified, and remembered
        request = place.arrived(
            path,
            bearer(place.issuer.token("mira", permissions=["extra"], session_id="s-7")),
            *[f"{name}: {value}" for name, value in SPOOFED.items()],
        )
        fields = said(request, *[name.lower() for name in SPOOFED])
        permissions = fields.pop("x-user-permissions").split(b",")
        assert fields.pop("x-traffic-class") == b"normal"
        assert fields == {"x-user-id": b"mira", "x-user-role": b"patient", "x-therapeutic-session-id": b"s-7"}
        assert b"extra" in permissions
        assert b"everything" not in permissions


def test_on_a_route_for_everybody_nobody_is_known(place: Place) -> None:
    assert said(place.arrived("/none/a", bearer(place.issuer.token("mira"))), *USER) == {}


def test_a_connection_field_takes_nothing_away_that_the_gateway_says(place: Place) -> None:
    request = place.arrived(
        "/required/a",
        bearer(place.issuer.token("mira")),
        "Connection: x-user-id, x-user-role, authorization, x-forwarded-for",
    )
    assert said(request, "x-user-id", "x-user-role") == {"x-user-id": b"mira", "x-user-role": b"patient"}
    assert request.value(b"x-forwarded-for") == b"127.0.0.1"


def test_on_one_connection_each_request_is_its_own(place: Place) -> None:
    tokens = [place.issuer.token(each) for each in ("mira", "noor")]
    with Client(place.gateway.port) as client:
        for turn in range(6):
            fields = [bearer(tokens[turn % 3])] if turn % 3 < 2 else []
            answer = client.ask(get("/optional/a", *fields))
            told = {name.lower(): value for name, value in json.loads(answer.body)["fields"]}
            assert told.get("x-user-id") == ("mira", "noor", None)[turn % 3]


def test_a_dry_run_lets_in_and_the_log_says_why_not(place: Place) -> None:
    for fields, reason in (
        ((), "credentials_required"),
        ((bearer(place.issuer.token("mira")),), "role_missing"),
        ((bearer(place.issuer.token("mira", exp=1)),), "token_expired"),
    ):
        answer = place.ask("/tried/a", *fields)
        assert answer.status == 200
        assert place.gateway.line(answer.id)["dry_run"] == reason


# Credentials


@pytest.mark.parametrize("path", ["/optional/a", "/required/a", "/tried/a", "/none/a"])
def test_tokens_and_keys_stay_in_the_gateway(place: Place, path: str) -> None:
    for field in (
        bearer(place.issuer.token("mira")),
        bearer(place.key.text),
        f"X-API-Key: {place.key.text}",
        f"authorization:bearer {place.issuer.token('mira')}",
    ):
        request = place.arrived(path, field, "X-Break-Glass-Reason: she does not answer any more")
        assert said(request, "authorization", "x-api-key", "x-break-glass-reason") == {}


def test_credentials_that_are_not_for_the_gateway_go_on(place: Place) -> None:
    request = place.arrived("/none/a", f"Authorization: {BASIC}", "X-API-Key: of the service")
    assert said(request, "authorization", "x-api-key") == {
        "authorization": BASIC.encode(),
        "x-api-key": b"of the service",
    }


@pytest.mark.parametrize("spelling", ["Bearer\t{}", "bEARER {}", "Bearer,{}", "{}"])
def test_a_token_that_is_spelt_wrongly_stays_here_too(place: Place, spelling: str) -> None:
    token = place.issuer.token("mira")
    for name in ("Authorization", "X-API-Key"):
        request = place.arrived("/none/a", f"{name}: {spelling.format(token)}")
        assert said(request, "authorization", "x-api-key") == {}


def test_tokens_go_on_where_that_is_configured(forwarding: Place) -> None:
    token = forwarding.issuer.token("mira")
    for path in ("/required/a", "/none/a", "/optional/a"):
        request = forwarding.arrived(path, bearer(token), "X-Break-Glass-Reason: she does not answer any more")
        assert said(request, "authorization", "x-break-glass-reason") == {"authorization": f"Bearer {token}".encode()}
    assert forwarding.arrived(f"/required/a?access_token={token}", bearer(token)).target.endswith(token.encode())


@pytest.mark.parametrize("path", ["/none/a", "/optional/a", "/required/a", "/tried/a"])
def test_the_token_in_a_query_is_not_forwarded(place: Place, path: str) -> None:
    token = place.issuer.token("mira")
    for name in ("access_token", "access%5Ftoken", "%61ccess_token", "access%5ftoken", "Access_Token"):
        for query, left in (
            (f"{name}={token}", b""),
            (f"a=1&{name}={token}&b=2", b"?a=1&b=2"),
            (f"a=1;{name}={token}", b"?a=1"),
            (f"{name}={token}&{name}=x&a=%20", b"?a=%20"),
        ):
            request = place.arrived(f"{path}?{query}", bearer(token))
            assert request.target == path.encode() + left


# Nowhere


def test_tokens_and_keys_are_nowhere(place: Place, tmp_path: Path) -> None:
    issuer, other = place.issuer, Issuer(tmp_path)
    tokens = [
        issuer.token("mira"),
        issuer.token("mira", role="wizard"),
        issuer.token("mira", exp=1),
        other.token("mira"),
        issuer.token("mira")[:-6] + "AAAAAA",
        issuer.token("mira", sub=None),
        issuer.token("mira", sub="a\r\nb"),
        "eyJub3Rh.eyJ0b2tlbg.YnV0IG5lYXJseQ" * 3,
        place.key.text,
        keyfile.new_key("nightly", b"x" * 32),
        keyfile.new_key("unheard-of", b"y" * 32),
    ]
    answers = [answer for token in tokens for answer in _everywhere(place, token)]
    assert {answer.status for answer in answers} >= {200, 400, 401, 403, 503}
    last = place.ask("/none/last")
    place.gateway.line(last.id)
    metrics = place.gateway.admin("/metrics")[1]
    everything = {
        "metrics": metrics,
        **{str(each): each.read_bytes() for each in place.gateway.folder.iterdir() if each.is_file()},
        **{f"answer {each.id}": each.body + b"".join(map(b"".join, each.fields)) for each in answers},
        **{
            f"upstream {number} {each.target!r}": each.target + b"\n".join(map(b": ".join, each.fields)) + each.body
            for number, each in enumerate(place.origin.requests)
        },
    }
    assert any(name.endswith("access.log") for name in everything)
    for token in tokens:
        for piece in (token, token[-20:]):
            assert [name for name, content in everything.items() if piece.encode() in content] == []
    said_ = b"".join([everything[str(place.gateway.access)], place.gateway.child.errors.read_bytes(), metrics])
    assert b"mira" not in said_


def _everywhere(place: Place, token: str) -> Iterator[Answer]:
    """The token, wherever a client may put it, on every kind of route."""
    for path in ("/none/a", "/optional/a", "/required/a", "/tried/a", "/own/noor", "/away/a", "/nowhere"):
        for fields in (
            (bearer(token),),
            (bearer(token), bearer(token)),
            (f"X-API-Key: {token}",),
            (bearer(token), f"X-API-Key: {token}"),
            (bearer(token), "X-Break-Glass-Reason: she does not answer any more"),
        ):
            yield place.ask(f"{path}?access_token={token}", *fields, "Accept: text/html")
        yield once(place.gateway.port, post(f"{path}?access_token={token}", b"{}", bearer(token)))
