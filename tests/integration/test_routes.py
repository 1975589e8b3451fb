"""Which route answers, what a service is asked then, and services behind TLS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.kit.certs import Authority
from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import Client, get, once, post
from tests.integration.kit.waiting import until

ROUTES = [
    route("/api/v1/players/*", name="players", methods=["GET", "POST"]),
    route("/api/v1/players/{id}/items/{item}", name="item", rewrite="/store/{item}/of/{id}", methods=["GET"]),
    route("/old/*", name="old", rewrite="/new/*"),
    route("/drop/{a}", name="drop", rewrite="/fixed"),
    route("/by-header", name="second", headers={"x-api-version": "2"}, rewrite="/two"),
    route("/by-header", name="first", rewrite="/one"),
    route("/host", name="named", hosts=["play.example"], rewrite="/named"),
    route("/host", name="wild", hosts=["*.example"], rewrite="/wild"),
    route("/host", name="any", rewrite="/any"),
    route("/split", name="split", split={"s": 50, "other": 50}),
]


@pytest.fixture(scope="module")
def other() -> Iterator[Origin]:
    with Origin() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(folder: Path, origin: Origin, other: Origin) -> Iterator[Gateway]:
    services = {"s": service(origin.port), "other": service(other.port)}
    with Gateway(folder, services, ROUTES) as running:
        yield running
        assert running.failures() == []


def told(gateway: Gateway, path: str, *fields: str, host: str = "h", source: str = "127.0.0.1") -> dict[str, Any]:
    """What the service was sent."""
    with Client(gateway.port, source=source) as client:
        answer = client.ask(get(path, *fields, host=host))
    assert answer.status == 200
    value: dict[str, Any] = json.loads(answer.body)
    return value


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/v1/players", "/api/v1/players"),
        ("/api/v1/players/", "/api/v1/players/"),
        ("/api/v1/players/7?a=%20b&&=", "/api/v1/players/7?a=%20b&&="),
        ("/api/v1/players/7/items/x%20y", "/store/x%20y/of/7"),
        ("/api/v1/players/%257/items/a;b", "/store/a;b/of/%257"),
        ("/old", "/new"),
        ("/old/", "/new/"),
        ("/old/a/b%2Cc?d=/../%2F", "/new/a/b%2Cc?d=/../%2F"),
        ("/drop/x?kept", "/fixed?kept"),
    ],
)
def test_rewrites_carry_params_and_query_byte_for_byte(gateway: Gateway, path: str, target: str) -> None:
    assert told(gateway, path)["target"] == target


def test_header_matches_pick_between_equal_paths(gateway: Gateway) -> None:
    assert told(gateway, "/by-header")["target"] == "/one"
    assert told(gateway, "/by-header", "X-API-Version: 2")["target"] == "/two"
    assert told(gateway, "/by-header", "X-API-Version: 3")["target"] == "/one"


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("play.example", "/named"),
        ("PLAY.example.:80", "/named"),
        ("www.example", "/wild"),
        ("a.b.example", "/any"),
        ("example", "/any"),
        ("[::1]:8000", "/any"),
    ],
)
def test_hosts_pick_the_route(gateway: Gateway, host: str, target: str) -> None:
    assert told(gateway, "/host", host=host)["target"] == target


def test_no_route_is_404(gateway: Gateway) -> None:
    answer = once(gateway.port, get("/nowhere/1234"))
    assert (answer.status, answer.reason, answer.value(b"connection")) == (404, b"route_not_found", b"")
    line = gateway.line(answer.id)
    assert (line["route"], line["path"]) == ("-", "-")


def test_another_method_is_405_with_allow(gateway: Gateway) -> None:
    answer = once(gateway.port, get("/api/v1/players/7", method="DELETE"))
    assert (answer.status, answer.reason) == (405, b"method_not_allowed")
    assert answer.value(b"allow") == b"GET, HEAD, POST"
    assert once(gateway.port, get("/api/v1/players/7", method="HEAD")).status == 200


def test_a_404_with_a_body_keeps_the_connection_in_step(gateway: Gateway) -> None:
    with Client(gateway.port) as client:
        for size in (10, 10000):
            answer = client.ask(post("/nowhere", b"x" * size))
            assert answer.status == 404
            if answer.value(b"connection") == b"close":
                break
            assert client.ask(get("/old")).status == 200


def test_a_split_is_sticky_and_uses_both(gateway: Gateway, origin: Origin, other: Origin) -> None:
    chosen = {}
    for number in range(1, 40):
        source = f"127.0.1.{number}"
        ports = {told(gateway, "/split", source=source)["port"] for _ in range(3)}
        assert len(ports) == 1
        chosen[source] = ports.pop()
    assert set(chosen.values()) == {origin.port, other.port}


# Services behind TLS


@pytest.fixture
def secure(authority: Authority) -> Iterator[Origin]:
    with Origin(authority.server_context("gameplay.internal", ask_client=True)) as running:
        yield running


def behind_tls(secure: Origin, authority: Authority, **changes: str) -> dict[str, Any]:
    """A service at https:// with a name and a client certificate."""
    cert, key = authority.issue("the-gateway.internal")
    settings = {"ca": authority.path, "cert": cert, "key": key, "server_name": "gameplay.internal", **changes}
    tls = {name: str(value) for name, value in settings.items() if value}
    return service(secure.port, scheme="https", tls=tls)


def test_a_service_proves_its_name_and_sees_our_certificate(
    tmp_path: Path, secure: Origin, authority: Authority
) -> None:
    with Gateway(tmp_path, {"s": behind_tls(secure, authority)}) as gateway, Client(gateway.port) as client:
        for size in (0, 100, 300000):
            answer = client.ask(post("/", b"x" * size))
            assert len(json.loads(answer.body)["body"]) == size
        assert len(secure.talks) == 1


@pytest.mark.parametrize("wrong", ["name", "authority", "no certificate", "plain"])
def test_a_service_that_cannot_be_verified_is_sent_nothing(
    tmp_path: Path, secure: Origin, authority: Authority, service_here: Origin, wrong: str
) -> None:
    changes = {
        "name": {"server_name": "other.internal"},
        "authority": {"ca": str(Authority(tmp_path, "stranger").path)},
        "no certificate": {"cert": "", "key": ""},
        "plain": {},
    }
    settings = behind_tls(service_here if wrong == "plain" else secure, authority, **changes[wrong])
    with Gateway(tmp_path, {"s": settings}) as gateway:
        answer = once(gateway.port, post("/", b"secret"))
        assert answer.status in (502, 503, 504)
        assert answer.reason.startswith(b"upstream_")
        until(lambda: gateway.metric("ttagw_upstream_errors_total") >= 1, "the error is counted")
    assert secure.requests == service_here.requests == []
    service_here.faults.clear()
