"""The demo services as processes, asked over HTTP."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.demo.conftest import announced
from ttagw.demo.login import REFRESH
from ttagw.demo.processes import Child, Family
from ttagw.demo.services import SERVICES
from ttagw.demo.story import LINES

Ask = Callable[..., Any]
Service = Callable[[str], Ask]


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
    assert "not-real" in login.json["access_token"]
    assert len(login.headers.get_all("Set-Cookie") or []) == 2
    assert ask("POST", "/auth/v1/refresh", {"refresh_token": REFRESH}).status == 200
    assert ask("POST", "/auth/v1/refresh", {"refresh_token": "stolen"}).status == 401
    farewell = ask("POST", "/auth/v1/logout")
    assert all("Max-Age=0" in cookie for cookie in farewell.headers.get_all("Set-Cookie") or [""])
    assert [ask(method, "/auth/v1/login").status for method in ("GET", "HEAD")] == [405, 405]


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
