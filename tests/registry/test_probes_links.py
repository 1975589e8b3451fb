"""The two kinds of link where sockets and endpoints do what they seldom do."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionLost, DNSLookupError, NoRouteError, UserError
from twisted.internet.error import ConnectionRefusedError as RefusedByPeer
from twisted.internet.error import TimeoutError as TookTooLong
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tests.registry.served import OK, Service, sending, serving
from tests.twisted_hygiene import reactor, turn, until
from ttagw.registry.checks import Verdict
from ttagw.registry.probes.check import PARTING, Check
from ttagw.registry.probes.direct import Direct
from ttagw.registry.probes.reasons import LOCAL_FAILURE, of_errno, of_failure
from ttagw.registry.probes.talks import HttpTalk
from ttagw.registry.probes.through import Through
from ttagw.testing import MemoryEndpoint, MemoryTransport
from ttagw.wire.deadlines import TICK, Deadlines


class Run:
    """A check over a given link."""

    def __init__(self, link: Any, opening: bytes = b"GET / HTTP/1.1\r\n\r\n") -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock, self.clock.seconds)
        self.deadlines.start()
        self.found: list[Verdict] = []
        talk = HttpTalk(opening, frozenset((200,)))
        self.done: Deferred[Any] = Check(talk, link, 2.0, self.deadlines, self.clock.seconds).run()
        self.done.addCallback(self.found.append)

    @property
    def reasons(self) -> list[str]:
        return [each.reason for each in self.found]

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([TICK] * round(seconds / TICK))


def direct(url: str, make_socket: Any = socket.socket) -> Direct:
    return Direct(reactor, socket.AF_INET, ("127.0.0.1", int(url.rpartition(":")[2])), make_socket)


# Direct


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS])
def test_want_of_files_is_not_the_instances_fault(number: int) -> None:
    def fail(family: int, kind: int) -> Any:
        raise OSError(number, "none left")

    assert Run(direct(":9", fail)).reasons == [LOCAL_FAILURE]


def test_nobody_talks_to_himself() -> None:
    def bound(family: int, kind: int) -> socket.socket:
        made = socket.socket(family, kind)
        made.bind(("127.0.0.1", port))
        return made

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert Run(direct(f":{port}", bound)).reasons == ["connection_refused"]


class Slow(socket.socket):
    """As if it were far away: the first times that it is asked, `connect` is still under way."""

    left = 3
    answer = errno.EINPROGRESS

    def connect_ex(self, address: Any) -> int:
        if self.answer == errno.EINPROGRESS:
            self.answer = super().connect_ex(address)
        if not self.left:
            return self.answer
        self.left -= 1
        return errno.EINPROGRESS


@pytest_twisted.ensureDeferred
async def test_a_connection_that_takes_its_time() -> None:
    service = sending(OK)
    with serving(service) as url:
        link = direct(url, Slow)
        run = Run(link)
        link.doRead()  # as when the reactor still has an event for the number that this socket has now
        assert run.reasons == []
        await until(lambda: run.found)
        assert run.reasons == [""]
        await until(lambda: service.all_ended)


@pytest_twisted.ensureDeferred
async def test_a_refusal_that_takes_its_time() -> None:
    link = direct(":1", Slow)
    run = Run(link)
    link.doWrite()
    assert run.reasons == []
    await until(lambda: run.found)
    assert run.reasons == ["connection_refused"]


@pytest_twisted.ensureDeferred
async def test_a_request_larger_than_the_buffers() -> None:
    def small(family: int, kind: int) -> socket.socket:
        made = socket.socket(family, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return made

    service = sending(OK)
    with serving(service) as url:
        run = Run(direct(url, small), b"GET /" + b"x" * 300_000 + b" HTTP/1.1\r\n\r\n")
        await until(lambda: run.found)
        assert run.reasons == [""]
        assert len(service.talks[0].data) == 300_016 + 2
        await until(lambda: service.all_ended)


@pytest_twisted.ensureDeferred
async def test_a_service_that_does_not_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        link = direct(f":{listener.getsockname()[1]}")
        run = Run(link, b"x" * 20_000_000)
        left = -1
        while left != len(link._unsent):
            left = len(link._unsent)
            await turn()
            link.doWrite()
        assert 0 < left < 20_000_000
        assert link in reactor.getWriters()
        run.pass_time(2.2)
        assert run.reasons == ["timeout"]
        assert link not in reactor.getWriters()


class Gone(socket.socket):
    def getpeername(self) -> Any:
        raise OSError(errno.ENOTCONN, "not connected")


@pytest_twisted.ensureDeferred
async def test_a_connection_of_which_nobody_knows_the_other_end() -> None:
    service = sending(OK)
    with serving(service) as url:
        run = Run(direct(url, Gone))
        await until(lambda: run.found)
        assert run.reasons == [""]
        await until(lambda: service.all_ended)


class Broken(socket.socket):
    def send(self, data: Any, flags: int = 0) -> int:
        raise BrokenPipeError(errno.EPIPE, "broken")


@pytest_twisted.ensureDeferred
async def test_a_connection_that_breaks_when_it_is_written_to() -> None:
    service = Service()
    with serving(service) as url:
        assert Run(direct(url, Broken)).reasons == ["closed"]
        await until(lambda: service.all_ended)


@pytest_twisted.ensureDeferred
async def test_the_reactor_gives_up_a_connection() -> None:
    service = Service()
    with serving(service) as url:
        link = direct(url)
        run = Run(link)
        await until(lambda: service.talks)
        reactor.removeReader(link)
        link.connectionLost(Failure(ConnectionLost()))
        assert run.reasons == ["closed"]
        link.connectionLost(Failure(ConnectionLost()))
        link.doRead()
        link.doWrite()
        link.send(b"x")
        assert (run.reasons, link.fileno()) == (["closed"], -1)
        assert link.logPrefix() == "check"
        await until(lambda: service.all_ended)


def test_the_reactor_gives_up_a_connection_that_is_not_there_yet() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        link = direct(f":{free.getsockname()[1]}", Slow)
    run = Run(link)
    assert run.reasons == []
    link.connectionLost(Failure(ConnectionLost()))
    assert run.reasons in (["connection_refused"], ["connect_failed"])


@pytest_twisted.ensureDeferred
async def test_an_event_for_nothing() -> None:
    service = Service()
    with serving(service) as url:
        link = direct(url)
        run = Run(link)
        await until(lambda: service.talks)
        link.doRead()
        link.doWrite()
        assert run.reasons == []
        run.pass_time(2.2)
        assert run.reasons == ["timeout"]
        await until(lambda: service.all_ended)


# Through an endpoint


def through(*, tls: bool = False) -> tuple[Run, MemoryEndpoint, Through]:
    endpoint = MemoryEndpoint()
    link = Through(endpoint, tls=tls)
    return Run(link), endpoint, link


def test_the_verdict_comes_when_the_connection_is_gone() -> None:
    run, endpoint, _ = through()
    wire = endpoint.accept()
    run.pass_time(0.3)
    wire.protocol.dataReceived(OK)
    wire.protocol.dataReceived(b"more")
    assert (run.reasons, wire.ended) == ([], "close")
    run.pass_time(0.2)
    wire.lose()
    assert run.reasons == [""]
    assert 0.29 < run.found[0].seconds < 0.31
    assert not run.deadlines._watched


def test_who_does_not_say_goodbye_is_not_waited_for_long() -> None:
    run, endpoint, _ = through(tls=True)
    wire = endpoint.accept()
    wire.protocol.handshakeCompleted()
    wire.protocol.dataReceived(OK)
    run.pass_time(PARTING - TICK)
    assert run.reasons == []
    run.pass_time(2 * TICK)
    assert (run.reasons, wire.ended) == ([""], "abort")
    wire.lose()
    assert len(run.found) == 1


def test_over_tls_nothing_is_said_before_the_handshake_is_done() -> None:
    run, endpoint, _ = through(tls=True)
    wire = endpoint.accept()
    assert wire.take() == b""
    wire.protocol.handshakeCompleted()
    assert wire.take().startswith(b"GET ")
    wire.lose()
    assert run.reasons == ["closed"]


def test_a_handshake_that_fails_and_one_that_does_not_end() -> None:
    run, endpoint, _ = through(tls=True)
    endpoint.accept().lose()
    assert run.reasons == ["tls_failed"]
    run, endpoint, _ = through(tls=True)
    wire = endpoint.accept()
    run.pass_time(2.2)
    assert (run.reasons, wire.ended) == (["timeout"], "abort")
    wire.lose()
    assert len(run.found) == 1


def test_an_endpoint_that_takes_too_long_is_cancelled() -> None:
    run, endpoint, _ = through()
    run.pass_time(2.2)
    assert (run.reasons, endpoint.cancelled) == (["timeout"], 1)


@pytest.mark.parametrize("connected", [False, True])
def test_cancelling(connected: bool) -> None:
    run, endpoint, _ = through()
    wire = endpoint.accept() if connected else MemoryTransport()
    run.done.addErrback(lambda _: None)
    run.done.cancel()
    assert not run.deadlines._watched
    assert (endpoint.cancelled, wire.ended) == ((0, "abort") if connected else (1, ""))
    if connected:
        wire.protocol.dataReceived(OK)
        wire.protocol.handshakeCompleted()
        wire.lose()
    assert run.found == []


def test_a_link_without_connection_takes_anything() -> None:
    _, endpoint, link = through()
    endpoint.accept().lose()
    link.send(b"x")
    assert link.close() is False
    link.abort()


def test_an_endpoint_that_raises() -> None:
    class Raises:
        def connect(self, factory: Any) -> Any:
            raise ZeroDivisionError

    assert Run(Through(Raises(), tls=False)).reasons == ["connect_failed"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RefusedByPeer(), "connection_refused"),
        (DNSLookupError(), "name_not_resolved"),
        (TookTooLong(), "timeout"),
        (UserError(), "timeout"),
        (NoRouteError(), "connect_failed"),
        (ConnectError(errno.EMFILE, "none left"), LOCAL_FAILURE),
        (ConnectError(errno.EHOSTDOWN, "down"), "connect_failed"),
    ],
)
def test_why_an_endpoint_could_not_connect(error: Exception, reason: str) -> None:
    run, endpoint, _ = through()
    endpoint.refuse(error)
    assert run.reasons == [reason]
    assert of_failure(Failure(error)) == reason


def test_why_a_socket_could_not_connect() -> None:
    assert of_errno(errno.ETIMEDOUT) == "timeout"
    assert of_errno(errno.EHOSTUNREACH) == "connect_failed"
    assert of_errno(errno.EADDRNOTAVAIL) == LOCAL_FAILURE


@pytest_twisted.ensureDeferred
async def test_turns_pass_quietly_after_all_that() -> None:
    await turn()
