"""The demo services as processes, asked over HTTP."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from tests.demo.conftest import announced, ask_port
from ttagw.demo.issuer import ALGORITHM, AUDIENCE, ISSUER
from ttagw.demo.processes import Child, Family
from ttagw.demo.services import SERVICES
from ttagw.demo.story import LINES

Ask = Callable[..., Any]
Service = Callable[[str], Ask]


def claims(ask: Ask, token: str) -> dict[str, Any]:
    """What a token says, checked with the keys that the service publishes."""
    keys = jwt.PyJWKSet.from_dict(ask("GET", "/.well-known/jwks.json").json)
    key = keys[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, [ALGORITHM], audience=AUDIENCE, issuer=ISSUER)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_healthy_and_names_itself(service: Service, name: str) -> None:
    ask = service(name)
    assert ask("GET", "/health").json["service"] == name
    assert ask("GET", "/").json["service"] == name


def test_a_service_tells_what_it_has_seen_but_no_credentials(service: Service) -> None:
    headers = {"X-Request-ID": "r-1", "Forwarded": "for=192.0.2.1", "Authorization": "Bearer abc", "Cookie": "a=b"}
    seen = service("player-experience")("GET", "/api/v1/players/1?x=%20y", headers=headers).json["seen"]
    assert (seen["method"], seen["path"], seen["query"]) == ("GET", "/api/v1/players/1", "x=%20y")
    shown = {name.lower(): value for name, value in seen["headers"].items()}
    assert (shown["x-request-id"], shown["forwarded"]) == ("r-1", "for=192.0.2.1")
    assert (shown["authorization"], shown["cookie"]) == ("(hidden)", "(hidden)")


def test_refusals_are_json(service: Service) -> None:
    ask = service("player-experience")
    missing = ask("GET", "/no/such/place")
    assert (missing.status, missing.json["error"]) == (404, "not found")
    assert ask("GET", "/api/v1").status == 404
    wrong = ask("PUT", "/health", {})
    assert (wrong.status, wrong.headers["Allow"]) == (405, "GET, HEAD")
    bad = ask("POST", "/api/v1/players", b"{")
    assert (bad.status, bad.json["error"]) == (400, "the body is not JSON")
    assert ask("POST", "/api/v1/players", [1]).json["error"] == "the body is not a JSON object"


def test_a_head_has_the_length_of_the_get(service: Service) -> None:
    ask = service("agent-orchestration")
    assert ask("HEAD", "/api/v1/agents").body == b""
    assert ask("HEAD", "/api/v1/workflows").headers["Content-Type"] == "application/json"


def test_login_gives_two_cookies_and_tokens_that_refresh_takes(service: Service) -> None:
    ask = service("authentication")
    login = ask("POST", "/auth/v1/login", {"username": "mira"})
    assert len(login.headers.get_all("Set-Cookie") or []) == 2
    fresh = ask("POST", "/auth/v1/refresh", {"refresh_token": login.json["refresh_token"]})
    assert (fresh.status, claims(ask, fresh.json["access_token"])["sub"]) == (200, "1")
    for wrong in ("stolen", login.json["access_token"], None, 5):
        assert ask("POST", "/auth/v1/refresh", {"refresh_token": wrong}).status == 401
    farewell = ask("POST", "/auth/v1/logout")
    assert all("Max-Age=0" in cookie for cookie in farewell.headers.get_all("Set-Cookie") or [""])
    assert [ask(method, "/auth/v1/login").status for method in ("GET", "HEAD")] == [405, 405]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mira", {"sub": "1", "role": "player", "mfa_verified": False, "patients": []}),
        ("dr.lee", {"sub": "t-1", "role": "clinician", "mfa_verified": True, "patients": ["1"]}),
        ("ada", {"sub": "a-1", "role": "admin", "mfa_verified": True, "patients": []}),
        ("1", {"sub": "u-1", "role": "player", "mfa_verified": False, "patients": []}),
    ],
)
def test_the_access_token_is_real_and_says_who_it_is(service: Service, name: str, expected: dict[str, Any]) -> None:
    ask = service("authentication")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for answer in (
        ask("POST", "/auth/v1/login", {"username": name}),
        ask("POST", "/auth/v1/login", f"username={name}".encode(), form),
    ):
        told = claims(ask, answer.json["access_token"])
        assert {claim: told[claim] for claim in expected} == expected
        assert (told["exp"] - told["iat"], "type" in told) == (30 * 60, False)
        later = claims(ask, answer.json["refresh_token"])
        assert (later["exp"] - later["iat"], later["type"], "role" in later) == (7 * 86400, "refresh", False)


@pytest.mark.parametrize("body", [{}, {"username": ""}, {"username": "a b"}, {"username": 5}, {"username": "x" * 65}])
def test_what_cannot_be_a_name_gets_no_token(service: Service, body: dict[str, Any]) -> None:
    assert service("authentication")("POST", "/auth/v1/login", body).status == 400


def test_the_story_comes_in_chunks_and_whole(service: Service) -> None:
    story = service("core-gameplay")("GET", "/gameplay/v1/story")
    assert story.headers["Transfer-Encoding"] == "chunked"
    assert story.body.decode().splitlines() == list(LINES)


@pytest.mark.parametrize(
    "path", ["/gameplay/v1/sessions/1", "/gameplay/v1/progress/1", "/gameplay/v1/therapeutic/exercises/1"]
)
def test_gameplay_has_its_collections(service: Service, path: str) -> None:
    assert service("core-gameplay")("GET", path).json["id"] == "1"


def test_a_busy_port_is_one_line_and_an_exit(family: Family) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        child = family.start("late", [sys.executable, "-m", "ttagw.demo.services", "authentication", port])
        assert child.process.wait(20) == 1
    assert f"authentication cannot listen on port {port}" in child.tail()[-1]


def test_a_busy_port_is_no_matter_where_any_will_do(family: Family) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "ttagw.demo.services", "authentication", str(port), "--or-any"]
        child = family.start("late", command)
        found = family.wait_until(child, lambda: announced(child.log), 20)["port"]
        assert found != port
        assert ask_port(found, "GET", "/health").status == 200


WATCHED = """
from twisted.internet import reactor
from ttagw.demo.services import main
reactor.addSystemEventTrigger("during", "startup", print, "the reactor starts", flush=True)
main()
"""


def test_it_says_that_it_listens_once_it_takes_signals(family: Family) -> None:
    child = family.start("watched", [sys.executable, "-c", WATCHED, "authentication", "0"])
    family.wait_until(child, lambda: announced(child.log), 20)
    assert "the reactor starts\n{" in child.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_service_without_a_traceback(
    running: Callable[[str], tuple[Child, Ask]], number: signal.Signals
) -> None:
    child, _ = running("authentication")
    child.process.send_signal(number)
    assert child.process.wait(20) == 0
    assert "Traceback" not in child.log.read_text()
