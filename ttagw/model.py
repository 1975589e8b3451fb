"""What travels through the gateway: an Exchange goes in, a Reply comes out, bodies are streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ttagw.core.classes import TrafficClass
from ttagw.core.headers import Laid

if TYPE_CHECKING:
    from ttagw.core.forwarded import Peer
    from ttagw.core.identity import Identity
    from ttagw.errors import GatewayError
    from ttagw.pipeline import Route

Fields = list[tuple[bytes, bytes]]
"""Header fields in their order and spelling."""

UNKNOWN = -1
"""A body length that only the end of the body tells."""

HELD = 64 * 1024
"""Bytes of a body that may wait for whoever takes them before its source is paused."""


class BodyTaker(Protocol):
    """Who a request body goes to."""

    def body_chunk(self, data: bytes) -> None:
        """More of the body."""

    def body_end(self) -> None:
        """All of the body has been given."""


class BodySource(Protocol):
    """Who a body comes from; also called when nothing is under way any more."""

    def pause(self) -> None:
        """Send nothing for now."""

    def resume(self) -> None:
        """Go on."""


class _Nobody:
    """Takes a body that nobody wants."""

    def body_chunk(self, data: bytes) -> None:
        """Thrown away."""

    def body_end(self) -> None:
        """Nothing to do."""


_NOBODY = _Nobody()


class Body:
    """A request body: what has come waits here until somebody takes it, then goes straight through."""

    __slots__ = ("_from", "_kept", "_taker", "complete", "held", "received", "source")

    def __init__(self, source: BodySource | None) -> None:
        self.source = self._from = source
        self.held: list[bytes] = []
        self._kept: list[bytes] | None = []
        self.received = 0
        self.complete = source is None
        self._taker: BodyTaker | None = None

    def feed(self, data: bytes) -> None:
        """More has come from the client."""
        self.received += len(data)
        if self._kept is not None:
            if self.received <= HELD:
                self._kept.append(data)
            else:
                self._kept = None
        if self._taker is not None:
            self._taker.body_chunk(data)
            return
        self.held.append(data)
        if self.received >= HELD and self.source is not None:
            self.source.pause()

    def end(self) -> None:
        """All of it has come."""
        self.complete = True
        if self._taker is not None:
            self._taker.body_end()

    def take(self) -> bytes:
        """What has come so far; it is held no longer."""
        held = self.held
        if not held:
            return b""
        data = held[0] if len(held) == 1 else b"".join(held)
        self.held = []
        return data

    def attach(self, taker: BodyTaker) -> None:
        """Everything that comes from now on goes to `taker`."""
        self._taker = taker
        if self.source is not None:
            self.source.resume()

    def detach(self) -> None:
        """Nobody wants the rest: what still comes is thrown away."""
        self._taker = _NOBODY
        self.source = None

    @property
    def rewindable(self) -> bool:
        """Whether all of it that has come is still there, which it is up to `HELD`."""
        return self._kept is not None

    def rewind(self) -> None:
        """Hold all of it again for whoever takes it next; only where it is `rewindable`."""
        assert self._kept is not None  # noqa: S101 - for the type checker; whoever calls has asked
        self.held = list(self._kept)
        self._taker = None
        self.source = self._from


NO_BODY = Body(None)
"""The body of a request without one; shared, since nothing ever feeds it."""


class Reply:
    """An answer: its head, and either the whole body or the promise that a source streams it.

    `length` is the number of body bytes, or `UNKNOWN`; for HEAD and 304 what a GET would have had, or `UNKNOWN`.
    """

    __slots__ = ("body", "fields", "laid", "length", "reason", "status")

    def __init__(
        self, status: int, fields: Fields, body: bytes | None = None, length: int = UNKNOWN, reason: str = ""
    ) -> None:
        self.status = status
        self.fields = fields
        self.laid: Laid | None = None
        """What the fields were when they were made, written already."""
        self.body = body
        self.length = length if body is None else len(body)
        self.reason = reason


class Sink(Protocol):
    """Where an answer goes: the client's connection."""

    @property
    def started(self) -> bool:
        """Whether anything of the answer may have gone out: from then on the only honest error is to abort."""

    def start(self, reply: Reply, source: BodySource | None) -> None:
        """The answer begins; with `source` its body is streamed by `write`, `flush` and `finish`."""

    def write(self, data: bytes) -> None:
        """More body."""

    def flush(self) -> None:
        """Nothing more comes in this turn: send what is there."""

    def finish(self) -> None:
        """The body is complete."""

    def abort(self) -> None:
        """The answer cannot be completed: cut the connection."""

    def go_on(self) -> None:
        """The request is admitted: a client that waits for `100 Continue` gets it."""


class Work(Protocol):
    """What is under way for an exchange."""

    def cancel(self) -> None:
        """The client has left, or something has answered already."""


_NORMAL = TrafficClass.NORMAL
"""Looked up once: that costs more than ten attributes."""


class Exchange:
    """One request and what becomes of it. Times are monotonic seconds; `arrived` is wall-clock for the log."""

    __slots__ = (
        "access",
        "admitted",
        "authority",
        "awaited",
        "body",
        "bypass",
        "bytes_out",
        "client",
        "credentials",
        "deadline",
        "dry_run",
        "entered",
        "expects",
        "failed",
        "fields",
        "forwarded",
        "helped",
        "host",
        "id",
        "identity",
        "instance",
        "keep_alive",
        "laid",
        "length",
        "max_body",
        "method",
        "notes",
        "on_end",
        "over",
        "params",
        "path",
        "peer",
        "query",
        "rank",
        "reason",
        "refusal",
        "respite",
        "rest",
        "route",
        "sink",
        "started",
        "status",
        "tries",
        "upstream_seconds",
        "version",
        "work",
    )

    def __init__(self, peer: Peer, sink: Sink, method: bytes, started: float) -> None:
        self.peer = peer
        self.sink = sink
        self.method = method
        self.started = started
        self.client = peer.address
        self.id = b""
        self.path = b""
        self.query: bytes | None = None
        self.host = b""
        self.authority = b""
        self.fields: Fields = []
        """The end-to-end fields that go on to a service, in their order and spelling."""
        self.laid: Laid | None = None
        """What the fields were when they were read, written already."""
        self.credentials: Fields | None = None
        """What says who is asking, with lower-case names, in the order in which it came; shared: read only."""
        self.identity: Identity | None = None
        """Who is asking, verified."""
        self.dry_run = ""
        """Why it would have been refused, were that not only tried out."""
        self.access: tuple[str, str] | None = None
        """How somebody else was reached if no token says so: by `care` or `break_glass`, and the id of the record."""
        self.forwarded = b""
        """The prepared lines that tell a service where the request came from."""
        self.version = 1
        """The minor HTTP version."""
        self.keep_alive = True
        self.expects = False
        """Whether the client waits for `100 Continue`."""
        self.length = 0
        """Bytes of request body as announced, or `UNKNOWN`."""
        self.body = NO_BODY
        self.max_body = 0
        self.route: Route
        self.rank = _NORMAL
        """Its traffic class, as far as is known by now; what raises it compares, so that the highest wins."""
        self.bypass = ""
        """What would have refused it, were it not for its class: fixed tokens, with commas between them."""
        self.admitted: tuple[int, str, float] | None = None
        """The places that it holds: its class and user when it got them, and when it did (0: nobody asks)."""
        self.awaited = False
        """Whether one of them is a place among those who wait for an answer of the same service."""
        self.respite = 0.0
        """Seconds for which its connection is not read after the answer: whoever is refused may come back slower."""
        self.helped = False
        """Whether it got a safe answer in place of an error."""
        self.params: tuple[bytes, ...] = ()
        self.rest = b""
        self.entered = 0
        self.deadline = 0.0
        """When the whole exchange must be over; 0: no limit."""
        self.work: Work | None = None
        self.instance = b""
        self.tries = 0
        self.failed: tuple[tuple[bytes, str, float], ...] = ()
        """Tries that failed and were not passed on: label of the instance, reason, seconds."""
        self.upstream_seconds = 0.0
        self.status = 0
        self.reason = ""
        self.bytes_out = 0
        self.over = False
        self.refusal: GatewayError | None = None
        """Why the request cannot be served, if that was clear when it was read."""
        self.on_end: list[Callable[[Exchange], None]] = []
        """Called once when the exchange is over, after the last byte, whatever happened."""
        self.notes: dict[str, Any] | None = None
        """What later layers know about this exchange; made by the first that writes."""

    def value(self, name: bytes) -> bytes | None:
        """The first value of a request field by its lower-case name."""
        for each, value in self.fields:
            if each.lower() == name:
                return value
        return None
