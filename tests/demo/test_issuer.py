"""The tokens of the demo, on a clock of the test's own."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.identity import USER
from ttagw.demo.issuer import ACCESS_SECONDS, AUDIENCE, ISSUER, PEOPLE, REFRESH_SECONDS, Issuer, person


class Wall:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def issued(issuer: Issuer, name: str = "mira") -> dict[str, Any]:
    who = person(name)
    assert who is not None
    return issuer.issue(name, who)


def claims(issuer: Issuer, token: str) -> dict[str, Any]:
    key = jwt.PyJWKSet.from_dict(issuer.keys()).keys[0]
    quiet = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
    return jwt.decode(token, key, ["RS256"], audience=AUDIENCE, issuer=ISSUER, options=quiet)


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer(Wall())


def test_tokens_end_when_they_should_and_name_the_key(issuer: Issuer) -> None:
    tokens = issued(issuer)
    access, refresh = [claims(issuer, tokens[name]) for name in ("access_token", "refresh_token")]
    assert (access["iat"], access["exp"]) == (Wall.now, Wall.now + ACCESS_SECONDS)
    assert refresh["exp"] == Wall.now + REFRESH_SECONDS
    assert access["jti"] != refresh["jti"]
    (key,) = jwt.PyJWKSet.from_dict(issuer.keys()).keys
    assert jwt.get_unverified_header(tokens["access_token"])["kid"] == key.key_id


def test_a_refresh_token_gives_new_tokens_until_it_ends() -> None:
    wall = Wall()
    issuer = Issuer(wall)
    first = issued(issuer, "dr.lee")
    wall.now += REFRESH_SECONDS - 1
    second = issuer.refreshed(first["refresh_token"])
    assert second is not None
    fresh = claims(issuer, str(second["access_token"]))
    assert (fresh["sub"], fresh["patients"], fresh["iat"]) == ("t-1", ["1"], wall.now)
    wall.now += 1
    assert issuer.refreshed(first["refresh_token"]) is None
    assert issuer.refreshed(second["refresh_token"]) is not None


def test_only_its_own_refresh_tokens_are_taken_back(issuer: Issuer) -> None:
    stranger = issued(Issuer(Wall()))["refresh_token"]
    for token in (stranger, issued(issuer)["access_token"], "", "a.b.c", None, 5, ["x"]):
        assert issuer.refreshed(token) is None


def test_the_private_part_of_the_key_is_not_told(issuer: Issuer) -> None:
    (key,) = issuer.keys()["keys"]  # type: ignore[attr-defined]
    assert set(key) == {"kty", "n", "e", "key_ops", "kid", "alg", "use"}


@given(st.text(max_size=80))
def test_whoever_signs_in_has_an_id_of_their_own_that_the_gateway_takes(name: str) -> None:
    who = person(name)
    if who is not None:
        assert USER.fullmatch(who.id)
        others = {each.id for known, each in PEOPLE.items() if known != name}
        assert who.id not in others
