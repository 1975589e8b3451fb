from __future__ import annotations

import socket

import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionRefusedError as RefusedByPeer

from tests.sockets import Recorder, listening
from tests.twisted_hygiene import reactor, until
from tests.upstream.served import OK, Ask, Upstreamed
from ttagw.errors import GatewayError
from ttagw.testing import MemoryTransport


def test_stopping_closes_what_is_idle_and_what_is_in_use_when_it_is_done() -> None:
    served = Upstreamed()
    idle = served.used()
    busy_ask, busy = (served.ask(), idle)
    second, wire = served.connected()
    wire.protocol.dataReceived(OK)
    opening = served.ask()
    assert served.pool.size == 2 or served.pool.idle == 0
    served.pool.stop()
    busy.protocol.dataReceived(OK)
    assert (busy_ask.sink.body, busy.ended) == (b"ok", "close")
    wire.protocol.dataReceived(OK)
    assert (opening.sink.body, wire.ended, second.over) == (b"ok", "close", True)
    assert served.pool.size == 0


def test_stopping_refuses_those_whose_connection_is_not_there_yet() -> None:
    served = Upstreamed()
    ask = served.ask()
    served.pool.stop()
    assert ask.over
    assert (served.endpoint.cancelled, served.pool.size) == (1, 0)


def test_stopping_refuses_those_who_wait_in_line() -> None:
    served = Upstreamed(max_connections=1)
    busy, wire = served.connected()
    waiting = [served.ask() for _ in range(3)]
    served.pool.stop()
    assert [each.result for each in waiting] == [(503, "instance_left")] * 3
    wire.protocol.dataReceived(OK)
    assert (busy.over, wire.ended, served.pool.size, served.pool.waiting) == (True, "close", 0, 0)


def test_when_the_instance_is_down_those_who_wait_in_line_are_refused_and_the_rest_goes_on() -> None:
    served = Upstreamed(max_connections=1)
    busy, wire = served.connected(b"POST")
    waiting = [served.ask(b"POST") for _ in range(3)]
    served.pool.move()
    assert [each.result for each in waiting] == [(503, "instance_down")] * 3
    wire.protocol.dataReceived(OK)
    assert (busy.over, busy.result[0], served.pool.idle, served.pool.waiting) == (True, 200, 1, 0)


def test_who_needs_another_connection_after_the_end_is_refused() -> None:
    served = Upstreamed()
    wire = served.used()
    ask = served.ask()
    served.pool.stop()
    wire.lose()
    assert (ask.result, ask.over, served.endpoint.asked) == ((503, "instance_left"), True, [])


def test_aborting_cuts_everything() -> None:
    served = Upstreamed()
    _, wire = served.connected()
    served.pool.abort()
    assert (wire.ended, served.pool.size) == ("abort", 0)
    assert served.watched == set()


@pytest_twisted.ensureDeferred
async def test_a_real_connection_is_opened_used_and_used_again() -> None:
    class Echo(Recorder):
        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            self.transport.write(OK)

    made: list[Echo] = []

    class Factory:
        numPorts = 0

        def doStart(self) -> None: ...
        def doStop(self) -> None: ...
        def buildProtocol(self, addr: object) -> Echo:
            made.append(Echo())
            return made[-1]

    served = Upstreamed()
    with listening(Factory()) as port:
        served.pool._endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        first = served.ask()
        await until(lambda: first.over)
        second = served.ask(b"POST")
        await until(lambda: second.over)
        assert (first.sink.body, second.sink.body, len(made), served.pool.opened_count) == (b"ok", b"ok", 1, 1)
        served.pool.stop()
        await until(lambda: made[0].lost)


@pytest_twisted.ensureDeferred
async def test_a_port_on_which_nobody_listens_refuses() -> None:
    served = Upstreamed()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        served.pool._endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", closed.getsockname()[1])
        ask = served.ask()
        await until(lambda: ask.over)
    assert ask.result == (503, "connection_refused")


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["get", "post", "accept", "refuse", "answer", "part", "lose", "leave", "fail", "time"]),
        st.integers(0, 9),
    ),
    max_size=60,
)


def _happen(served: Upstreamed, asks: list[Ask], wires: list[MemoryTransport], event: str, number: int) -> None:
    alive = [ask for ask in asks if not ask.over]
    open_wires = [wire for wire in wires if wire.ended == ""]
    if event in ("get", "post"):
        asks.append(served.ask(event.upper().encode()))
    elif event == "time":
        served.pass_time(float(number))
    elif event == "accept" and served.endpoint.asked:
        wires.append(served.endpoint.accept())
    elif event == "refuse" and served.endpoint.asked:
        served.endpoint.refuse(RefusedByPeer())
    elif event == "leave" and alive:
        served.pipeline.left(alive[number % len(alive)].exchange)
    elif event == "fail" and alive:
        served.pipeline.fail(alive[number % len(alive)].exchange, GatewayError("any"))
    elif open_wires and event in ("answer", "part", "lose"):
        wire = open_wires[number % len(open_wires)]
        if event == "lose":
            wire.lose()
        else:
            wire.protocol.dataReceived(OK if event == "answer" else OK[: len(OK) - 1 - number % 2])


@given(EVENTS)
def test_whatever_happens_everything_is_given_back_and_each_exchange_ends_once(events: list[tuple[str, int]]) -> None:
    served = Upstreamed(max_connections=2)
    asks: list[Ask] = []
    wires: list[MemoryTransport] = []
    for event, number in events:
        _happen(served, asks, wires, event, number)
        assert served.pool.size <= 2
        assert served.instance.in_flight == len([ask for ask in asks if not ask.over])
        assert served.pool.idle <= served.pool.size
    for ask in asks:
        served.pipeline.left(ask.exchange)
    assert all(ask.over for ask in asks)
    assert all(ask.sink.calls.count("start") <= 1 for ask in asks)
    assert (served.instance.in_flight, served.pool.waiting) == (0, 0)
    served.pool.abort()
    assert served.pool.size == 0
