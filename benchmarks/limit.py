"""How fast Twisted can do it at all: parse, route, choose, forward, count, log. A measure, not a gateway.

No error handling, no streaming, no limits, no checks: `python benchmarks/limit.py PORT UPSTREAM_PORT`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import httptools
from prometheus_client import Counter, Histogram
from twisted.internet import protocol, reactor

DROPPED = frozenset(
    (b"connection", b"transfer-encoding", b"keep-alive", b"content-length", b"upgrade", b"te", b"trailer")
)
REQUESTS = Counter("limit_requests", "Requests.", ["route", "method", "status"])
SECONDS = Histogram("limit_seconds", "Latency.", ["route"])
LINE = b'{"t":%.6f,"peer":"%b","route":"%b","method":"%b","path":"%b","status":%d,"bytes":%d,"ms":%.3f}\n'


def send(transport: Any, data: bytes) -> None:
    """Straight to the socket; what it does not take goes the long way."""
    if not transport.connected:
        return
    sent = transport.writeSomeData(data)
    if sent != len(data):
        transport.write(data[max(sent, 0) :])


class Route:
    """Prepared labels."""

    def __init__(self, name: str) -> None:
        self.label = name.encode()
        self.name = name
        self.observe = SECONDS.labels(name).observe
        self.counters: dict[tuple[bytes, int], Any] = {}

    def count(self, method: bytes, status: int) -> None:
        counter = self.counters.get((method, status))
        if counter is None:
            counter = REQUESTS.labels(self.name, method.decode(), str(status))
            self.counters[method, status] = counter
        counter.inc()


TREE: dict[bytes, Any] = {b"api": {b"v1": {b"players": Route("players")}}}
OTHER = Route("other")


def find(path: bytes) -> Route:
    node: Any = TREE
    for segment in path.split(b"/")[1:]:
        node = node.get(segment)
        if node is None:
            return OTHER
        if isinstance(node, Route):
            return node
    return OTHER


class Log:
    """Lines, written five times a second."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.file = tempfile.TemporaryFile("ab", buffering=1 << 16)  # noqa: SIM115

    def flush(self) -> None:
        if self.lines:
            self.file.write(b"".join(self.lines))
            self.lines.clear()
            self.file.flush()
        reactor.callLater(0.2, self.flush)  # type: ignore[attr-defined]


LOG = Log()
Done = Callable[[int, list[bytes], bytes], None]


class Upstream(protocol.Protocol):
    """A connection to the service."""

    def __init__(self, idle: deque[Upstream], ready: Callable[[Upstream], None]) -> None:
        self.idle = idle
        self.ready = ready
        self.parser = httptools.HttpResponseParser(self)

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]
        self.ready(self)

    def ask(self, done: Done, head: bytes) -> None:
        self.done = done
        self.fields: list[bytes] = []
        self.body: list[bytes] = []
        send(self.transport, head)

    def dataReceived(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() not in DROPPED:
            self.fields.append(name + b": " + value)

    def on_body(self, data: bytes) -> None:
        self.body.append(data)

    def on_message_complete(self) -> None:
        self.idle.append(self)
        self.done(self.parser.get_status_code(), self.fields, b"".join(self.body))


class Client(protocol.Protocol):
    """A connection from a client."""

    def __init__(self, idle: deque[Upstream], port: int) -> None:
        self.idle = idle
        self.port = port
        self.parser = httptools.HttpRequestParser(self)

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]
        self.peer = self.transport.getPeer().host.encode()  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.fields: list[bytes] = []
        self.started = time.perf_counter()

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() not in DROPPED:
            self.fields.append(name + b": " + value)

    def on_message_complete(self) -> None:
        self.method = self.parser.get_method()
        self.route = find(httptools.parse_url(self.url).path)
        fields = b"\r\n".join(self.fields)
        head = b"%b %b HTTP/1.1\r\n%b\r\nx-forwarded-for: %b\r\n\r\n" % (self.method, self.url, fields, self.peer)
        if self.idle:
            self.idle.pop().ask(self.answer, head)
        else:
            factory = protocol.Factory.forProtocol(
                lambda: Upstream(self.idle, lambda each: each.ask(self.answer, head))
            )
            connect(factory, self.port)

    def answer(self, status: int, fields: list[bytes], body: bytes) -> None:
        seconds = time.perf_counter() - self.started
        self.route.observe(seconds)
        self.route.count(self.method, status)
        place = (time.time(), self.peer, self.route.label, self.method, self.url, status, len(body), seconds * 1e3)
        LOG.lines.append(LINE % place)
        head = b"HTTP/1.1 %d OK\r\n%b\r\ncontent-length: %d\r\n\r\n" % (status, b"\r\n".join(fields), len(body))
        send(self.transport, head + body)


def connect(factory: protocol.Factory, port: int) -> None:
    """Open a connection to the service."""
    client = protocol.ClientFactory()
    client.noisy = False
    client.buildProtocol = factory.buildProtocol  # type: ignore[method-assign]
    reactor.connectTCP("127.0.0.1", port, client)  # type: ignore[attr-defined]


def main(port: int, upstream: int) -> None:
    """Listen and run."""
    idle: deque[Upstream] = deque()
    factory = protocol.Factory.forProtocol(lambda: Client(idle, upstream))
    factory.noisy = False
    LOG.flush()
    reactor.listenTCP(port, factory, backlog=4096, interface="127.0.0.1")  # type: ignore[attr-defined]
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
