"""Rows 1, 2, 5 and 6 with several instances: what is tried elsewhere, what never is, and within which time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.origin import Behaviour, Origin, Request, Talk, closing, resetting, sending
from tests.integration.kit.process import free_port
from tests.integration.kit.raw import Answer, Client, CutOffError, get, once, post
from tests.integration.kit.unreachable import Unreachable
from tests.integration.kit.waiting import until

TURNS = {"balance": "round_robin"}
EAGER: dict[str, Any] = {"retry_budget": 1.0}
MEMORY = {"store": "memory:"}
HELD = 64 * 1024


@pytest.fixture(scope="module")
def bad() -> Iterator[Origin]:
    """The instance with which everything goes wrong."""
    with Origin() as running:
        running.held.set()
        yield running


@pytest.fixture(scope="module")
def gateway(folder: Path, bad: Origin, origin: Origin) -> Iterator[Gateway]:
    services = {"s": service(bad.port, origin.port, **TURNS), "alone": service(bad.port)}
    routes = [route(), route("/alone/*", "alone", "alone")]
    upstream = {**EAGER, "retry_statuses": [503], "response_timeout": "600ms"}
    with Gateway(folder, services, routes, upstream=upstream, gateway=MEMORY) as running:
        yield running
        assert running.failures() == []


def each_in_turn(gateway: Gateway, data: bytes, many: int = 4) -> list[Answer]:
    """Every other one of these meets the bad instance first."""
    return [once(gateway.port, data) for _ in range(many)]


def label(port: int) -> str:
    return f"127.0.0.1:{port}"


# Row 1


def test_all_that_failed_on_the_way_is_in_the_access_log(tmp_path: Path, origin: Origin) -> None:
    dead = [free_port(), free_port()]
    with Gateway(tmp_path, {"s": service(*dead, origin.port, **TURNS)}, gateway=MEMORY) as gateway:
        answers = [once(gateway.port, post("/", b"body")) for _ in range(3)]
        assert [each.status for each in answers] == [200] * 3
        found = [gateway.line(each.id) for each in answers]
        assert sorted(line["tries"] for line in found) == [1, 2, 3]
        for line in found:
            assert line["instance"] == label(origin.port)
            assert line["tries"] == len(line["failed"]) + 1
            assert {each["reason"] for each in line["failed"]} <= {"connection_refused"}
            assert {each["instance"] for each in line["failed"]} <= {label(port) for port in dead}
        assert gateway.failures() == []


# Row 2


def test_a_host_that_cannot_be_reached_costs_a_connect_timeout_and_no_answer(tmp_path: Path, origin: Origin) -> None:
    upstream = {**EAGER, "connect_timeout": "300ms"}
    with Unreachable() as nowhere:
        services = {"s": service(nowhere.port, origin.port, **TURNS), "alone": service(nowhere.port)}
        routes = [route(), route("/alone/*", "alone", "alone")]
        with Gateway(tmp_path, services, routes, upstream=upstream, gateway=MEMORY) as gateway:
            for data in (get("/"), post("/", b"once")):
                answers = each_in_turn(gateway, data, 2)
                assert [each.status for each in answers] == [200] * 2
                [line] = [line for line in map(gateway.line, [each.id for each in answers]) if line["failed"]]
                [failed] = line["failed"]
                assert (failed["instance"], failed["reason"]) == (label(nowhere.port), "connect_timeout")
                assert 250 <= failed["ms"] <= line["ms"]
            alone = once(gateway.port, get("/alone/"))
            assert (alone.status, alone.reason) == (504, b"upstream_connect_timeout")
            assert int(alone.value(b"retry-after")) > 0
            assert gateway.failures() == []


# Row 5, and what may come twice


@pytest.mark.parametrize("end", [closing(), resetting(b"HTTP/1.1 2"), sending()], ids=["closes", "resets", "silent"])
def test_a_get_is_tried_elsewhere_and_a_post_never_comes_twice(
    gateway: Gateway, bad: Origin, origin: Origin, end: Behaviour, request: pytest.FixtureRequest
) -> None:
    path = f"/{request.node.callspec.id}"
    bad.on(path.encode(), end)
    answers = each_in_turn(gateway, get(f"{path}/get"))
    assert [each.status for each in answers] == [200] * 4
    assert len(bad.seen(f"{path}/get".encode())) == 2
    assert sorted(gateway.line(each.id)["tries"] for each in answers) == [1, 1, 2, 2]

    answers = each_in_turn(gateway, post(f"{path}/post", b"once"))
    assert sorted(each.status // 100 for each in answers) == [2, 2, 5, 5]
    assert len(bad.seen(f"{path}/post".encode())) + len(origin.seen(f"{path}/post".encode())) == 4

    answers = each_in_turn(gateway, post(f"{path}/key", b"again", "Idempotency-Key: k"))
    assert [json.loads(each.body)["body"] for each in answers] == ["again"] * 4
    assert [each.body for each in bad.seen(f"{path}/key".encode())] == [b"again"] * 2


@pytest.mark.parametrize(("size", "resent"), [(HELD, True), (HELD + 1, False), (1_000_000, False)])
def test_a_body_is_sent_again_as_long_as_all_of_it_is_held(
    gateway: Gateway, bad: Origin, origin: Origin, size: int, resent: bool
) -> None:
    path = f"/body{size}".encode()
    bad.on(path, closing())
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    answers = each_in_turn(gateway, post(path.decode(), body, method="PUT"))
    assert len(bad.seen(path)) == 2
    if resent:
        assert [each.status for each in answers] == [200] * 4
        assert [each.body for each in origin.seen(path)] == [body] * 4
    else:
        assert sorted(each.status for each in answers) == [200, 200, 502, 502]
        assert [each.body for each in origin.seen(path)] == [body] * 2


def test_an_answer_that_has_begun_is_never_begun_anew(gateway: Gateway, bad: Origin, origin: Origin) -> None:
    bad.on(b"/begun", closing(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
    whole = []
    for _ in range(4):
        with Client(gateway.port) as client, suppress(CutOffError):
            whole.append(client.ask(get("/begun")))
    assert [each.status for each in whole] == [200] * 2
    assert len(origin.seen(b"/begun")) == 2


# Row 6


def test_a_connection_that_was_closed_for_being_idle_costs_nobody_anything(
    gateway: Gateway, bad: Origin, origin: Origin
) -> None:
    def once_only(talk: Talk, request: Request) -> None:
        if talk.origin.seen(b"/stale").index(request) % 2:
            talk.close()
        else:
            talk.reply(b"ok")

    bad.on(b"/stale", once_only)
    answers = each_in_turn(gateway, get("/stale"), 12)
    assert [each.status for each in answers] == [200] * 12
    assert max(gateway.line(each.id)["tries"] for each in answers) <= 3


# Answers that are as good as none


def test_a_status_that_says_try_again_is_tried_again_where_that_is_safe(gateway: Gateway, bad: Origin) -> None:
    bad.on(b"/busy", lambda talk, request: talk.reply(b"", status=b"503 Busy"))
    answers = each_in_turn(gateway, get("/busy"))
    assert [each.status for each in answers] == [200] * 4
    reasons = [each["reason"] for answer in answers for each in gateway.line(answer.id)["failed"]]
    assert reasons == ["status_503"] * 2
    assert sorted(each.status for each in each_in_turn(gateway, post("/busy", b"x"))) == [200, 200, 503, 503]
    bad.on(b"/broken", lambda talk, request: talk.reply(b"", status=b"500 Broken"))
    assert sorted(each.status for each in each_in_turn(gateway, get("/broken"))) == [200, 200, 500, 500]


# Time


def test_all_tries_share_the_time_of_the_route(tmp_path: Path) -> None:
    def leave(talk: Talk, request: Request) -> None:
        talk.gone.wait(0.4)
        talk.close()

    with ExitStack() as running:
        origins = [running.enter_context(Origin()) for _ in range(6)]
        for each in origins:
            each.on(b"/", leave)
        services = {"s": service(*[each.port for each in origins])}
        upstream = {**EAGER, "retries": 9}
        with Gateway(tmp_path, services, [route(timeout="1s")], upstream=upstream, gateway=MEMORY) as gateway:
            line = gateway.line(once(gateway.port, get("/")).id)
            assert line["status"] == 504
            # Ten tries of their own would take four seconds.
            assert 900 <= line["ms"] < 2500
            assert 2 <= line["tries"] <= 3
            assert gateway.failures() == []


# Hedging


@contextmanager
def waiting_for(*origins: Origin) -> Iterator[None]:
    """These answer only at the end."""
    over = Event()

    def wait(talk: Talk, request: Request) -> None:
        over.wait(20)
        talk.reply(b"late")

    for each in origins:
        each.on(b"/", wait)
    yield
    over.set()


def test_a_get_that_takes_long_is_asked_elsewhere_as_well_and_a_post_is_not(tmp_path: Path) -> None:
    upstream = {**EAGER, "response_timeout": "10s"}
    with Origin() as slow, Origin() as fast, waiting_for(slow):
        services = {"s": service(slow.port, fast.port, **TURNS)}
        with Gateway(tmp_path, services, [route(hedge="100ms")], upstream=upstream, gateway=MEMORY) as gateway:
            answers = each_in_turn(gateway, get("/"))
            assert [json.loads(each.body)["port"] for each in answers] == [fast.port] * 4
            won = gateway.metric("ttagw_service_exchanges_total", service="s", what="hedges_won")
            assert won == len(slow.requests) >= 1
            assert gateway.metric("ttagw_service_exchanges_total", service="s", what="hedges") >= won
            until(lambda: gateway.metric("ttagw_instance_in_flight", service="s") == 0, "nothing is left behind")
            assert max(gateway.line(each.id)["ms"] for each in answers) < 5000
            before = len(slow.requests) + len(fast.requests)
            slow.on(b"/", lambda talk, request: (talk.gone.wait(0.5), talk.reply(b"slow"))[1])
            answers = each_in_turn(gateway, post("/", b"x"), 2)
            assert [each.status for each in answers] == [200] * 2
            assert len(slow.requests) + len(fast.requests) == before + 2
            assert gateway.failures() == []


# Zones


def test_another_zone_is_asked_when_ours_has_nothing_left(tmp_path: Path) -> None:
    with ExitStack() as running:
        near, also_near, far = (running.enter_context(Origin()) for _ in range(3))
        places = [(near, "a"), (also_near, "a"), (far, "b")]
        instances = [{"url": f"http://{label(each.port)}", "zone": zone} for each, zone in places]
        services = {"s": {**service(**TURNS), "instances": instances, "balance": "round_robin"}}
        with Gateway(tmp_path, services, upstream=EAGER, gateway=MEMORY) as gateway:

            def asked() -> set[int]:
                answers = each_in_turn(gateway, get("/"), 6)
                return {json.loads(each.body)["port"] for each in answers}

            assert asked() == {near.port, also_near.port}
            near.stop()
            assert asked() == {also_near.port}
            also_near.stop()
            assert asked() == {far.port}
            tries = {gateway.line(once(gateway.port, get("/")).id)["tries"] for _ in range(2)}
            assert tries == {3}
            running.enter_context(Origin(port=near.port))
            assert asked() == {near.port}
            assert gateway.failures() == []
