from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.protocol import Factory

from tests.sockets import Raw, Recorder, listening
from tests.twisted_hygiene import _frozen_garbage, failures, reactor, until
from ttagw.config import Config
from ttagw.layers.bounds import Bounds
from ttagw.layers.observe import Observe
from ttagw.service import Gateway, layers
from ttagw.upstream.tls import TlsFileError

__all__ = ["_frozen_garbage", "failures"]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Up(Recorder):
    """A service that answers everything but `/slow`."""

    made: list[Up]

    def connectionMade(self) -> None:
        self.made.append(self)

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if b"/slow" not in data:
            self.transport.write(OK)


@pytest.fixture
def upstream() -> Iterator[tuple[int, list[Up]]]:
    made: list[Up] = []
    factory = Factory.forProtocol(type("Mine", (Up,), {"made": made}))
    factory.noisy = False
    with listening(factory) as port:
        yield port, made


def configured(folder: Path, port: int, **changes: Any) -> Config:
    plan: dict[str, Any] = {
        "gateway": {
            "listen": ["tcp:0:interface=127.0.0.1"],
            "admin": "tcp:0:interface=127.0.0.1",
            "drain": "30s",
            "name": "gw",
            "store": "memory:",
        },
        "services": {"up": {"instances": [f"http://127.0.0.1:{port}"]}, "spare": {"instances": ["http://127.0.0.1:9"]}},
        "routes": [
            {"name": "players", "path": "/players/{id}", "service": "up", "auth": "none", "rewrite": "/v1/{id}"},
            {"name": "slow", "path": "/slow", "service": "up", "auth": "none"},
            {"name": "either", "path": "/either", "split": {"up": 1}, "auth": "none", "max_body": "1KiB"},
            {
                "name": "marked",
                "path": "/marked",
                "service": "up",
                "auth": "none",
                "set_request_headers": {"X-Mark": "in"},
                "set_response_headers": {"X-Mark": "out"},
                "timeout": "5s",
            },
        ],
        "log": {"access": str(folder / "access.log")},
    }
    for section, values in changes.items():
        plan[section] = {**plan.get(section, {}), **values}
    return Config.model_validate(plan)


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Gateway]:
    gateway = Gateway(reactor, config)
    gateway.privilegedStartService()
    gateway.startService()
    await until(lambda: gateway.fleet.loaded)
    try:
        yield gateway
    finally:
        if gateway.running:
            await gateway.stopService()


@pytest_twisted.ensureDeferred
async def test_the_store_that_is_checked_is_the_one_that_is_used_wherever_the_daemon_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for each in (before, after):
        each.mkdir()
    monkeypatch.chdir(before)
    gateway = Gateway(reactor, configured(tmp_path, 9, gateway={"store": "sqlite:ttagw.db", "admin": ""}))
    monkeypatch.chdir(after)  # what `twistd --rundir` does, between making a service and starting it
    gateway.privilegedStartService()
    await gateway.listeners.stopService()
    assert ([each.name for each in before.iterdir()], list(after.iterdir())) == (["ttagw.db"], [])


def port_of(gateway: Gateway, place: int = 0) -> int:
    return int(gateway.listeners._ports[place][0].getHost().port)


async def ask(port: int, path: str, line: str = "Connection: close", method: str = "GET") -> tuple[int, str, bytes]:
    """Status, head and body over a connection of its own."""
    raw = Raw(port)
    request = f"{method} {path} HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n".encode()
    await until(lambda: _sent(raw, request))
    head, _, body = (await raw.read_to_end()).partition(b"\r\n\r\n")
    raw.socket.close()
    return int(head[9:12]), head.decode().lower(), body


def _sent(raw: Raw, data: bytes) -> bool:
    try:
        return raw.socket.send(data) == len(data)
    except (BlockingIOError, OSError):
        return False


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "access.log").read_bytes().splitlines()]


@pytest_twisted.ensureDeferred
async def test_a_request_goes_through_the_whole_gateway(tmp_path: Path, upstream: tuple[int, list[Up]]) -> None:
    port, made = upstream
    async with running(configured(tmp_path, port)) as gateway:
        status, head, body = await ask(port_of(gateway), "/players/7?token=secret")
        assert (status, body) == (200, b"ok")
        assert "x-request-id: " in head
        assert made[0].data.startswith(b"GET /v1/7?token=secret HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n" % port)
        status, head, _ = await ask(port_of(gateway), "/marked")
        assert "x-mark: out" in head
        assert b"x-mark: in\r\n" in b"".join(each.data for each in made)
        assert (await ask(port_of(gateway), "/either"))[0] == 200
        assert (await ask(port_of(gateway), "/nowhere"))[0] == 404
        assert (await ask(port_of(gateway), "/either", "Content-Length: 2000\r\nConnection: close", "POST"))[0] == 413
        status, head, _ = await ask(port_of(gateway), "*", method="OPTIONS")
        assert (status, "allow: delete, get" in head) == (204, True)
    written = lines(tmp_path)
    assert [(line["route"], line["path"], line["status"]) for line in written] == [
        ("players", "/players/{id}", 200),
        ("marked", "/marked", 200),
        ("either", "/either", 200),
        ("-", "-", 404),
        ("either", "/either", 413),
        ("*", "*", 204),
    ]
    assert "secret" not in (tmp_path / "access.log").read_text()


@pytest_twisted.ensureDeferred
async def test_the_admin_side_tells_what_happened(tmp_path: Path, upstream: tuple[int, list[Up]]) -> None:
    async with running(configured(tmp_path, upstream[0])) as gateway:
        admin = port_of(gateway, 1)
        assert json.loads((await ask(admin, "/health/ready"))[2]) == {
            "ready": True,
            "listeners": 2,
            "draining": False,
            "services": {"up": 1},
        }
        await ask(port_of(gateway), "/players/7")
        text = (await ask(admin, "/metrics"))[2].decode()
        families = {family.name: family for family in text_string_to_metric_families(text)}
        samples = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for f in families.values()
            for sample in f.samples
        }
        asked = (("method", "GET"), ("route", "players"), ("status", "200"))
        assert samples["ttagw_requests_total", *asked] == 1.0
        assert samples["ttagw_connections_accepted_total",] == 1.0
        assert samples["ttagw_access_log_dropped_total",] == 0.0
        assert families["ttagw_pool_connections"].samples
        labels = {name for sample in samples for name, _ in sample[1:]}
        assert labels <= {
            "route",
            "class",
            "method",
            "status",
            "reason",
            "le",
            "service",
            "instance",
            "state",
            "kind",
            "version",
            "outcome",
            "result",
            "what",
            "store",
            "operation",
            "by",
            "limit",
        }


@pytest_twisted.ensureDeferred
async def test_without_an_admin_side_there_is_one_listener_less(tmp_path: Path, upstream: tuple[int, list[Up]]) -> None:
    config = configured(tmp_path, upstream[0], gateway={"admin": ""}, metrics={"enabled": False})
    async with running(config) as gateway:
        assert (gateway.listeners.count, gateway.readiness().ready) == (1, True)


def test_before_it_starts_it_is_not_ready(tmp_path: Path) -> None:
    gateway = Gateway(reactor, configured(tmp_path, 9))
    assert not gateway.readiness().ready
    assert gateway.access_file.dropped == 0


@pytest_twisted.ensureDeferred
async def test_stopping_finishes_what_is_under_way(tmp_path: Path, upstream: tuple[int, list[Up]]) -> None:
    port, made = upstream
    async with running(configured(tmp_path, port)) as gateway:
        idle, busy = Raw(port_of(gateway)), Raw(port_of(gateway))
        admin = port_of(gateway, 1)
        await until(lambda: _sent(busy, b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"))
        await until(lambda: made and made[0].data and len(gateway.site.channels) == 2)
        stopping = gateway.stopService()
        await idle.read_to_end()
        assert (await ask(admin, "/health/ready"))[0] == 503
        assert not stopping.called
        made[0].transport.write(OK)
        assert (await busy.read_to_end()).endswith(b"ok")
        await stopping
        assert gateway.site.channels == set()
        idle.socket.close()
        busy.socket.close()
    assert [line["status"] for line in lines(tmp_path)] == [200]


@pytest_twisted.ensureDeferred
async def test_what_is_not_finished_in_time_is_cut(tmp_path: Path, upstream: tuple[int, list[Up]]) -> None:
    port, made = upstream
    async with running(configured(tmp_path, port, gateway={"drain": "20ms"})) as gateway:
        busy = Raw(port_of(gateway))
        await until(lambda: _sent(busy, b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"))
        await until(lambda: made and made[0].data)
        await gateway.stopService()
        await busy.read_to_end()
        assert busy.data == b""
        assert gateway.upstreams["up"].instances[0].in_flight == 0
        busy.socket.close()
        await until(lambda: made[0].lost)
    assert [(line["status"], line["reason"]) for line in lines(tmp_path)] == [(499, "shutdown")]


@pytest_twisted.ensureDeferred
async def test_log_files_that_were_moved_are_opened_again(tmp_path: Path, upstream: tuple[int, list[Up]]) -> None:
    async with running(configured(tmp_path, upstream[0])) as gateway:
        await ask(port_of(gateway), "/players/1")
        (tmp_path / "access.log").rename(tmp_path / "old.log")
        gateway.reopen_logs()
        await until((tmp_path / "access.log").exists)
        await ask(port_of(gateway), "/players/2")
    assert len(lines(tmp_path)) + len((tmp_path / "old.log").read_bytes().splitlines()) == 2
    assert len(lines(tmp_path)) >= 1


def test_observe_is_outermost_so_that_nothing_escapes_it(tmp_path: Path) -> None:
    gateway = Gateway(reactor, configured(tmp_path, 9))
    stack = layers(configured(tmp_path, 9), gateway.metrics, gateway.access, gateway.identities, gateway.traffic)
    assert isinstance(stack[0], Observe)
    assert [type(each) for each in stack].index(Bounds) > 0


def test_a_certificate_that_cannot_be_used_stops_it_before_anything_is_open(tmp_path: Path) -> None:
    services = {"up": {"instances": ["https://127.0.0.1:9"], "tls": {"ca": str(tmp_path / "no.pem")}}}
    with pytest.raises(TlsFileError, match=r"no\.pem"):
        Gateway(reactor, configured(tmp_path, 9, services=services))


def test_an_access_log_that_cannot_be_opened_stops_it(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Gateway(reactor, configured(tmp_path, 9, log={"access": str(tmp_path / "no" / "a.log")}))
