"""Addresses and users with too many refusals are blocked, the right ones, and no longer than they should be."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.kit.blocking import (
    MALFORMED,
    SECTION,
    THRESHOLD,
    asked,
    blocked_soon,
    blocks,
    refused,
    shut_out,
    status,
)
from tests.integration.kit.certs import Authority
from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.operated import Operator
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import Client, get
from tests.integration.kit.revoking import People
from tests.integration.kit.waiting import until

FALLBACK = {"status": 200, "default_region": "US", "regions": {"US": {"text": "Call 988.", "hotline": "988"}}}


@pytest.fixture(scope="module")
def people(folder: Path) -> People:
    return People.in_folder(folder)


@pytest.fixture(scope="module")
def gateway(folder: Path, origin: Origin, people: People, authority: Authority) -> Iterator[Gateway]:
    origin.on(b"/later", lambda talk, request: (origin.held.wait(20), talk.reply(b"late"))[0])
    origin.on(b"/mine/no", lambda talk, request: talk.reply(b"no", status=b"403 Forbidden"))
    services = {"s": service(origin.port), "crisis": service(origin.port, fallback="help")}
    routes = [
        route(),
        route("/mine/*", name="mine", auth="required"),
        route("/admins", name="admins", auth="required", roles=["admin"]),
        route("/crisis/*", "crisis", "crisis", **{"class": "crisis", "auth": "required"}),
        route("/login", name="login", login="username"),
    ]
    with Gateway(
        folder,
        services,
        routes,
        certificate=authority.issue("127.0.0.1"),
        auth={**people.admin.section, "issuers": [people.issuer.section]},
        abuse={**SECTION, "allow": ["127.0.5.0/24"], "deny": ["127.0.6.0/24"]},
        gateway={"trusted_proxies": ["127.0.9.0/24"]},
        fallbacks={"help": FALLBACK},
    ) as running:
        yield running
        assert running.failures() == []


@pytest.fixture(scope="module")
def operator(gateway: Gateway, people: People) -> Operator:
    return Operator(gateway, people.admin)


def token(people: People, user: str) -> str:
    return f"Authorization: Bearer {people.token(user)}"


# Addresses that come themselves


@pytest.mark.parametrize(
    ("source", "data", "code"),
    [
        ("127.0.1.1", MALFORMED, 400),
        ("127.0.1.2", get("/mine/"), 401),
        ("127.0.1.3", get("/" + "x" * 20_000), 414),
    ],
)
def test_an_address_with_too_many_refusals_is_shut_out(
    gateway: Gateway, operator: Operator, source: str, data: bytes, code: int
) -> None:
    assert refused(gateway.port, source, data) == [code] * (THRESHOLD + 1)
    assert shut_out(gateway.port, source)
    assert status(gateway.port, "127.0.1.200") == 200
    block = blocked_soon(operator, address=source)
    assert (block["address"], block["by"], block["reason"], block["offences"]) == (source, "threshold", "refusals", 1)
    event = gateway_event(gateway, source)
    assert (event["kind"], event["severity"]) == ("address_blocked", "alert")


def gateway_event(gateway: Gateway, instance: str) -> dict[str, str]:
    lines = [line["message"] for line in gateway.said() if "_blocked " in line["message"]]
    [line] = [line for line in lines if f" {instance}: " in line]
    return {"kind": line.split()[1], "severity": "alert" if "refusals" in line else "info"}


def test_too_few_refusals_block_nobody(gateway: Gateway) -> None:
    assert refused(gateway.port, "127.0.1.9", times=THRESHOLD) == [400] * THRESHOLD
    assert status(gateway.port, "127.0.1.9") == 200


def test_what_is_no_refusal_does_not_count(gateway: Gateway, people: People) -> None:
    assert refused(gateway.port, "127.0.1.10", get("/nowhere")) == [200] * (THRESHOLD + 1)
    by_service = get("/mine/no", token(people, "service-says-no"))
    assert refused(gateway.port, "127.0.1.10", by_service) == [403] * (THRESHOLD + 1)
    assert status(gateway.port, "127.0.1.10") == 200


def test_failed_logins_count(gateway: Gateway, origin: Origin) -> None:
    origin.on(b"/login", lambda talk, request: talk.reply(b"", status=b"401 Unauthorized"))
    for number in range(THRESHOLD + 1):
        body = json.dumps({"username": f"u{number}", "password": "x"})
        head = ("Content-Type: application/json", f"Content-Length: {len(body)}")
        assert status(gateway.port, "127.0.1.11", get("/login", *head, method="POST") + body.encode()) in (401, 429)
    assert shut_out(gateway.port, "127.0.1.11")


def test_a_blocked_address_gets_no_byte_of_a_handshake(
    gateway: Gateway, authority: Authority, operator: Operator
) -> None:
    source = "127.0.1.20"
    context = authority.client_context()
    assert asked(gateway.secure_port, source, context=context) is not None
    assert operator.ask("POST", "/blocks", {"address": source, "for": "1h"})[0] == 201
    accepted = gateway.metric("ttagw_connections_accepted_total")
    for port in (gateway.port, gateway.secure_port):
        with Client(port, source=source) as client:
            assert client.at_end()
    with pytest.raises((ssl.SSLError, OSError)):
        Client(gateway.secure_port, context, source=source)
    assert gateway.metric("ttagw_connections_accepted_total") == accepted
    assert gateway.metric("ttagw_blocked_connections_total", reason="blocked") >= 3
    assert operator.ask("DELETE", "/blocks", {"address": source})[0] == 200
    assert asked(gateway.secure_port, source, context=context) is not None


def test_connections_that_were_there_end_and_what_is_under_way_is_answered(
    gateway: Gateway, operator: Operator, origin: Origin
) -> None:
    origin.held.clear()
    source = "127.0.1.30"
    with Client(gateway.port, source=source) as idle, Client(gateway.port, source=source) as busy:
        assert idle.ask(get("/")).status == 200
        busy.send(get("/later"))
        until(lambda: origin.seen(b"/later"), "it is under way")
        assert operator.ask("POST", "/blocks", {"address": source, "for": "1h"})[0] == 201
        assert idle.at_end()
        origin.held.set()
        answer = busy.answer()
        assert (answer.status, answer.body, answer.value(b"connection")) == (200, b"late", b"close")
        assert busy.at_end()
    assert shut_out(gateway.port, source)


def test_networks_are_blocked_and_lifted_by_operators(gateway: Gateway, operator: Operator) -> None:
    code, made = operator.ask("POST", "/blocks", {"address": "127.0.3.0/24", "reason": "ticket-1"})
    assert (code, made["end"], made["by"], made["reason"]) == (201, None, "operator", "ticket-1")
    assert shut_out(gateway.port, "127.0.3.77")
    assert status(gateway.port, "127.0.4.77") == 200
    assert blocks(operator, "?address=127.0.3.77") == [made]
    assert operator.ask("DELETE", "/blocks", {"address": "127.0.3.0/24"})[0] == 200
    assert status(gateway.port, "127.0.3.77") == 200
    assert operator.ask("DELETE", "/blocks", {"address": "127.0.3.0/24"})[0] == 404


# Lists


def test_whom_the_configuration_allows_is_never_blocked(gateway: Gateway, operator: Operator) -> None:
    assert refused(gateway.port, "127.0.5.1", times=THRESHOLD * 3) == [400] * THRESHOLD * 3
    assert status(gateway.port, "127.0.5.1") == 200
    for address in ("127.0.5.1", "127.0.0.0/8", "127.0.9.1"):
        code, document = operator.ask("POST", "/blocks", {"address": address, "for": "1h"})
        assert (code, document["code"]) == (400, "invalid_document")
        assert "never blocked" in document["errors"][0]["message"]


def test_whom_the_configuration_denies_is_never_let_in(gateway: Gateway) -> None:
    before = gateway.metric("ttagw_blocked_connections_total", reason="denied")
    assert shut_out(gateway.port, "127.0.6.1")
    assert gateway.metric("ttagw_blocked_connections_total", reason="denied") == before + 1


# Clients behind a proxy that is trusted


def through(client: str, *fields: str, path: str = "/") -> bytes:
    return get(path, f"X-Forwarded-For: {client}", *fields)


def test_behind_a_trusted_proxy_the_client_is_blocked_and_nobody_else(gateway: Gateway, operator: Operator) -> None:
    proxy, bad = "127.0.9.1", "203.0.113.7"
    assert refused(gateway.port, proxy, through(bad, path="/mine/")) == [401] * (THRESHOLD + 1)
    answer = asked(gateway.port, proxy, through(bad))
    assert answer is not None
    assert (answer.status, answer.reason) == (403, b"blocked")
    assert 3500 < int(answer.value(b"retry-after")) <= 3600
    assert gateway.line(answer.id)["reason"] == "address_blocked"
    assert status(gateway.port, proxy, through("203.0.113.8")) == 200
    assert status(gateway.port, proxy) == 200
    end = blocked_soon(operator, address=bad)["end"]
    assert refused(gateway.port, proxy, through(bad), THRESHOLD * 3) == [403] * THRESHOLD * 3
    assert blocked_soon(operator, address=bad)["end"] == end


def test_a_network_of_ipv6_is_one_client(gateway: Gateway, operator: Operator) -> None:
    for number in range(THRESHOLD + 1):
        assert status(gateway.port, "127.0.9.1", through(f"2001:db8::{number}", path="/mine/")) == 401
    assert status(gateway.port, "127.0.9.1", through("2001:db8::ffff:1")) == 403
    assert status(gateway.port, "127.0.9.1", through("2001:db8:0:1::1")) == 200
    assert blocked_soon(operator, address="2001:db8::5")["address"] == "2001:db8::/64"
    assert operator.ask("DELETE", "/blocks", {"address": "2001:db8::9"})[1]["address"] == "2001:db8::/64"
    assert status(gateway.port, "127.0.9.1", through("2001:db8::1")) == 200


def test_who_is_denied_behind_a_proxy_is_not_told_to_come_back(gateway: Gateway) -> None:
    answer = asked(gateway.port, "127.0.9.1", through("127.0.6.9"))
    assert answer is not None
    assert (answer.status, answer.value(b"retry-after")) == (403, b"")
    assert gateway.line(answer.id)["reason"] == "address_denied"


# Users, and requests that are never refused


def test_a_user_is_blocked_wherever_they_are(gateway: Gateway, operator: Operator, people: People) -> None:
    for number in range(THRESHOLD + 1):
        assert status(gateway.port, f"127.0.10.{number}", get("/admins", token(people, "flooder"))) == 403
    answer = asked(gateway.port, "127.0.10.100", get("/mine/", token(people, "flooder")))
    assert answer is not None
    assert (answer.status, gateway.line(answer.id)["reason"]) == (403, "user_blocked")
    assert status(gateway.port, "127.0.10.0", get("/mine/", token(people, "somebody-else"))) == 200
    block = blocked_soon(operator, user="flooder")
    assert (block["user"], block["by"]) == ("flooder", "threshold")
    assert "flooder" not in gateway.child.errors.read_text() + gateway.access.read_text()
    assert operator.ask("DELETE", "/blocks", {"user": "flooder"})[0] == 200
    assert status(gateway.port, "127.0.10.100", get("/mine/", token(people, "flooder"))) == 200


def test_crisis_requests_are_let_through_and_do_not_count(gateway: Gateway, operator: Operator, people: People) -> None:
    proxy, client = "127.0.9.1", "203.0.113.66"
    assert refused(gateway.port, proxy, through(client, path="/crisis/"), 20) == [401] * 20
    assert operator.ask("POST", "/blocks", {"address": client, "for": "1h"})[0] == 201
    assert operator.ask("POST", "/blocks", {"user": "in-need", "for": "1h"})[0] == 201
    answer = asked(gateway.port, proxy, through(client, token(people, "in-need"), path="/crisis/"))
    assert answer is not None
    assert answer.status == 200
    assert gateway.line(answer.id)["bypass"] == "blocked"
    assert status(gateway.port, proxy, through(client, token(people, "in-need"), path="/mine/")) == 403


def test_a_flood_of_crisis_requests_ends_in_a_block(folder: Path, origin: Origin, people: People) -> None:
    place = folder / "crisis"
    place.mkdir()
    with Gateway(
        place,
        {"s": service(origin.port, fallback="help")},
        [route(**{"class": "crisis"})],
        auth=people.admin.section,
        abuse=SECTION,
        classes={"crisis": {"rate": f"{THRESHOLD}/h"}},
        fallbacks={"help": FALLBACK},
    ) as flooded:
        seen = [asked(flooded.port, "127.0.2.1") for _ in range(2 * THRESHOLD + 1)]
        assert [each is not None and each.status for each in seen] == [200] * (2 * THRESHOLD + 1)
        assert [each is not None and each.reason for each in seen] == [b""] * THRESHOLD + [b"crisis_ceiling"] * (
            THRESHOLD + 1
        )
        assert shut_out(flooded.port, "127.0.2.1")
        assert status(flooded.port, "127.0.2.2") == 200
        assert blocked_soon(Operator(flooded, people.admin), address="127.0.2.1")["reason"] == "refusals"
