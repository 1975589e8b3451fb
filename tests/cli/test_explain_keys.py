"""`ttagw explain`: the keys of issuers, wherever they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.explained import ISSUER, OTHER, SECRET, Explanation, Place, Web, key_set, token
from tests.integration.kit.process import free_port
from ttagw.cli.explain.keysets import key_set as look
from ttagw.config.auth import Issuer
from ttagw.testing import Clock

UNKNOWN = "503 identity_unknown: keys_unavailable"


@contextmanager
def at(tmp_path: Path, body: str, status: int = 200, location: str = "") -> Iterator[tuple[Place, Web]]:
    """A configuration whose issuer has its keys at an address that answers so."""
    with Web(body, status, location) as web:
        yield Place(tmp_path, keys=f'jwks_url = "{web.url}"'), web


def asked(place: Place, *arguments: str) -> Explanation:
    return place.explain("GET /api/v1/players/7", "--token", token(), *arguments)


def test_keys_are_fetched_once(tmp_path: Path) -> None:
    with at(tmp_path, key_set()) as (place, web):
        found = asked(place)
        assert (found.status, found.last) == (0, "forwarded to player-experience /v1/players/7")
        assert found.row("token", "key") == ("k1", "jwks_url: among k1")
        assert web.asked == 2  # once for people, once for programs


def test_keys_that_nobody_needs_are_not_fetched(tmp_path: Path) -> None:
    with at(tmp_path, key_set()) as (place, web):
        place.explain("GET /sessions")
        place.explain("GET /sessions", "--token", place.api_key)
        place.explain("GET /sessions", "--token", token(iss="https://nobody.example"))
        place.explain("GET /sessions", "--token", token(SECRET, algorithm="HS256", iss=OTHER))
        place.explain("GET /api/v1/worlds", "--token", token())
        assert web.asked == 0


def test_offline_nothing_is_fetched(tmp_path: Path) -> None:
    with at(tmp_path, key_set()) as (place, web):
        found = asked(place, "--offline")
        assert (found.status, found.last) == (1, UNKNOWN)
        assert found.row("token", "key") == ("k1", "jwks_url: not fetched, because of --offline")
        assert found.row("token", "verdict") == ("not accepted", "keys_unavailable")
        assert web.asked == 0


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ("garbage", 200, "not a JSON Web Key Set"),
        ("[" * 100_000, 200, "not a JSON Web Key Set"),
        ('{"keys": [1]}', 200, "a JSON Web Key Set without keys"),
        ('{"keys": []}', 200, "a JSON Web Key Set without keys"),
        (" " * 300_000, 200, "cannot be fetched: more than 256 KiB"),
        ("", 500, "answered with 500"),
    ],
)
def test_an_address_that_has_no_keys(tmp_path: Path, body: str, status: int, says: str) -> None:
    with at(tmp_path, body, status) as (place, _):
        found = asked(place)
        assert (found.status, found.last) == (1, UNKNOWN)
        assert found.row("token", "key") == ("k1", f"jwks_url: {says}")


def test_what_is_no_key_among_keys_is_passed_over_as_the_gateway_does(tmp_path: Path) -> None:
    body = json.dumps({"keys": [1, None, *json.loads(key_set())["keys"]]})
    with at(tmp_path, body) as (place, _):
        assert asked(place).status == 0


def test_no_redirect_is_followed(tmp_path: Path) -> None:
    with Web(key_set()) as elsewhere, at(tmp_path, "", 302, elsewhere.url) as (place, _):
        assert asked(place).row("token", "key") == ("k1", "jwks_url: answered with 302")
        assert elsewhere.asked == 0


def test_nobody_is_there(tmp_path: Path) -> None:
    place = Place(tmp_path, keys=f'jwks_url = "http://127.0.0.1:{free_port()}/keys"')
    value, note = asked(place).row("token", "key")
    assert value == "k1"
    assert note.startswith("jwks_url: cannot be fetched: ")


def test_keys_that_come_too_slowly(tmp_path: Path) -> None:
    clock = Clock()
    with Web(key_set()) as web:
        found = look(Issuer(issuer=ISSUER, jwks_url=web.url), tmp_path, offline=False, now=lambda: clock.advance(5.1))
    assert found.fault == "no answer in 5 s"


def test_a_file_that_is_no_key_set(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text("{}")
    issuer = Issuer(issuer=ISSUER, jwks_file=str(file))
    assert look(issuer, tmp_path, offline=False).fault == "not a JSON Web Key Set"
    file.unlink()
    assert look(issuer, tmp_path, offline=False).fault == "cannot be read: No such file or directory"


def test_keys_that_are_of_no_use(tmp_path: Path) -> None:
    with at(tmp_path, json.dumps({"keys": [{"kty": "nothing", "kid": "k1"}]})) as (place, _):
        found = asked(place)
        assert (found.status, found.last) == (1, UNKNOWN)
        assert found.row("token", "key") == ("k1", "jwks_url: none of its keys can be used")


def test_an_unknown_kid(tmp_path: Path) -> None:
    place = Place(tmp_path)
    found = place.explain("GET /sessions", "--token", token(kid="k2"))
    assert found.row("token", "key") == ("k2", "jwks_file: not among k1")
    assert place.explain("GET /sessions", "--token", token(kid=None)).row("token", "key") == (
        "none",
        "jwks_file: one of k1",
    )


def test_a_secret_has_no_name(tmp_path: Path) -> None:
    place = Place(tmp_path)
    found = place.explain("GET /sessions", "--token", token(SECRET, algorithm="HS256", iss=OTHER, aud=None))
    assert found.status == 0
    assert found.row("token", "key") == ("k1", "secret_file: one secret, for every kid")
    assert found.row("token", "audience") == ("none", "none is expected")
