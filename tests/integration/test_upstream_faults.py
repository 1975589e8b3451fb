"""Rows 1, 3 to 5, 7 and 10: what services do wrong, and what a client then sees."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.origin import Behaviour, Origin, Request, Talk, closing, resetting, sending
from tests.integration.kit.process import free_port
from tests.integration.kit.raw import Answer, Client, CutOffError, get, once, post
from tests.integration.kit.waiting import until


@pytest.fixture(scope="module")
def dead_port() -> int:
    """Nobody listens there."""
    return free_port()


@pytest.fixture(scope="module")
def gateway(folder: Path, origin: Origin, dead_port: int) -> Iterator[Gateway]:
    services = {
        "s": service(origin.port),
        "dead": service(dead_port),
        "half": service(dead_port, origin.port, balance="round_robin"),
    }
    routes = [route("/dead/*", "dead", "dead"), route("/half/*", "half", "half"), route()]
    with Gateway(folder, services, routes) as running:
        yield running
        assert running.failures() == []


def ask(gateway: Gateway, data: bytes) -> Answer:
    return once(gateway.port, data)


# Row 1


def test_a_refused_connection_goes_to_the_next_instance_within_the_request(gateway: Gateway, origin: Origin) -> None:
    answers = [ask(gateway, get(f"/half/{number}")) for number in range(6)]
    assert [each.status for each in answers] == [200] * 6
    assert len(origin.seen(b"/half/")) == 6
    assert sorted({gateway.line(each.id)["tries"] for each in answers}) == [1, 2]


def test_a_post_goes_to_the_next_instance_too_since_nothing_was_sent(gateway: Gateway, origin: Origin) -> None:
    bodies = [b"body-%d" % number for number in range(4)]
    answers = [ask(gateway, post("/half/post", body)) for body in bodies]
    assert [json.loads(each.body)["body"].encode() for each in answers] == bodies
    assert len(origin.seen(b"/half/post")) == 4


def test_no_instance_left_is_503_with_retry_after(gateway: Gateway, dead_port: int) -> None:
    answer = ask(gateway, get("/dead/"))
    assert (answer.status, answer.reason) == (503, b"upstream_unavailable")
    assert int(answer.value(b"retry-after")) > 0
    assert gateway.line(answer.id)["reason"] == "connection_refused"
    where = {"service": "dead", "instance": f"127.0.0.1:{dead_port}", "kind": "connection_refused"}
    assert gateway.metric("ttagw_upstream_errors_total", **where) >= 1


def test_the_connection_survives_a_503(gateway: Gateway) -> None:
    with Client(gateway.port) as client:
        assert client.ask(get("/dead/")).status == 503
        assert client.ask(get("/")).status == 200


# Rows 3 and 4


def test_a_service_that_never_answers_is_504(gateway: Gateway, origin: Origin) -> None:
    origin.on(b"/silent", sending())
    answer = ask(gateway, get("/silent"))
    assert (answer.status, answer.reason) == (504, b"upstream_timeout")
    line = gateway.line(answer.id)
    assert line["reason"] == "response_timeout"
    assert 1000 <= line["ms"] < 3000
    assert origin.talk_of(b"/silent").gone.wait(5)


@pytest.mark.parametrize(
    "begin",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhalf",
    ],
    ids=["counted", "chunked", "until-close"],
)
def test_a_service_that_stalls_inside_a_body_gets_the_client_cut(
    gateway: Gateway, origin: Origin, begin: bytes
) -> None:
    origin.on(b"/stall", sending(begin))
    with Client(gateway.port) as client:
        client.send(get("/stall"))
        head = client.head()
        with pytest.raises(CutOffError):
            client.body(head)
    assert head.status == 200
    line = gateway.line(head.id)
    assert (line["reason"], line["bytes_out"]) == ("idle_timeout", 4)


# Row 5


@pytest.mark.parametrize("end", [resetting, closing])
@pytest.mark.parametrize(
    "begin",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
    ],
    ids=["counted", "chunked", "no-last-line"],
)
def test_a_body_that_ends_early_is_never_a_complete_one(
    gateway: Gateway, origin: Origin, begin: bytes, end: Callable[..., Behaviour]
) -> None:
    origin.held.clear()
    origin.on(b"/early", end(begin))
    with Client(gateway.port) as client:
        client.send(get("/early"))
        head = client.head()
        origin.held.set()
        with pytest.raises(CutOffError):
            client.body(head)
    line = gateway.line(head.id)
    assert (head.status, line["reason"], line["bytes_out"]) == (200, "closed_mid_body", 4)
    assert line["instance"] == f"127.0.0.1:{origin.port}"


def test_a_body_without_length_that_ends_in_a_reset_is_cut(gateway: Gateway, origin: Origin) -> None:
    origin.held.clear()
    origin.on(b"/unknown-reset", resetting(b"HTTP/1.1 200 OK\r\n\r\nhalf"))
    with Client(gateway.port) as client:
        client.send(get("/unknown-reset"))
        head = client.head()
        origin.held.set()
        with pytest.raises(CutOffError):
            client.body(head)
    assert head.status == 200


@pytest.mark.parametrize("end", [resetting, closing])
def test_a_service_that_leaves_before_it_answers_is_502_and_not_asked_again(
    gateway: Gateway, origin: Origin, end: Callable[..., Behaviour]
) -> None:
    origin.held.set()
    path = f"/leaves-{end.__name__}"
    origin.on(path.encode(), end(b""))
    answer = ask(gateway, post(path, b"once"))
    assert (answer.status, answer.reason) == (502, b"upstream_closed")
    assert len(origin.seen(path.encode())) == 1


# Row 7


def test_an_answer_before_the_body_is_read_passes_and_the_connection_ends(gateway: Gateway, origin: Origin) -> None:
    origin.on(b"/no", lambda talk, request: talk.reply(b"no", status=b"413 Too Large"), early=True)
    with Client(gateway.port) as client:
        client.send(get("/no", "Content-Length: 100000", method="POST") + b"x" * 1000)
        answer = client.answer()
        assert client.at_end()
    assert (answer.status, answer.body, answer.reason) == (413, b"no", b"")
    assert answer.value(b"connection") == b"close"
    assert origin.talk_of(b"/no").gone.wait(5) or origin.talk_of(b"/no").socket.fileno() < 0
    assert ask(gateway, get("/after-no")).status == 200


def test_a_large_upload_that_nobody_reads_still_gets_the_early_answer(gateway: Gateway, origin: Origin) -> None:
    def early(talk: Talk, request: Request) -> None:
        talk.reply(b"no", status=b"401 Unauthorized")
        talk.wait_gone()

    origin.on(b"/early-large", early, early=True)
    with Client(gateway.port) as client:
        client.send(get("/early-large", "Content-Length: 8000000", method="POST"), *[b"x" * 100000] * 80)
        answer = client.answer()
    assert (answer.status, answer.body) == (401, b"no")


def test_an_answer_counts_though_the_service_closes_without_reading_the_rest(gateway: Gateway, origin: Origin) -> None:
    def early(talk: Talk, request: Request) -> None:
        talk.reply(b"no", b"Connection: close", status=b"413 Too Large")
        # With bytes unread, this is a reset.
        talk.close()

    origin.on(b"/early-close", early, early=True)
    statuses = []
    for _ in range(40):
        with Client(gateway.port) as client:
            client.send(get("/early-close", "Content-Length: 1000000", method="POST"), *[b"x" * 10000] * 100)
            statuses.append(client.answer().status)
    assert statuses == [413] * 40


# Row 10


def test_a_slow_answer_passes_at_its_own_pace(gateway: Gateway, origin: Origin) -> None:
    def drip(talk: Talk, request: Request) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for byte in b"abcdef":
            talk.gone.wait(0.3)
            talk.send(bytes([byte]))

    origin.on(b"/drip", drip)
    with Client(gateway.port) as client:
        client.send(get("/drip"))
        client.head()
        assert client.exactly(1) == b"a"
        assert gateway.metric("ttagw_requests_in_flight", route="all") == 1
        assert client.exactly(5) == b"bcdef"


def test_a_reset_that_a_write_has_met_first_is_not_taken_for_the_end_of_an_answer(
    gateway: Gateway, origin: Origin
) -> None:
    def early(talk: Talk, request: Request) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\n\r\nfirst half")
        talk.origin.held.wait(10)
        talk.reset()

    origin.held.clear()
    origin.on(b"/reset-met", early, early=True)
    with Client(gateway.port) as client:
        client.send(get("/reset-met", "Content-Length: 100000", method="POST") + b"x")
        head = client.head()
        # Both are there when it looks again. Passing on the client's bytes fails, and takes the error along.
        gateway.child.signal(signal.SIGSTOP)
        client.send(b"y" * 100)
        talk = origin.talk_of(b"/reset-met")
        origin.held.set()
        until(lambda: talk.socket.fileno() < 0, "the service has reset its connection")
        gateway.child.signal(signal.SIGCONT)
        with pytest.raises(CutOffError):
            client.body(head)
    assert gateway.line(head.id)["reason"] == "closed_mid_body"
