from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, globalLogPublisher

from tests.admin.served import KEYS, Answer, MemoryDirectory, MemoryKeys, serving
from tests.twisted_hygiene import Failures, reactor, until
from ttagw.admin import answers
from ttagw.auth.argon2 import hashed
from ttagw.auth.keyfile import add, new_key
from ttagw.auth.keys import keys_from
from ttagw.config.services import Health
from ttagw.errors import CheckingBusyError
from ttagw.registry.records import LEASE, Origin, Record
from ttagw.testing import Clock

URL = {"url": "http://10.0.0.7:8080"}
PLACE = "/services/players/instances/p-1"


def problem(answer: Answer) -> tuple[int, str]:
    """Status and code of a problem document, which has the form of all of them."""
    document = answer.json
    assert answer.fields["content-type"] == "application/problem+json"
    assert answer.fields["cache-control"] == "no-store"
    assert "server" not in answer.fields
    assert document["type"].endswith(f"/errors#{document['code']}")
    assert document["status"] == answer.status
    assert document["request_id"] == answer.fields["x-request-id"]
    assert document["title"]
    assert document["detail"].endswith(".")
    return answer.status, document["code"]


# Reading


@pytest_twisted.ensureDeferred
async def test_everybody_who_gets_here_may_look() -> None:
    directory = MemoryDirectory("players", "worlds")
    directory.records["players"]["p-1"] = Record("players", "p-1", URL["url"])
    async with serving(directory) as admin:
        instance = {"id": "p-1", **URL}
        players = {"name": "players", "instances": [instance]}
        both = {"services": [players, {"name": "worlds", "instances": []}]}
        for path, document in {
            "/services": both,
            "/services/players": players,
            "/services/players/instances": {"instances": [instance]},
            PLACE: instance,
        }.items():
            answer = await admin.ask("GET", path)
            assert (answer.status, answer.json) == (200, document)
            assert answer.fields["content-type"] == "application/json"
            head = await admin.ask("HEAD", path)
            assert (head.status, head.body) == (200, b"")
            assert head.fields["content-length"] == answer.fields["content-length"]


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", "/services/nobody", (404, "service_not_found")),
        ("GET", "/services/nobody/instances", (404, "service_not_found")),
        ("GET", "/services/nobody/instances/x", (404, "service_not_found")),
        ("GET", "/services/players/instances/x", (404, "instance_not_found")),
        ("GET", "/services/players/other", (404, "route_not_found")),
        ("GET", "/services/players/instances/x/other", (404, "route_not_found")),
        ("GET", "/services/", (404, "route_not_found")),
        ("GET", "/services/players/instances/", (404, "route_not_found")),
        ("GET", "/services/a%20b", (404, "route_not_found")),
        ("GET", "/", (404, "route_not_found")),
        ("PUT", "/other", (404, "route_not_found")),
        ("GET", "/events", (404, "route_not_found")),
        ("POST", "/services", (405, "method_not_allowed")),
        ("BREW", "/services/players", (405, "method_not_allowed")),
        ("GET", f"{PLACE}/heartbeat", (405, "method_not_allowed")),
        ("POST", "/health/live", (405, "method_not_allowed")),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_not_there_is_a_problem_document(method: str, path: str, found: tuple[int, str]) -> None:
    async with serving(MemoryDirectory("players")) as admin:
        answer = await admin.ask(method, path)
        assert problem(answer) == found
        assert ("allow" in answer.fields) == (found[0] == 405)


# Registering


@pytest_twisted.ensureDeferred
async def test_an_instance_comes_stays_and_goes() -> None:
    directory = MemoryDirectory("players")
    async with serving(directory, MemoryKeys(**KEYS)) as admin:
        answer = await admin.ask("PUT", PLACE, URL, key="players")
        assert (answer.status, answer.json) == (201, {"service": "players", "id": "p-1", "lease": LEASE})
        assert directory.records["players"]["p-1"] == Record(
            "players", "p-1", URL["url"], origin=Origin.SELF, ttl=LEASE
        )
        again = await admin.ask("PUT", PLACE, {**URL, "ttl": 30}, key="players")
        assert (again.status, again.json["lease"]) == (200, 30.0)
        beat = await admin.ask("POST", f"{PLACE}/heartbeat", key="players")
        assert (beat.status, beat.json) == (200, {"lease": 30.0})
        gone = await admin.ask("DELETE", PLACE, key="players")
        assert (gone.status, gone.json) == (202, {"service": "players", "id": "p-1"})
        assert problem(await admin.ask("POST", f"{PLACE}/heartbeat", key="players")) == (404, "instance_not_found")
        assert problem(await admin.ask("DELETE", PLACE, key="players")) == (404, "instance_not_found")


@pytest_twisted.ensureDeferred
async def test_all_that_an_instance_can_say_about_itself() -> None:
    directory = MemoryDirectory("players")
    document = {
        "url": "https://10.0.0.7",
        "weight": 5,
        "zone": "b",
        "tags": ["canary", "gpu=1"],
        "version": "1.2.3+4",
        "ttl": "1m",
        "health": {"type": "http", "path": "/up", "interval": "5s", "timeout": "1s", "expect": [200, 204]},
        "dependencies": ["worlds"],
    }
    async with serving(directory, MemoryKeys(**KEYS)) as admin:
        assert (await admin.ask("PUT", "/services/players/instances/a:1", document, key="players")).status == 201
    assert directory.records["players"]["a:1"] == Record(
        "players",
        "a:1",
        "https://10.0.0.7",
        weight=5,
        zone="b",
        tags=("canary", "gpu=1"),
        version="1.2.3+4",
        dependencies=("worlds",),
        health=Health(path="/up", interval=5.0, timeout=1.0, expect=(200, 204)),
        origin=Origin.SELF,
        ttl=60.0,
    )


@pytest_twisted.ensureDeferred
async def test_everything_that_is_wrong_is_said_at_once() -> None:
    document = {
        "url": "http://user:pw@h",
        "weight": 0,
        "zone": 5,
        "ttl": "2h",
        "colour": "red",
        "health": {"interval": 5, "kind": "http"},
        "tags": ["a b"],
    }
    async with serving(MemoryDirectory("players"), MemoryKeys(**KEYS)) as admin:
        answer = await admin.ask("PUT", PLACE, document, key="players")
    assert problem(answer) == (400, "invalid_document")
    assert answer.json["errors"] == [
        {"field": "url", "message": "expected an address without a user and password"},
        {"field": "weight", "message": "expected a number of 1 or more, got 0"},
        {"field": "zone", "message": "expected a string, got 5"},
        {"field": "tags[0]", "message": 'expected a label such as canary, got "a b"'},
        {"field": "ttl", "message": 'expected a lease of "1s" to "1h", got "2h"'},
        {"field": "health.interval", "message": 'expected a duration such as "500ms", "10s", "15m" or "1h", got 5'},
        {"field": "health.kind", "message": "there is no such field"},
        {"field": "colour", "message": "there is no such field"},
    ]


@pytest.mark.parametrize("name", ["a%20b", "-a", "a%2Fb", "x" * 129, "%C3%A9"])
@pytest_twisted.ensureDeferred
async def test_an_id_has_a_form(name: str) -> None:
    async with serving(MemoryDirectory("players"), MemoryKeys(**KEYS)) as admin:
        answer = await admin.ask("PUT", f"/services/players/instances/{name}", URL, key="players")
    assert problem(answer) == (400, "invalid_document")
    assert [each["field"] for each in answer.json["errors"]] == ["id"]


@pytest.mark.parametrize(
    "fields",
    [
        {"content-type": "text/plain"},
        {"content-type": ""},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-encoding": "gzip"},
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_document_says_that_it_is_json(fields: dict[str, str]) -> None:
    async with serving(MemoryDirectory("players"), MemoryKeys(**KEYS)) as admin:
        answer = await admin.ask("PUT", PLACE, URL, key="players", fields=fields)
        assert problem(answer) == (415, "unsupported_media_type")
        named = {"content-type": "Application/JSON; charset=utf-8"}
        assert (await admin.ask("PUT", PLACE, URL, key="players", fields=named)).status == 201


@pytest_twisted.ensureDeferred
async def test_what_the_directory_refuses_is_said() -> None:
    directory = MemoryDirectory("players")
    async with serving(directory, MemoryKeys(**KEYS)) as admin:
        assert (await admin.ask("PUT", PLACE, URL, key="players")).status == 201
        other = await admin.ask("PUT", "/services/players/instances/p-2", URL, key="players")
        assert problem(other) == (409, "instance_conflict")
        none = await admin.ask("PUT", "/services/nobody/instances/p-2", URL, key="admin")
        assert problem(none) == (404, "service_not_found")


@pytest_twisted.ensureDeferred
async def test_a_failure_inside_says_nothing_of_the_inside(failures: Failures) -> None:
    directory = MemoryDirectory("players")
    directory.fails = ValueError("secret")
    async with serving(directory, MemoryKeys(**KEYS)) as admin:
        answer = await admin.ask("PUT", PLACE, URL, key="players")
    assert problem(answer) == (500, "internal_error")
    assert b"secret" not in answer.body
    assert len(failures.take(ValueError)) == 1


@pytest_twisted.ensureDeferred
async def test_what_takes_too_long_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "DEADLINE", 0.02)
    cancelled: list[Any] = []
    directory = MemoryDirectory("players")
    directory.waits = Deferred(cancelled.append)
    async with serving(directory, MemoryKeys(**KEYS)) as admin:
        answer = await admin.ask("PUT", PLACE, URL, key="players")
    assert problem(answer) == (503, "not_in_time")
    assert answer.fields["retry-after"] == "5"
    assert len(cancelled) == 1


@pytest_twisted.ensureDeferred
async def test_a_client_that_leaves_cancels_its_work() -> None:
    cancelled: list[Any] = []
    directory = MemoryDirectory("players")
    directory.waits = Deferred(cancelled.append)
    async with serving(directory, MemoryKeys(**KEYS)) as admin:
        raw = admin.open(f"DELETE {PLACE} HTTP/1.1\r\nHost: a\r\nX-API-Key: players\r\n\r\n".encode())
        await until(lambda: directory.asked)
        raw.socket.close()
        await until(lambda: cancelled)


@pytest_twisted.ensureDeferred
async def test_what_fails_when_the_client_has_left_is_logged(failures: Failures) -> None:
    def stubborn(waiting: Deferred[None]) -> None:
        waiting.errback(ValueError())

    directory = MemoryDirectory("players")
    directory.waits = Deferred(stubborn)
    async with serving(directory, MemoryKeys(**KEYS)) as admin:
        raw = admin.open(f"DELETE {PLACE} HTTP/1.1\r\nHost: a\r\nX-API-Key: players\r\n\r\n".encode())
        await until(lambda: directory.asked)
        raw.socket.close()
        await until(lambda: not admin.site.channels)
    assert len(failures.take(ValueError)) == 1


# Who may


@pytest.mark.parametrize(
    ("key", "status"), [("players", 201), ("deploy", 201), ("admin", 201), ("named", 403), ("nobody", 401), (None, 401)]
)
@pytest_twisted.ensureDeferred
async def test_who_may_register(key: str | None, status: int) -> None:
    directory = MemoryDirectory("players", "worlds")
    async with serving(directory, MemoryKeys(**KEYS)) as admin:
        assert (await admin.ask("PUT", PLACE, URL, key=key)).status == status
        assert bool(directory.records["players"]) == (status == 201)
        if key in ("players", "deploy"):
            other = "/services/worlds/instances/w"
            for method, path in (("PUT", other), ("DELETE", other), ("POST", f"{other}/heartbeat")):
                answer = await admin.ask(method, path, URL, key=key)
                assert problem(answer) == (403, "not_allowed")
                assert "register:SERVICE" in answer.json["detail"]


@pytest.mark.parametrize("path", ["/services/players/breaker", f"{PLACE}/breaker"])
@pytest_twisted.ensureDeferred
async def test_breakers_are_for_admins(path: str) -> None:
    directory = MemoryDirectory("players")
    directory.records["players"]["p-1"] = Record("players", "p-1", URL["url"])
    instance = "p-1" if path.startswith(PLACE) else None
    async with serving(directory, MemoryKeys(**KEYS)) as admin:
        for key in ("players", "deploy"):
            assert problem(await admin.ask("PUT", path, {"state": "auto"}, key=key)) == (403, "not_allowed")
        assert directory.forced == []
        for state in ("forced_open", "forced_closed", "auto"):
            answer = await admin.ask("PUT", path, {"state": state}, key="admin")
            assert (answer.status, answer.json) == (200, {"service": "players", "id": instance, "state": state})
        assert directory.forced == [("players", instance, state) for state in ("forced_open", "forced_closed", "auto")]
        wrong = await admin.ask("PUT", path, {"state": "open"}, key="admin")
        assert problem(wrong) == (400, "invalid_document")
        missing = await admin.ask("PUT", path.replace("players", "nobody"), {"state": "auto"}, key="admin")
        assert problem(missing) == (404, "service_not_found")


@pytest_twisted.ensureDeferred
async def test_who_has_changed_something_is_in_the_log() -> None:
    said: list[str] = []

    def hear(event: LogEvent) -> None:
        if event.get("log_namespace") == "ttagw.admin.services":
            said.append(str(event["log_format"]).format(**event))

    globalLogPublisher.addObserver(hear)
    try:
        async with serving(MemoryDirectory("players"), MemoryKeys(**KEYS)) as admin:
            await admin.ask("PUT", PLACE, URL, key="deploy")
            await admin.ask("PUT", PLACE, URL, key="players")
            await admin.ask("PUT", PLACE, URL, key="named")
            await admin.ask("PUT", "/services/players/breaker", {"state": "forced_open"}, key="admin")
            await admin.ask("DELETE", PLACE, key="players")
            await admin.ask("DELETE", PLACE, key="players")
    finally:
        globalLogPublisher.removeObserver(hear)
    assert [each.strip() for each in said] == [
        "deploy has registered players p-1",
        "ops has set to forced_open the breaker of players",
        "players has removed players p-1",
    ]


@pytest_twisted.ensureDeferred
async def test_nobody_may_without_a_file_of_keys() -> None:
    async with serving(MemoryDirectory("players")) as admin:
        answer = await admin.ask("PUT", PLACE, URL, key="admin")
        assert problem(answer) == (403, "not_allowed")
        assert "auth.api_keys.file is not set" in answer.json["detail"]


@pytest_twisted.ensureDeferred
async def test_the_two_places_of_a_key() -> None:
    async with serving(MemoryDirectory("players"), MemoryKeys(**KEYS)) as admin:
        none = await admin.ask("PUT", PLACE, URL)
        assert problem(none) == (401, "credentials_required")
        assert none.fields["www-authenticate"] == 'Bearer realm="tta"'
        wrong = await admin.ask("PUT", PLACE, URL, key="other")
        assert problem(wrong) == (401, "credentials_refused")
        assert wrong.fields["www-authenticate"] == 'Bearer realm="tta", error="invalid_token"'
        assert b"other" not in wrong.body
        basic = {"authorization": "Basic cGxheWVycw==", "x-api-key": "players"}
        assert problem(await admin.ask("PUT", PLACE, URL, fields=basic)) == (401, "credentials_required")
        assert (await admin.ask("PUT", PLACE, URL, fields={"x-api-key": "players"})).status == 201
        assert (await admin.ask("PUT", PLACE, URL, fields={"authorization": "bearer  players "})).status == 200


@pytest_twisted.ensureDeferred
async def test_an_address_has_twenty_guesses_a_minute() -> None:
    keys, clock = MemoryKeys(**KEYS), Clock()
    async with serving(MemoryDirectory("players"), keys, monotonic=clock) as admin:
        for _ in range(20):
            assert (await admin.ask("DELETE", PLACE, key="wrong")).status == 401
        answer = await admin.ask("DELETE", PLACE, key="wrong")
        assert problem(answer) == (429, "too_many_refusals")
        assert answer.fields["retry-after"] == "60"
        assert keys.checked == 20
        assert (await admin.ask("PUT", PLACE, URL, key="players")).status == 429
        keys.remembered.add(b"players")
        assert (await admin.ask("PUT", PLACE, URL, key="players")).status == 201
        clock.advance(60.0)
        assert (await admin.ask("PUT", PLACE, URL, key="admin")).status == 200


@pytest_twisted.ensureDeferred
async def test_keys_that_cannot_be_checked_now_come_again() -> None:
    keys = MemoryKeys(**KEYS)
    keys.fails = CheckingBusyError(retry_after=1)
    async with serving(MemoryDirectory("players"), keys) as admin:
        answer = await admin.ask("PUT", PLACE, URL, key="players")
    assert problem(answer) == (503, "checking_busy")
    assert answer.fields["retry-after"] == "1"


@pytest_twisted.ensureDeferred
async def test_with_a_real_key(tmp_path: Path) -> None:
    key = new_key("players", os.urandom(32))
    add(tmp_path / "k", "players", hashed(key.encode()), ("service",), ())
    async with serving(MemoryDirectory("players"), keys_from(reactor, str(tmp_path / "k"))) as admin:
        assert (await admin.ask("PUT", PLACE, URL, key=key)).status == 201
        assert (await admin.ask("POST", f"{PLACE}/heartbeat", key=key)).status == 200
        assert (await admin.ask("POST", f"{PLACE}/heartbeat", key=f"{key[:-2]}AA")).status == 401
