from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost

from tests.twisted_hygiene import Failures
from tests.upstream.served import OK, Ask, Upstreamed
from ttagw.model import UNKNOWN
from ttagw.testing import MemoryTransport, RecordingSource
from ttagw.upstream import connection as module
from ttagw.upstream.connection import MAX_FIELDS, MAX_HEAD, MAX_INTERIM
from ttagw.wire.writer import HIGH_WATER

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def asked(*data: bytes, method: bytes = b"GET") -> tuple[Ask, MemoryTransport, Upstreamed]:
    """What becomes of an exchange whose service sends this."""
    served = Upstreamed()
    ask, wire = served.connected(method)
    for piece in data:
        if wire.ended in ("", "half"):
            wire.protocol.dataReceived(piece)
    return ask, wire, served


def bytewise(data: bytes) -> list[bytes]:
    return [data[place : place + 1] for place in range(len(data))]


# What is sent


def test_a_request_is_our_own_bytes() -> None:
    served = Upstreamed()
    ask, wire = served.connected(fields=((b"X-One", b"1"),))
    assert wire.take() == (
        b"GET /up HTTP/1.1\r\nhost: up.test:80\r\nx-request-id: %b\r\nX-One: 1\r\n\r\n" % ask.exchange.id
    )
    assert wire.no_delay
    assert ask.exchange.instance == b"up.test:80"


def test_a_body_is_sent_as_it_comes() -> None:
    served = Upstreamed()
    ask = served.ask(b"POST", length=9)
    ask.exchange.body.feed(b"one")
    wire = served.endpoint.accept()
    assert wire.take().endswith(b"content-length: 9\r\n\r\none")
    assert ask.sink.calls == ["go_on"]
    ask.exchange.body.feed(b"two")
    assert wire.take() == b"two"
    ask.exchange.body.feed(b"end")
    ask.exchange.body.end()
    assert wire.take() == b"end"


def test_a_body_of_unknown_length_is_chunked() -> None:
    served = Upstreamed()
    ask = served.ask(b"POST", length=UNKNOWN)
    ask.exchange.body.feed(b"one")
    wire = served.endpoint.accept()
    assert wire.take().endswith(b"transfer-encoding: chunked\r\n\r\n3\r\none\r\n")
    ask.exchange.body.feed(b"x" * 16)
    ask.exchange.body.end()
    assert wire.take() == b"10\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize(("length", "end"), [(3, b"\r\n\r\none"), (UNKNOWN, b"3\r\none\r\n0\r\n\r\n")])
def test_a_body_that_is_complete_leaves_with_its_head(length: int, end: bytes) -> None:
    served = Upstreamed()
    ask = served.ask(b"POST", length=length)
    ask.exchange.body.feed(b"one")
    ask.exchange.body.end()
    assert served.endpoint.accept().take().endswith(end)
    assert ask.sink.calls == []


def test_an_empty_chunked_body_has_its_end() -> None:
    served = Upstreamed()
    ask = served.ask(b"POST", length=UNKNOWN)
    ask.exchange.body.end()
    assert served.endpoint.accept().take().endswith(b"chunked\r\n\r\n0\r\n\r\n")


def test_a_service_that_takes_nothing_pauses_the_client() -> None:
    served, source = Upstreamed(), RecordingSource()
    ask, wire = served.connected(b"POST", length=10_000_000, source=source)
    wire.full = True
    ask.exchange.body.feed(b"x" * HIGH_WATER)
    assert source.paused
    wire.drain()
    assert not source.paused


# What comes back


def test_a_whole_answer_in_one_read_gives_the_connection_back() -> None:
    ask, wire, served = asked(
        b"HTTP/1.1 201 Anything\r\nX-A: 1\r\nSet-Cookie: a\r\nset-cookie: b\r\nContent-Length: 2\r\n\r\nok"
    )
    assert ask.over
    assert (ask.reply.status, ask.sink.body) == (201, b"ok")
    assert ask.reply.fields == [(b"X-A", b"1"), (b"Set-Cookie", b"a"), (b"set-cookie", b"b")]
    assert (served.pool.idle, served.instance.in_flight, wire.ended) == (1, 0, "")


def test_hop_by_hop_fields_stay_on_their_hop() -> None:
    head = (
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTE: x\r\nttagw-reason: x\r\n"
    )
    ask, _, _ = asked(head + b"X-Request-ID: theirs\r\nX-Stays: 2\r\nContent-Length: 0\r\n\r\n")
    assert ask.reply.fields == [(b"X-Stays", b"2")]


def test_an_answer_streams_piece_by_piece() -> None:
    ask, wire, served = asked(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", b"one")
    assert (ask.sink.body, ask.reply.length, ask.over) == (b"one", 6, False)
    assert ask.sink.calls[-1] == "flush"
    wire.protocol.dataReceived(b"two")
    assert ask.sink.body == b"onetwo"
    assert ask.sink.calls[-1] == "finish"
    assert (ask.over, served.pool.idle, served.instance.in_flight) == (True, 1, 0)


def test_a_chunked_answer_is_passed_on_without_its_framing_and_trailers() -> None:
    ask, wire, served = asked(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
        b"3\r\none\r\n",
        b"3;x=y\r\ntwo\r\n0\r\nX-T: 1\r\n\r\n",
    )
    assert (ask.sink.body, ask.reply.length, ask.reply.fields, ask.over) == (b"onetwo", UNKNOWN, [], True)
    wire.take()
    second = served.ask()
    wire.protocol.dataReceived(OK)
    assert (second.sink.body, second.reply.fields) == (b"ok", [])


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_an_answer_without_a_length_ends_with_its_connection(version: bytes) -> None:
    ask, wire, served = asked(b"HTTP/%b 200 OK\r\n\r\none" % version, b"two")
    assert not ask.over
    wire.lose()
    assert (ask.sink.body, ask.over, ask.sink.calls[-1]) == (b"onetwo", True, "finish")
    assert (served.pool.size, served.instance.in_flight) == (0, 0)


def test_an_answer_without_a_length_that_is_reset_is_never_complete() -> None:
    ask, wire, _ = asked(b"HTTP/1.1 200 OK\r\n\r\none")
    wire.lose(ConnectionLost())
    assert ask.sink.calls[-1] == "abort"
    assert ask.result == (200, "closed_mid_body")


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_without_a_body_is_complete_at_its_head(status: bytes) -> None:
    ask, _, served = asked(b"HTTP/1.1 %b\r\nETag: x\r\n\r\n" % status)
    assert (ask.over, ask.sink.body, served.pool.idle) == (True, b"", 1)


def test_a_304_may_say_how_long_it_would_have_been() -> None:
    ask, _, served = asked(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n")
    assert (ask.over, ask.reply.length, served.pool.idle) == (True, 12, 1)


def test_head_is_answered_without_a_body() -> None:
    ask, wire, served = asked(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", method=b"HEAD")
    assert (ask.over, ask.reply.length, ask.sink.body, served.pool.idle) == (True, 12, b"", 1)
    second = served.ask()
    wire.protocol.dataReceived(OK)
    assert second.sink.body == b"ok"


def test_a_body_after_head_is_not_passed_on_and_ends_the_connection() -> None:
    ask, wire, served = asked(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", method=b"HEAD")
    assert (ask.over, ask.sink.body, ask.exchange.status) == (True, b"", 200)
    assert (wire.ended, served.pool.size) == ("abort", 0)


@pytest.mark.parametrize("line", [b"Connection: close\r\n", b""])
def test_a_connection_that_the_service_ends_is_not_used_again(line: bytes) -> None:
    version = b"1.1" if line else b"1.0"
    ask, wire, served = asked(b"HTTP/%b 200 OK\r\n%bContent-Length: 2\r\n\r\nok" % (version, line))
    assert (ask.sink.body, ask.over, wire.ended) == (b"ok", True, "close")
    assert served.pool.size == 0


# Interim answers


def test_interim_answers_are_skipped() -> None:
    ask, _, served = asked(CONTINUE + b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", CONTINUE, OK)
    assert (ask.sink.body, ask.over, served.pool.idle) == (b"ok", True, 1)
    assert ask.reply.fields == []


def test_an_interim_and_the_answer_may_come_in_one_read() -> None:
    ask, _, served = asked(CONTINUE + OK)
    assert (ask.sink.body, ask.over, served.pool.idle) == (b"ok", True, 1)


def test_the_most_interim_answers_pass_and_one_more_does_not() -> None:
    assert asked(CONTINUE * MAX_INTERIM + OK)[0].exchange.status == 200
    ask, wire, _ = asked(CONTINUE * (MAX_INTERIM + 1) + OK)
    assert ask.result == (502, "too_many_interim")
    assert wire.ended == "abort"


# Hostile answers

BAD = [
    (b"garbage\r\n\r\n", "bad_version"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "bad_version"),
    (b"HTTP/1.1 20 OK\r\n\r\n", "bad_head"),
    (b"HTTP/1.1 2000 OK\r\n\r\n", "bad_head"),
    (b"HTTP/1.1 abc OK\r\n\r\n", "bad_head"),
    (b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n", "bad_status"),
    (b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n", None),
    (b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", None),
    (b"ICE/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", None),
    (b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n", "bad_status"),
    (b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", "bad_status"),
    (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", None),
    (b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n", None),
    (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "unasked_upgrade"),
    (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "unasked_upgrade"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", None),
    (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", None),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1234567890123456\r\n\r\n", None),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", None),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", None),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok", "bad_transfer_encoding"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", None),
    (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "bad_transfer_encoding"),
    (b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n", "bad_head"),
    (b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n", "bad_head"),
    (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", "bad_head"),
    (b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n", "bad_head"),
    (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", None),
    (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (MAX_FIELDS + 1) + b"\r\n", "too_many_fields"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"y" * MAX_HEAD + b"\r\n\r\n", "head_too_large"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 4 * MAX_HEAD, "head_too_large"),
]


@pytest.mark.parametrize(("data", "reason"), BAD)
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "pieces"])
def test_an_answer_that_cannot_be_trusted_is_502_and_the_connection_is_cut(
    data: bytes, reason: str | None, whole: bool
) -> None:
    pieces = [data] if whole else bytewise(data) if len(data) < 200 else [data[:700], data[700:40_000], data[40_000:]]
    ask, wire, served = asked(*pieces)
    assert ask.over
    assert ask.exchange.status == 502
    assert reason is None or ask.exchange.reason == reason
    assert wire.ended == "abort"
    assert (served.pool.size, served.instance.in_flight) == (0, 0)
    assert served.pool.errors == {ask.exchange.reason: 1}


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"3\nabc\r\n", b"-1\r\n", b"3\r\nabcd\r\n", b"fffffffffffffffff\r\n"])
def test_a_bad_chunk_cuts_the_answer(chunk: bytes) -> None:
    ask, wire, _ = asked(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n", chunk)
    assert ask.sink.calls[-1] == "abort"
    assert (ask.result, wire.ended) == ((200, "bad_body"), "abort")


@pytest.mark.parametrize("surplus", [OK, b"x", b"\r\nevil", b"HTTP/1.1 "])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 204 No Content\r\n\r\n"]
)
def test_bytes_after_an_answer_never_reach_a_client_and_end_the_connection(
    head: bytes, surplus: bytes, together: bool
) -> None:
    ask, wire, served = asked(*([head + surplus] if together else [head, surplus]))
    assert ask.over
    assert ask.sink.body == (b"ok" if head.endswith(b"ok") else b"")
    assert wire.ended in ("abort", "close")
    assert served.pool.size == 0
    second, other = served.connected()
    other.protocol.dataReceived(OK)
    assert second.sink.body == b"ok"


def test_a_service_that_speaks_unasked_is_hung_up_on() -> None:
    served = Upstreamed()
    wire = served.used()
    wire.protocol.dataReceived(OK)
    assert (wire.ended, served.pool.size) == ("close", 0)


def test_a_204_with_a_body_is_framed_as_204() -> None:
    ask, _, served = asked(b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil")
    assert (ask.over, ask.sink.body, served.pool.size) == (True, b"", 0)


def test_a_failure_of_ours_is_logged_and_cuts_the_connection(
    monkeypatch: pytest.MonkeyPatch, failures: Failures
) -> None:
    def broken(value: bytes) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "_content_length", broken)
    ask, wire, _ = asked(OK)
    assert (ask.result, wire.ended) == ((502, "internal"), "abort")
    assert len(failures.take(ZeroDivisionError)) == 1


# A service that goes


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 2", CONTINUE])
def test_a_service_that_goes_before_its_answer_is_502(sent: bytes) -> None:
    ask, wire, served = asked(*([sent] if sent else []))
    wire.lose()
    assert ask.result == (502, "closed_before_answer")
    assert (served.instance.in_flight, served.pool.size) == (0, 0)


@pytest.mark.parametrize("head", [b"Content-Length: 6\r\n\r\none", b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n"])
def test_a_short_body_is_never_a_complete_one(head: bytes) -> None:
    ask, wire, _ = asked(b"HTTP/1.1 200 OK\r\n" + head)
    wire.lose()
    assert ask.sink.calls[-1] == "abort"
    assert ask.result == (200, "closed_mid_body")


def test_an_idle_connection_that_goes_is_nobodys_failure() -> None:
    served = Upstreamed()
    served.used().lose()
    assert (served.pool.size, served.pool.idle, served.pool.errors) == (0, 0, {})


def test_a_stale_connection_is_tried_again_once_on_a_fresh_one() -> None:
    served = Upstreamed()
    wire = served.used()
    ask = served.ask()
    assert wire.take().startswith(b"GET /up")
    wire.lose()
    fresh = served.endpoint.accept()
    assert fresh.take().startswith(b"GET /up")
    fresh.protocol.dataReceived(OK)
    assert (ask.sink.body, ask.exchange.tries, served.instance.in_flight) == (b"ok", 2, 0)


@pytest.mark.parametrize("first", [b"HTTP/1.1 100 Continue\r\n\r\n", b"H"])
def test_a_connection_that_has_said_anything_is_not_stale(first: bytes) -> None:
    served = Upstreamed()
    wire = served.used()
    ask = served.ask()
    wire.protocol.dataReceived(first)
    wire.lose()
    assert (ask.result, ask.exchange.tries) == ((502, "closed_before_answer"), 1)


# Early answers


@pytest.mark.parametrize("pieces", [[OK], [OK[:-1], OK[-1:]]])
def test_an_early_answer_passes_and_its_connection_is_not_used_again(pieces: list[bytes]) -> None:
    served, source = Upstreamed(), RecordingSource()
    ask, wire = served.connected(b"POST", length=1000, source=source)
    ask.exchange.body.feed(b"x")
    for piece in pieces:
        wire.protocol.dataReceived(piece)
    assert (ask.sink.body, ask.over, wire.ended) == (b"ok", True, "abort")
    ask.exchange.body.feed(b"thrown away")
    ask.exchange.body.end()
    assert not wire.take().endswith(b"away")
    assert served.instance.in_flight == 0


def test_an_upload_may_end_while_its_answer_streams() -> None:
    served = Upstreamed()
    ask, wire = served.connected(b"POST", length=3)
    wire.protocol.dataReceived(OK[:-1])
    ask.exchange.body.feed(b"one")
    ask.exchange.body.end()
    wire.protocol.dataReceived(OK[-1:])
    assert (ask.sink.body, served.pool.idle) == (b"ok", 1)


# One connection, several exchanges


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
