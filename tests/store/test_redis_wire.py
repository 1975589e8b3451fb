"""One connection, against a server that says what the test says, when it says it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol

from tests.store.kit import free_port, refusal, until
from tests.twisted_hygiene import reactor
from ttagw.store.base import StoreAwayError, StoreRefusedError
from ttagw.store.redis_url import Address
from ttagw.store.redis_wire import FAIR, Wire


class Server(Protocol):
    """Keeps what comes; `say` answers."""

    def __init__(self) -> None:
        self.data = b""
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True

    def say(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


@pytest.fixture
def port() -> Iterator[Any]:
    factory = Factory()
    factory.noisy = False
    made: list[Server] = []

    def build(address: object) -> Server:
        made.append(Server())
        return made[-1]

    factory.buildProtocol = build  # type: ignore[method-assign,assignment]
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    port.made = made
    yield port
    pytest_twisted.blockon(port.stopListening())


@asynccontextmanager
async def connected(port: Any, **options: Any) -> AsyncIterator[tuple[Wire, Server]]:
    wire = Wire(reactor, **options)
    await wire.connect(Address("127.0.0.1", port.getHost().port), tls=False)
    await until(lambda: port.made, "it is accepted")
    yield wire, port.made[-1]
    wire.drop("done")
    await wire.gone()


def begun(work: Any) -> Deferred[Any]:
    return Deferred.fromCoroutine(work)


@pytest_twisted.ensureDeferred
async def test_an_answer_that_comes_too_late_is_nobody_elses(port: Any) -> None:
    async with connected(port) as (wire, server):
        assert (await refusal(wire.ask("GET", "a", within=0.02))).reason == "timeout"
        second = begun(wire.ask("GET", "b"))
        await until(lambda: b"\r\nb\r\n" in server.data, "it is asked")
        server.say(b"$1\r\nA\r\n$1\r\nB\r\n")
        assert await second == b"B"
        assert wire.over == ""


@pytest_twisted.ensureDeferred
async def test_an_answer_to_one_who_gave_up_is_nobody_elses(port: Any) -> None:
    async with connected(port) as (wire, server):
        first, second = begun(wire.ask("GET", "a")), begun(wire.ask("GET", "b"))
        gone: list[Any] = []
        first.addErrback(gone.append)
        first.cancel()
        assert gone[0].check(CancelledError)
        server.say(b"$1\r\nA\r\n$1\r\nB\r\n")
        assert await second == b"B"


@pytest_twisted.ensureDeferred
async def test_who_is_silent_for_long_enough_is_cut_and_all_who_wait_are_told(port: Any) -> None:
    async with connected(port) as (wire, server):
        first, second = begun(wire.ask("GET", "a", within=FAIR)), begun(wire.ask("GET", "b", within=FAIR + 5))
        assert (await refusal(first)).reason == "timeout"
        assert (await refusal(second)).reason == "timeout"
        await until(lambda: server.lost, "it is cut")
        assert (await refusal(wire.ask("GET", "c"))).reason == "timeout"


@pytest.mark.parametrize(
    "said", [b"+OK\r\n", b"$-1\r\n", b"\x00", b"*4\r\n$8\r\npmessage\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"]
)
@pytest_twisted.ensureDeferred
async def test_what_nobody_asked_for_ends_it(port: Any, said: bytes) -> None:
    over: list[str] = []
    async with connected(port) as (wire, server):
        wire.on_over = lambda: over.append(wire.over)
        server.say(said)
        await until(lambda: wire.over, "it is over")
        await until(lambda: server.lost, "it is cut")
    assert over == ["garbage"]


@pytest_twisted.ensureDeferred
async def test_an_error_that_nobody_asked_for_is_the_reason(port: Any) -> None:
    async with connected(port) as (wire, server):
        server.say(b"-ERR max number of clients reached\r\n")
        await until(lambda: wire.over == "too_many_clients", "it is over")


@pytest_twisted.ensureDeferred
async def test_answers_after_garbage_are_not_believed(port: Any) -> None:
    async with connected(port) as (wire, server):
        first, second = begun(wire.ask("GET", "a")), begun(wire.ask("GET", "b"))
        await until(lambda: b"\r\nb\r\n" in server.data, "it is asked")
        server.say(b"$1\r\nA\r\n!!\r\n$1\r\nB\r\n")
        assert await first == b"A"
        assert (await refusal(second)).reason == "garbage"


@pytest_twisted.ensureDeferred
async def test_once_it_is_dropped_nothing_more_is_believed(port: Any) -> None:
    async with connected(port) as (wire, server):
        first, second = begun(wire.ask("GET", "a")), begun(wire.ask("GET", "b"))
        first.addCallback(lambda _: wire.drop("garbage"))
        await until(lambda: b"\r\nb\r\n" in server.data, "it is asked")
        server.say(b"$1\r\nA\r\n$1\r\nB\r\n")
        assert (await refusal(second)).reason == "garbage"


@pytest_twisted.ensureDeferred
async def test_messages_between_answers_are_told_and_do_not_answer(port: Any) -> None:
    heard: list[tuple[bytes, ...]] = []
    message = b"*4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$2\r\nab\r\n$2\r\n+1\r\n"
    async with connected(port, pushed=lambda *said: heard.append(said)) as (wire, server):
        asked = begun(wire.ask("PING"))
        await until(lambda: server.data, "it is asked")
        server.say(message + b"+PONG\r\n" + message[:20])
        assert await asked == b"PONG"
        server.say(message[20:])
        await until(lambda: len(heard) == 2, "it is told")
        assert heard[0] == (b"a*", b"ab", b"+1")


@pytest_twisted.ensureDeferred
async def test_a_refusal_is_the_answer_of_that_command_only(port: Any) -> None:
    async with connected(port) as (wire, server):
        first, second = begun(wire.ask("SET", "a", b"\r\n$1")), begun(wire.ask("GET", "b"))
        await until(lambda: b"\r\nb\r\n" in server.data, "it is asked")
        server.say(b"-OOM command not allowed\r\n$3\r\n007\r\n")
        error = await refusal(first)
        assert isinstance(error, StoreRefusedError)
        assert error.reason == "full"
        assert await second == b"007"
        assert server.data.startswith(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\n\r\n$1\r\n*2\r\n")


@pytest_twisted.ensureDeferred
async def test_a_connection_that_is_closed_says_so_to_all_who_wait(port: Any) -> None:
    async with connected(port) as (wire, server):
        asked = [begun(wire.ask("GET", str(number))) for number in range(3)]
        assert server.transport is not None
        server.transport.loseConnection()
        for each in asked:
            error = await refusal(each)
            assert isinstance(error, StoreAwayError)
            assert error.reason == "connection_lost"


@pytest_twisted.ensureDeferred
async def test_where_nobody_listens_is_said() -> None:
    wire = Wire(reactor)
    assert (await refusal(wire.connect(Address("127.0.0.1", free_port()), False))).reason == "connection_refused"
    assert (await refusal(Wire(reactor).connect(Address("no.such.host.invalid", 1), False))).reason in (
        "name_not_resolved",
        "connect_timeout",
    )
    assert (await refusal(Wire(reactor).connect(Address("0.0.0.0.0", 1), False))).reason != ""
    wire.drop("done")
    await wire.gone()


@pytest_twisted.ensureDeferred
async def test_who_does_not_let_us_in_is_given_up(port: Any) -> None:
    port.stopReading()  # the kernel still accepts; what is asked stays without an answer
    wire = Wire(reactor)
    await wire.connect(Address("127.0.0.1", port.getHost().port), tls=True, within=1.0)
    assert (await refusal(wire.ask("PING", within=FAIR))).reason == "timeout"
    await wire.gone()
    port.startReading()


@pytest_twisted.ensureDeferred
async def test_connecting_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(reactor)
    connecting = begun(wire.connect(Address("localhost", free_port()), False))
    caught: list[Any] = []
    connecting.addErrback(caught.append)
    connecting.cancel()
    assert caught[0].check(CancelledError)


@pytest_twisted.ensureDeferred
async def test_a_connection_that_is_not_there_in_time_is_given_up() -> None:
    # A backlog that is full answers no SYN.
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        held = []
        for _ in range(3):
            each = socket.socket()
            each.setblocking(False)
            each.connect_ex(address)
            held.append(each)
        error = await refusal(Wire(reactor).connect(Address(*address), False, within=0.2))
        assert error.reason == "connect_timeout"
        for each in held:
            each.close()
