"""A question of our own to a service, asked as any request is: its rotation, breakers, retries, pools and TLS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from twisted.internet.defer import Deferred

from ttagw.attempt import Attempt, Service
from ttagw.core.forwarded import Peer, Trust
from ttagw.errors import GatewayError, UpstreamTimeoutError
from ttagw.model import BodySource, Exchange, Reply
from ttagw.pipeline import Pipeline, Route

MOST_BODY = 64 * 1024
"""Bytes of an answer's body that are waited for so that the connection can be used again; nobody reads them."""

ROUTE = "-care-"
"""What the route of a question is called; no configured route can have that name."""

_FIELDS = [(b"user-agent", b"ttagw"), (b"accept", b"application/json")]


class CareQuestion:
    """Whether somebody cares for somebody: GET, and what counts is the status."""

    def __init__(
        self,
        service: Service,
        path: str,
        timeout: float,
        clock: Any,
        assertion: Callable[[Exchange], bytes] | None = None,
    ) -> None:
        """`path` holds `{caller}` and `{person}`; `timeout`: seconds for all of it; `clock` calls later."""
        self._service = service
        self._path = path
        self._timeout = timeout
        self._clock = clock
        self._assertion = assertion
        self._pipeline = Pipeline(_nothing)
        self._peer = Peer("", Trust(()), b"http", 0)

    def ask(self, caller: str, person: str, request_id: bytes) -> Deferred[int]:
        """The status of the answer; 0 if there is none in time. It is cancelled with what is returned."""
        path = self._path.replace("{caller}", quote(caller, safe="")).replace("{person}", quote(person, safe=""))
        target = path.encode("ascii")
        sink = _Status(self._pipeline)
        exchange = Exchange(self._peer, sink, b"GET", self._service.monotonic())
        exchange.id = request_id
        exchange.path = target
        exchange.fields = list(_FIELDS)
        exchange.deadline = exchange.started + self._timeout
        exchange.route = Route(
            ROUTE,
            ROUTE,
            lambda pipeline, asked: Attempt(pipeline, asked, self._service, target).start(),
            max_body=0,
        )
        if self._assertion is not None:
            exchange.forwarded = b"x-tta-assertion: %b\r\n" % self._assertion(exchange)
        late = self._clock.callLater(
            self._timeout, self._pipeline.fail, exchange, UpstreamTimeoutError("route_timeout")
        )
        exchange.on_end.append(lambda _: late.cancel() if late.active() else None)
        sink.exchange = exchange
        self._pipeline.run(exchange)
        return sink.status


def _nothing(exchange: Exchange, error: GatewayError) -> Reply:  # noqa: ARG001 - the shape of every `Render`
    return Reply(0, [], b"", reason=error.reason)


class _Status:
    """Takes an answer for its status."""

    exchange: Exchange

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.started = False
        self._source: BodySource | None = None
        self._taken = 0
        self.status: Deferred[int] = Deferred(lambda _: self._pipeline.left(self.exchange))

    def start(self, reply: Reply, source: BodySource | None) -> None:
        """That is all that was asked for; the rest only has to end."""
        self.started = True
        self._source = source
        if source is None:
            self.finish()
        if not self.status.called:
            # What another gateway on the way says for want of an answer may be a 200, and is nobody's yes.
            safe = any(name.lower() == b"x-crisis-support" for name, _ in reply.fields)
            self.status.callback(0 if safe else reply.status)

    def write(self, data: bytes) -> None:
        """Nobody reads it. One that is too long is cut when the time is over."""
        self._taken += len(data)
        if self._taken > MOST_BODY and self._source is not None:
            self._source.pause()

    def flush(self) -> None:
        """Nothing is kept."""

    def finish(self) -> None:
        """It is over."""
        self._pipeline.end(self.exchange)

    def abort(self) -> None:
        """It is over, one way or the other."""
        self._pipeline.end(self.exchange)

    def go_on(self) -> None:
        """There is no body to wait for."""
