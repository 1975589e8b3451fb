"""`ttagw explain`: what becomes of a request, and why."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.cli.explained import ISSUER, OTHER, SECRET, STRANGER, TEXT, Place, token
from ttagw.auth import keyfile
from ttagw.auth.argon2 import hashed

OWN = "GET /api/v1/players/7"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# Let through


def test_a_person_at_their_own_door(place: Place) -> None:
    found = place.explain(f"{OWN}/games?page=2", "--token", token())
    assert found.status == 0
    assert found.last == "forwarded to player-experience /v1/players/7/games"
    assert found.row("route", "answers") == ("player", "")
    assert found.rows("route", "why") == [
        ("player", "answers"),
        ("all-players", "passed over: player is more specific"),
    ]
    assert found.row("route", "param") == ("player = 7", "")
    assert found.row("token", "issuer") == (ISSUER, "auth.issuers[0]")
    assert found.row("token", "algorithm") == ("ES256", "of ES256")
    assert found.row("token", "key") == ("k1", "jwks_file: among k1")
    assert found.row("token", "signature") == ("good", "")
    assert found.row("token", "audience") == ("tta", "one of tta is expected")
    assert found.row("token", "verdict")[0] == "accepted"
    assert found.row("identity", "user") == ("7", "by token")
    assert found.row("identity", "role") == ("patient", 'role = "player" by role_map')
    assert ("create_character", "by the role patient") in found.rows("identity", "permission")
    assert found.met() == {"auth": True, "owner": True, "dry run": None}
    assert found.row("requirement", "owner") == ("{player} = 7", "the caller is that person")
    assert found.row("service gets", "x-user-id") == ("7", "")
    assert found.row("service gets", "x-user-role") == ("patient", "")
    assert found.row("service gets", "x-set") == ("ours", "")
    assert found.row("service", "path") == ("/v1/players/7/games", "by rewrite /v1/players/{player}/*")
    assert found.row("service", "query") == ("1 parameter", "as sent, without a token")
    assert found.row("service", "timeout") == ("90s", "for the whole exchange")


def test_what_else_a_service_gets(place: Place) -> None:
    place.more = '[auth.upstream]\nsecret_file = "secret"\n'
    place.write()
    found = place.explain("GET /sessions", "--token", token(session_id="s-1"))
    assert found.row("identity", "session") == ("s-1", "")
    assert found.row("service gets", "x-therapeutic-session-id") == ("s-1", "")
    assert found.row("service gets", "x-tta-assertion") == ("a new one", "signed with auth.upstream.secret_file")


def test_roles_may_be_several(place: Place) -> None:
    found = place.explain("GET /sessions", "--token", token(role=None, roles=["player"]))
    assert found.row("identity", "role") == ("patient", 'roles = "player" by role_map')


def test_times_are_times_of_a_calendar(place: Place) -> None:
    found = place.explain(OWN, "--token", token(exp=4102444800, nbf=1000000000))
    assert found.row("token", "expires")[0] == "2100-01-01T00:00:00Z"
    assert found.row("token", "expires")[1].endswith(" d; leeway 30 s")
    assert found.row("token", "not before")[0] == "2001-09-09T01:46:40Z"
    assert " ago; leeway 30 s" in found.row("token", "not before")[1]
    assert found.row("token", "issued")[0].endswith("Z")


def test_somebody_who_cares_for_that_person(place: Place) -> None:
    found = place.explain(OWN, "--token", token(sub="t-1", role="clinician", patients=["7", "9"]))
    assert found.status == 0
    assert found.row("requirement", "owner") == ("{player} = 7", "the caller cares for them, by the token")
    assert found.row("identity", "cares for") == ("2 people", "by the token")


def test_a_route_for_everybody_looks_at_no_token(place: Place) -> None:
    found = place.explain("POST /api/v1/worlds", "--token", token())
    assert (found.status, found.last) == (0, "forwarded to player-experience /api/v1/worlds")
    assert found.row("token", "form") == ("not looked at", 'the route has auth = "none"')
    assert found.row("identity", "user") == ("nobody", "")


def test_optional_is_met_by_nobody_and_by_somebody(place: Place) -> None:
    assert place.explain("GET /sessions").met() == {"auth": True, "dry run": None}
    found = place.explain("GET /sessions", "--token", token())
    assert found.row("service gets", "x-user-id") == ("7", "")


def test_a_split_says_who_this_caller_gets(place: Place) -> None:
    ends = {place.explain("GET /sessions", "--token", token(sub=str(who))).last for who in range(20)}
    assert ends == {"forwarded to core-gameplay /sessions", "forwarded to player-experience /sessions"}
    found = place.explain("GET /sessions")
    assert found.row("service", "name")[1] == "of core-gameplay=5 player-experience=5"


def test_a_dry_run_lets_through_and_says_what_it_would_do(place: Place) -> None:
    found = place.explain("GET /tried", "--token", token())
    assert found.status == 0
    assert found.last == "forwarded to player-experience /tried (dry run: without it, refused: role_missing)"
    assert found.row("requirement", "dry run") == ("on", "would be refused: role_missing")
    assert found.met() == {"auth": True, "roles": False, "dry run": None}
    stranger = place.explain("GET /tried", "--token", token(STRANGER))
    assert stranger.status == 0
    assert stranger.row("token", "verdict")[0] == "not accepted"
    assert place.explain("GET /tried", "--token", token(role="admin")).row("requirement", "dry run") == (
        "on",
        "would be let through as well",
    )


# Refused


def test_nobody_is_asking(place: Place) -> None:
    found = place.explain(OWN)
    assert (found.status, found.last) == (1, "401 credentials_required: credentials_required")
    assert found.row("token", "form") == ("none was sent", "")
    assert found.met() == {"auth": False, "owner": False, "dry run": None}


def test_a_token_whose_time_is_over(place: Place) -> None:
    found = place.explain(OWN, "--token", token(exp=int(time.time()) - 3600))
    assert found.status == 1
    assert found.last.startswith("401 token_expired: ")
    assert found.row("token", "signature") == ("good", "")
    assert found.row("token", "expires")[1] == "60 min ago; leeway 30 s"
    assert found.row("token", "verdict")[0] == "not accepted"
    assert found.document["outcome"]["code"] == "token_expired"


@pytest.mark.parametrize(
    ("made", "rows"),
    [
        (token(STRANGER), {"key": ("k1", "jwks_file: among k1"), "signature": ("see the verdict", "")}),
        (token(iss="https://nobody.example"), {"issuer": ("https://nobody.example", f"not one of {ISSUER}, {OTHER}")}),
        (token(iss=None), {"issuer": ("none", f"not one of {ISSUER}, {OTHER}")}),
        (token(SECRET, algorithm="HS256"), {"algorithm": ("HS256", "of ES256")}),
        (token(aud="others"), {"audience": ("others", "one of tta is expected")}),
        (token(sub=None), {"subject": ("none", "")}),
        (token(exp=None), {"expires": ("none", "")}),
        ("a.b", {"form": ("not a JSON Web Token", "expected 3 parts with a dot between them, got 2")}),
        ("a.!.c", {"form": ("not a JSON Web Token", "a part of it is not base64url")}),
        ("e30.bm90IGpzb24.c", {"form": ("not a JSON Web Token", "a part of it is not a JSON object")}),
        ("e30.MQ.c", {"form": ("not a JSON Web Token", "a part of it is not a JSON object")}),
        ("e30." + "W1" * 40_000 + ".c", {"form": ("not a JSON Web Token", "more than 65536 bytes")}),
    ],
    ids=[
        "key",
        "issuer",
        "no_iss",
        "algorithm",
        "audience",
        "no_sub",
        "no_exp",
        "parts",
        "coding",
        "json",
        "object",
        "long",
    ],
)
def test_a_token_that_is_refused(place: Place, made: str, rows: dict[str, tuple[str, str]]) -> None:
    found = place.explain(OWN, "--token", made)
    assert found.status == 1
    assert found.document["outcome"]["status"] == 401
    assert found.row("token", "verdict") == ("not accepted", found.document["outcome"]["reason"])
    assert {name: found.row("token", name) for name in rows} == rows


def test_what_a_role_lacks(place: Place) -> None:
    found = place.explain("GET /clinic", "--token", token())
    assert (found.status, found.last) == (1, "403 access_refused: role_missing; missing: role: admin or therapist")
    assert found.met() == {"auth": True, "roles": False, "permissions": False, "mfa": False, "dry run": None}
    assert found.row("requirement", "permissions") == (
        "all of export, view_patient_progress",
        "without export, view_patient_progress",
    )


def test_each_lack_has_its_turn(place: Place) -> None:
    found = place.explain("GET /clinic", "--token", token(role="clinician"))
    assert found.last == "403 access_refused: permission_missing; missing: permissions: export, view_patient_progress"
    assert found.row("requirement", "permissions")[1] == "without export"
    found = place.explain("GET /clinic", "--token", token(role="clinician", permissions=["export"]))
    assert found.last == "403 access_refused: mfa_missing; missing: mfa"
    assert ("export", "by the claim permissions") in found.rows("identity", "permission")
    found = place.explain("GET /clinic", "--token", token(role="clinician", permissions=["export"], mfa_verified=True))
    assert found.last == "forwarded to core-gameplay /clinic"
    assert found.row("identity", "second factor") == ("verified", "")


def test_somebody_else_is_at_the_door(place: Place) -> None:
    found = place.explain("GET /api/v1/players/9", "--token", token())
    assert (found.status, found.last) == (1, "403 access_refused: owner_only; missing: care relationship")
    assert found.row("requirement", "owner") == (
        "{player} = 9",
        "neither that person nor known by the token to care for them; none of their roles may break the glass",
    )


def test_what_only_the_running_gateway_finds_out_is_said(place: Place) -> None:
    therapist = token(sub="t-1", role="clinician")
    found = place.explain("GET /api/v1/players/9", "--token", therapist)
    refused = "403 access_refused: owner_only; missing: care relationship"
    glass = "the glass is broken with X-Break-Glass-Reason"
    assert (found.status, found.last) == (1, f"{refused}; unless {glass}")
    assert found.row("requirement", "owner")[1] == (
        "neither that person nor known by the token to care for them; as therapist they may break the glass"
    )
    place.more = '[auth.care]\nservice = "core-gameplay"\n'
    place.write()
    care = "core-gameplay says that they care for that person"
    found = place.explain("GET /api/v1/players/9", "--token", therapist)
    assert (found.status, found.last) == (1, f"{refused}; unless {care}, or {glass}")
    assert found.document["outcome"]["unless"] == [care, glass]
    assert place.explain("GET /api/v1/players/9", "--token", token()).last == f"{refused}; unless {care}"
    assert "unless" not in place.explain("GET /clinic", "--token", token()).last


def test_a_safe_response_may_stand_in_for_an_error(place: Place) -> None:
    place.keys = 'jwks_url = "http://127.0.0.1:1/keys"'
    place.write()
    found = place.explain("GET /clinic", "--token", token(), "--offline")
    assert found.last == "503 identity_unknown: keys_unavailable; the safe response help stands in for it"


def test_a_role_that_nobody_here_has_is_a_guest(place: Place) -> None:
    found = place.explain("GET /sessions", "--token", token(role="wizard"))
    assert found.row("identity", "role") == ("guest", 'role = "wizard", which is no role here')
    found = place.explain("GET /sessions", "--token", token(role=None))
    assert found.row("identity", "role") == ("guest", "the claim role names no role")


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        ("GET /", "404 route_not_found: route_not_found"),
        ("POST /sessions/7", "404 route_not_found: route_not_found"),
        ("GET /a//b", "400 bad_target: empty_segment"),
        ("TRACE /sessions", "405 method_not_allowed: never_offered"),
        ("OPTIONS *", "204: OPTIONS * is about the server as a whole"),
    ],
)
def test_what_no_route_answers(place: Place, request_: str, line: str) -> None:
    found = place.explain(request_, "--token", token())
    assert (found.status, found.last) == (1, line)
    assert found.row("token", "form") == ("not looked at", "no route answers")


def test_another_method_would_be_answered(place: Place) -> None:
    place.write(TEXT.replace('path = "/sessions"', 'path = "/sessions"\nmethods = ["PUT"]'))
    found = place.explain("GET /sessions")
    assert found.last.startswith("405 method_not_allowed")
    assert found.rows("route", "why") == [("sessions", "passed over: only for PUT")]


def test_two_credentials_are_one_too_many(place: Place) -> None:
    found = place.explain(OWN, "--token", token(), "--header", f"X-API-Key: {place.api_key}")
    assert found.last == "400 credentials_unclear: credentials_twice"
    assert found.row("token", "form") == ("2 credentials", "one is expected")


def test_a_scheme_that_is_not_ours(place: Place) -> None:
    found = place.explain(OWN, "--header", "Authorization: Basic dXNlcjpwYXNzd29yZA==")
    assert found.last.startswith("401 credentials_required: ")
    assert found.row("token", "form")[0] == "nothing that is verified here"
    assert "dXNlcjpwYXNzd29yZA==" not in found.text


# API keys


def test_the_key_of_a_program(place: Place) -> None:
    found = place.explain("GET /sessions", "--token", place.api_key)
    assert found.status == 0
    assert found.row("token", "form") == ("a key of this gateway", "")
    assert found.row("token", "name") == ("nightly", "")
    assert found.row("token", "file") == ("has this name", str(place.folder / "keys.toml"))
    assert found.row("token", "roles") == ("service", "")
    assert found.row("token", "permissions") == ("export, register:a", "")
    assert found.row("token", "expires") == ("never", "")
    assert found.row("token", "verdict")[0] == "accepted"
    assert found.row("identity", "user") == ("nightly", "by key")
    assert found.row("identity", "role") == ("service", "by the file of keys")
    assert ("export", "by the file of keys") in found.rows("identity", "permission")


def test_a_key_as_a_field_of_its_own(place: Place) -> None:
    found = place.explain("GET /sessions", "--header", f"X-API-Key: {place.api_key}")
    assert (found.status, found.row("token", "name")[0]) == (0, "nightly")


def test_a_key_that_is_not_known(place: Place) -> None:
    found = place.explain("GET /sessions", "--token", keyfile.new_key("nightly", b"m" * 32))
    assert (found.status, found.last) == (1, "401 credentials_refused: key_unknown")
    assert found.row("token", "file")[0] == "has this name"
    found = place.explain("GET /sessions", "--token", keyfile.new_key("daily", b"m" * 32))
    assert (found.status, found.last) == (1, "401 credentials_refused: key_unknown")
    assert found.row("token", "file")[0] == "does not have this name"


def test_a_key_whose_time_is_over(place: Place) -> None:
    old = keyfile.new_key("old", b"o" * 32)
    keyfile.add(place.folder / "keys.toml", "old", hashed(old.encode()), (), ())
    with (place.folder / "keys.toml").open("a") as end:
        end.write("expires = 2025-01-01T00:00:00Z\n")
    found = place.explain("GET /sessions", "--token", old)
    assert (found.status, found.last) == (1, "401 credentials_refused: key_expired")
    assert found.row("token", "expires") == ("2025-01-01T00:00:00+00:00", "")


def test_without_a_file_no_key_is_good(place: Place) -> None:
    place.file.write_text(place.file.read_text().replace('file = "keys.toml"', 'file = ""'))
    found = place.explain("GET /sessions", "--token", place.api_key)
    assert found.last == "401 credentials_refused: no_keys"
    assert found.row("token", "file") == ("none", "auth.api_keys.file is not set")
