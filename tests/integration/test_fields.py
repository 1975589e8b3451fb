"""Header fields on their way through, in both directions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import Client, get, once

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
HOP = ["Keep-Alive: 5", "Proxy-Connection: x", "Proxy-Authorization: x", "TE: trailers", "Trailer: X", "Upgrade: x"]
IDENTITY = [
    "X-User-ID",
    "X-User-Role",
    "X-User-Permissions",
    "X-Therapeutic-Session-ID",
    "X-Traffic-Class",
    "X-Safety-Level",
    "X-TTA-Assertion",
]


@pytest.fixture(scope="module")
def gateway(folder: Path, origin: Origin) -> Iterator[Gateway]:
    changed = route(
        "/changed/*",
        name="changed",
        set_request_headers={"x-added": "yes", "via": "1.1 ttagw"},
        set_response_headers={"x-frame-options": "DENY", "via": "1.1 ttagw"},
        remove_response_headers=["server", "x-powered-by"],
    )
    trusted = {"gateway": {"trusted_proxies": ["127.0.0.2/32", "10.0.0.0/8"]}}
    with Gateway(folder, {"s": service(origin.port)}, [changed, route()], **trusted) as running:
        yield running
        assert running.failures() == []


def sent_on(gateway: Gateway, *fields: str, source: str = "127.0.0.1", path: str = "/") -> list[tuple[str, str]]:
    """The fields that the service gets, names in lower case."""
    with Client(gateway.port, source=source) as client:
        answer = client.ask(get(path, *fields))
    assert answer.status == 200
    return [(name.lower(), value) for name, value in json.loads(answer.body)["fields"]]


def values(fields: list[tuple[str, str]], name: str) -> list[str]:
    return [value for each, value in fields if each == name]


# To the service


def test_fields_keep_their_order_spelling_and_repetition(gateway: Gateway, origin: Origin) -> None:
    lines = ["X-B: 1", "x-a: 2", "X-B: 3", "COOKIE: a=b", "Accept: */*", "Cookie: c=d", "X-Empty:", "X-C: a, b"]
    with Client(gateway.port) as client:
        client.ask(get("/order", *lines))
    names = {line.partition(":")[0].encode() for line in lines}
    came = [b": ".join(field) for field in origin.seen(b"/order")[0].fields if field[0] in names]
    assert came == [(line if ": " in line else line + " ").encode() for line in lines]


@pytest.mark.parametrize("line", HOP)
def test_hop_by_hop_fields_are_not_sent_on(gateway: Gateway, line: str) -> None:
    assert values(sent_on(gateway, line), line.partition(":")[0].lower()) == []


def test_fields_named_by_connection_are_not_sent_on(gateway: Gateway) -> None:
    lines = ("X-Secret: 1", "X-Other: 2", "Connection: x-secret, Keep-Alive", "Connection: X-OTHER", "X-Third: 3")
    fields = sent_on(gateway, *lines)
    assert values(fields, "x-secret") == values(fields, "x-other") == values(fields, "connection") == []
    assert values(fields, "x-third") == ["3"]


@pytest.mark.parametrize("name", ["host", "x-forwarded-for", "x-request-id", "forwarded", "x-forwarded-proto"])
def test_connection_cannot_remove_what_the_gateway_says(gateway: Gateway, name: str) -> None:
    assert len(values(sent_on(gateway, f"Connection: {name}, close"), name)) == 1


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2"])
@pytest.mark.parametrize("name", [*IDENTITY, "ttagw-reason", "Proxy"])
def test_identity_fields_are_stripped_from_every_client(gateway: Gateway, name: str, source: str) -> None:
    spellings = (name, name.lower(), name.upper())
    fields = sent_on(gateway, *[f"{spelling}: admin" for spelling in spellings], source=source)
    assert values(fields, name.lower()) == (["normal"] if name == "X-Traffic-Class" else [])


def test_the_host_is_the_instance_and_the_clients_is_told(gateway: Gateway, origin: Origin) -> None:
    fields = sent_on(gateway)
    assert values(fields, "host") == [f"127.0.0.1:{origin.port}"]
    assert values(fields, "x-forwarded-host") == ["h"]


def test_what_an_unknown_client_says_of_itself_is_replaced(gateway: Gateway) -> None:
    lines = (
        "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil",
        "X-Forwarded-Port: 1",
        "X-Forwarded-Prefix: /evil",
        "Forwarded: for=1.2.3.4;proto=https;host=evil",
        "X-Real-IP: 1.2.3.4",
        "X-Request-ID: mine",
    )
    fields = sent_on(gateway, *lines)
    assert values(fields, "x-forwarded-for") == ["127.0.0.1"]
    assert values(fields, "x-forwarded-proto") == ["http"]
    assert values(fields, "x-forwarded-host") == ["h"]
    assert values(fields, "x-forwarded-port") == [str(gateway.port)]
    assert values(fields, "forwarded") == ['for=127.0.0.1;proto=http;host="h"']
    assert values(fields, "x-real-ip") == values(fields, "x-forwarded-prefix") == []
    assert UUID7.fullmatch(values(fields, "x-request-id")[0])


def test_what_a_trusted_proxy_says_is_believed(gateway: Gateway) -> None:
    lines = (
        "X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.1.1.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: play.example",
        "X-Request-ID: from-the-proxy",
    )
    fields = sent_on(gateway, *lines, source="127.0.0.2")
    assert values(fields, "x-forwarded-for") == ["1.2.3.4, 10.1.1.1, 127.0.0.2"]
    assert values(fields, "x-forwarded-proto") == ["https"]
    assert values(fields, "x-forwarded-host") == ["play.example"]
    assert values(fields, "x-request-id") == ["from-the-proxy"]
    assert gateway.line("from-the-proxy")["client"] == "1.2.3.4"


@pytest.mark.parametrize("claimed", ["", "a b", "a\tb", 'a"b', "é", "a" * 129, "a,b", "{}", "<a>"])
def test_a_request_id_that_could_break_a_log_is_replaced_even_from_a_trusted_proxy(
    gateway: Gateway, claimed: str
) -> None:
    fields = sent_on(gateway, f"X-Request-ID: {claimed}", source="127.0.0.2")
    assert UUID7.fullmatch(values(fields, "x-request-id")[0])


def test_the_request_id_goes_both_ways(gateway: Gateway) -> None:
    answer = once(gateway.port, get("/"))
    sent = dict(json.loads(answer.body)["fields"])
    assert sent["x-request-id"] == answer.id
    assert UUID7.fullmatch(answer.id)


def test_a_route_sets_and_removes_fields(gateway: Gateway, origin: Origin) -> None:
    told = sent_on(gateway, "X-Added: by the client", "Via: 1.0 before", path="/changed/x")
    assert values(told, "x-added") == ["yes"]
    assert values(told, "via") == ["1.0 before", "1.1 ttagw"]
    lines = (b"Server: x", b"X-Powered-By: y", b"X-Frame-Options: ALLOW", b"X-Kept: z")
    origin.on(b"/changed/answer", lambda talk, request: talk.reply(b"", *lines))
    answer = once(gateway.port, get("/changed/answer"))
    assert answer.all(b"server") == answer.all(b"x-powered-by") == []
    assert answer.all(b"x-frame-options") == [b"DENY"]
    assert answer.all(b"x-kept") == [b"z"]
    assert answer.all(b"via") == [b"1.1 ttagw"]


# To the client


def test_what_a_service_says_arrives_as_it_said_it(gateway: Gateway, origin: Origin) -> None:
    lines = (
        b"Set-Cookie: a=1; Path=/",
        b"X-One: 1",
        b"set-cookie: b=2; Expires=Wed, 21 Oct 2015 07:28:00 GMT",
        b"Location: http://elsewhere/a?b#c",
        b"Retry-After: 120",
        b"WWW-Authenticate: Basic realm=x",
        b"WWW-Authenticate: Bearer",
        b"Server: theirs",
        b"Date: Wed, 21 Oct 2015 07:28:00 GMT",
        b'ETag: W/"x"',
        b"X-Latin: \xe9",
        b"X_Under: score",
    )
    origin.on(b"/said", lambda talk, request: talk.reply(b"body", *lines, status=b"302 Found"))
    answer = once(gateway.port, get("/said"))
    assert answer.status == 302
    names = {line.partition(b": ")[0] for line in lines}
    assert [b": ".join(field) for field in answer.fields if field[0] in names] == list(lines)


def test_hop_by_hop_fields_of_a_service_stay_behind(gateway: Gateway, origin: Origin) -> None:
    lines = [line.encode() for line in HOP if not line.startswith("Upgrade")]
    named = (
        b"Connection: X-Secret, keep-alive",
        b"X-Secret: 1",
        b"X-Kept: 2",
        b"ttagw-reason: forged",
        b"X-Request-ID: x",
    )
    origin.on(b"/hop", lambda talk, request: talk.reply(b"", *lines, *named))
    answer = once(gateway.port, get("/hop"))
    names = {name.lower() for name, _ in answer.fields}
    gone = {line.partition(b":")[0].lower() for line in lines} | {b"x-secret", b"ttagw-reason", b"connection"}
    assert not names & gone
    assert answer.value(b"x-kept") == b"2"
    assert UUID7.fullmatch(answer.id)
