"""Rows 14 to 18: what clients do wrong, and that others do not notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.kit.certs import Authority
from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.origin import GoneError, Origin, Request, Talk, sending
from tests.integration.kit.raw import Client, get, once
from tests.integration.kit.waiting import until

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def gateway(folder: Path, origin: Origin, authority: Authority) -> Iterator[Gateway]:
    http = {"header_timeout": "1s", "body_timeout": "1s", "keepalive_timeout": "1s", "max_body": "1GiB"}
    routes = [route("/patient/*", name="patient", timeout="20s"), route()]
    certificate = authority.issue("127.0.0.1")
    with Gateway(folder, {"s": service(origin.port)}, routes, certificate=certificate, http=http) as running:
        yield running
        assert running.failures() == []


# Row 14


def drip(client: Client, data: bytes, pause: float = 0.1) -> None:
    """Send a byte every `pause` seconds until there is an answer."""
    client.socket.settimeout(pause)
    for at in range(len(data)):
        client.send(data[at : at + 1])
        try:
            if not client.more() or client.begun:
                break
        except TimeoutError:
            continue
    client.socket.settimeout(10)


def test_headers_that_drip_are_ended_at_the_deadline(gateway: Gateway, origin: Origin) -> None:
    with Client(gateway.port) as client:
        drip(client, get("/drip-headers", "X: " + "x" * 100))
        answer = client.answer()
        assert (answer.status, answer.value(b"connection")) == (408, b"close")
        assert client.at_end()
    line = gateway.line(answer.id)
    assert line["reason"] == "headers_slow"
    assert 1000 <= line["ms"] < 2500
    assert origin.seen(b"/drip-headers") == []


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_a_body_that_drips_is_ended_though_it_is_never_silent(gateway: Gateway, origin: Origin, framing: str) -> None:
    with Client(gateway.port) as client:
        client.send(get("/patient/drip", framing, method="POST"))
        drip(client, b"1\r\nx\r\n" * 100 if "chunked" in framing else b"x" * 1000)
        answer = client.answer()
        assert client.at_end()
    assert answer.status == 408
    assert gateway.line(answer.id)["reason"] == "body_slow"
    assert not [each for each in origin.seen(b"/patient/drip") if each.complete]


def test_a_body_that_stops_is_ended_at_the_body_timeout(gateway: Gateway, origin: Origin) -> None:
    with Client(gateway.port) as client:
        client.send(get("/patient/stops", "Content-Length: 1000", method="POST") + b"x")
        answer = client.answer()
        assert client.at_end()
    assert answer.status == 408
    assert origin.talk_of(b"/patient/stops").gone.wait(5)


@pytest.mark.parametrize("begin", [b"", b"5", b"5\r\n"])
def test_a_chunked_body_that_never_begins_is_ended(gateway: Gateway, origin: Origin, begin: bytes) -> None:
    with Client(gateway.port, timeout=5) as client:
        client.send(get("/patient/never", "Transfer-Encoding: chunked", method="POST") + begin)
        assert client.answer().status == 408
        assert client.at_end()
    assert not [each for each in origin.seen(b"/patient/never") if each.complete]


def test_an_upload_behind_another_request_is_not_ended_while_it_waits(gateway: Gateway, origin: Origin) -> None:
    origin.on(b"/patient/before", lambda talk, request: (talk.gone.wait(0.8), talk.reply(b"first"))[0])
    with Client(gateway.port) as client:
        client.send(get("/patient/before") + get("/patient/after", "Content-Length: 5", method="POST"))
        assert client.answer().body == b"first"
        client.send(b"hello")
        assert client.answer().status == 200


def test_slow_clients_do_not_disturb_others(gateway: Gateway) -> None:
    slow = [Client(gateway.port) for _ in range(50)]
    try:
        for client in slow:
            client.send(b"GET / HT")
        with Client(gateway.port) as client:
            assert {client.ask(get("/")).status for _ in range(50)} == {200}
        assert {client.answer().status for client in slow} == {408}
    finally:
        for client in slow:
            client.close()


def test_a_connection_without_a_request_is_closed_without_a_word(gateway: Gateway) -> None:
    with Client(gateway.port) as client:
        assert client.rest() == b""
        assert not client.broken
    with Client(gateway.port) as client:
        assert client.ask(get("/")).status == 200
        assert client.rest() == b""


def test_a_handshake_that_never_begins_or_never_ends_is_ended(gateway: Gateway) -> None:
    for data in (b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"):
        with Client(gateway.secure_port) as client:
            client.send(data)
            assert not client.rest().startswith(b"HTTP")


# Row 15


def flood(size: int) -> Iterator[bytes]:
    """`size` MiB in pieces."""
    for _ in range(size):
        yield b"x" * MIB


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
def test_a_client_that_reads_nothing_pauses_the_service(
    gateway: Gateway, origin: Origin, authority: Authority, secure: bool
) -> None:
    sent = 0
    path = f"/patient/pour-{secure}"
    port, context = (gateway.secure_port, authority.client_context()) if secure else (gateway.port, None)

    def pour(talk: Talk, request: Request) -> None:
        nonlocal sent
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (200 * MIB))
        for piece in flood(200):
            talk.send(piece)
            sent += 1

    origin.on(path.encode(), pour)
    before = gateway.child.resident()
    with Client(port, context, buffer=65536) as client:
        client.send(get(path))
        head = client.head()
        origin.talk_of(path.encode()).gone.wait(2)
        stuck = sent
        assert stuck < 100
        assert gateway.child.resident() - before < 20 * MIB
        read = 0
        while read < 200 * MIB:
            read += len(client.exactly(min(MIB, 200 * MIB - read)))
        assert gateway.child.resident() - before < 20 * MIB
    assert gateway.line(head.id)["bytes_out"] == 200 * MIB


def test_a_service_that_reads_slowly_pauses_the_client(gateway: Gateway, origin: Origin) -> None:
    def sip(talk: Talk, request: Request) -> None:
        talk.gone.wait(0.6)
        talk.origin.held.set()
        left = 200 * MIB - (len(talk.received) - talk.at)
        while left > 0:
            left -= len(talk.socket.recv(MIB))
        talk.reply(b"all")
        talk.close()

    origin.held.clear()
    origin.on(b"/patient/sip", sip, early=True)
    before = gateway.child.resident()
    highest = 0
    with Client(gateway.port) as client:
        client.send(get("/patient/sip", f"Content-Length: {200 * MIB}", method="POST"))
        for sent, piece in enumerate(flood(200)):
            assert client.send(piece)
            highest = max(highest, gateway.child.resident())
            assert sent < 150 or origin.held.is_set()
        assert client.answer().body == b"all"
    assert highest - before < 20 * MIB


# Row 16


def test_a_client_that_leaves_before_the_answer_cancels_the_work(gateway: Gateway, origin: Origin) -> None:
    origin.on(b"/patient/wait", sending())
    client = Client(gateway.port)
    client.send(get("/patient/wait"))
    talk = origin.talk_of(b"/patient/wait")
    client.close()
    assert talk.gone.wait(5)
    line = gateway.line(lambda line: line["status"] == 499 and line["route"] == "patient")
    assert line["reason"] == "client_closed"
    assert line["ms"] < 3000


@pytest.mark.parametrize("leave", [Client.close, Client.reset])
def test_a_client_that_leaves_inside_an_answer_cancels_the_work(
    gateway: Gateway, origin: Origin, leave: Callable[[Client], None]
) -> None:
    def endless(talk: Talk, request: Request) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                talk.send(b"5\r\nhello\r\n")
                talk.gone.wait(0.01)
        except GoneError:
            pass

    path = f"/endless-{leave.__name__}"
    origin.on(path.encode(), endless)
    client = Client(gateway.port)
    client.send(get(path))
    head = client.head()
    assert client.exactly(5)
    leave(client)
    assert origin.talk_of(path.encode()).gone.wait(5)
    line = gateway.line(head.id)
    assert (line["status"], line["reason"]) == (499, "client_closed")
    assert line["bytes_out"] > 0


@pytest.mark.parametrize("leave", [Client.close, Client.reset])
@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_a_client_that_leaves_inside_an_upload_never_completes_it(
    gateway: Gateway, origin: Origin, leave: Callable[[Client], None], framing: str
) -> None:
    path = f"/upload-{leave.__name__}-{framing[:7]}"
    before = len(gateway.lines())
    client = Client(gateway.port)
    client.send(get(path, framing, method="POST") + b"5\r\nhello\r\n")
    talk = origin.talk_of(path.encode())
    until(lambda: b"hello" in talk.received, "the body has begun")
    leave(client)
    assert talk.gone.wait(5)
    assert [each.complete for each in origin.seen(path.encode())] == [False]
    line = until(lambda: [each for each in gateway.lines()[before:] if each["status"] == 499], "a line")[0]
    assert line["bytes_in"] > 0


def test_a_connection_whose_client_left_is_not_used_again(gateway: Gateway, origin: Origin) -> None:
    origin.held.clear()

    def late(talk: Talk, request: Request) -> None:
        talk.origin.held.wait(10)
        talk.reply(b"of the one who left")

    origin.on(b"/patient/late", late)
    client = Client(gateway.port)
    client.send(get("/patient/late"))
    left = origin.talk_of(b"/patient/late").number
    client.close()
    gateway.line(lambda line: line["status"] == 499)
    origin.held.set()
    assert {once(gateway.port, get("/mine")).status for _ in range(10)} == {200}
    assert left not in {each.connection for each in origin.seen(b"/mine")}
