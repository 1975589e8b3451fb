"""Probes and services over real sockets."""

from __future__ import annotations

import socket
from typing import Any, ClassVar

import pytest
import pytest_twisted
from twisted.internet.endpoints import TCP4ClientEndpoint

from tests.registry.served import OK, Checking, Service, checked, sending, serving
from tests.sockets import Raw
from tests.twisted_hygiene import reactor, turn, until
from ttagw import __version__
from ttagw.config.services import Health
from ttagw.registry.probes import make_probe
from ttagw.registry.probes.answer import MAX_HEAD
from ttagw.registry.probes.named import REMEMBERED

HEAD = b"HTTP/1.1 200 OK\r\n"


def test_none_is_no_probe() -> None:
    assert make_probe("http://127.0.0.1:1", Health(type="none"), Checking().means) is None


@pytest_twisted.ensureDeferred
async def test_what_is_asked() -> None:
    service = sending(OK)
    with serving(service) as url:
        assert await Checking().reason(url, path="/up?x=1") == ""
    assert service.talks[0].data == (
        b"GET /up?x=1 HTTP/1.1\r\nhost: " + url[7:].encode() + b"\r\nuser-agent: ttagw-health/" + __version__.encode()
        + b"\r\naccept: */*\r\nconnection: close\r\n\r\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([OK], ""),
        ([b"HTTP/1.0 200\r\n\r\n"], ""),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n", OK], ""),
        ([HEAD + b"transfer-encoding: chunked\r\n\r\nnonsense"], ""),
        ([HEAD + b"content-length: 99999999\r\n\r\nbegun"], ""),
        ([HEAD + b"\r\n" + b"x" * 3_000_000], ""),
        ([b"HTTP/1.1 503 Service Unavailable\r\n\r\n"], "status_503"),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], "status_204"),
        ([b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"], "status_101"),
        ([b"hello\r\n\r\n"], "bad_answer"),
        ([b"\x16\x03\x01\x00\x05hello"], "bad_answer"),
        ([b"HTTP/2.0 200 OK\r\n\r\n"], "bad_answer"),
        ([b"RTSP/1.0 200 OK\r\n\r\n"], "bad_answer"),
        ([b"HTTP/1.1 600 Odd\r\n\r\n"], "bad_answer"),
        ([HEAD + b"no field\r\n\r\n"], "bad_answer"),
        ([HEAD + b"x: " + b"y" * MAX_HEAD], "bad_answer"),
        ([HEAD + b"x: y\r\n" * MAX_HEAD], "bad_answer"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" * 3000], "bad_answer"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_an_answer_means(answer: list[bytes], reason: str) -> None:
    assert await checked(sending(*answer)) == reason


@pytest_twisted.ensureDeferred
async def test_other_statuses_can_be_expected() -> None:
    assert await checked(sending(b"HTTP/1.1 204 No Content\r\n\r\n"), expect=(200, 204)) == ""
    assert await checked(sending(OK), expect=(204,)) == "status_200"


@pytest.mark.parametrize("pieces", [(), (HEAD,), (HEAD + b"x: y",), (b"HTTP/1.1 100 Continue\r\n\r\n",)])
@pytest_twisted.ensureDeferred
async def test_one_that_closes_before_it_has_answered(pieces: tuple[bytes, ...]) -> None:
    assert await checked(sending(*pieces, close=True)) == "closed"


@pytest_twisted.ensureDeferred
async def test_one_that_resets_the_connection() -> None:
    assert await checked(Service(lambda talk: talk.transport.abortConnection())) == "closed"


@pytest_twisted.ensureDeferred
async def test_an_answer_byte_by_byte() -> None:
    service = Service()
    with serving(service) as url:
        checking = Checking()
        _, found = checking.begin(url)
        await until(lambda: service.talks and service.talks[0].data)
        for place in range(len(HEAD + b"a: b\r\n\r\n")):
            assert not found
            talk: Any = service.talks[0]
            talk.transport.write((HEAD + b"a: b\r\n\r\n")[place : place + 1])
            await turn()
        await until(lambda: found)
        assert found[0].good
        await until(lambda: service.all_ended)


@pytest.mark.parametrize("drip", [b"", b"H"])
@pytest_twisted.ensureDeferred
async def test_one_that_never_answers_or_not_in_time(drip: bytes) -> None:
    service = Service(lambda talk: talk.transport.write(drip))
    with serving(service) as url:
        checking = Checking()
        _, found = checking.begin(url, timeout="1s")
        await until(lambda: service.talks and service.talks[0].data)
        checking.pass_time(0.9)
        assert not found
        checking.pass_time(0.2)
        assert [each.reason for each in found] == ["timeout"]
        assert 1.0 <= found[0].seconds <= 1.2
        await until(lambda: service.all_ended)
        assert not checking.deadlines._watched


def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize("kind", ["http", "tcp", "websocket"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
@pytest_twisted.ensureDeferred
async def test_where_nobody_listens(host: str, kind: str) -> None:
    assert await Checking().reason(f"http://{host}:{unused_port()}", type=kind) == "connection_refused"


@pytest_twisted.ensureDeferred
async def test_an_address_that_cannot_be_reached() -> None:
    # Linux does not connect to a broadcast address.
    assert await Checking().reason("http://255.255.255.255:9") == "connect_failed"


@pytest.mark.parametrize("kind", ["http", "tcp"])
@pytest_twisted.ensureDeferred
async def test_a_name_without_an_address(kind: str) -> None:
    assert await Checking().reason("http://nowhere.invalid:80", type=kind) == "name_not_resolved"


@pytest.mark.parametrize("kind", ["http", "tcp"])
@pytest_twisted.ensureDeferred
async def test_by_name(kind: str) -> None:
    service = sending(OK)
    with serving(service) as url:
        checking = Checking()
        assert await checking.reason(url.replace("127.0.0.1", "localhost"), type=kind) == ""
        await until(lambda: service.all_ended)
    assert checking.asked == [url.replace("127.0.0.1", "localhost")]


@pytest_twisted.ensureDeferred
async def test_over_ipv6() -> None:
    service = sending(OK)
    port = reactor.listenTCP(0, service, interface="::1")
    number = port.getHost().port
    assert await Checking().reason(f"http://[::1]:{number}") == ""
    assert b"host: [::1]:%d\r\n" % number in service.talks[0].data
    await until(lambda: service.all_ended)
    await port.stopListening()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest_twisted.ensureDeferred
async def test_tcp_says_nothing_and_needs_no_tls(scheme: str) -> None:
    service = Service()
    with serving(service) as url:
        checking = Checking()
        assert await checking.reason(url.replace("http", scheme), type="tcp") == ""
        assert checking.asked == []
        await until(lambda: service.talks and service.all_ended)
        assert await checking.reason(url.replace("http://127.0.0.1", f"{scheme}://localhost"), type="tcp") == ""
        assert checking.asked == [url.replace("127.0.0.1", "localhost")]
        await until(lambda: len(service.talks) == 2 and service.all_ended)
    assert [each.data for each in service.talks] == [b"", b""]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest_twisted.ensureDeferred
async def test_one_that_is_cancelled_leaves_nothing(host: str) -> None:
    service = Service()
    with serving(service) as url:
        checking = Checking()
        done, found = checking.begin(url.replace("127.0.0.1", host))
        await until(lambda: service.talks and service.talks[0].data)
        failed: list[Any] = []
        done.addErrback(failed.append)
        done.cancel()
        assert len(failed) == 1
        assert not checking.deadlines._watched
        await until(lambda: service.all_ended)
        assert not found


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest_twisted.ensureDeferred
async def test_one_that_is_cancelled_at_once_leaves_nothing(host: str) -> None:
    service = Service()
    with serving(service) as url:
        checking = Checking()
        done, found = checking.begin(url.replace("127.0.0.1", host))
        done.addErrback(lambda _: None)
        done.cancel()
        for _ in range(20):
            await turn()
        assert not found
        assert not checking.deadlines._watched
        await until(lambda: service.all_ended)


@pytest_twisted.ensureDeferred
async def test_a_listener_that_does_not_accept_is_out_of_time() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        number = listener.getsockname()[1]
        full = [Raw(number) for _ in range(3)]
        checking = Checking()
        _, found = checking.begin(f"http://127.0.0.1:{number}", type="tcp", timeout="1s")
        for _ in range(10):
            await turn()
        assert not found
        checking.pass_time(1.2)
        assert [each.reason for each in found] == ["timeout"]
        for each in full:
            each.socket.close()


@pytest_twisted.ensureDeferred
async def test_one_after_the_other_each_on_a_connection_of_its_own() -> None:
    service = sending(OK)
    with serving(service) as url:
        checking = Checking()
        probe = make_probe(url, Health(), checking.means)
        assert probe is not None
        for _ in range(3):
            assert (await probe.check()).good
        probe.close()
        await until(lambda: service.all_ended)
    assert len(service.talks) == 3


@pytest_twisted.ensureDeferred
async def test_a_name_is_asked_for_its_address_now_and_then_and_after_each_failure() -> None:
    def act(talk: Any) -> None:
        talk.transport.write(OK if healthy else OK.replace(b"200 OK", b"500 Broken"))

    healthy = True
    service = Service(act)
    with serving(service) as url:
        checking = Checking(CountingEndpoint)
        probe = make_probe(url.replace("127.0.0.1", "up.test"), Health(), checking.means)
        assert probe is not None
        endpoint = CountingEndpoint.made[-1]

        async def connected() -> tuple[int, str]:
            assert probe is not None
            verdict = await probe.check()
            return endpoint.count, verdict.reason

        assert [await connected() for _ in range(3)] == [(1, "")] * 3
        checking.pass_time(REMEMBERED - 1)
        assert await connected() == (1, "")
        checking.pass_time(1.1)
        assert [await connected() for _ in range(2)] == [(2, "")] * 2
        healthy = False
        assert [await connected() for _ in range(3)] == [(2, "status_500"), (3, "status_500"), (4, "status_500")]
        healthy = True
        assert [await connected() for _ in range(2)] == [(5, "")] * 2
        await until(lambda: service.all_ended)
    port = url.rpartition(":")[2].encode()
    assert all(b"\r\nhost: up.test:" + port + b"\r\n" in each.data for each in service.talks)
    await turn()
    assert await connected() == (5, "connection_refused")
    assert await connected() == (6, "connection_refused")


class CountingEndpoint(TCP4ClientEndpoint):
    """Where up.test is."""

    made: ClassVar[list[CountingEndpoint]] = []

    def __init__(self, url: str) -> None:
        super().__init__(reactor, "127.0.0.1", int(url.rpartition(":")[2]))
        self.count = 0
        self.made.append(self)

    def connect(self, protocolFactory: Any) -> Any:
        self.count += 1
        return super().connect(protocolFactory)


@pytest_twisted.ensureDeferred
async def test_two_answers_in_one_read() -> None:
    assert await checked(sending(OK + b"HTTP/1.1 500 Broken\r\n\r\n")) == ""
