"""HTTP/1.1 as a server: connections, framing, methods and forms of the target that are taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.origin import Origin, Request, Talk, closing
from tests.integration.kit.raw import Answer, Client, chunked, get, once, post
from tests.integration.kit.waiting import until

ROUTES = [route("/small/*", name="small", max_body=10), route("/short/*", name="short", timeout="300ms"), route()]


@pytest.fixture(scope="module")
def gateway(folder: Path, origin: Origin) -> Iterator[Gateway]:
    with Gateway(folder, {"s": service(origin.port)}, ROUTES) as running:
        yield running
        assert running.failures() == []


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Client]:
    with Client(gateway.port) as connected:
        yield connected


def told(answer: Answer) -> dict[str, Any]:
    """What the service says it was sent."""
    assert answer.status == 200
    value: dict[str, Any] = json.loads(answer.body)
    return value


def fields(answer: Answer) -> dict[str, str]:
    """The fields that the service was sent."""
    return {name.lower(): value for name, value in told(answer)["fields"]}


# Connections


def test_a_connection_is_kept(client: Client) -> None:
    answers = [client.ask(get(f"/{number}")) for number in range(50)]
    assert [told(each)["target"] for each in answers] == [f"/{number}" for number in range(50)]
    assert {each.value(b"connection") for each in answers} == {b""}


def test_a_connection_ends_when_the_client_says_so(client: Client) -> None:
    assert client.ask(get("/", "Connection: close")).value(b"connection") == b"close"
    assert client.at_end()


def test_http10_ends_the_connection(client: Client) -> None:
    answer = client.ask(get("/", version="1.0"))
    assert (answer.status, answer.value(b"connection")) == (200, b"close")
    assert client.at_end()


def test_http10_with_keep_alive_keeps_it(client: Client) -> None:
    for _ in range(5):
        answer = client.ask(get("/", "Connection: keep-alive", version="1.0"))
        assert (answer.status, answer.value(b"connection")) == (200, b"keep-alive")


def test_http10_gets_a_body_of_unknown_length_until_the_end(client: Client, origin: Origin) -> None:
    def unknown(talk: Talk, request: Request) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        talk.gone.wait(0.1)
        talk.send(b"6\r\n world\r\n0\r\n\r\n")

    origin.on(b"/unknown", unknown)
    client.send(get("/unknown", "Connection: keep-alive", version="1.0"))
    head = client.head()
    assert (head.all(b"transfer-encoding"), head.value(b"connection")) == ([], b"close")
    assert client.rest() == b"hello world"


def test_pipelined_requests_are_answered_in_order(client: Client, origin: Origin) -> None:
    origin.on(b"/slow", lambda talk, request: (talk.gone.wait(0.2), talk.reply(b"slow"))[0])
    client.send(get("/slow") + post("/a", b"body") + get("/b", method="HEAD") + chunked("/c", [b"x", b"y"]) + get("/d"))
    assert client.answer().body == b"slow"
    assert told(client.answer())["target"] == "/a"
    assert client.answer(b"HEAD").status == 200
    assert told(client.answer())["body"] == "xy"
    assert told(client.answer())["target"] == "/d"


def test_three_hundred_pipelined_requests_are_answered_in_order(client: Client) -> None:
    client.send(b"".join([get(f"/{number}") for number in range(300)]))
    assert [told(client.answer())["target"] for _ in range(300)] == [f"/{number}" for number in range(300)]


def test_empty_lines_before_a_request_are_passed_over(client: Client) -> None:
    assert client.ask(b"\r\n\r\n" + get("/a"), b"GET").status == 200
    assert client.ask(b"\r\n" + get("/b"), b"GET").status == 200


def test_a_thousand_requests_end_a_connection(client: Client) -> None:
    for number in range(999):
        assert client.ask(get(f"/{number}")).value(b"connection") == b""
    assert client.ask(get("/")).value(b"connection") == b"close"
    assert client.at_end()


# Bodies


def test_head_has_the_length_and_no_body(client: Client) -> None:
    answer = client.ask(get("/", method="HEAD"))
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.value(b"content-length")) > 0
    assert client.ask(get("/next")).status == 200


@pytest.mark.parametrize("size", [0, 1, 100, 65535, 65536, 1_000_000])
def test_bodies_pass_unchanged_in_both_framings(client: Client, origin: Origin, size: int) -> None:
    origin.on(b"/echo", lambda talk, request: talk.reply(request.body))
    body = bytes([number % 251 for number in range(size)])
    assert client.ask(post("/echo", body)).body == body
    pieces = [body[at : at + 7777] for at in range(0, size, 7777)]
    assert client.ask(chunked("/echo", pieces)).body == body


def test_a_chunked_request_is_chunked_to_the_service_and_its_trailers_are_dropped(
    client: Client, origin: Origin
) -> None:
    trailers = b"X-Trailer: secret\r\nHost: other\r\nCookie: a=b\r\n"
    sent = fields(client.ask(chunked("/trailers", [b"hello"], "Trailer: X-Trailer", trailers=trailers)))
    assert sent["transfer-encoding"] == "chunked"
    assert not sent.keys() & {"content-length", "trailer", "x-trailer", "cookie"}
    assert origin.seen(b"/trailers")[0].trailers == []
    assert client.ask(get("/next")).status == 200


def test_chunk_extensions_are_dropped(client: Client) -> None:
    data = get("/", "Transfer-Encoding: chunked", method="POST") + b'5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n'
    assert told(client.ask(data))["body"] == "hello"


def test_a_chunked_answer_passes_and_its_trailers_are_dropped(client: Client, origin: Origin) -> None:
    sent = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5;x=y\r\nhello\r\n0\r\nX: secret\r\n\r\n"
    )
    origin.on(b"/chunked", lambda talk, request: talk.send(sent))
    answer = client.ask(get("/chunked"))
    assert (answer.body, answer.all(b"trailer"), answer.all(b"x")) == (b"hello", [], [])


def test_an_answer_without_length_ends_with_its_connection_and_not_with_ours(client: Client, origin: Origin) -> None:
    origin.on(b"/endless", closing(b"HTTP/1.1 200 OK\r\n\r\nhello"))
    assert client.ask(get("/endless")).body == b"hello"
    assert client.ask(get("/next")).status == 200


def test_an_answer_is_streamed(client: Client, origin: Origin) -> None:
    def stream(talk: Talk, request: Request) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        talk.origin.held.wait(10)
        talk.send(b"after")

    origin.held.clear()
    origin.on(b"/stream", stream)
    client.send(get("/stream"))
    client.head()
    assert client.exactly(5) == b"first"
    origin.held.set()
    assert client.exactly(5) == b"after"


def test_a_request_is_streamed(client: Client, origin: Origin) -> None:
    client.send(get("/upload", "Content-Length: 10", method="POST") + b"first")
    talk = origin.talk_of(b"/upload")
    until(lambda: talk.received.endswith(b"first"), "the beginning arrives before the end is sent")
    client.send(b"after")
    assert told(client.answer())["body"] == "firstafter"


# Expect


def test_100_continue_comes_before_the_body_is_sent(client: Client) -> None:
    client.send(get("/", "Content-Length: 5", "Expect: 100-continue", method="POST"))
    assert client.head().status == 100
    client.send(b"hello")
    answer = client.answer()
    assert told(answer)["body"] == "hello"
    assert "expect" not in fields(answer)


def test_100_continue_for_a_chunked_body(client: Client) -> None:
    client.send(get("/", "Transfer-Encoding: chunked", "Expect: 100-continue", method="POST"))
    assert client.head().status == 100
    client.send(b"5\r\nhello\r\n0\r\n\r\n")
    assert told(client.answer())["body"] == "hello"


@pytest.mark.parametrize(
    ("path", "length", "status"), [("/small/x", 11, 413), ("/", 11 * 1024 * 1024, 413), ("/a//b", 5, 400)]
)
def test_a_request_that_is_not_admitted_gets_no_100(gateway: Gateway, path: str, length: int, status: int) -> None:
    with Client(gateway.port) as client:
        client.send(get(path, f"Content-Length: {length}", "Expect: 100-continue", method="POST"))
        assert client.head().status == status


def test_100_continue_is_not_sent_to_http10(client: Client) -> None:
    data = get("/", "Content-Length: 5", "Expect: 100-continue", method="POST", version="1.0")
    client.send(data + b"hello")
    assert client.head().status == 200


# Limits


def test_max_body_of_a_route_holds_in_both_framings(gateway: Gateway, origin: Origin) -> None:
    assert once(gateway.port, post("/small/x", b"x" * 10)).status == 200
    assert once(gateway.port, chunked("/small/x", [b"x" * 5, b"x" * 5])).status == 200
    before = len(origin.seen(b"/small/"))
    answer = once(gateway.port, post("/small/x", b"x" * 11))
    assert (answer.status, answer.reason, answer.value(b"connection")) == (413, b"body_too_large", b"close")
    assert once(gateway.port, chunked("/small/x", [b"x" * 11])).status == 413
    assert once(gateway.port, chunked("/small/x", [b"x" * 5, b"x" * 6])).status == 413
    assert not [each for each in origin.seen(b"/small/")[before:] if each.complete]


def test_a_route_has_its_own_timeout(gateway: Gateway, origin: Origin) -> None:
    origin.on(b"/short/", lambda talk, request: talk.wait_gone())
    answer = once(gateway.port, get("/short/x"))
    assert (answer.status, answer.reason) == (504, b"upstream_timeout")
    line = gateway.line(answer.id)
    assert (line["route"], line["reason"]) == ("short", "route_timeout")
    assert 300 <= line["ms"] < 900


# Targets and methods


def test_options_asterisk_is_answered_here(client: Client, origin: Origin) -> None:
    before = len(origin.requests)
    answer = client.ask(get("*", method="OPTIONS"))
    assert answer.status in (200, 204)
    assert b"GET" in answer.value(b"allow")
    assert len(origin.requests) == before


def test_the_absolute_form_is_taken_and_sent_on_as_a_path(client: Client) -> None:
    assert told(client.ask(get("http://h/a?b=c")))["target"] == "/a?b=c"
    assert told(client.ask(get("http://H:80/a", host="h:80")))["target"] == "/a"
    assert told(client.ask(get("http://h", host="h")))["target"] == "/"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods_pass(client: Client, method: str) -> None:
    assert told(client.ask(get("/", method=method)))["method"] == method


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        ("/a?", "/a?"),
        ("/a?b=%20&c=%2F%2f&d=+", "/a?b=%20&c=%2F%2f&d=+"),
        ("/a?//..//%00", "/a?//..//%00"),
        ("/%7Euser/%41", "/~user/A"),
        ("/%e2%82%ac", "/%E2%82%AC"),
        ("/a;b=c/d", "/a;b=c/d"),
        ("/a/", "/a/"),
        ("/:@!$&'()*+,;=", "/:@!$&'()*+,;="),
    ],
)
def test_paths_arrive_in_their_canonical_form_and_queries_byte_for_byte(
    client: Client, sent: str, arrives: str
) -> None:
    assert told(client.ask(get(sent)))["target"] == arrives
