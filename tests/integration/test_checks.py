"""Rows 10 to 12: what active checks, dependencies and slow answers do to services, and how they come back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.health import OFTEN, Switch
from tests.integration.kit.operated import Operator
from tests.integration.kit.origin import Origin, Request, Talk, resetting, sending
from tests.integration.kit.raw import get, once
from tests.integration.kit.waiting import until

MEMORY = {"store": "memory:"}
HELP = {
    "region_header": "X-Region",
    "default_region": "US",
    "regions": {
        "US": {"text": "Call or text 988.", "hotline": "988"},
        "GB": {"text": "Call Samaritans.", "hotline": "116 123"},
    },
}


def checked(*origins: Origin, **more: Any) -> dict[str, Any]:
    """A service that is checked often, and whose instances come back at once."""
    ports = [each.port for each in origins]
    return service(*ports, **{"health": OFTEN, "slow_start": "0s", "balance": "round_robin", **more})


def states(gateway: Gateway, name: str = "s") -> list[str]:
    return [each["state"] for each in Operator(gateway, "").service(name)["instances"]]


def asked(gateway: Gateway, many: int = 6) -> set[int]:
    """Where requests get to, all of which are answered."""
    answers = [once(gateway.port, get("/")) for _ in range(many)]
    assert {each.status for each in answers} == {200}
    return {json.loads(each.body)["port"] for each in answers}


def events(gateway: Gateway, *kinds: str, service: str = "s") -> float:
    return sum([gateway.metric("ttagw_events_total", kind=each, service=service) for each in kinds])


# Out and back


@pytest.mark.parametrize(("kind", "reason"), [("http", "status_500"), ("websocket", "no_pong")])
def test_a_check_takes_an_instance_out_and_brings_it_back(tmp_path: Path, kind: str, reason: str) -> None:
    # Silence is what is wrong over WebSocket, and has to be waited for.
    health = {**OFTEN, "type": kind, "timeout": "700ms" if kind == "websocket" else "2s"}
    with Origin() as steady, Origin() as other:
        Switch(steady)
        switch = Switch(other)
        with Gateway(tmp_path, {"s": checked(steady, other, health=health)}, gateway=MEMORY) as gateway:
            assert asked(gateway) == {steady.port, other.port}
            switch.good = False
            until(lambda: states(gateway) == ["up", "down"], "it is out")
            assert Operator(gateway, "").service()["instances"][1]["health"]["last"]["reason"] == reason
            assert asked(gateway) == {steady.port}
            assert gateway.metric("ttagw_instance_up", instance=f"127.0.0.1:{other.port}") == 0
            switch.good = True
            until(lambda: states(gateway) == ["up", "up"], "it is back")
            assert asked(gateway) == {steady.port, other.port}
            assert gateway.failures() == []


def test_a_check_over_tcp_sees_that_nobody_listens_and_that_somebody_does_again(tmp_path: Path) -> None:
    health = {**OFTEN, "type": "tcp"}
    with Origin() as steady, ExitStack() as running:
        other = running.enter_context(Origin())
        with Gateway(tmp_path, {"s": checked(steady, other, health=health)}, gateway=MEMORY) as gateway:
            assert asked(gateway) == {steady.port, other.port}
            other.stop()
            until(lambda: states(gateway) == ["up", "down"], "it is out")
            assert asked(gateway) == {steady.port}
            running.enter_context(Origin(port=other.port))
            until(lambda: states(gateway) == ["up", "up"], "it is back")
            assert asked(gateway) == {steady.port, other.port}
            assert gateway.failures() == []


# Row 11


def test_with_nobody_healthy_the_answer_is_503_or_help_at_once_and_it_comes_back_by_itself(tmp_path: Path) -> None:
    with Origin() as one, Origin() as two:
        switches = [Switch(one), Switch(two)]
        services = {"s": checked(one, two), "care": checked(one, two, fallback="help")}
        routes = [route(), route("/care/*", "care", "care")]
        with Gateway(tmp_path, services, routes, gateway=MEMORY, fallbacks={"help": HELP}) as gateway:
            assert asked(gateway) == {one.port, two.port}
            for each in switches:
                each.good = False
            until(lambda: states(gateway) + states(gateway, "care") == ["down"] * 4, "all are out")
            before = len(one.seen(b"/x")) + len(two.seen(b"/x"))
            answer = once(gateway.port, get("/x"))
            assert (answer.status, answer.reason) == (503, b"no_instance")
            assert int(answer.value(b"retry-after")) > 0
            assert gateway.line(answer.id)["tries"] == 0
            assert len(one.seen(b"/x")) + len(two.seen(b"/x")) == before
            helped = once(gateway.port, get("/care/", "X-Region: gb"))
            assert (helped.status, helped.value(b"x-crisis-support")) == (503, b"available")
            assert (helped.value(b"x-crisis-hotline"), helped.reason) == (b"116 123", b"no_instance")
            assert json.loads(helped.body)["support"]["text"] == "Call Samaritans."
            assert gateway.metric("ttagw_service_up", service="s") == 0
            assert events(gateway, "service_down") == 1
            for each in switches:
                each.good = True
            until(lambda: states(gateway) + states(gateway, "care") == ["up"] * 4, "all are back")
            assert once(gateway.port, get("/care/")).value(b"x-crisis-support") == b""
            assert asked(gateway) == {one.port, two.port}
            assert gateway.failures() == []


# Row 12


def test_an_instance_that_flaps_with_each_check_changes_a_few_times_and_then_stays_out(tmp_path: Path) -> None:
    health = {**OFTEN, "unhealthy_after": 1, "healthy_after": 1}
    with Origin() as steady, Origin() as other:
        Switch(steady)
        switch = Switch(other)
        switch.flapping = True
        with Gateway(tmp_path, {"s": checked(steady, other, health=health)}, gateway=MEMORY) as gateway:
            until(lambda: switch.asked > 25, "it has flapped for a while")
            assert 2 <= events(gateway, "instance_down", "instance_up") <= 6
            assert states(gateway) == ["up", "down"]
            assert Operator(gateway, "").service()["instances"][1]["health"]["held_down"]
            assert asked(gateway) == {steady.port}
            assert gateway.failures() == []


def test_bad_checks_never_stop_the_others(tmp_path: Path) -> None:
    def lengthy(talk: Talk, request: Request) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000)
        talk.wait_gone()

    behaviours = [
        sending(),
        sending(b"\x00\xff garbage \r\n\r\n" * 1000),
        sending(b"HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n"),
        sending(b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        resetting(b"HTTP/1.1 2"),
        lengthy,
    ]
    with ExitStack() as running:
        good = running.enter_context(Origin())
        switch = Switch(good)
        bad = []
        for behaviour in behaviours:
            for _ in range(2):
                origin = running.enter_context(Origin())
                origin.held.set()
                origin.on(b"/health", behaviour)
                bad.append(origin)
        services = {"s": checked(good, *bad, health={**OFTEN, "timeout": "500ms"})}
        with Gateway(tmp_path, services, gateway=MEMORY) as gateway:
            until(lambda: states(gateway) == ["up", *["down"] * len(bad)], "all the bad ones are out")
            for _ in range(2):
                before = switch.asked
                until(lambda before=before: switch.asked > before + 5, "the good one is checked on and on")
                assert asked(gateway) == {good.port}
            switch.good = False
            until(lambda: states(gateway)[0] == "down", "that it is bad now is noticed")
            switch.good = True
            until(lambda: states(gateway)[0] == "up", "and that it is good again")
            checks = [len(each.requests) for each in bad]
            until(
                lambda: all(len(each.requests) > then for each, then in zip(bad, checks, strict=True)),
                "the bad ones are checked on and on",
            )
            assert gateway.metric("ttagw_check_faults_total") == 0
            assert gateway.failures() == []


# Dependencies


def test_what_depends_on_a_service_that_is_down_is_degraded_and_served_unless_it_needs_it(tmp_path: Path) -> None:
    with Origin() as base, Origin() as own:
        switch = Switch(base)
        Switch(own)
        services = {
            "base": checked(base),
            "s": checked(own, dependencies=["base"]),
            "far": checked(own, dependencies=["s"]),
            "strict": checked(own, dependencies=["base"], require_dependencies=True),
        }
        routes = [route(), *[route(f"/{each}/*", each, each) for each in ("base", "far", "strict")]]

        def all_states(gateway: Gateway) -> dict[str, str]:
            return {
                each["name"]: each["state"] for each in Operator(gateway, "").ask("GET", "/services")[1]["services"]
            }

        def statuses(gateway: Gateway) -> list[int]:
            return [once(gateway.port, get(f"/{each}/")).status for each in services]

        with Gateway(tmp_path, services, routes, gateway=MEMORY) as gateway:
            until(lambda: switch.asked, "it is checked")
            assert all_states(gateway) == dict.fromkeys(services, "up")
            assert statuses(gateway) == [200] * 4
            switch.good = False
            wanted = {"base": "down", "s": "degraded", "far": "degraded", "strict": "down"}
            until(lambda: all_states(gateway) == wanted, "what depends on it is degraded")
            assert statuses(gateway) == [503, 200, 200, 503]
            assert Operator(gateway, "").service("far")["without"] == ["base"]
            degraded = {each: gateway.metric("ttagw_service_degraded", service=each) for each in services}
            assert degraded == {"base": 0, "s": 1, "far": 1, "strict": 1}
            switch.good = True
            until(lambda: all_states(gateway) == dict.fromkeys(services, "up"), "all is well again")
            assert statuses(gateway) == [200] * 4
            assert gateway.failures() == []


# Row 10


def drip(talk: Talk, request: Request) -> None:
    """A whole answer that takes its time."""
    talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
    for byte in b"slow":
        talk.gone.wait(0.1)
        talk.send(bytes([byte]))


SLOW = {"slow_call": "300ms", "slow_ratio": 0.5, "minimum_calls": 4, "open_for": "30s"}


@pytest.fixture
def slow() -> Iterator[Origin]:
    with Origin() as origin:
        origin.on(b"/", drip)
        yield origin


def test_slow_answers_pass_and_count_and_open_the_breaker_of_a_service_alone(tmp_path: Path, slow: Origin) -> None:
    with Gateway(tmp_path, {"s": service(slow.port, breaker=SLOW)}, gateway=MEMORY) as gateway:
        answers = [once(gateway.port, get("/")) for _ in range(4)]
        assert {(each.status, each.body) for each in answers} == {(200, b"slow")}
        refused = once(gateway.port, get("/"))
        assert (refused.status, refused.reason) == (503, b"circuit_open")
        assert len(slow.requests) == 4
        assert gateway.failures() == []


def test_an_instance_that_is_slow_is_left_out_and_the_others_serve(tmp_path: Path, slow: Origin) -> None:
    with Origin() as one, Origin() as two:
        services = {
            "s": service(slow.port, one.port, two.port, balance="round_robin", breaker={**SLOW, "slow_ratio": 0.8})
        }
        with Gateway(tmp_path, services, gateway=MEMORY) as gateway:

            def left_out() -> bool:
                assert once(gateway.port, get("/")).status == 200
                return states(gateway)[0] == "ejected"

            until(left_out, "the slow one is left out")
            before = len(slow.requests)
            assert asked(gateway) == {one.port, two.port}
            assert len(slow.requests) == before
            assert events(gateway, "instance_ejected") == 1
            assert gateway.failures() == []


def test_a_service_that_has_no_such_path_is_asked_all_the_same_and_it_is_said(
    tmp_path: Path, service_here: Origin
) -> None:
    service_here.on(b"/health", lambda talk, request: talk.reply(b"no", status=b"404 Not Found"))
    with Gateway(tmp_path, {"s": {"instances": [f"http://127.0.0.1:{service_here.port}"]}}) as gateway:
        until(lambda: gateway.metric("ttagw_events_total", kind="check_unfit", service="s") == 1, "it is said")
        assert once(gateway.port, get("/x")).status == 200
        assert gateway.metric("ttagw_service_up", service="s") == 1
        assert gateway.failures() == []
