from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.upstream.served import CONTINUE, OK, Upstreamed, asked, bytewise
from ttagw.config.services import Breaker as BreakerSettings
from ttagw.core.breaker import Breaker, State


def test_a_released_connection_that_is_handed_on_at_once_does_not_mix_up_two_exchanges() -> None:
    served = Upstreamed(max_connections=1)
    first, wire = served.connected()
    second = served.ask()
    wire.protocol.dataReceived(OK[:-2])
    wire.protocol.dataReceived(OK[-2:])
    assert (first.sink.body, first.over, second.sink.started) == (b"ok", True, False)
    assert wire.take().count(b"GET /up") == 2
    wire.protocol.dataReceived(b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nsec")
    assert (second.sink.body, second.reply.status) == (b"sec", 201)
    assert served.instance.in_flight == 0


def test_answers_with_the_same_head_are_each_their_own() -> None:
    served = Upstreamed()
    wire = served.used()
    fields = []
    for body in (b"aa", b"bb", b"ok", b"cc"):
        ask = served.ask()
        wire.protocol.dataReceived(OK[:-2] + body)
        assert (ask.sink.body, ask.over, ask.reply.status) == (body, True, 200)
        fields.append(ask.reply.fields)
        ask.reply.fields.append((b"set-cookie", body))
    assert len({id(each) for each in fields}) == 4
    assert [len(each) for each in fields] == [1, 1, 1, 1]


def test_a_head_like_the_last_inside_a_body_is_body() -> None:
    served = Upstreamed()
    wire = served.used()
    served.ask()
    wire.protocol.dataReceived(OK)
    ask = served.ask()
    wire.protocol.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * len(OK)))
    wire.protocol.dataReceived(OK)
    wire.protocol.dataReceived(OK)
    assert (ask.sink.body, ask.over) == (OK + OK, True)


def test_a_head_like_the_last_with_more_behind_it_ends_the_connection() -> None:
    served = Upstreamed()
    wire = served.used()
    served.ask()
    wire.protocol.dataReceived(OK)
    ask = served.ask()
    wire.protocol.dataReceived(OK + b"more")
    assert (ask.sink.body, served.pool.size) == (b"ok", 0)


def test_an_answer_like_the_last_to_a_head_request_has_no_body() -> None:
    served = Upstreamed()
    wire = served.used()
    served.ask()
    wire.protocol.dataReceived(OK)
    ask = served.ask(b"HEAD")
    wire.protocol.dataReceived(OK)
    assert (ask.sink.body, ask.over, served.pool.size) == (b"", True, 0)


# Backpressure and time


def test_a_client_that_takes_nothing_stops_the_reading() -> None:
    ask, wire, served = asked(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none")
    assert ask.sink.source is not None
    ask.sink.source.pause()
    ask.sink.source.pause()
    assert not wire.reading
    served.pass_time(10_000.0)
    assert not ask.over
    ask.sink.source.resume()
    assert wire.reading
    wire.protocol.dataReceived(b"twoend")
    assert ask.sink.body == b"onetwoend"


def test_the_time_that_a_client_took_is_not_the_services_also_when_somebody_waits_for_the_connection() -> None:
    served = Upstreamed(max_connections=1)
    served.instance.breaker = Breaker(BreakerSettings(minimum_calls=1, slow_call=5.0), served.clock())
    slow, wire = served.connected()
    wire.protocol.dataReceived(OK[:-1])
    waiting = served.ask()
    assert slow.sink.source is not None
    slow.sink.source.pause()
    served.clock.advance(20.0)
    slow.sink.source.resume()
    wire.protocol.dataReceived(OK[-1:])
    assert (slow.over, served.instance.breaker.state, served.instance.in_flight) == (True, State.CLOSED, 1)
    wire.protocol.dataReceived(OK)
    assert (waiting.over, served.pool.idle) == (True, 1)


def test_a_paused_connection_that_is_abandoned_can_be_read_to_its_end() -> None:
    ask, wire, served = asked(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none")
    assert ask.sink.source is not None
    ask.sink.source.pause()
    served.pipeline.left(ask.exchange)
    assert (wire.ended, wire.reading, served.instance.in_flight) == ("abort", True, 0)
    wire.lose()
    assert served.pool.size == 0


def test_a_service_that_does_not_answer_is_504() -> None:
    served = Upstreamed(response_timeout=30.0)
    ask, wire = served.connected()
    served.pass_time(29.0)
    assert not ask.over
    served.pass_time(2.0)
    assert ask.result == (504, "response_timeout")
    assert wire.ended == "abort"


def test_an_interim_answer_does_not_extend_the_time() -> None:
    served = Upstreamed(response_timeout=30.0)
    ask, wire = served.connected()
    served.pass_time(29.0)
    wire.protocol.dataReceived(CONTINUE)
    served.pass_time(2.0)
    assert ask.result == (504, "response_timeout")


def test_a_service_that_stalls_in_its_body_is_cut() -> None:
    served = Upstreamed(idle_timeout=60.0)
    ask, wire = served.connected()
    wire.protocol.dataReceived(OK[:-2])
    for _ in range(3):
        served.pass_time(59.0)
    assert ask.sink.calls[-1] == "abort"
    assert ask.result == (200, "idle_timeout")


def test_a_service_that_drips_passes_at_its_pace() -> None:
    served = Upstreamed(idle_timeout=60.0)
    ask, wire = served.connected()
    wire.protocol.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    for byte in bytewise(b"slowl"):
        served.pass_time(59.0)
        wire.protocol.dataReceived(byte)
    assert (ask.sink.body, ask.over) == (b"slowl", True)


def test_an_upload_may_take_long_as_long_as_it_goes_on() -> None:
    served = Upstreamed(response_timeout=5.0, idle_timeout=20.0)
    ask, wire = served.connected(b"POST", length=10)
    for _ in range(100):
        served.pass_time(1.0)
    assert not ask.over
    wire.full = True
    ask.exchange.body.feed(b"x")
    for _ in range(22):
        served.pass_time(1.0)
    assert ask.result == (504, "upload_stalled")


def test_the_answer_is_waited_for_from_the_end_of_the_upload() -> None:
    served = Upstreamed(response_timeout=5.0)
    ask, _ = served.connected(b"POST", length=1)
    served.pass_time(50.0)
    ask.exchange.body.feed(b"x")
    ask.exchange.body.end()
    served.pass_time(4.0)
    assert not ask.over
    served.pass_time(2.0)
    assert ask.result == (504, "response_timeout")


PIECES = st.lists(st.integers(1, 30), max_size=30)
ANSWERS = st.sampled_from(
    [
        OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
        CONTINUE + OK,
        b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
    ]
)


@given(st.lists(ANSWERS, min_size=1, max_size=4), PIECES)
def test_answers_are_the_same_however_they_come(answers: list[bytes], sizes: list[int]) -> None:
    served = Upstreamed()
    wire = served.used()
    for answer in answers:
        ask = served.ask()
        rest = answer
        for size in sizes:
            piece, rest = rest[:size], rest[size:]
            if piece:
                wire.protocol.dataReceived(piece)
        if rest:
            wire.protocol.dataReceived(rest)
        whole = asked(answer)[0]
        assert ask.over
        assert (ask.reply.status, ask.reply.fields, ask.sink.body) == (
            whole.reply.status,
            whole.reply.fields,
            whole.sink.body,
        )
        assert served.pool.idle == 1
