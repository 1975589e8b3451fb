"""A service whose pools and connections do what the test says."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

from ttagw.attempt import Attempt, Instance
from ttagw.attempt.hedge import HedgedAttempt
from ttagw.config.services import Breaker as BreakerSettings
from ttagw.core.breaker import State
from ttagw.core.classes import TrafficClass
from ttagw.errors import GatewayError, UpstreamClosedError
from ttagw.model import Exchange
from ttagw.pipeline import Pipeline
from ttagw.testing import (
    NEVER_OPENS,
    Clock,
    RecordingSink,
    ScriptedConnection,
    ScriptedPool,
    Timers,
    exchange,
    instance,
    service,
)
from ttagw.web.render import render

STALE = UpstreamClosedError("closed_before_answer")


class Up:
    """A service of some instances whose pools do what the test says."""

    def __init__(self, count: int = 2, *, guard: BreakerSettings = NEVER_OPENS, zones: str = "", **more: Any) -> None:
        """`guard`: each instance's breaker; `zones`: a letter for each; `more`: see `ttagw.testing.service`."""
        self.clock = Clock()
        self.pipeline = Pipeline(render)
        self.pools = [ScriptedPool() for _ in range(count)]
        self.timers = Timers()
        self.instances = [instance(f"up{number}", pool, self.clock, guard) for number, pool in enumerate(self.pools)]
        for each in self.instances:
            each.breaker.watch(partial(self._changed, each))
        self.service = service(self.instances, self.clock, timers=self.timers, **{"retries": 2, **more})
        if zones:
            by_zone = [
                [each for each, zone in zip(self.instances, zones, strict=True) if zone == name] for name in "ab"
            ]
            self.service.offer([each for each in by_zone if each])
        self.ends: Counter[int] = Counter()

    def _changed(self, instance: Instance, before: State, after: State) -> None:
        instance.guarded = after not in (State.CLOSED, State.FORCED_CLOSED)

    def ask(
        self,
        method: bytes = b"GET",
        *,
        length: int = 0,
        hedge: float = 0.0,
        rank: TrafficClass = TrafficClass.NORMAL,
        **more: Any,
    ) -> tuple[Exchange, RecordingSink, Attempt]:
        sink = RecordingSink()
        made = exchange(method, sink=sink, length=length, **more)
        made.rank = rank
        made.on_end.append(lambda ended: self.ends.update((id(ended),)))
        sink.over = lambda: self.pipeline.end(made)
        attempt = Attempt(self.pipeline, made, self.service, b"/up")
        if hedge:
            attempt = HedgedAttempt(self.pipeline, made, self.service, b"/up", hedge)
        try:
            attempt.start()
        except GatewayError as error:
            self.pipeline.fail(made, error)
        return made, sink, attempt

    def sent(self, method: bytes = b"GET", **more: Any) -> tuple[Exchange, RecordingSink, Attempt]:
        """The same, and it has got a connection."""
        made, sink, attempt = self.ask(method, **more)
        self.connect(attempt)
        return made, sink, attempt

    def connect(self, attempt: Attempt) -> ScriptedConnection:
        """Give a connection to an attempt that waits for one."""
        (pool,) = [each for each in self.pools if attempt in each.line]
        pool.line.remove(attempt)
        connection = ScriptedConnection()
        attempt.connected(connection)
        return connection

    def trip(self, number: int) -> None:
        """Open an instance's breaker."""
        breaker = self.instances[number].breaker
        while breaker.state is not State.OPEN:
            breaker.failure(breaker.admit(self.clock()), 0.1, self.clock())

    @property
    def in_flight(self) -> list[int]:
        return [instance.in_flight for instance in self.instances]
