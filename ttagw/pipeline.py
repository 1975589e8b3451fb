"""How an exchange goes through its layers.

A layer is at most two plain functions a route: `enter(exchange)` on the way in and `leave(exchange, reply)` on the way
out, in reverse order, for those that were entered, whatever happened; so what `enter` took, `leave` gives back. `enter`
returns nothing (go on), a Reply (answer now) or, when it has to wait, a Deferred of either. `leave` sees the head of
the answer before its first byte goes out; what has to be done after the last byte is appended to `exchange.on_end`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ttagw.core.classes import TrafficClass
from ttagw.errors import ClientClosedError, GatewayError, InternalError
from ttagw.model import BodySource, Exchange, Reply

Enter = Callable[[Exchange], "Reply | Deferred[Reply | None] | None"]
Leave = Callable[[Exchange, Reply], None]
Forward = Callable[["Pipeline", Exchange], None]
Render = Callable[[Exchange, GatewayError], Reply]


class Hooks(NamedTuple):
    """What a layer does on one route; either may be missing."""

    enter: Enter | None = None
    leave: Leave | None = None


class Layer(Protocol):
    """One concern of every request, prepared once for each route."""

    name: str

    def bind(self, route: Route) -> Hooks | None:
        """What this layer does on this route; None: nothing, and it costs nothing there."""


class Support(NamedTuple):
    """Help for people in one region."""

    text: str
    hotline: str
    """"" is none."""
    region: str
    varies_by: bytes
    """The lower-case name of the field that decided about the region; b"" is none."""


class SafeAnswer(Protocol):
    """What stands in for every failure of a route whose people must not be left with an error."""

    def reply(self, exchange: Exchange, error: GatewayError) -> Reply:
        """The answer, whatever is down."""

    def support(self, exchange: Exchange) -> Support:
        """What is said beside an error that stays one, such as a token whose time is over."""


class Route:
    """One route with everything about it prepared: its layers and what its innermost step is.

    Live state that a layer keeps for a route (metric cells, prepared labels) belongs to what the layer's `bind`
    returns.
    """

    __slots__ = (
        "crisis",
        "enters",
        "fallback",
        "forward",
        "help",
        "label",
        "leaves",
        "leaving",
        "max_body",
        "name",
        "path_label",
        "rank",
        "timeout",
    )

    def __init__(self, name: str, template: str, forward: Forward, *, max_body: int, timeout: float = 0.0) -> None:
        self.name = name
        self.label = _json_text(name)
        self.path_label = _json_text(template)
        self.forward = forward
        self.max_body = max_body
        self.timeout = timeout
        self.rank = TrafficClass.NORMAL
        """The class that its requests have at the least."""
        self.fallback: SafeAnswer | None = None
        self.crisis: SafeAnswer | None = None
        """What stands in for failures of its requests of the class crisis, where nothing does for all of them."""
        self.help: SafeAnswer | None = None
        """What offers help beside errors where nothing stands in for them."""
        self.enters: tuple[Enter | None, ...] = ()
        self.leaves: tuple[Leave | None, ...] = ()
        self.leaving = False
        """Whether any layer has something to do on the way out."""

    def bind(self, layers: Sequence[Layer]) -> Route:
        """Prepare the layers, outermost first."""
        hooks = [found for layer in layers if (found := layer.bind(self)) is not None]
        self.enters = tuple(each.enter for each in hooks)
        self.leaves = tuple(each.leave for each in hooks)
        self.leaving = any(self.leaves)
        return self


def _json_text(text: str) -> bytes:
    """What stands between the quotes of this text as JSON: a log line takes it as it is."""
    return json.dumps(text)[1:-1].encode("ascii")


class Pipeline:
    """Runs exchanges: in through the layers, to the innermost step, and out again."""

    log = Logger()

    def __init__(self, render: Render) -> None:
        self._render = render

    def run(self, exchange: Exchange, first: int = 0) -> None:
        """Start an exchange whose route is known; or, when a layer had to wait, go on with the layer at `first`."""
        route = exchange.route
        enters = route.enters
        try:
            for place in range(first, len(enters)):
                enter = enters[place]
                exchange.entered = place + 1
                if enter is None:
                    continue
                result = enter(exchange)
                if result is not None:
                    self._interrupted(exchange, result, place + 1)
                    return
            route.forward(self, exchange)
        except GatewayError as error:
            self.fail(exchange, error)
        except Exception:
            self.log.failure("{route}: a layer failed", route=route.name)
            self.fail(exchange, InternalError("layer_failed"))

    def _interrupted(self, exchange: Exchange, result: Reply | Deferred[Reply | None], index: int) -> None:
        if isinstance(result, Reply):
            self.answer(exchange, result)
            return
        exchange.work = result
        result.addCallbacks(self._waited, self._wait_failed, (exchange, index), {}, (exchange,), {})

    def _waited(self, result: Reply | None, exchange: Exchange, index: int) -> None:
        work, exchange.work = exchange.work, None
        if work is None:
            # Cancelled, whatever the layer makes of that.
            return
        if result is None:
            self.run(exchange, index)
        else:
            self.answer(exchange, result)

    def _wait_failed(self, failure: Failure, exchange: Exchange) -> None:
        work, exchange.work = exchange.work, None
        if work is None:
            return
        if isinstance(failure.value, GatewayError):
            self.fail(exchange, failure.value)
        else:
            self.log.failure("{route}: a layer failed", failure=failure, route=exchange.route.name)
            self.fail(exchange, InternalError("layer_failed"))

    def answer(self, exchange: Exchange, reply: Reply, source: BodySource | None = None) -> None:
        """The answer is there: out through the layers, then to the client."""
        exchange.status = reply.status
        exchange.reason = reply.reason
        if exchange.entered and exchange.route.leaving:
            self._leave(exchange, reply)
        exchange.sink.start(reply, source)

    def _leave(self, exchange: Exchange, reply: Reply) -> None:
        leaves = exchange.route.leaves
        index = exchange.entered
        exchange.entered = 0
        while index:
            index -= 1
            leave = leaves[index]
            if leave is not None:
                try:
                    leave(exchange, reply)
                except Exception:
                    self.log.failure("{route}: a layer failed on the way out", route=exchange.route.name)

    def fail(self, exchange: Exchange, error: GatewayError) -> None:
        """Answer with an error, or cut the connection where an answer has begun already."""
        if exchange.over:
            return
        work, exchange.work = exchange.work, None
        if work is not None:
            work.cancel()
        if error.close:
            exchange.keep_alive = False
        if exchange.sink.started:
            exchange.reason = error.reason
            exchange.sink.abort()
        else:
            self.answer(exchange, self._render(exchange, error))

    def left(self, exchange: Exchange) -> None:
        """The client has gone: cancel what is under way; nobody is to blame."""
        if exchange.over:
            return
        work, exchange.work = exchange.work, None
        if work is not None:
            work.cancel()
        exchange.status = ClientClosedError.status
        exchange.reason = exchange.reason or ClientClosedError.code
        if exchange.entered:
            self._leave(exchange, Reply(ClientClosedError.status, [], b""))
        self.end(exchange)

    def end(self, exchange: Exchange) -> None:
        """The exchange is over: its last byte is sent, or its connection is gone."""
        if exchange.over:
            return
        exchange.over = True
        exchange.work = None
        for done in exchange.on_end:
            try:
                done(exchange)
            except Exception:
                self.log.failure("{route}: a layer failed at the end", route=exchange.route.name)
