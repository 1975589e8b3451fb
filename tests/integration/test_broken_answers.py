"""Rows 8 and 9: answers that are not one HTTP/1.1 answer never reach a client, and framing stays right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.kit.gateway import Gateway, service
from tests.integration.kit.origin import OK, Origin, Request, Talk, sending
from tests.integration.kit.raw import Client, CutOffError, get, once

CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
BROKEN = {
    "garbage": b"\x00\x01\x02 nonsense\r\n\r\n",
    "text": b"hello\r\n\r\n",
    "an ssh server": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a request": b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "http 0.9": b"<html></html>",
    "http 2": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "http 1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "lower case": b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "icy": b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "rtsp": b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    "status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
    "status 0": b"HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nok",
    "status 99": b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok",
    "status 600": b"HTTP/1.1 600 OK\r\nContent-Length: 2\r\n\r\nok",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\nok",
    "two spaces": b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
    "space before": b" HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "control in the reason": b"HTTP/1.1 200 O\x00K\r\nContent-Length: 2\r\n\r\nok",
    "bare lf": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "lf in the head": b"HTTP/1.1 200 OK\r\nContent-Length: 2\nX: y\r\n\r\nok",
    "cr in a value": b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
    "lf in a value": b"HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
    "nul in a value": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\nok",
    "control in a value": b"HTTP/1.1 200 OK\r\nX: a\x01b\r\nContent-Length: 2\r\n\r\nok",
    "folded field": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "space before a colon": b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\nok",
    "space in a name": b"HTTP/1.1 200 OK\r\nX Y: a\r\nContent-Length: 2\r\n\r\nok",
    "no colon": b"HTTP/1.1 200 OK\r\nX\r\nContent-Length: 2\r\n\r\nok",
    "empty name": b"HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 2\r\n\r\nok",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "the same length twice": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "a list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    "signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "hexadecimal length": b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok",
    "no number": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
    "empty length": b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok",
    "huge length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + CHUNKED,
    "chunked and length": b"HTTP/1.1 200 OK\r\n" + CHUNKED.replace(b"\r\n", b"\r\nContent-Length: 2\r\n", 1),
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    "two codings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + CHUNKED,
    "chunked in http 1.0": b"HTTP/1.0 200 OK\r\n" + CHUNKED,
    "a megabyte of one field": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1048576 + b"\r\nContent-Length: 2\r\n\r\nok",
    "a megabyte of fields": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 180000 + b"Content-Length: 2\r\n\r\nok",
    "two hundred and one fields": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"Content-Length: 2\r\n\r\nok",
    "a reason without end": b"HTTP/1.1 200 " + b"x" * 1048576,
    "an unasked upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "a bare 101": b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + OK,
    "a storm of 1xx": b"HTTP/1.1 100 Continue\r\n\r\n" * 11 + OK,
    "a storm of 103": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 1000 + OK,
}
"""What a service answers, and the client gets a 502."""


@pytest.fixture(scope="module")
def gateway(folder: Path, origin: Origin) -> Iterator[Gateway]:
    with Gateway(folder, {"s": service(origin.port)}) as running:
        yield running
        assert running.failures() == []


@pytest.mark.parametrize("cut", [0, 1, 7], ids=["whole", "bytes", "pieces"])
@pytest.mark.parametrize("sent", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_answer_is_502_and_ends_the_connection_to_the_service(
    gateway: Gateway, origin: Origin, sent: bytes, cut: int
) -> None:
    pieces = [sent[at : at + cut] for at in range(0, len(sent), cut)] if cut and len(sent) < 2000 else [sent]
    origin.on(b"/broken", sending(*pieces))
    answer = once(gateway.port, get("/broken"))
    assert (answer.status, answer.reason) == (502, b"upstream_broken")
    assert b"Set-Cookie" not in dict(answer.fields)
    talk = origin.talks[origin.seen(b"/broken")[-1].connection]
    assert talk.gone.wait(5)
    assert once(gateway.port, get("/fine")).status == 200


# Wrong after the head has gone on


@pytest.mark.parametrize(
    "rest",
    [
        b"zz\r\n",
        b"2\r\nokX\r\n",
        b"2\r\nok\n0\r\n\r\n",
        b"-1\r\n",
        b"fffffffffffffffff\r\n",
        b"0\r\nX: \x00\r\n\r\n",
        b"2;\x00\r\nok",
    ],
)
def test_a_chunk_that_goes_wrong_cuts_the_client_off(gateway: Gateway, origin: Origin, rest: bytes) -> None:
    origin.held.clear()

    def wrong(talk: Talk, request: Request) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
        talk.origin.held.wait(10)
        talk.send(rest + b"2\r\nok\r\n0\r\n\r\n")
        talk.wait_gone()

    origin.on(b"/wrong-chunk", wrong)
    with Client(gateway.port) as client:
        client.send(get("/wrong-chunk"))
        head = client.head()
        origin.held.set()
        with pytest.raises(CutOffError):
            client.body(head)
    assert gateway.line(head.id)["reason"] == "bad_body"


# More than one answer


@pytest.mark.parametrize("extra", [OK, b"x", b"HTTP/1.1 500 No\r\n\r\n", b"\x00"])
@pytest.mark.parametrize("together", [True, False])
def test_bytes_after_an_answer_reach_nobody(gateway: Gateway, origin: Origin, extra: bytes, together: bool) -> None:
    origin.on(b"/two", sending(OK + extra) if together else sending(OK, extra))
    with Client(gateway.port) as client:
        for _ in range(3):
            answer = client.ask(get("/two"))
            assert (answer.status, answer.body) == (200, b"ok")
            assert origin.talks[origin.seen(b"/two")[-1].connection].gone.wait(5)
            assert client.ask(get("/mine", method="HEAD")).status == 200


def test_empty_lines_after_an_answer_do_not_become_part_of_the_next(gateway: Gateway, origin: Origin) -> None:
    origin.on(b"/crlf", lambda talk, request: talk.send(OK + b"\r\n"))
    with Client(gateway.port) as client:
        assert [client.ask(get("/crlf")).body for _ in range(6)] == [b"ok"] * 6


def test_an_answer_without_a_request_is_thrown_away(gateway: Gateway, origin: Origin) -> None:
    def late(talk: Talk, request: Request) -> None:
        talk.send(OK)
        talk.gone.wait(0.2)
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
        talk.wait_gone()

    origin.on(b"/unasked", late)
    with Client(gateway.port) as client:
        assert client.ask(get("/unasked")).body == b"ok"
        assert origin.talk_of(b"/unasked").gone.wait(5)
        origin.on(b"/right", lambda talk, request: talk.reply(b"right"))
        assert client.ask(get("/right")).body == b"right"


# Row 9: framing


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize(
    "body", [b"Content-Length: 4\r\n\r\nbody", b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"]
)
def test_an_answer_that_has_no_body_gets_none(gateway: Gateway, origin: Origin, status: bytes, body: bytes) -> None:
    origin.on(b"/bodyless", sending(b"HTTP/1.1 " + status + b"\r\n" + body))
    with Client(gateway.port) as client:
        for _ in range(3):
            answer = client.ask(get("/bodyless"))
            assert (answer.status, answer.body) == (int(status[:3]), b"")
            assert client.ask(get("/next")).status == 200


def test_a_head_answer_with_a_body_gets_none(gateway: Gateway, origin: Origin) -> None:
    origin.on(b"/head", sending(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"))
    with Client(gateway.port) as client:
        for _ in range(3):
            answer = client.ask(get("/head", method="HEAD"))
            assert (answer.status, answer.value(b"content-length"), answer.body) == (200, b"4", b"")
            assert client.ask(get("/next")).status == 200


@pytest.mark.parametrize("count", [1, 10])
def test_up_to_ten_interim_answers_are_skipped(gateway: Gateway, origin: Origin, count: int) -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\nContent-Length: 3\r\n\r\n"
    origin.on(b"/interim", lambda talk, request: talk.send(interim * count + OK))
    with Client(gateway.port) as client:
        client.send(get("/interim"))
        head = client.head()
        assert (head.status, client.body(head), head.all(b"link")) == (200, b"ok", [])


def test_the_reason_phrase_is_ours(gateway: Gateway, origin: Origin) -> None:
    origin.on(b"/phrase", lambda talk, request: talk.reply(b"", status=b"404 <script>alert(1)</script>"))
    with Client(gateway.port) as client:
        client.send(get("/phrase", "Connection: close"))
        assert client.rest().startswith(b"HTTP/1.1 404 Not Found\r\n")
