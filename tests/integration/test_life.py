"""Rows 25 and 29: signals, and log files that cannot be written or have moved away."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.origin import Origin, Request, Talk, sending
from tests.integration.kit.raw import Answer, Client, CutOffError, get, once
from tests.integration.kit.waiting import until


@pytest.fixture
def gateway(tmp_path: Path, service_here: Origin) -> Iterator[Gateway]:
    sections = {"gateway": {"drain": "10s"}, "upstream": {"response_timeout": "10s"}}
    with Gateway(tmp_path, {"s": service(service_here.port)}, **sections) as running:
        yield running
        assert running.failures() == []


def wait_for_test(talk: Talk, request: Request) -> None:
    """Answer once the test has set `held`."""
    talk.origin.held.wait(10)
    talk.reply(b"done")


class Load:
    """Clients that ask again and again until they are told to stop or the gateway closes."""

    def __init__(self, port: int, clients: int = 8) -> None:
        self._port = port
        self._stop = Event()
        self.answers: list[Answer] = []
        self.lost = 0
        """Requests on an open connection that got no answer."""
        self._threads = [Thread(target=self._run, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                with Client(self._port) as client:
                    self._ask(client)
        except ConnectionRefusedError:
            pass

    def _ask(self, client: Client) -> None:
        while not self._stop.is_set():
            try:
                answer = client.ask(get("/load"))
            except (CutOffError, ConnectionError):
                self.lost += 1
                return
            self.answers.append(answer)
            if answer.value(b"connection") == b"close":
                return

    def join(self) -> None:
        """Wait until all have stopped."""
        self._stop.set()
        for thread in self._threads:
            thread.join(20)


# Row 29


def test_sigterm_finishes_what_runs_and_accepts_no_more(gateway: Gateway, service_here: Origin) -> None:
    service_here.on(b"/slow", wait_for_test)
    with ExitStack() as open_ones:
        clients = [open_ones.enter_context(Client(gateway.port)) for _ in range(10)]
        for client in clients:
            client.send(get("/slow"))
        until(lambda: len(service_here.seen(b"/slow")) == 10, "all requests run")
        gateway.child.signal(signal.SIGTERM)
        until(lambda: refuses(gateway.port), "the gateway accepts no more")
        assert gateway.child.running()
        service_here.held.set()
        answers = [client.answer() for client in clients]
        assert {(each.status, each.body, each.value(b"connection")) for each in answers} == {(200, b"done", b"close")}
        assert all(client.at_end() for client in clients)
    assert gateway.child.ended() == 0
    assert len([line for line in gateway.lines() if line["status"] == 200]) == 10


def refuses(port: int) -> bool:
    """Whether nobody listens there."""
    try:
        Client(port).close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigterm_under_load_loses_no_request_that_was_answered_to(gateway: Gateway, service_here: Origin) -> None:
    load = Load(gateway.port)
    until(lambda: len(load.answers) > 200, "the load runs")
    gateway.child.signal(signal.SIGTERM)
    assert gateway.child.ended() == 0
    load.join()
    assert {answer.status for answer in load.answers} == {200}
    # A request that crosses with the close of an idle connection (RFC 9112 §9.6) was never begun.
    assert len(service_here.requests) == len(load.answers)
    assert len(gateway.lines()) == len(load.answers)


def test_idle_connections_end_at_once_on_sigterm(gateway: Gateway) -> None:
    with Client(gateway.port) as used, Client(gateway.port) as unused:
        assert used.ask(get("/")).status == 200
        until(lambda: gateway.metric("ttagw_connections") == 2, "both are open")
        gateway.child.signal(signal.SIGTERM)
        assert used.at_end()
        assert unused.at_end()
        assert gateway.child.ended(3) == 0


def test_sigterm_twice_ends_at_once(gateway: Gateway, service_here: Origin) -> None:
    service_here.on(b"/slow", sending())
    with Client(gateway.port) as client:
        client.send(get("/slow"))
        service_here.talk_of(b"/slow")
        gateway.child.signal(signal.SIGTERM)
        until(lambda: refuses(gateway.port), "the gateway accepts no more")
        gateway.child.signal(signal.SIGTERM)
        assert gateway.child.ended(3) == 0
        with pytest.raises(CutOffError):
            client.answer()


def test_the_drain_time_ends_what_does_not_finish(tmp_path: Path, service_here: Origin) -> None:
    service_here.on(b"/slow", sending())
    with Gateway(tmp_path, {"s": service(service_here.port)}, [route(timeout="60s")]) as gateway:
        with Client(gateway.port) as client:
            client.send(get("/slow"))
            service_here.talk_of(b"/slow")
            began = time.monotonic()
            gateway.child.signal(signal.SIGTERM)
            with pytest.raises(CutOffError):
                client.answer()
            assert gateway.child.ended(5) == 0
        assert 0.25 <= time.monotonic() - began < 4


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_a_storm_of_signals_loses_nothing(gateway: Gateway, number: int) -> None:
    load = Load(gateway.port, 4)
    for _ in range(200):
        gateway.child.signal(number)
        until(lambda: gateway.child.running(), "it runs")
    until(lambda: len(load.answers) > 300, "the load runs")
    load.join()
    assert load.lost == 0
    assert {answer.status for answer in load.answers} == {200}
    ids = {answer.id for answer in load.answers}
    until(lambda: {line["request_id"] for line in gateway.lines()} == ids, "every answer is in the log")


# Row 25


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_a_log_file_that_moved_away_is_opened_again(gateway: Gateway, number: int) -> None:
    before = once(gateway.port, get("/")).id
    gateway.line(before)
    moved = gateway.access.rename(gateway.access.with_suffix(".1"))
    between = once(gateway.port, get("/")).id
    until(lambda: between in moved.read_text(), "lines go on into the moved file")
    gateway.child.signal(number)
    until(gateway.access.exists, "the file is there again")
    after = once(gateway.port, get("/")).id
    assert gateway.line(after)["status"] == 200
    assert after not in moved.read_text()
    assert before not in gateway.access.read_text()


def test_a_full_log_disk_loses_lines_and_says_so_and_nothing_else(tmp_path: Path, service_here: Origin) -> None:
    with Gateway(tmp_path, {"s": service(service_here.port)}, access="/dev/full") as gateway:
        for _ in range(5):
            assert once(gateway.port, get("/")).status == 200
        until(lambda: gateway.metric("ttagw_access_log_dropped_total") >= 5, "the lost lines are counted")
        until(lambda: [line for line in gateway.said() if "lines are being lost" in line["message"]], "it is said")
        assert gateway.child.running()


def test_a_small_disk_that_fills_up_and_is_cleared(tmp_path: Path, service_here: Origin) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["sh", "-c", 'mount -t tmpfs -o size=64k none "$0" && exec "$@"', disk]
    services = {"s": service(service_here.port)}
    with Gateway(tmp_path, services, access=f"{disk}/access.log", around=["unshare", "-rm", *mount]) as gateway:
        # The disk is there for the gateway only.
        log = Path(f"/proc/{gateway.child.pid}/root{disk}/access.log")
        with Client(gateway.port) as client:
            answers = [client.ask(get("/")) for _ in range(400)]
            assert {answer.status for answer in answers} == {200}

            def all_counted() -> bool:
                lost = gateway.metric("ttagw_access_log_dropped_total")
                return lost > 0 and log.read_bytes().count(b"\n") + lost >= 400

            until(all_counted, "each line is written or counted as lost")
            kept = log.read_bytes().splitlines()
            ids = [json.loads(line)["request_id"] for line in kept[:-1]]
            assert ids == [answer.id for answer in answers[: len(ids)]]
            os.truncate(log, 0)
            last = client.ask(get("/")).id
            until(lambda: last in log.read_text(), "lines are written again")
        assert json.loads(log.read_bytes().splitlines()[-1])["request_id"] == last
        until(lambda: [each for each in gateway.said() if "writing again" in each["message"]], "it is said")


def test_a_log_disk_that_has_room_again_is_written_to(tmp_path: Path, service_here: Origin) -> None:
    link = tmp_path / "access.log"
    link.symlink_to("/dev/full")
    with Gateway(tmp_path, {"s": service(service_here.port)}) as gateway:
        assert once(gateway.port, get("/")).status == 200
        until(lambda: gateway.metric("ttagw_access_log_dropped_total") >= 1, "the lost line is counted")
        link.unlink()
        gateway.child.signal(signal.SIGUSR1)
        until(link.exists, "the file is there again")
        assert gateway.line(once(gateway.port, get("/")).id)["status"] == 200
        until(lambda: [each for each in gateway.said() if "writing again" in each["message"]], "it is said")
