from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionRefusedError as RefusedByPeer
from twisted.internet.error import DNSLookupError, NoRouteError, UserError
from twisted.internet.error import TimeoutError as TookTooLong

from tests.upstream.served import OK, Upstreamed
from ttagw.upstream.connection import LINGER


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
    wire.lose()
    assert len(served.watched) == 1


def test_a_connection_that_does_not_end_in_order_is_cut() -> None:
    served = Upstreamed(keepalive=60.0)
    wire = served.used()
    served.pass_time(61.0)
    assert wire.ended == "close"
    served.pass_time(LINGER + 0.1)
    assert wire.ended == "abort"


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
