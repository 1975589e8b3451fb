"""A service of one instance whose connections are in memory, and exchanges on their way to it."""

from __future__ import annotations

from typing import Any

from ttagw.attempt import Attempt
from ttagw.config import Upstream
from ttagw.core.classes import TrafficClass
from ttagw.model import Exchange, Reply
from ttagw.pipeline import Pipeline
from ttagw.testing import Clock, MemoryEndpoint, MemoryTransport, RecordingSink, exchange, instance, service
from ttagw.upstream.pool import InstancePool
from ttagw.web.render import render
from ttagw.wire.deadlines import Deadlines

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Ask:
    """One exchange, and what its client got."""

    def __init__(
        self, served: Upstreamed, method: bytes, rank: TrafficClass = TrafficClass.NORMAL, **more: Any
    ) -> None:
        self.sink = RecordingSink()
        self.exchange: Exchange = exchange(method, sink=self.sink, **more)
        self.exchange.rank = rank
        self.ended = 0
        self.exchange.on_end.append(self._count)
        self.sink.over = lambda: served.pipeline.end(self.exchange)
        self.attempt = Attempt(served.pipeline, self.exchange, served.service, b"/up")
        self.attempt.start()

    def _count(self, made: Exchange) -> None:
        self.ended += 1

    @property
    def reply(self) -> Reply:
        assert self.sink.reply is not None
        return self.sink.reply

    @property
    def result(self) -> tuple[int, str]:
        """The status, and why."""
        return self.exchange.status, self.exchange.reason

    @property
    def over(self) -> bool:
        """Whether it ended, and only once."""
        assert self.ended <= 1
        return self.ended == 1


class Upstreamed:
    """The service."""

    def __init__(self, *, tls: bool = False, **settings: Any) -> None:
        self.clock = Clock()
        self.endpoint = MemoryEndpoint()
        self.pipeline = Pipeline(render)
        deadlines = Deadlines(None, self.clock)  # type: ignore[arg-type]
        self.watched = deadlines._watched
        self.pool = InstancePool(self.endpoint, b"up.test:80", Upstream(**settings), deadlines, self.clock, tls=tls)
        self.instance = instance("up.test:80", self.pool, self.clock)
        self.service = service([self.instance], self.clock)

    def ask(self, method: bytes = b"GET", **more: Any) -> Ask:
        return Ask(self, method, **more)

    def connected(self, method: bytes = b"GET", **more: Any) -> tuple[Ask, MemoryTransport]:
        """An exchange on a new connection, which has got its request."""
        asked = self.ask(method, **more)
        return asked, self.endpoint.accept()

    def used(self) -> MemoryTransport:
        """A connection that has done some work and is idle."""
        asked, wire = self.connected()
        wire.protocol.dataReceived(OK)
        assert asked.over
        assert self.pool.idle == 1
        wire.take()
        return wire

    def pass_time(self, seconds: float) -> None:
        """Let time pass, as `Deadlines` notices it."""
        now = self.clock.advance(seconds)
        for each in [each for each in self.watched if each.deadline <= now]:
            each.expire(now)


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
