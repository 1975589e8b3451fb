"""Rows 17 and 18: more connections than there may be, and more files than there are."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from tests.integration.kit.certs import Authority
from tests.integration.kit.gateway import Gateway, service
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import Answer, Client, CutOffError, get, once
from tests.integration.kit.waiting import until

FLOOD = str(Path(__file__).with_name("kit") / "flood.py")


def first_answer(client: Client) -> Answer | None:
    """What a connection says before it is asked, or None if it just ends."""
    try:
        return client.answer()
    except (CutOffError, OSError):
        return None


def test_connections_over_the_limit_get_503_at_once_and_those_below_work(tmp_path: Path, service_here: Origin) -> None:
    http = {"max_connections": 50}
    with Gateway(tmp_path, {"s": service(service_here.port)}, http=http) as gateway, ExitStack() as open_ones:
        clients = [open_ones.enter_context(Client(gateway.port)) for _ in range(200)]
        until(lambda: gateway.metric("ttagw_connections") == 50, "50 connections are open")
        inside = []
        for client in clients:
            client.send(get("/"))
            answer = client.answer()
            assert answer.status in (200, 503)
            if answer.status == 200:
                inside.append(client)
            else:
                assert answer.reason == b"too_many_connections"
                assert int(answer.value(b"retry-after")) > 0
                assert client.at_end()
        assert len(inside) == 50
        assert gateway.metric("ttagw_connections_turned_away_total") == 150
        assert {client.ask(get("/again")).status for client in inside} == {200}
        for client in inside:
            client.close()
        until(lambda: gateway.metric("ttagw_connections") == 0, "all connections are gone")
        assert once(gateway.port, get("/")).status == 200
        assert gateway.failures() == []


class Flood:
    """Connections from a process of its own."""

    def __init__(self, port: int, count: int, source: str) -> None:
        command = [sys.executable, FLOOD, str(port), str(count), source]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def counts(self) -> dict[str, int]:
        """How many were opened or refused, were told 503, have ended, or were told something else."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        found: dict[str, int] = json.loads(self._process.stdout.readline())
        return found

    def __enter__(self) -> Flood:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.communicate(timeout=20)
        assert self._process.returncode == 0


def test_twenty_thousand_connections_at_once(tmp_path: Path, service_here: Origin) -> None:
    http = {"max_connections": 4000, "header_timeout": "60s", "keepalive_timeout": "60s"}
    with Gateway(tmp_path, {"s": service(service_here.port)}, http=http) as gateway:
        idle = gateway.child.descriptors()
        with Client(gateway.port, timeout=30) as early:
            assert early.ask(get("/")).status == 200
            with Flood(gateway.port, 10_000, "127.0.0.2") as one, Flood(gateway.port, 10_000, "127.0.0.3") as two:

                def settled() -> bool:
                    assert early.ask(get("/")).status == 200
                    # Those inside, those that are told so, and who has been accepted in one turn of the reactor.
                    assert gateway.child.descriptors() <= idle + 2 * 4000 + 1000
                    return sum([each.counts()["ended"] for each in (one, two)]) >= 20_000 - 3999

                # Where the queue of the listener is full, the flood comes in seconds later; and a connection ends
                # after 1,000 requests, this one too.
                until(settled, "every connection is served or turned away", within=60, every=0.1)
                counts = [one.counts(), two.counts()]
                assert sum([each["open"] for each in counts]) == 20_000
                assert sum([each["refused"] for each in counts]) == 0
                assert sum([each["ended"] for each in counts]) == 20_000 - 3999
                assert sum([each["other"] for each in counts]) == 0
                assert sum([each["503"] for each in counts]) > 10_000
                assert gateway.metric("ttagw_connections") == 4000
                assert gateway.metric("ttagw_connections_turned_away_total") == 20_000 - 3999
            until(lambda: gateway.metric("ttagw_connections") == 1, "the flood is gone")
            assert early.ask(get("/")).status == 200
        assert once(gateway.port, get("/")).status == 200
        assert gateway.failures() == []


def test_over_tls_too(tmp_path: Path, service_here: Origin, authority: Authority) -> None:
    services, context = {"s": service(service_here.port)}, authority.client_context()
    with (
        Gateway(tmp_path, services, certificate=authority.issue("127.0.0.1"), http={"max_connections": 1}) as gateway,
        Client(gateway.secure_port, context) as inside,
    ):
        assert inside.ask(get("/")).status == 200
        with Client(gateway.secure_port, context) as client:
            answer = client.answer()
            assert (answer.status, answer.reason) == (503, b"too_many_connections")
            assert client.at_end()
            assert not client.broken
        assert inside.ask(get("/again")).status == 200
        assert gateway.failures() == []


def test_a_flood_of_connections_uses_a_bounded_number_of_files(tmp_path: Path, service_here: Origin) -> None:
    http = {"max_connections": 100}
    with Gateway(tmp_path, {"s": service(service_here.port)}, http=http) as gateway:
        idle = gateway.child.descriptors()
        with ExitStack() as open_ones:
            most = 0
            for number in range(2000):
                try:
                    client = Client(gateway.port)
                except ConnectionResetError:
                    continue
                if number < 400:
                    open_ones.callback(client.close)
                else:
                    client.reset()
                if number % 50 == 0:
                    most = max(most, gateway.child.descriptors())
            assert most <= idle + 1000
        until(lambda: gateway.metric("ttagw_connections") == 0, "all connections are gone")
        assert once(gateway.port, get("/")).status == 200
        assert gateway.child.descriptors() <= idle + 10
        assert gateway.failures() == []


def test_without_files_left_accepting_pauses_and_resumes(tmp_path: Path, service_here: Origin) -> None:
    http = {"header_timeout": "60s", "keepalive_timeout": "60s"}
    with (
        Gateway(tmp_path, {"s": service(service_here.port)}, open_files=64, http=http) as gateway,
        Client(gateway.port, timeout=60) as early,
        ExitStack() as open_ones,
    ):
        assert early.ask(get("/")).status == 200
        waiting = [open_ones.enter_context(Client(gateway.port, timeout=60)) for _ in range(150)]
        until(lambda: gateway.metric("ttagw_accepting_paused") == 1, "files are short, and the admin side says so")
        assert {early.ask(get("/running")).status for _ in range(20)} == {200}
        assert gateway.child.descriptors() < 64
        for client in waiting:
            client.send(get("/waiting"))
        for client in waiting:
            assert client.answer().status == 200
            client.close()
        until(lambda: gateway.metric("ttagw_accepting_paused") == 0, "there are files again")
        assert once(gateway.port, get("/after")).status == 200
        shouted = gateway.failures()
        assert {line["level"] for line in shouted} == {"error"}
        assert all("of 64 open files are left: new connections wait" in line["message"] for line in shouted)
        assert not [line for line in gateway.said() if "EMFILE" in line["message"]]
