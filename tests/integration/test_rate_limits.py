"""Limits over real sockets: how many come through, when, and what is said about it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.operated import Operator, make_key
from tests.integration.kit.origin import Origin, Request, Talk
from tests.integration.kit.process import free_port
from tests.integration.kit.raw import Answer, Client, get, once, post
from tests.integration.kit.tokens import Issuer
from tests.integration.kit.waiting import until
from tests.structured import string_list

SLOW = "1/h"
"""Nothing comes back while a test runs."""
LIMITS: dict[str, Any] = {
    "quick": {"rate": "2/s", "burst": 3, "key": []},
    "user": {
        "rate": SLOW,
        "burst": 3,
        "key": ["user"],
        "roles": {"therapist": 2.0, "admin": 3.0},
        "classes": {"therapeutic": 2.0},
    },
    "ip": {"rate": SLOW, "burst": 3, "key": ["ip"]},
    "role": {"rate": SLOW, "burst": 2, "key": ["role"]},
    "tenant": {"rate": SLOW, "burst": 2, "key": ["header:X-Tenant"]},
    "both": {"rate": SLOW, "burst": 4, "key": ["route", "ip"]},
    "tried": {"rate": SLOW, "burst": 1, "key": ["ip"], "dry_run": True},
    "two": {"concurrent": 2, "key": ["user"]},
    "bytes": {"bandwidth": "4KiB/s", "key": ["user"]},
    "low": {"rate": SLOW, "burst": 1, "key": ["ip"], "concurrent": 1},
}


def limited(name: str, *limits: str, auth: str = "optional", **more: Any) -> dict[str, Any]:
    return route(f"/{name}/*", name=name, auth=auth, limits=list(limits), **more)


ROUTES = [
    limited("quick", "quick"),
    limited("user", "user"),
    limited("therapy", "user", **{"class": "therapeutic"}),
    limited("dear", "user", cost=3),
    limited("ip", "ip"),
    limited("role", "role"),
    limited("tenant", "tenant"),
    limited("all", "both", "user"),
    limited("tried", "tried", "both"),
    limited("two", "two"),
    limited("bytes", "bytes"),
    limited("crisis", "low", **{"class": "crisis"}),
    limited("calm", "low"),
    limited("away", "user", service="away"),
]


class Place(NamedTuple):
    gateway: Gateway
    origin: Origin
    issuer: Issuer
    operator: Operator

    def ask(self, path: str, user: str = "", *fields: str, role: str = "patient", source: str = "127.0.0.1") -> Answer:
        if user:
            fields = (f"Authorization: Bearer {self.issuer.token(user, role)}", *fields)
        with Client(self.gateway.port, source=source) as client:
            return client.ask(get(path, *fields))

    def statuses(self, count: int, *args: str, **more: str) -> list[int]:
        return [self.ask(*args, **more).status for _ in range(count)]


@pytest.fixture(scope="module")
def place(folder: Path, origin: Origin) -> Iterator[Place]:
    issuer, key = Issuer(folder), make_key(folder, "ops")
    origin.on(
        b"/user/theirs", lambda talk, request: talk.reply(b"", b'RateLimit: "theirs";r=9', b"RateLimit-Policy: x")
    )
    services = {"s": service(origin.port), "away": service(free_port())}
    sections: dict[str, Any] = {
        "auth": {**key.section, "issuers": [issuer.section]},
        "limits": LIMITS,
        "gateway": {"trusted_proxies": ["127.0.0.9/32"]},
    }
    with Gateway(folder, services, ROUTES, **sections) as running:
        yield Place(running, origin, issuer, Operator(running, key))
        assert running.failures() == []


def told(answer: Answer, name: bytes = b"ratelimit") -> dict[str, dict[str, int | str]]:
    return dict(string_list(answer.value(name)))


OK, REFUSED = 200, 429


def test_who_waits_as_long_as_is_said_is_let_through(place: Place) -> None:
    assert place.statuses(3, "/quick/a") == [OK] * 3
    for _ in range(2):
        refused = place.ask("/quick/a")
        while refused.status == OK:
            refused = place.ask("/quick/a")
        assert refused.reason == b"rate_limited"
        wait = int(refused.value(b"retry-after"))
        assert told(refused) == {"quick": {"r": 0, "t": wait}}
        time.sleep(wait)
        answer = place.ask("/quick/a")
        assert answer.status == OK
        assert told(answer, b"ratelimit-policy") == {"quick": {"q": 2, "w": 1}}


def test_a_user_is_a_user_wherever_from(place: Place) -> None:
    assert place.statuses(2, "/user/a", "ann") == [OK] * 2
    assert place.statuses(2, "/user/a", "ann", source="127.0.0.2") == [OK, REFUSED]
    assert place.ask("/user/a", "bob").status == OK
    # Of nobody the address counts.
    assert place.statuses(4, "/user/a", source="127.0.0.3") == [OK] * 3 + [REFUSED]
    assert place.ask("/user/a", source="127.0.0.4").status == OK
    assert place.ask("/user/a", "127.0.0.3").status == OK


def test_some_may_more(place: Place) -> None:
    assert place.statuses(7, "/user/a", "therapist", role="therapist") == [OK] * 6 + [REFUSED]
    assert place.statuses(10, "/user/a", "admin", role="admin") == [OK] * 9 + [REFUSED]
    assert place.statuses(7, "/therapy/a", "in-therapy") == [OK] * 6 + [REFUSED]
    answer = place.ask("/therapy/a", "both", role="therapist")
    assert (told(answer, b"ratelimit-policy"), told(answer)["user"]["r"]) == ({"user": {"q": 4, "w": 3600}}, 11)


def test_what_costs_more_is_charged_more(place: Place) -> None:
    assert place.statuses(2, "/dear/a", "dora") == [OK, REFUSED]
    assert place.ask("/user/a", "dora").status == REFUSED


def test_an_address_is_that_of_the_client_and_a_network_with_ipv6(place: Place) -> None:
    assert place.statuses(4, "/ip/a", source="127.0.0.5") == [OK] * 3 + [REFUSED]
    # Only whom is trusted is believed.
    assert place.ask("/ip/a", "", "X-Forwarded-For: 192.0.2.1", source="127.0.0.5").status == REFUSED
    believed = [f"X-Forwarded-For: 2001:db8:0:1::{end}" for end in range(1, 5)]
    assert [place.ask("/ip/a", "", each, source="127.0.0.9").status for each in believed] == [OK] * 3 + [REFUSED]
    others = ("X-Forwarded-For: 2001:db8:0:2::1", "X-Forwarded-For: 192.0.2.1")
    assert [place.ask("/ip/a", "", each, source="127.0.0.9").status for each in others] == [OK] * 2


def test_roles_together(place: Place) -> None:
    assert place.statuses(2, "/role/a", "r1") == [OK] * 2
    assert place.ask("/role/a", "r2").status == REFUSED
    assert place.ask("/role/a", "r3", role="researcher").status == OK
    assert place.ask("/role/a").status == OK


@pytest.mark.parametrize(
    "value", ["a", "", " b ", "x" * 4000, "\xff\xfe", '"', "=", "-", "absent", "a, b", "%0d%0a", "a\tb", " #"]
)
def test_whatever_a_field_is_it_is_a_key(place: Place, value: str) -> None:
    assert place.statuses(3, "/tenant/a", "", f"X-Tenant: {value}") == [OK, OK, REFUSED]


def test_without_the_field_it_is_one_key(place: Place) -> None:
    assert place.statuses(2, "/tenant/a", source="127.0.0.6") == [OK] * 2
    assert place.ask("/tenant/a", "somebody").status == REFUSED


def test_several_are_charged_together_or_not_at_all(place: Place) -> None:
    assert place.statuses(4, "/all/a", "eve", source="127.0.0.7") == [OK] * 3 + [REFUSED]
    refused = place.ask("/all/a", "eve", source="127.0.0.7")
    assert [told(refused)["both"]["r"], told(refused)["user"]["r"]] == [1, 0]
    assert b'"limit":"user"' in refused.body
    # One is left of the other limit: nothing was charged for those that were refused.
    assert place.statuses(2, "/all/a", "fay", source="127.0.0.7") == [OK, REFUSED]
    assert told(place.ask("/user/a", "fay"))["user"]["r"] == 1


def test_what_is_tried_out_refuses_nothing_and_is_in_the_log(place: Place) -> None:
    asked = [place.ask("/tried/a", source="127.0.0.8") for _ in range(3)]
    assert [each.status for each in asked] == [OK] * 3
    assert place.gateway.line(asked[2].id)["dry_run"] == "rate_limited"
    assert list(told(asked[2])) == list(told(asked[2], b"ratelimit-policy")) == ["both"]
    assert place.gateway.metric("ttagw_limit_checks_total", limit="tried", outcome="dry_run") == 2


def test_every_answer_tells_and_services_are_not_believed(place: Place) -> None:
    theirs = place.ask("/user/theirs", "tom")
    assert [name.lower() for name, _ in theirs.fields].count(b"ratelimit") == 1
    assert (told(theirs)["user"]["r"], list(told(theirs, b"ratelimit-policy"))) == (2, ["user"])
    away = place.ask("/away/a", "tom")
    assert (away.status, told(away)["user"]["r"]) == (503, 1)
    head = once(place.gateway.port, get("/user/a", f"Authorization: Bearer {place.issuer.token('tom')}", method="HEAD"))
    assert told(head)["user"]["r"] == 0
    refused = place.ask("/user/a", "tom")
    assert (refused.status, told(refused)["user"]["r"]) == (REFUSED, 0)


def parts(talk: Talk, request: Request) -> None:
    talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nRateLimit: x\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")


def unchanged(talk: Talk, request: Request) -> None:
    talk.send(b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n')


@pytest.mark.parametrize(("path", "does", "status"), [("parts", parts, 200), ("unchanged", unchanged, 304)])
def test_answers_without_a_length_and_without_a_body_tell(
    place: Place, path: str, does: Callable[[Talk, Request], None], status: int
) -> None:
    place.origin.on(f"/user/{path}".encode(), does)
    answer = place.ask(f"/user/{path}", f"who-{path}")
    assert answer.status == status
    assert (told(answer)["user"]["r"], list(told(answer, b"ratelimit-policy"))) == (2, ["user"])


def waits(talk: Talk, request: Request) -> None:
    talk.origin.held.wait(20)
    talk.reply(b"ok")


def test_places_are_free_again_when_clients_leave(place: Place) -> None:
    place.origin.on(b"/two/wait", waits)
    token = f"Authorization: Bearer {place.issuer.token('zoe')}"
    for turn in range(3):
        clients = [Client(place.gateway.port) for _ in range(2)]
        for client in clients:
            client.send(get(f"/two/wait?{turn}", token))
        until(lambda: place.gateway.metric("ttagw_limit_under_way", limit="two") == 2, "both are under way")
        refused = place.ask("/two/a", "zoe")
        assert (refused.status, refused.reason, refused.value(b"retry-after")) == (429, b"too_many_at_once", b"1")
        assert told(refused, b"ratelimit-policy") == {"two:concurrent": {"q": 2, "qu": "concurrent-requests"}}
        assert place.ask("/two/a", "yan").status == OK
        clients[0].reset() if turn else clients[0].close()
        until(lambda: place.gateway.metric("ttagw_limit_under_way", limit="two") == 1, "one has left")
        assert place.ask("/two/a", "zoe").status == OK
        clients[1].close()
        until(lambda: place.gateway.metric("ttagw_limit_under_way", limit="two") == 0, "the other has left")
    place.origin.held.set()


def test_bytes_both_ways(place: Place) -> None:
    token = f"Authorization: Bearer {place.issuer.token('bea')}"
    with Client(place.gateway.port) as client:
        first = client.ask(post("/bytes/a", b"x" * 6000, token))
        assert (first.status, told(first)) == (OK, {"bytes:bandwidth": {"r": 4096, "t": 0}})
        refused = client.ask(get("/bytes/a", token))
        assert (refused.status, refused.reason) == (429, b"bandwidth_exceeded")
        assert place.ask("/bytes/a", "ben").status == OK
        wait = int(refused.value(b"retry-after"))
        # There and back again, with what the service says beside it.
        assert 2 <= wait <= 3
        time.sleep(wait)
        assert client.ask(get("/bytes/a", token)).status == OK


def test_a_long_answer_counts_while_it_is_under_way(place: Place) -> None:
    def long(talk: Talk, request: Request) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n" + b"x" * 100_000)
        talk.origin.held.wait(20)
        talk.send(b"x")

    place.origin.on(b"/bytes/long", long)
    place.origin.held.clear()
    with Client(place.gateway.port) as client:
        client.send(get("/bytes/long", f"Authorization: Bearer {place.issuer.token('lea')}"))
        client.exactly(100_000)
        until(lambda: place.ask("/bytes/a", "lea").status == REFUSED, "its bytes are charged")
        place.origin.held.set()


def test_crisis_is_never_refused(place: Place) -> None:
    source = "127.0.0.10"
    assert place.statuses(3, "/calm/a", source=source) == [OK, REFUSED, REFUSED]
    asked = [place.ask("/crisis/a", source=source) for _ in range(5)]
    assert [each.status for each in asked] == [OK] * 5
    assert place.gateway.line(asked[0].id)["bypass"] == "limit"
    assert place.gateway.metric("ttagw_limit_checks_total", limit="low", outcome="bypassed") == 5
    fresh = place.ask("/crisis/a", source="127.0.0.11")
    assert "bypass" not in place.gateway.line(fresh.id)
    assert place.ask("/calm/a", source="127.0.0.11").status == OK


# While it runs


def test_a_change_in_the_middle_forgets_nothing(place: Place) -> None:
    assert place.statuses(4, "/user/a", "may") == [OK] * 3 + [REFUSED]
    try:
        status, shown = place.operator.ask("PUT", "/limits/user", {"burst": 5})
        assert (status, shown["current"]["burst"], shown["configured"]["burst"]) == (200, 5, 3)
        assert place.statuses(3, "/user/a", "may") == [OK] * 2 + [REFUSED]
        assert place.statuses(6, "/user/a", "new") == [OK] * 5 + [REFUSED]
        assert place.operator.ask("PUT", "/limits/user", {"rate": "3600/h", "burst": 5})[0] == 200
        refused = place.ask("/user/a", "may")
        assert (refused.status, refused.value(b"retry-after")) in ((429, b"1"), (200, b""))
        time.sleep(1.1)
        assert place.ask("/user/a", "may").status == OK
    finally:
        assert place.operator.ask("DELETE", "/limits/user")[0] == 200
    assert place.ask("/user/a", "may").status == REFUSED
    assert [each for each in place.gateway.said() if "ops has changed the limit user" in str(each)]


def test_one_is_forgiven(place: Place) -> None:
    for user in ("ida", "ivy"):
        assert place.statuses(4, "/user/a", user) == [OK] * 3 + [REFUSED]
    assert place.operator.ask("POST", "/limits/user/reset", {"user": "ida"})[0] == 200
    assert (place.ask("/user/a", "ida").status, place.ask("/user/a", "ivy").status) == (OK, REFUSED)


def test_nothing_personal_is_said(place: Place) -> None:
    answer = place.ask("/user/a", "secretive")
    assert answer.status == OK
    place.gateway.line(answer.id)
    assert place.operator.ask("POST", "/limits/user/reset", {"user": "secretive"})[0] == 200
    metrics = place.gateway.admin("/metrics")[1]
    for text in (metrics, place.gateway.child.errors.read_bytes(), place.gateway.access.read_bytes()):
        assert b"secretive" not in text
        assert b"zoe" not in text


def test_a_client_with_ipv6_is_its_network(tmp_path: Path, service_here: Origin) -> None:
    port = free_port()
    sections: dict[str, Any] = {
        "limits": {"ip": {"rate": SLOW, "burst": 2, "key": ["ip"]}},
        "gateway": {"listen": [f"tcp6:{port}:interface=\\:\\:1"], "trusted_proxies": ["::1/128"]},
    }

    def ask(*fields: str) -> int:
        with socket.create_connection(("::1", port), 10) as connection:
            connection.sendall(get("/a", *fields, "Connection: close"))
            return int(connection.makefile("rb").readline().split()[1])

    services = {"s": service(service_here.port)}
    with Gateway(tmp_path, services, [route("/*", limits=["ip"])], **sections) as gateway:
        assert [ask() for _ in range(3)] == [OK, OK, REFUSED]
        # In the network of ::1, through the proxy that is there.
        assert ask("X-Forwarded-For: ::2") == REFUSED
        assert ask("X-Forwarded-For: 0:0:0:1::2") == OK
        assert gateway.failures() == []


@pytest.mark.parametrize("store", ["sqlite:state.db", "memory:"])
def test_what_was_changed_is_still_changed_after_a_restart(tmp_path: Path, service_here: Origin, store: str) -> None:
    key = make_key(tmp_path, "ops")
    routes = [route("/*", limits=["ip"])]
    limits = {"ip": {"rate": SLOW, "burst": 2, "key": ["ip"]}}
    sections: dict[str, Any] = {"auth": key.section, "limits": limits, "gateway": {"store": store}}
    with Gateway(tmp_path, {"s": service(service_here.port)}, routes, **sections) as gateway:
        assert Operator(gateway, key).ask("PUT", "/limits/ip", {"burst": 4})[0] == 200
        gateway.restart()
        expected = 4 if store.startswith("sqlite") else 2

        def burst() -> int:
            return int(Operator(gateway, key).ask("GET", "/limits/ip")[1]["current"]["burst"])

        until(lambda: burst() == expected, "the limit is as it should be")
        found = [once(gateway.port, get("/a")).status for _ in range(5)]
        assert found == [OK] * expected + [REFUSED] * (5 - expected)
        assert gateway.failures() == []
