from __future__ import annotations

import socket

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionRefusedError as RefusedByPeer
from twisted.internet.error import DNSLookupError, NoRouteError, UserError
from twisted.internet.error import TimeoutError as TookTooLong

from tests.sockets import Recorder, listening
from tests.twisted_hygiene import reactor, until
from tests.upstream.served import OK, Ask, Upstreamed
from ttagw.errors import GatewayError
from ttagw.testing import MemoryTransport


def test_a_connection_that_is_idle_is_used_again_the_last_first() -> None:
    served = Upstreamed()
    first, one = served.connected()
    second, two = served.connected()
    one.protocol.dataReceived(OK)
    two.protocol.dataReceived(OK)
    assert (first.over, second.over, served.pool.idle) == (True, True, 2)
    one.take(), two.take()
    served.ask()
    assert (one.take(), bool(two.take())) == (b"", True)
    assert (served.pool.size, served.pool.opened_count) == (2, 2)


def test_there_are_never_more_connections_than_allowed() -> None:
    served = Upstreamed(max_connections=2)
    asks = [served.ask() for _ in range(5)]
    assert (served.pool.size, len(served.endpoint.asked), served.pool.waiting) == (2, 2, 5)
    one, two = served.endpoint.accept(), served.endpoint.accept()
    assert served.pool.waiting == 3
    for wire in (one, two, one, two, one):
        wire.protocol.dataReceived(OK)
    assert [ask.sink.body for ask in asks] == [b"ok"] * 5
    assert served.pool.size == 2


def test_those_who_wait_are_served_in_their_order() -> None:
    served = Upstreamed(max_connections=1)
    asks = [served.ask() for _ in range(3)]
    wire = served.endpoint.accept()
    for place in range(3):
        assert [ask.over for ask in asks] == [each < place for each in range(3)]
        wire.protocol.dataReceived(OK)


def test_a_connection_that_is_lost_is_replaced_for_those_who_wait() -> None:
    served = Upstreamed(max_connections=1)
    first, wire = served.connected()
    second = served.ask()
    wire.lose()
    assert first.result == (502, "closed_before_answer")
    served.endpoint.accept().protocol.dataReceived(OK)
    assert second.sink.body == b"ok"


def test_who_waits_longer_than_queue_timeout_is_refused() -> None:
    served = Upstreamed(max_connections=1, queue_timeout=1.0)
    _, wire = served.connected()
    early = served.ask()
    served.pass_time(0.6)
    late = served.ask()
    served.pass_time(0.6)
    assert early.result == (503, "queue_timeout")
    assert dict(early.reply.fields)[b"retry-after"] == b"1"
    assert not late.over
    wire.protocol.dataReceived(OK)
    assert not late.over
    wire.protocol.dataReceived(OK)
    assert late.sink.body == b"ok"
    served.pass_time(5.0)
    assert served.pool.waiting == 0


def test_who_waits_for_a_connection_of_their_own_is_not_bound_by_queue_timeout() -> None:
    served = Upstreamed(queue_timeout=1.0, connect_timeout=3.0)
    ask = served.ask()
    served.pass_time(2.0)
    assert not ask.over
    served.endpoint.accept().protocol.dataReceived(OK)
    assert ask.sink.body == b"ok"


def test_an_idle_connection_is_closed_after_the_keepalive() -> None:
    served = Upstreamed(keepalive=60.0)
    wire = served.used()
    served.pass_time(59.0)
    assert wire.ended == ""
    served.pass_time(2.0)
    assert (wire.ended, served.pool.size, served.pool.idle) == ("close", 0, 0)
    assert len(served.watched) == 1


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (RefusedByPeer(), 503, "connection_refused"),
        (TookTooLong(), 504, "connect_timeout"),
        (UserError(), 504, "connect_timeout"),
        (DNSLookupError(), 503, "name_not_resolved"),
        (NoRouteError(), 503, "connect_failed"),
        (ValueError(), 503, "connect_failed"),
    ],
)
def test_who_cannot_be_connected_is_refused(error: Exception, status: int, reason: str) -> None:
    served = Upstreamed()
    ask = served.ask()
    served.endpoint.refuse(error)
    assert ask.result == (status, reason)
    assert dict(ask.reply.fields)[b"retry-after"] == b"5"
    assert served.pool.errors == {reason: 1}
    assert (served.pool.size, served.instance.in_flight) == (0, 0)


def test_a_connection_that_is_not_there_in_time_is_given_up() -> None:
    served = Upstreamed(connect_timeout=3.0)
    ask = served.ask()
    served.pass_time(4.0)
    assert ask.result == (504, "connect_timeout")
    assert (served.endpoint.cancelled, served.pool.size) == (1, 0)


def test_a_connection_that_fails_leaves_nobody_behind_it_waiting() -> None:
    served = Upstreamed(max_connections=1)
    first, second, third = (served.ask() for _ in range(3))
    served.endpoint.refuse(RefusedByPeer())
    assert (first.over, second.over) == (True, False)
    assert len(served.endpoint.asked) == 1
    served.pass_time(0.1)
    served.endpoint.accept().protocol.dataReceived(OK)
    assert second.sink.body == b"ok"
    assert not third.over


def test_who_gives_up_gets_no_connection_and_the_next_does() -> None:
    served = Upstreamed()
    first, second = served.ask(), served.ask()
    served.pipeline.left(first.exchange)
    assert (first.result, served.instance.in_flight) == ((499, "client_closed"), 1)
    wire = served.endpoint.accept()
    wire.protocol.dataReceived(OK)
    assert second.sink.body == b"ok"
    served.endpoint.accept()
    assert served.pool.idle == 2


def test_a_connection_that_nobody_wants_any_more_becomes_idle() -> None:
    served = Upstreamed()
    ask = served.ask()
    served.pipeline.left(ask.exchange)
    wire = served.endpoint.accept()
    assert (wire.take(), served.pool.idle) == (b"", 1)


def test_who_leaves_during_the_answer_takes_the_connection_along() -> None:
    served = Upstreamed()
    ask, wire = served.connected()
    served.pipeline.left(ask.exchange)
    assert (wire.ended, served.pool.size, served.instance.in_flight) == ("abort", 0, 0)
    assert served.pool.errors == {}


# Stale connections


def pair(served: Upstreamed) -> tuple[MemoryTransport, socket.socket]:
    """An idle connection with a real socket below, and the service's end of it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    ask = served.ask()
    wire = served.endpoint.accept(MemoryTransport(handle=ours))
    wire.protocol.dataReceived(OK)
    assert ask.over
    return wire, theirs


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_before_what_cannot_be_sent_twice_the_connection_is_looked_at(method: bytes) -> None:
    served = Upstreamed()
    wire, theirs = pair(served)
    theirs.close()
    served.ask(method)
    # A GET is sent, and would be tried again.
    assert wire.ended == ("abort" if method == b"POST" else "")
    assert len(served.endpoint.asked) == (method == b"POST")
    wire._handle.close()  # type: ignore[attr-defined]


def test_a_connection_on_which_something_came_unasked_is_not_used() -> None:
    served = Upstreamed()
    wire, theirs = pair(served)
    theirs.send(b"x")
    served.ask(b"POST")
    assert wire.ended == "abort"
    theirs.close()
    wire._handle.close()  # type: ignore[attr-defined]


def test_a_connection_that_is_open_is_used_for_anything() -> None:
    served = Upstreamed()
    wire, theirs = pair(served)
    wire.take()
    served.ask(b"POST")
    assert wire.take().startswith(b"POST")
    wire._handle.close()  # type: ignore[attr-defined]
    theirs.close()


def test_a_socket_that_is_gone_is_not_open() -> None:
    served = Upstreamed()
    wire, theirs = pair(served)
    wire._handle.close()  # type: ignore[attr-defined]
    theirs.close()
    served.ask(b"POST")
    assert wire.ended == "abort"


# TLS


def test_over_tls_a_connection_is_ready_when_the_handshake_is_done() -> None:
    served = Upstreamed(tls=True)
    ask = served.ask()
    wire = served.endpoint.accept()
    assert (wire.take(), served.pool.opened_count) == (b"", 0)
    wire.protocol.handshakeCompleted()
    wire.protocol.dataReceived(OK)
    assert (ask.sink.body, served.pool.opened_count) == (b"ok", 1)


def test_a_handshake_that_fails_refuses_who_waits() -> None:
    served = Upstreamed(tls=True)
    ask = served.ask()
    served.endpoint.accept().lose()
    assert ask.result == (503, "tls_failed")
    assert (served.pool.size, served.instance.in_flight) == (0, 0)


def test_a_handshake_that_takes_too_long_is_cut() -> None:
    served = Upstreamed(tls=True, connect_timeout=3.0)
    ask = served.ask()
    wire = served.endpoint.accept()
    served.pass_time(4.0)
    assert (ask.result, wire.ended, served.pool.size) == ((504, "connect_timeout"), "abort", 0)
    wire.lose()
    assert served.pool.size == 0


# The end


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
