"""A site, one client's connection to it in memory, and routes that answer when the test says so."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from ttagw.config import Http
from ttagw.core.forwarded import Trust
from ttagw.core.ids import UUID7
from ttagw.core.routing import Pattern, Table
from ttagw.model import Exchange, Reply
from ttagw.pipeline import Pipeline, Route
from ttagw.testing import Clock, MemoryTransport, RecordingSource
from ttagw.tree import Tree, refuse
from ttagw.web.render import render
from ttagw.web.site import GatewaySite
from ttagw.wire.deadlines import Deadlines

HEAD = b" HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
GET = b"GET /now" + HEAD


def get(path: bytes, *lines: bytes) -> bytes:
    """A request for a path, with these further header lines."""
    return b"GET %b HTTP/1.1\r\n%b\r\n\r\n" % (path, b"\r\n".join((b"Host: gateway.test", *lines)))


def post(path: bytes, body: bytes = b"", length: int | None = None, *lines: bytes) -> bytes:
    """A request with (the beginning of) a body."""
    size = len(body) if length is None else length
    head = (b"Host: gateway.test", b"Content-Length: %d" % size, *lines)
    return b"POST %b HTTP/1.1\r\n%b\r\n\r\n%b" % (path, b"\r\n".join(head), body)


class Task:
    """What is under way for an exchange that waits."""

    def __init__(self) -> None:
        self.cancelled = 0

    def cancel(self) -> None:
        self.cancelled += 1


@dataclass
class Served:
    """`/now` answers at once with the request's path and query, `/later` when told to; both read no body."""

    http: Http = field(default_factory=Http)
    peer: str = "192.0.2.7"
    handle: socket.socket | None = None
    """A socket that stands for the one of the client's connection."""

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.pipeline = Pipeline(render)
        self.waiting: list[Exchange] = []
        self.ended: list[Exchange] = []
        self.tasks: list[Task] = []
        routes = {name: Route(name, "/" + name, step, max_body=1 << 20) for name, step in self._steps().items()}
        self.routes = routes
        for route in routes.values():
            route.bind([self])
        table = Table([(Pattern(f"/{name}"), route) for name, route in routes.items()])
        nowhere = Route("-", "-", refuse, max_body=0).bind([self])
        tree = Tree(table, nowhere, nowhere, conditional=False)
        self.deadlines = Deadlines(None, self.clock)  # type: ignore[arg-type]
        ids = UUID7(lambda: 1_700_000_000_000, lambda size: bytes(range(256)) * (size // 256))
        self.site = GatewaySite(tree, self.pipeline, nowhere, self.http, Trust(()), ids, self.deadlines, self.clock)
        self.client = MemoryTransport(self.peer, self.handle)
        self.channel = self.site.buildProtocol(None)
        self.client.connect(self.channel)

    # As a layer

    name = "watch"

    def bind(self, route: Route) -> object:
        from ttagw.pipeline import Hooks

        def enter(exchange: Exchange) -> None:
            exchange.on_end.append(self.ended.append)

        return Hooks(enter)

    def _steps(self) -> dict[str, object]:
        def now(pipeline: Pipeline, exchange: Exchange) -> None:
            pipeline.answer(exchange, Reply(200, [], b"%b?%b" % (exchange.path, exchange.query or b"")))

        def later(pipeline: Pipeline, exchange: Exchange) -> None:
            task = Task()
            self.tasks.append(task)
            exchange.work = task
            self.waiting.append(exchange)

        def admit(pipeline: Pipeline, exchange: Exchange) -> None:
            exchange.sink.go_on()
            later(pipeline, exchange)

        return {"now": now, "later": later, "admit": admit}

    # What the client does

    def send(self, *pieces: bytes) -> bytes:
        """Send, and take what comes back at once."""
        for piece in pieces:
            self.channel.dataReceived(piece)
        return self.client.take()

    # What the service does

    def answer(self, body: bytes = b"late", *, place: int = 0) -> bytes:
        """Answer the exchange that waits there."""
        exchange = self.waiting.pop(place)
        exchange.work = None
        self.pipeline.answer(exchange, Reply(200, [], body))
        return self.client.take()

    def stream(self) -> RecordingSource:
        """Begin to answer the exchange that waits."""
        source = RecordingSource()
        self.pipeline.answer(self.waiting[0], Reply(200, []), source)
        return source

    # Time

    def pass_time(self, seconds: float, step: float = 0.1) -> bytes:
        """Let time pass, as `Deadlines` notices it."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            now = self.clock.advance(min(step, end - self.clock.now))
            if self.channel.deadline <= now:
                self.channel.expire(now)
        return self.client.take()


def statuses(data: bytes) -> list[int]:
    """The statuses of the answers in what a client got."""
    return [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]


def bodies(data: bytes) -> list[bytes]:
    """The bodies of counted answers in what a client got."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        found.append(data[:size])
        data = data[size:]
    return found
