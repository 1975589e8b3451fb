"""A twisted.web resource answers on our own channel, with everything that IRequest offers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from tests.sockets import Raw, listening
from tests.twisted_hygiene import reactor, until
from ttagw.config import Http
from ttagw.core.forwarded import Trust
from ttagw.core.ids import UUID7
from ttagw.core.routing import Pattern, Table
from ttagw.layers.bounds import Bounds
from ttagw.pipeline import Pipeline, Route
from ttagw.tree import Tree, refuse
from ttagw.web.mount import mounted
from ttagw.web.render import render
from ttagw.web.site import GatewaySite
from ttagw.wire.deadlines import Deadlines


class Echo(Resource):
    """Says what it got."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        request.setHeader(b"x-args", repr(sorted(request.args.items())).encode())
        request.setHeader(b"x-client", request.getClientAddress().host.encode())
        request.addCookie(b"a", b"1")
        request.addCookie(b"b", b"2")
        return b"got " + request.getHeader(b"x-word") + b" " + request.getCookie(b"c")

    def render_POST(self, request: Any) -> bytes:
        request.setResponseCode(201)
        return request.content.read()[::-1]


class Slow(Resource):
    """Answers when it is told to, or never."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.request: Any = None
        self.left: Deferred[Any] | None = None

    def render_GET(self, request: Any) -> int:
        self.request = request
        self.left = request.notifyFinish()
        return NOT_DONE_YET


class Endless:
    """A pull producer of so many pieces."""

    def __init__(self, request: Any, pieces: int) -> None:
        self.request = request
        self.pieces = pieces

    def resumeProducing(self) -> None:
        self.pieces -= 1
        self.request.write(b"piece;")
        if not self.pieces:
            self.request.unregisterProducer()
            self.request.finish()
        else:
            reactor.callLater(0, self.resumeProducing)

    def stopProducing(self) -> None:
        self.pieces = 1


@contextmanager
def serving(resource: Resource, most: int = 1000) -> Iterator[int]:
    pipeline = Pipeline(render)
    nowhere = Route("-", "-", refuse, max_body=most).bind([])
    route = Route("mounted", "/m/*", mounted(resource), max_body=most).bind([Bounds()])
    tree = Tree(Table([(Pattern("/m/*"), route)]), nowhere, nowhere, conditional=False)
    deadlines = Deadlines(reactor, time.monotonic)
    ids = UUID7(lambda: 1, os.urandom)
    site = GatewaySite(tree, pipeline, nowhere, Http(), Trust(()), ids, deadlines, time.monotonic)
    with listening(site) as port:
        yield port


@contextmanager
def asking(port: int, request: bytes) -> Iterator[Raw]:
    raw = Raw(port, receive=65536)
    try:
        raw.socket.setblocking(True)
        raw.socket.sendall(request)
        raw.socket.setblocking(False)
        yield raw
    finally:
        raw.socket.close()


HEAD = b" HTTP/1.1\r\nHost: x:1\r\nConnection: close\r\n"


@pytest_twisted.ensureDeferred
async def test_a_resource_sees_args_headers_cookies_and_its_own_reach_the_client() -> None:
    head = b"GET /m/a?q=1&q=2" + HEAD + b"X-Word: hello\r\nCookie: c=3\r\n\r\n"
    with serving(Echo()) as port, asking(port, head) as raw:
        answer = await raw.read_to_end()
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"http/1.1 200 ok"
    assert b"x-args: [(b'q', [b'1', b'2'])]" in lines
    assert b"x-client: 127.0.0.1" in lines
    assert [line for line in lines if line.startswith(b"set-cookie")] == [b"set-cookie: a=1", b"set-cookie: b=2"]
    assert body == b"got hello 3"
    assert b"content-length: 11" in lines


@pytest_twisted.ensureDeferred
async def test_a_body_in_chunks_is_collected_before_the_resource_runs() -> None:
    request = b"POST /m" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with serving(Echo()) as port, asking(port, request) as raw:
        answer = await raw.read_to_end()
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert answer.endswith(b"edcba")


@pytest_twisted.ensureDeferred
async def test_a_body_beyond_the_bound_never_reaches_the_resource() -> None:
    request = b"POST /m" + HEAD + b"Content-Length: 11\r\n\r\nhello world"
    with serving(Echo(), most=10) as port, asking(port, request) as raw:
        answer = await raw.read_to_end()
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest_twisted.ensureDeferred
async def test_a_streamed_answer_arrives_in_order_and_ends() -> None:
    slow = Slow()
    with serving(slow) as port, asking(port, b"GET /m/x" + HEAD + b"\r\n") as raw:
        await until(lambda: slow.request is not None)
        slow.request.registerProducer(Endless(slow.request, 5), False)
        answer = await raw.read_to_end()
    assert answer.count(b"piece;") == 5
    assert answer.endswith(b"0\r\n\r\n")


@pytest_twisted.ensureDeferred
async def test_a_client_that_leaves_is_told_to_the_resource() -> None:
    slow = Slow()
    seen: list[Any] = []
    with serving(slow) as port:
        with asking(port, b"GET /m/x" + HEAD + b"\r\n"):
            await until(lambda: slow.left is not None)
            assert slow.left is not None
            slow.left.addErrback(seen.append)
        await until(lambda: seen)


@pytest_twisted.ensureDeferred
async def test_a_resource_that_gives_up_midway_cuts_the_connection() -> None:
    slow = Slow()
    with serving(slow) as port, asking(port, b"GET /m/x" + HEAD + b"\r\n") as raw:
        await until(lambda: slow.request is not None)
        slow.request.registerProducer(Endless(slow.request, 10**6), False)
        await until(lambda: raw.read() or b"piece;" in raw.data)
        slow.request.loseConnection()
        slow.left.addErrback(lambda failure: None)
        await raw.read_to_end()
        producer = slow.request.channel._producer
        producer.stopProducing()
    assert not raw.data.endswith(b"0\r\n\r\n")
