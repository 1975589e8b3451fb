"""What breakers, retries and the choice of an instance cost a request: `python -m benchmarks.resilience`.

In this process, without sockets: the attempt as the gateway makes it, beside one that takes the next instance in turn
and sends, each with a pool and a connection that do nothing. Rounds alternate; the best of each counts, since whatever
else runs here can only add.
"""

from __future__ import annotations

import argparse
import gc
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from ttagw.attempt import Attempt, Connection, Instance, Retries, Service
from ttagw.config.services import Breaker as BreakerSettings
from ttagw.core.balance import make
from ttagw.core.breaker import Breaker
from ttagw.core.budget import RetryBudget
from ttagw.errors import GatewayError
from ttagw.model import Exchange, Reply
from ttagw.pipeline import Pipeline
from ttagw.testing import exchange

INSTANCES = 4
CALLS = 1000
ROUNDS = 300

clock = time.monotonic
Work = Callable[[int], None]


class Silence(Pipeline):
    """Takes every answer."""

    def answer(self, exchange: Exchange, reply: Reply, source: Any = None) -> None:
        """Nothing."""


class Wire:
    """A connection that is always there."""

    fresh = False
    waited = 0.0

    def send(self, attempt: Any, exchange: Exchange, target: bytes, now: float) -> None:
        """Nothing."""

    def abandon(self) -> None:
        """Nothing."""


class Hand:
    """A pool with such a connection."""

    opened_count = size = idle = waiting = 0

    def __init__(self) -> None:
        self.errors: dict[str, int] = {}
        self._wire = Wire()

    def acquire(self, waiter: Any, *, fresh: bool) -> Connection | None:  # noqa: ARG002 - as in Pool
        return self._wire

    def give_up(self, waiter: Any) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""

    abort = move = stop


class Plain:
    """Takes an instance, sends, passes the answer on: what is left of an attempt without all the rest."""

    __slots__ = ("_connection", "_exchange", "_instance", "_pipeline", "_sent", "_service", "_target")

    turn = 0

    def __init__(self, pipeline: Pipeline, exchange: Exchange, service: Service, target: bytes) -> None:
        self._pipeline = pipeline
        self._exchange = exchange
        self._service = service
        self._target = target

    def start(self) -> None:
        service = self._service
        now = service.monotonic()
        rotation = service.rotation
        Plain.turn = turn = (Plain.turn + 1) % len(rotation)
        self._try(rotation[turn], now)

    def _try(self, instance: Instance, now: float) -> None:
        exchange = self._exchange
        self._instance = instance
        exchange.instance = instance.label
        exchange.tries += 1
        exchange.work = self
        instance.in_flight += 1
        connection = instance.pool.acquire(self, fresh=False)  # type: ignore[arg-type]
        if connection is not None:
            self._connection: Connection | None = connection
            self._sent = now
            connection.send(self, exchange, self._target, now)  # type: ignore[arg-type]

    def answered_whole(self, reply: Reply, now: float) -> None:
        self._connection = None
        exchange = self._exchange
        exchange.upstream_seconds = now - self._sent
        self._instance.in_flight -= 1
        exchange.work = None
        self._pipeline.answer(exchange, reply)

    def cancel(self) -> None:
        """Never."""


class Choosing(Plain):
    """The same, and it chooses as the gateway does."""

    __slots__ = ()

    def start(self) -> None:
        service = self._service
        now = service.monotonic()
        self._try(service.chooser.choose(service.rotation, b"", now), now)

    def answered_whole(self, reply: Reply, now: float) -> None:
        self._service.chooser.observe(self._instance, now - self._sent, now)
        super().answered_whole(reply, now)


@dataclass(frozen=True, slots=True)
class Costs:
    """Microseconds of processor time, the best round and the median."""

    plain: tuple[float, float]
    choosing: tuple[float, float]
    attempt: tuple[float, float]
    breaker: tuple[float, float]

    @property
    def added(self) -> float:
        """What an attempt costs over a plain one, at best."""
        return self.attempt[0] - self.plain[0]

    def rows(self) -> list[list[str]]:
        """For the table."""
        named = [
            ("next instance in turn, and send", self.plain),
            ("p2c, and send", self.choosing),
            ("attempt: p2c, two breakers, budget", self.attempt),
            ("one breaker: admit and settle", self.breaker),
        ]
        rows = [[name, f"{best:.2f}", f"{middle:.2f}"] for name, (best, middle) in named]
        return [*rows, ["attempt over the plain one", f"{self.added:.2f}", f"{self.attempt[1] - self.plain[1]:.2f}"]]


def service() -> Service:
    """One with four instances, as the gateway makes it."""
    now = clock()
    retries = Retries(2, RetryBudget(0.2, now), _never, random.random)
    made = Service("up", make("p2c", random.random), None, clock, Breaker(BreakerSettings(), now), retries)
    instances = []
    for number in range(INSTANCES):
        each = Instance(f"http://up{number}", Breaker(BreakerSettings(), now))
        each.label = b"up%d" % number
        each.pool = Hand()
        instances.append(each)
    made.instances = instances
    made.offer((tuple(instances),))
    return made


def _never(*_: Any) -> Any:
    raise AssertionError("nothing fails here")


def _render(_: Exchange, error: GatewayError) -> Reply:
    raise error


def going(kind: Callable[..., Any]) -> Work:
    """Exchanges of a kind of attempt."""
    pipeline, up, made = Silence(_render), service(), exchange()
    reply = Reply(200, [], b"x" * 300)

    def work(calls: int) -> None:
        for _ in range(calls):
            attempt = kind(pipeline, made, up, b"/r")
            attempt.start()
            attempt.answered_whole(reply, clock())

    return work


def breaking() -> Work:
    """A breaker alone."""
    breaker = Breaker(BreakerSettings(), clock())

    def work(calls: int) -> None:
        admit, success = breaker.admit, breaker.success
        now = clock()
        for _ in range(calls):
            success(admit(now), 0.001, now)

    return work


def nothing() -> Work:
    """The loop around it."""

    def work(calls: int) -> None:
        for _ in range(calls):
            pass

    return work


def timed(works: Sequence[Work], rounds: int) -> list[list[float]]:
    """Microseconds a call of each, round by round, in turns."""
    found: list[list[float]] = [[] for _ in works]
    for work in works:
        work(CALLS)
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for times, work in zip(found, works, strict=True):
                began = time.process_time()
                work(CALLS)
                times.append((time.process_time() - began) / CALLS * 1e6)
    finally:
        gc.enable()
    return found


def measure(rounds: int = ROUNDS) -> Costs:
    """Measure all of it."""
    works = [nothing(), going(Plain), going(Choosing), going(Attempt), breaking()]
    idle, *others = timed(works, rounds)
    best, middle = min(idle), median(idle)
    plain, choosing, attempt, breaker = [(min(each) - best, median(each) - middle) for each in others]
    return Costs(plain, choosing, attempt, breaker)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resilience", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    costs = measure(parser.parse_args().rounds)
    for name, best, middle in costs.rows():
        print(f"{name:40}{best:>8} us best {middle:>8} us median")


if __name__ == "__main__":
    main()
