"""Doubles for tests: each implements a Protocol of the gateway, or of Twisted, and records what it was told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint, ITransport
from twisted.python.failure import Failure
from zope.interface import implementer

from ttagw.attempt import Attempt, Connection, Instance, Retries, Service, Waiter
from ttagw.config.services import Breaker as BreakerSettings
from ttagw.core.balance import make
from ttagw.core.breaker import Breaker
from ttagw.core.budget import RetryBudget
from ttagw.core.forwarded import Peer, Trust
from ttagw.model import UNKNOWN, Body, BodySource, Exchange, Reply
from ttagw.pipeline import Forward, Pipeline, Route


class Clock:
    """Monotonic time that goes forward when it is told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Let so many seconds pass; returns the time then."""
        self.now += seconds
        return self.now


@implementer(ITransport)
class MemoryTransport:
    """The transport of one connection, without a socket.

    What is written is in `written`. `full` makes it one whose other side takes nothing: it pauses its producer as a
    socket with a full buffer does, until `drain` is called. Nothing ends by itself: `ended` says what was asked for
    (`close`, `half`, `abort`), and `lose` tells the protocol that the connection is gone.
    """

    def __init__(self, peer: str = "192.0.2.7", handle: object = None) -> None:
        self.written = bytearray()
        self.ended = ""
        self.reading = True
        self.full = False
        self.no_delay = False
        self.producer: Any = None
        self.protocol: Any = None
        self._peer = IPv4Address("TCP", peer, 40000)
        self._handle = handle

    @property
    def disconnecting(self) -> bool:
        return self.ended != ""

    def connect(self, protocol: Any) -> None:
        """Begin: the protocol gets this transport."""
        self.protocol = protocol
        protocol.makeConnection(self)

    def take(self) -> bytes:
        """What was written since the last call."""
        data = bytes(self.written)
        self.written.clear()
        return data

    def drain(self) -> None:
        """The other side takes everything."""
        self.full = False
        if self.producer is not None:
            self.producer.resumeProducing()

    def lose(self, error: Exception | None = None) -> None:
        """The connection is gone; without `error` in order, or as it was aborted."""
        if error is None:
            error = ConnectionLost() if self.ended == "abort" else ConnectionDone()
        self.ended = self.ended or "lost"
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        self.protocol.connectionLost(Failure(error))

    def write(self, data: bytes) -> None:
        if self.ended in ("", "half"):
            self.written += data
            if self.full and self.producer is not None:
                self.producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        self.ended = self.ended if self.ended in ("abort", "lost") else "close"

    def loseWriteConnection(self) -> None:
        self.ended = self.ended or "half"

    def abortConnection(self) -> None:
        self.ended = "abort"

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: ARG002 - Twisted's signature
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled

    def getHandle(self) -> object:
        return self._handle

    def getPeer(self) -> IPv4Address:
        return self._peer

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 8000)


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """Connections that the test accepts or refuses, in the order in which they were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[IProtocolFactory, Deferred[IProtocol]]] = []
        self.cancelled = 0

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803 - Twisted's name
        self.asked.append((protocolFactory, Deferred(self._cancel)))
        return self.asked[-1][1]

    def _cancel(self, connecting: Deferred[IProtocol]) -> None:
        self.cancelled += 1
        self.asked = [each for each in self.asked if each[1] is not connecting]

    def accept(self, transport: MemoryTransport | None = None) -> MemoryTransport:
        """Let the one that has waited longest be connected."""
        factory, connecting = self.asked.pop(0)
        transport = transport or MemoryTransport()
        protocol = factory.buildProtocol(transport.getPeer())
        transport.connect(protocol)
        connecting.callback(protocol)  # type: ignore[arg-type]
        return transport

    def refuse(self, error: Exception) -> None:
        """Let the one that has waited longest fail."""
        self.asked.pop(0)[1].errback(Failure(error))


class RecordingSource:
    """Where a body comes from: whether it is paused."""

    def __init__(self) -> None:
        self.paused = False
        self.calls: list[str] = []

    def pause(self) -> None:
        self.paused = True
        self.calls.append("pause")

    def resume(self) -> None:
        self.paused = False
        self.calls.append("resume")


class RecordingSink:
    """A client that takes everything. `over` is called where the client's connection would end the exchange."""

    def __init__(self) -> None:
        self.started = False
        self.reply: Reply | None = None
        self.source: BodySource | None = None
        self.body = b""
        self.calls: list[str] = []
        self.over: Callable[[], None] = lambda: None

    def start(self, reply: Reply, source: BodySource | None) -> None:
        self.calls.append("start")
        self.started = True
        self.reply = reply
        self.source = source
        if source is None:
            self.body += reply.body or b""
            self.over()

    def write(self, data: bytes) -> None:
        self.body += data

    def flush(self) -> None:
        """Recorded."""
        self.calls.append("flush")

    def finish(self) -> None:
        self.calls.append("finish")
        self.over()

    def abort(self) -> None:
        self.calls.append("abort")
        self.over()

    def go_on(self) -> None:
        self.calls.append("go_on")


class RecordingLines:
    """Where log lines go."""

    def __init__(self) -> None:
        self.batches: list[bytes] = []

    def write(self, lines: bytes) -> None:
        self.batches.append(lines)


class ScriptedConnection:
    """A connection to an instance on which nothing happens but what the test says through `attempt`."""

    def __init__(self, *, fresh: bool = True) -> None:
        self.fresh = fresh
        self.waited = 0.0
        self.attempt: Attempt | None = None
        self.target = b""
        self.abandoned = False

    def send(self, attempt: Attempt, exchange: Exchange, target: bytes, now: float) -> None:  # noqa: ARG002
        """Recorded."""
        self.attempt = attempt
        self.target = target

    def abandon(self) -> None:
        """Recorded."""
        self.attempt = None
        self.abandoned = True


class ScriptedPool:
    """A pool that gives what the test put into `ready`, and makes everybody else wait."""

    def __init__(self) -> None:
        self.ready: list[Connection] = []
        self.line: list[Waiter] = []
        self.asked: list[bool] = []
        self.opened_count = self.size = self.idle = self.waiting = 0
        self.errors: dict[str, int] = {}

    def acquire(self, waiter: Waiter, *, fresh: bool) -> Connection | None:
        self.asked.append(fresh)
        if self.ready and not fresh:
            return self.ready.pop(0)
        self.line.append(waiter)
        return None

    def give_up(self, waiter: Waiter) -> None:
        self.line.remove(waiter)

    def stop(self) -> None:
        """Nothing is open."""

    abort = move = stop


NEVER_OPENS = BreakerSettings(consecutive_failures=1_000_000, minimum_calls=1_000_000)
"""A breaker that only counts."""


class Timers:
    """Calls that were put off, made when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> Any:
        """As `reactor.callLater`."""
        entry = (seconds, call)
        self.waiting.append(entry)
        return _Timer(self.waiting, entry)

    def fire(self) -> float:
        """Make the call that was put off first; returns for how long it was."""
        seconds, call = self.waiting.pop(0)
        call()
        return seconds


class _Timer:
    def __init__(self, waiting: list[Any], entry: Any) -> None:
        self._waiting = waiting
        self._entry = entry

    def cancel(self) -> None:
        self._waiting.remove(self._entry)


def instance(
    name: str, pool: Any, clock: Callable[[], float], breaker: BreakerSettings = NEVER_OPENS, **more: Any
) -> Instance:
    """An instance at `http://name` with this pool."""
    made = Instance(f"http://{name}", Breaker(breaker, clock()), **more)
    made.label = name.encode("ascii")
    made.pool = pool
    return made


def service(
    instances: list[Instance],
    clock: Callable[[], float],
    *,
    retries: int = 0,
    statuses: tuple[int, ...] = (),
    timers: Timers | None = None,
    breaker: BreakerSettings = NEVER_OPENS,
    share: float = 1.0,
) -> Service:
    """A service that asks these instances in turn."""
    budget = RetryBudget(share, clock())
    again = Retries(retries, budget, (timers or Timers()).call_later, lambda: 0.5, frozenset(statuses))
    made = Service("up", make("round_robin", lambda: 0.5), None, clock, Breaker(breaker, clock()), again)
    made.instances = instances
    made.offer((tuple(instances),) if instances else ())
    return made


def nothing(pipeline: Pipeline, exchange: Exchange) -> None:
    """The innermost step of a route on which nothing happens."""


def route(forward: Forward = nothing, *, name: str = "r", timeout: float = 0.0) -> Route:
    """A route that leads to `forward`."""
    return Route(name, "/" + name, forward, max_body=1 << 20, timeout=timeout)


def exchange(
    method: bytes = b"GET",
    *,
    sink: Any = None,
    length: int = 0,
    source: BodySource | None = None,
    on: Route | None = None,
    fields: tuple[tuple[bytes, bytes], ...] = (),
) -> Exchange:
    """A request for `/r` as a channel makes it; with `length` (or UNKNOWN) its body comes from `source`."""
    made = Exchange(Peer("192.0.2.7", Trust(()), b"http", 8000), sink or RecordingSink(), method, 1000.0)
    made.id = b"01890a5d-ac96-774b-bcce-b302099a8057"
    made.path = b"/r"
    made.host = made.authority = b"gateway.test"
    made.route = on or route()
    made.fields = list(fields)
    made.length = length
    if length or length == UNKNOWN:
        made.body = Body(source or RecordingSource())
    return made
