"""Who waits for a connection and must not be refused."""

from __future__ import annotations

import pytest

from tests.upstream.served import OK, Upstreamed
from ttagw.core.classes import TrafficClass
from ttagw.testing import MemoryTransport
from ttagw.upstream.pool import kept_of

CRISIS = TrafficClass.CRISIS


def full(most: int = 1, waiting: int = 2) -> tuple[Upstreamed, list[MemoryTransport]]:
    """All connections are in use, and some wait."""
    served = Upstreamed(max_connections=most, queue_timeout=1.0)
    wires = [served.connected()[1] for _ in range(most)]
    for _ in range(waiting):
        served.ask()
    return served, wires


@pytest.mark.parametrize(("most", "kept"), [(1, 1), (7, 1), (16, 2), (256, 32)])
def test_an_eighth_is_kept_and_one_at_the_least(most: int, kept: int) -> None:
    assert kept_of(most) == kept


def test_a_crisis_request_gets_a_connection_of_its_own_at_once() -> None:
    served, _ = full()
    ask = served.ask(rank=CRISIS)
    served.endpoint.accept().protocol.dataReceived(OK)
    assert (ask.sink.body, ask.exchange.bypass) == (b"ok", "connections")


def test_it_gives_it_back_whoever_else_waits() -> None:
    served, wires = full()
    served.ask(rank=CRISIS)
    extra = served.endpoint.accept()
    assert served.pool.size == 2
    extra.protocol.dataReceived(OK)
    assert extra.ended
    extra.lose()
    assert (served.pool.size, served.pool.waiting, served.endpoint.asked) == (1, 2, [])
    wires[0].protocol.dataReceived(OK)
    assert served.pool.waiting == 1


def test_beyond_those_it_waits_before_everybody_else() -> None:
    served, wires = full()
    first = served.ask(rank=CRISIS)
    second = served.ask(rank=CRISIS)
    assert len(served.endpoint.asked) == 1
    served.endpoint.accept()
    assert (first.over, second.over) == (False, False)
    wires[0].take()
    wires[0].protocol.dataReceived(OK)
    assert wires[0].take()
    assert served.pool.waiting == 2
    wires[0].protocol.dataReceived(OK)
    assert [ask.sink.body for ask in (first, second)].count(b"ok") == 1


def test_those_kept_do_not_pile_up() -> None:
    served, _ = full(waiting=5)
    for _ in range(5):
        served.ask(rank=CRISIS)
        extra = served.endpoint.accept()
        assert served.pool.size == 2
        extra.protocol.dataReceived(OK)
        extra.lose()
    assert served.pool.size == 1


def test_when_its_connection_cannot_be_had_it_is_told_and_others_wait_on() -> None:
    served, wires = full()
    ask = served.ask(rank=CRISIS)
    served.endpoint.refuse(OSError("no"))
    assert ask.result == (503, "connect_failed")
    assert ask.exchange.helped
    assert served.pool.waiting == 2
    wires[0].protocol.dataReceived(OK)
    assert served.pool.waiting == 1


def test_others_are_refused_in_time_as_ever() -> None:
    served, _ = full(waiting=0)
    ask, other = served.ask(rank=TrafficClass.THERAPEUTIC), served.ask()
    assert ask.exchange.bypass == ""
    assert len(served.endpoint.asked) == 0
    served.pass_time(1.1)
    assert (ask.result, other.result) == ((503, "queue_timeout"), (503, "queue_timeout"))


def test_while_there_is_room_nothing_is_noted() -> None:
    served = Upstreamed(max_connections=2)
    ask = served.ask(rank=CRISIS)
    served.endpoint.accept().protocol.dataReceived(OK)
    assert (ask.sink.body, ask.exchange.bypass, served.pool.idle) == (b"ok", "", 1)


def test_those_who_go_first_are_served_in_their_order() -> None:
    served, wires = full(waiting=1)
    asks = [served.ask(rank=CRISIS) for _ in range(3)]
    extra = served.endpoint.accept()
    assert b"GET /up" in extra.take()
    wires[0].protocol.dataReceived(OK)  # of the one before them
    wires[0].protocol.dataReceived(OK)
    assert [ask.over for ask in asks] == [False, True, False]
    wires[0].protocol.dataReceived(OK)
    extra.protocol.dataReceived(OK)
    assert [ask.over for ask in asks] == [True, True, True]


def test_nobody_for_whom_a_connection_was_opened_is_forgotten() -> None:
    served = Upstreamed(max_connections=1, queue_timeout=0.5)
    other = served.ask()
    crisis = served.ask(rank=CRISIS)
    assert len(served.endpoint.asked) == 2
    one, two = served.endpoint.accept(), served.endpoint.accept()
    for wire in (one, two):
        wire.protocol.dataReceived(OK)
    assert (other.sink.body, crisis.sink.body) == (b"ok", b"ok")
    assert (bool(one.ended), two.ended, served.pool.idle) == (True, "", 1)


def test_who_goes_first_and_finds_no_place_that_is_kept_is_refused_in_time_and_helped() -> None:
    served, _ = full(waiting=0)
    served.ask(rank=CRISIS)
    late = served.ask(rank=CRISIS)
    served.pass_time(1.1)
    assert (late.result, late.exchange.helped) == ((503, "queue_timeout"), True)
