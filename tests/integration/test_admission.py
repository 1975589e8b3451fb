"""Rows 33, 34 and 43: more than can be done, everybody at once after an outage, and memory that runs short."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.narrow import Asking, Narrow
from tests.integration.kit.origin import Origin, Request, Talk
from tests.integration.kit.raw import Client, get, once
from tests.integration.kit.waiting import until

# How much gets done in a time is real here, and so is what else the machine has to do.
pytestmark = pytest.mark.flaky(reruns=2)

HELP = {"default_region": "US", "regions": {"US": {"text": "Call or text 988.", "hotline": "988"}}}
ROUTES = [
    route("/play/*", name="play"),
    route("/bulk/*", name="bulk", **{"class": "low"}),
    route("/care/*", name="care", **{"class": "therapeutic"}),
    route("/crisis/*", name="crisis", **{"class": "crisis"}),
]
PLACES, SECONDS = 4, 0.05
"""The service can do 80 a second."""
SMALL = {"in_flight": 16, "queue": 10}
MEMORY = {"store": "memory:"}


def gateway_of(tmp_path: Path, *origins: Origin, admission: dict[str, Any] = SMALL, **more: Any) -> Gateway:
    services = {"s": service(*[each.port for each in origins], fallback="help", **more)}
    upstream = {"response_timeout": "10s"}
    sections: dict[str, Any] = {"fallbacks": {"help": HELP}, "admission": admission, "upstream": upstream}
    return Gateway(tmp_path, services, ROUTES, gateway=MEMORY, **sections)


def held(talk: Talk, request: Request) -> None:
    """Answer when the test says so."""
    talk.origin.held.wait(30)
    talk.reply(b"ok")


def waiting(gateway: Gateway) -> int:
    """How many requests wait at the gate."""
    return sum(view(gateway)["services"]["s"]["waiting"].values())


def view(gateway: Gateway) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gateway.admin("/admission")[1])
    return found


def test_ten_times_as_much_as_can_be_done_costs_crisis_nothing_and_the_service_little(tmp_path: Path) -> None:
    with Origin() as origin, gateway_of(tmp_path, origin) as gateway:
        narrow = Narrow(origin, PLACES, SECONDS)
        with Asking(gateway.port, 2 * PLACES, "/play/") as few:
            until(lambda: few.good > 20, "it is as busy as it can be")
            peak = few.good_in(2)
        narrow.most = 0
        with (
            Asking(gateway.port, 40, "/play/", every=0.05) as many,
            Asking(gateway.port, 2, "/crisis/", every=0.1) as crisis,
        ):
            until(lambda: many.statuses[503] > 100, "there is far too much to do")
            during = many.good_in(2)
            until(lambda: crisis.good >= 20, "somebody in need asks all the time")
        assert during > peak / 2
        assert (set(crisis.statuses), crisis.lost, many.lost) == ({200}, 0, 0)
        assert set(many.statuses) == {200, 503}
        assert set(many.reasons) == {b"overloaded"}
        # Those that the gateway lets in at once, and what crisis may have beside them.
        assert narrow.most <= 16 + 8
        until(lambda: gateway.metric("ttagw_admission_in_flight") == 0, "nothing is held any more")
        assert gateway.metric("ttagw_admission_shed_total", **{"class": "normal"}) == many.statuses[503]
        assert gateway.metric("ttagw_admission_shed_total", **{"class": "crisis"}) == 0
        bypasses = [line for line in gateway.lines() if line.get("bypass") == "shed"]
        assert len(bypasses) == gateway.metric("ttagw_admission_bypasses_total")
        assert {line["class"] for line in bypasses} <= {"crisis"}
        assert {once(gateway.port, get("/play/after")).status for _ in range(10)} == {200}
        assert gateway.failures() == []


def test_a_flood_of_crisis_leaves_others_their_part_and_everybody_with_help(tmp_path: Path) -> None:
    with Origin() as origin, gateway_of(tmp_path, origin) as gateway:
        Narrow(origin, PLACES, SECONDS)
        with Asking(gateway.port, 16, "/play/") as usual:
            until(lambda: usual.good > 20, "it is as busy as it can be")
            before = usual.good_in(3)
            with Asking(gateway.port, 30, "/crisis/") as flood:
                until(lambda: flood.statuses[503] > 20, "there are more than may be")
                during = usual.good_in(3)
                with Client(gateway.port) as client:
                    answer = until(
                        lambda: (found := client.ask(get("/crisis/me"))).status == 503 and found, "one is over"
                    )
                assert json.loads(answer.body)["support"]["hotline"] == "988"
                assert answer.reason == b"crisis_ceiling"
                assert flood.lost == 0
        assert during > before / 3
        assert set(flood.statuses) == {200, 503}
        assert set(flood.reasons) == {b"crisis_ceiling"}
        until(lambda: gateway.metric("ttagw_admission_in_flight") == 0, "nothing is held any more")
        assert gateway.failures() == []


def test_one_who_asks_for_everything_does_not_starve_the_others(tmp_path: Path) -> None:
    with Origin() as origin, gateway_of(tmp_path, origin) as gateway:
        Narrow(origin, PLACES, SECONDS)
        with (
            Asking(gateway.port, 40, "/play/", source="127.0.0.2") as greedy,
            Asking(gateway.port, 2, "/play/", source="127.0.0.3") as modest,
        ):
            until(lambda: greedy.statuses[503] > 50, "there is too much to do")
            until(lambda: modest.good > 20, "the others are served")
        assert modest.statuses[503] <= modest.good / 10
        assert gateway.failures() == []


def test_higher_classes_are_served_first(tmp_path: Path) -> None:
    admission = {"in_flight": 1, "queue": 10, "queue_time": "20s"}
    with Origin() as origin, gateway_of(tmp_path, origin, admission=admission) as gateway, ExitStack() as clients:
        origin.on(b"/play/first", held)
        asking = []
        for number, path in enumerate(("/play/first", "/bulk/1", "/play/1", "/bulk/2", "/care/1", "/play/2")):
            client = clients.enter_context(Client(gateway.port))
            client.send(get(path))
            asking.append(client)
            until(lambda now=number: waiting(gateway) == now, "it waits")  # type: ignore[misc]
        until(lambda: origin.seen(b"/play/first"), "the first is there")
        assert view(gateway)["services"]["s"]["waiting"]["low"] == 2
        origin.held.set()
        assert {client.answer().status for client in asking} == {200}
        order = [request.target for request in origin.requests]
        assert order == [b"/play/first", b"/care/1", b"/play/1", b"/play/2", b"/bulk/1", b"/bulk/2"]
        assert view(gateway)["in_flight"] == {"crisis": 0, "therapeutic": 0, "high": 0, "normal": 0, "low": 0}
        assert gateway.metric("ttagw_admission_waited_seconds_count") == 5


def test_who_leaves_or_is_cut_while_waiting_leaves_no_trace(tmp_path: Path) -> None:
    admission = {"in_flight": 1, "queue": 10, "queue_time": "20s"}
    with Origin() as origin, gateway_of(tmp_path, origin, admission=admission) as gateway:
        origin.on(b"/", held)
        with Client(gateway.port) as first, ExitStack() as clients:
            first.send(get("/play/first"))
            until(lambda: origin.seen(b"/play/first"), "the first is there")
            waiting = [clients.enter_context(Client(gateway.port)) for _ in range(4)]
            for client in waiting:
                client.send(get("/play/waiting"))
            until(lambda: view(gateway)["services"]["s"]["waiting"]["normal"] == 4, "they wait")
            waiting[0].reset()
            waiting[1].close()
            until(lambda: view(gateway)["services"]["s"]["waiting"]["normal"] == 2, "two have left")
            origin.held.set()
            assert first.answer().status == 200
            assert {client.answer().status for client in waiting[2:]} == {200}
        until(lambda: gateway.metric("ttagw_admission_in_flight") == 0, "nothing is held any more")
        assert len(origin.seen(b"/play/waiting")) == 2
        assert gateway.failures() == []


def test_a_gateway_that_stops_ends_although_somebody_waits(tmp_path: Path) -> None:
    admission = {"in_flight": 1, "queue": 10, "queue_time": "20s"}
    with Origin() as origin:
        gateway = gateway_of(tmp_path, origin, admission=admission)
        with gateway, Client(gateway.port) as first, Client(gateway.port) as second:
            origin.on(b"/", held)
            first.send(get("/play/first"))
            until(lambda: origin.seen(b"/play/first"), "the first is there")
            second.send(get("/play/second"))
            until(lambda: view(gateway)["services"]["s"]["waiting"]["normal"] == 1, "the second waits")
            gateway.child.signal(15)
            assert gateway.child.ended() == 0
            assert gateway.failures() == []


def streaming(talk: Talk, request: Request) -> None:
    """An answer that ends when the test says so."""
    talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not talk.origin.held.wait(0.2):
        talk.send(b"1\r\nx\r\n")
    talk.send(b"0\r\n\r\n")


def test_answers_that_stream_for_long_keep_nobody_from_their_service(tmp_path: Path) -> None:
    with Origin() as origin, gateway_of(tmp_path, origin, admission={"in_flight": 40}) as gateway:
        origin.on(b"/play/stream", streaming)
        with ExitStack() as clients:
            for number in range(30):
                client = clients.enter_context(Client(gateway.port, source=f"127.0.1.{number % 5 + 1}"))
                client.send(get("/play/stream"))
                assert client.head().status == 200
            shown = view(gateway)
            assert shown["in_flight"]["normal"] == 30
            assert shown["services"]["s"]["awaited"]["normal"] == 0
            assert {once(gateway.port, get("/play/quick")).status for _ in range(50)} == {200}
            origin.held.set()
        until(lambda: gateway.metric("ttagw_admission_in_flight") == 0, "nothing is held any more")
        assert gateway.failures() == []


def test_one_who_takes_as_many_answers_as_there_are_places_leaves_others_theirs(tmp_path: Path) -> None:
    with Origin() as origin, gateway_of(tmp_path, origin, admission={"in_flight": 40}) as gateway:
        origin.on(b"/", streaming)
        with ExitStack() as clients:

            def status(path: str, source: str) -> int:
                client = clients.enter_context(Client(gateway.port, source=source))
                client.send(get(path))
                return client.head().status

            assert [status("/play/stream", "127.0.0.2") for _ in range(30)] == [200] * 20 + [503] * 10
            assert {status("/play/stream", "127.0.0.3") for _ in range(8)} == {200}
            assert status("/crisis/stream", "127.0.0.2") == 200
            origin.held.set()
        until(lambda: gateway.metric("ttagw_admission_in_flight") == 0, "nothing is held any more")
        assert once(gateway.port, get("/play/stream")).status == 200
        assert gateway.failures() == []


def test_everybody_at_once_after_an_outage_is_no_second_outage(tmp_path: Path) -> None:
    breaker = {"consecutive_failures": 5, "minimum_calls": 20, "open_for": "1s", "half_open_calls": 3}
    admission = {"in_flight": 24, "queue": 50}
    with Origin() as origin, gateway_of(tmp_path, origin, admission=admission, breaker=breaker) as gateway:
        narrow = Narrow(origin, 8, 0.02)
        narrow.breaks_at = 32
        narrow.down = True
        with Asking(gateway.port, 100, "/play/", every=0.05) as herd:

            def opened() -> float:
                return gateway.metric("ttagw_events_total", kind="circuit_open", service="s")

            until(lambda: opened() >= 1, "it is left alone")
            until(lambda: herd.statuses[503] > 200, "everybody goes on asking")
            narrow.down = False
            until(lambda: herd.good > 200, "it is back")
            then, good = opened(), herd.good
            until(lambda: herd.good > good + 500, "it stays so")
            assert opened() == then
        assert narrow.broken == 0
        assert narrow.most <= 24
        assert herd.lost == 0
        assert gateway.failures() == []


def test_memory_that_runs_short_is_given_to_those_who_need_it_most(tmp_path: Path) -> None:
    with Origin() as origin:
        started = tmp_path / "first"
        started.mkdir()
        with gateway_of(started, origin) as gateway:
            usual = gateway.child.resident()
        origin.on(b"/play/first", held)
        most = usual * 10 // 7
        admission = {"in_flight": 1, "queue": 5000, "queue_time": "60s", "memory": most}
        with gateway_of(tmp_path, origin, admission=admission) as gateway, ExitStack() as clients:
            assert once(gateway.port, get("/bulk/now")).status == 200
            first = clients.enter_context(Client(gateway.port, timeout=60))
            first.send(get("/play/first"))
            until(lambda: origin.seen(b"/play/first"), "the only place is taken")
            uploads: list[Client] = []

            def upload() -> None:
                """What has come of a body is held while its request waits."""
                for _ in range(10):
                    client = clients.enter_context(Client(gateway.port))
                    client.send(get("/play/", "Content-Length: 1000000", method="POST"), b"x" * 60_000)
                    uploads.append(client)

            def told(kind: str) -> float:
                return gateway.metric("ttagw_events_total", kind=kind)

            until(lambda: (upload(), told("memory_short"))[1], "memory is short", within=60)
            assert gateway.child.resident() < most
            answer = once(gateway.port, get("/bulk/now"))
            assert (answer.status, answer.reason) == (503, b"overloaded")
            assert gateway.line(lambda line: line["reason"] == "memory")["class"] == "low"
            assert once(gateway.port, get("/crisis/now")).status == 200
            until(
                lambda: (upload(), gateway.metric("ttagw_admission_shed_total", reason="memory") > 20)[1], "it is more"
            )
            assert gateway.child.resident() < most * 1.1
            assert once(gateway.port, get("/crisis/now")).status == 200
            for client in uploads:
                client.reset()
            origin.held.set()
            assert first.answer().status == 200
            until(lambda: told("memory_short_over") == told("memory_short"), "there is enough again", within=60)
            assert once(gateway.port, get("/bulk/now")).status == 200
            assert gateway.failures() == []


def test_a_limit_of_the_address_space_counts(tmp_path: Path) -> None:
    most = 8 << 30
    services, routes = {"s": service(9)}, [route()]
    with Gateway(tmp_path, services, routes, gateway=MEMORY, around=("prlimit", f"--as={most}:{most}")) as gateway:

        def space() -> float:
            status = Path(f"/proc/{gateway.child.pid}/status").read_text()
            return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmSize:"))

        until(lambda: abs(gateway.metric("ttagw_memory_share") - space() / most) < 0.01, "it is what is looked at")
