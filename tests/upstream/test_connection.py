from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionLost

from tests.upstream.served import OK, Upstreamed, asked
from ttagw.model import UNKNOWN
from ttagw.testing import RecordingSource
from ttagw.wire.writer import HIGH_WATER

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
