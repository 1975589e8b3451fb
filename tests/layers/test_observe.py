from __future__ import annotations

import json

from ttagw.core.classes import TrafficClass
from ttagw.layers.observe import Observe
from ttagw.logs.access import AccessLog
from ttagw.metrics import Metrics, RouteCells
from ttagw.model import Exchange, Reply
from ttagw.pipeline import Forward, Pipeline
from ttagw.testing import Clock, RecordingLines, RecordingSink, exchange, nothing, route
from ttagw.web.render import render


class Seen:
    """A route under observation."""

    def __init__(self, forward: Forward = nothing, *, logged: bool = True) -> None:
        self.lines, self.metrics, self.clock = RecordingLines(), Metrics(), Clock()
        access = AccessLog(self.lines, "json", lambda: 1_700_000_000.0)
        self.access = access
        self.route = route(forward).bind([Observe(self.metrics, access if logged else None, self.clock)])
        self.pipeline = Pipeline(render)

    def run(self, method: bytes = b"GET", length: int = 0) -> Exchange:
        sink = RecordingSink()
        made = exchange(method, sink=sink, on=self.route, length=length)
        sink.over = lambda: self.pipeline.end(made)
        self.pipeline.run(made)
        return made

    @property
    def cells(self) -> RouteCells:
        return self.metrics.route("r")


def test_only_what_is_of_the_class_crisis_in_the_end_is_told_as_such() -> None:
    told: list[Exchange] = []
    for rank in TrafficClass:
        seen = Seen(answer)
        seen.route.bind([Observe(seen.metrics, None, seen.clock, told.append)])
        sink = RecordingSink()
        made = exchange(sink=sink, on=seen.route)
        sink.over = lambda: seen.pipeline.end(made)  # noqa: B023 - called before the next
        made.rank = rank
        seen.pipeline.run(made)
    assert [each.rank for each in told] == [TrafficClass.CRISIS]


def answer(pipeline: Pipeline, made: Exchange) -> None:
    made.bytes_out, made.tries, made.upstream_seconds = 7, 2, 0.02
    pipeline.answer(made, Reply(200, [], b"", reason=""))


def test_an_exchange_is_in_flight_until_its_end() -> None:
    seen = Seen()
    made = seen.run()
    assert (seen.cells.in_flight, seen.cells.requests) == (1, {})
    seen.clock.advance(0.5)
    seen.pipeline.left(made)
    assert (seen.cells.in_flight, seen.cells.requests) == (0, {(b"GET", 499): 1})
    assert seen.cells.refusals == {"client_closed": 1}
    assert seen.cells.seconds.total == 0.5
    assert seen.cells.upstream_seconds.total == 0.0


def test_an_answer_is_counted_with_its_bytes_and_tries() -> None:
    seen = Seen(answer)
    for _ in range(2):
        seen.run()
    assert seen.cells.requests == {(b"GET", 200): 2}
    assert (seen.cells.tries, seen.cells.bytes_out, seen.cells.bytes_in) == (4, 14, 0)
    assert seen.cells.upstream_seconds.total == 0.04
    assert seen.cells.refusals == {}


def test_the_bytes_of_a_body_are_counted() -> None:
    seen = Seen()
    made = seen.run(b"POST", 10)
    made.body.feed(b"12345")
    seen.pipeline.left(made)
    assert seen.cells.bytes_in == 5


def test_methods_that_nobody_knows_share_a_label() -> None:
    seen = Seen(answer)
    for method in (b"PURGE", b"M-SEARCH", b"-"):
        seen.run(method)
    assert seen.cells.requests == {(b"other", 200): 3}


def test_each_exchange_has_one_line() -> None:
    seen = Seen(answer)
    seen.run()
    seen.access.flush()
    assert json.loads(b"".join(seen.lines.batches))["status"] == 200
    quiet = Seen(answer, logged=False)
    quiet.run()
    assert quiet.cells.requests == {(b"GET", 200): 1}
