from __future__ import annotations

import pytest

from tests.upstream.served import CONTINUE, OK, Upstreamed, asked
from ttagw.testing import RecordingSource


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


@pytest.mark.parametrize("data", [b"HTTP/1.1 200 OK\r\n\r\nall", b"HTTP/1.1 2", OK, b""])
def test_a_connection_that_is_gone_is_watched_no_more(data: bytes) -> None:
    _, wire, served = asked(*([data] if data else []))
    wire.lose()
    assert served.watched == {served.pool}


def test_an_end_after_a_write_has_failed_completes_nothing() -> None:
    ask, wire, _ = asked(b"HTTP/1.1 200 OK\r\n\r\nhalf")
    # The failed write has taken the reset along: what is read looks like an end in order.
    wire.protocol._writer.failed = True
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


def test_what_comes_while_it_ends_does_not_put_the_end_off() -> None:
    served = Upstreamed(tls=True)
    served.ask()
    wire = served.endpoint.accept()
    wire.protocol.handshakeCompleted()
    wire.protocol.dataReceived(OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
    assert wire.ended == "close"
    for _ in range(3):
        served.pass_time(0.9)
        wire.protocol.dataReceived(b"x")
    assert wire.ended == "abort"


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
