"""The innermost step: choose an instance, get a connection, send, and pass the answer on.

An attempt that fails before anything can have reached a service goes on to the next instance; one that fails later is
the exchange's failure. Every attempt shares the exchange's deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Protocol

from ttagw.core.balance import Chooser, Load
from ttagw.core.rewrite import Rewrite
from ttagw.errors import GatewayError
from ttagw.model import NO_BODY, BodySource, Exchange, Reply
from ttagw.pipeline import Forward, Pipeline

_FAILED = 1.0
"""Seconds that a failure counts as, at the least."""
_DEAREST = 600.0
"""And at the most."""
_SAFE_TWICE = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
"""Idempotent methods (RFC 9110 §9.2.2)."""


class Connection(Protocol):
    """A connection to an instance, taken from its pool for one exchange."""

    fresh: bool
    """Nothing has been sent on it yet, so it cannot have been closed for being idle."""

    def send(self, attempt: Attempt, exchange: Exchange, target: bytes, now: float) -> None:
        """Send the request; what happens comes back through the attempt."""

    def abandon(self) -> None:
        """The exchange is over before its answer is: the connection cannot be used again."""


class Waiter(Protocol):
    """Somebody who asked a pool for a connection."""

    def connected(self, connection: Connection) -> None:
        """Here it is."""

    def refused(self, error: GatewayError) -> None:
        """There is none, and nothing was sent."""


class Pool(Protocol):
    """The bounded connections to one instance."""

    opened_count: int
    errors: dict[str, int]
    """What went wrong, by kind."""

    @property
    def size(self) -> int:
        """Connections that are open or being opened."""

    @property
    def idle(self) -> int:
        """Connections that wait for work."""

    @property
    def waiting(self) -> int:
        """Exchanges that wait for a connection."""

    def stop(self) -> None:
        """Close what is idle now, and what is in use when it is done."""

    def abort(self) -> None:
        """Cut every connection now."""

    def acquire(self, waiter: Waiter, *, fresh: bool) -> Connection | None:
        """A connection now, or None and the waiter is told later. `fresh`: not one that was idle."""

    def give_up(self, waiter: Waiter) -> None:
        """The waiter does not want one any more."""


class Instance(Load):
    """A place where a service runs: what the chooser weighs, and its pool."""

    __slots__ = ("label", "pool")

    pool: Pool
    label: bytes
    """How logs and metrics call it: host and port."""


class Service:
    """The instances of a service and how one is chosen."""

    __slots__ = ("chooser", "instances", "key", "monotonic", "name")

    def __init__(
        self,
        name: str,
        instances: Sequence[Instance],
        chooser: Chooser,
        key: Callable[[Exchange], bytes] | None,
        monotonic: Callable[[], float],
    ) -> None:
        self.name = name
        self.instances = instances
        self.chooser = chooser
        self.key = key
        self.monotonic = monotonic


class Attempt:
    """One exchange's way to a service: one try after the other, until an answer has begun or nothing is left to try."""

    __slots__ = (
        "_again",
        "_connection",
        "_exchange",
        "_instance",
        "_pipeline",
        "_sent",
        "_service",
        "_target",
        "_tried",
    )

    _instance: Instance

    def __init__(self, pipeline: Pipeline, exchange: Exchange, service: Service, target: bytes) -> None:
        self._pipeline = pipeline
        self._exchange = exchange
        self._service = service
        self._target = target
        self._tried: tuple[Instance, ...] = ()
        self._connection: Connection | None = None
        self._sent = 0.0
        self._again = False

    def start(self) -> None:
        """Try an instance."""
        service = self._service
        exchange = self._exchange
        instances = service.instances
        if self._tried:
            instances = [each for each in instances if each not in self._tried]
        key = b"" if service.key is None else service.key(exchange)
        now = service.monotonic()
        self._try(service.chooser.choose(instances, key, now), now)

    def _try(self, instance: Instance, now: float) -> None:
        exchange = self._exchange
        self._instance = instance
        exchange.instance = instance.label
        exchange.tries += 1
        exchange.work = self
        instance.in_flight += 1
        connection = instance.pool.acquire(self, fresh=self._again)
        if connection is not None:
            self._connection = connection
            self._sent = now
            connection.send(self, exchange, self._target, now)

    def connected(self, connection: Connection) -> None:
        self._connection = connection
        self._sent = now = self._service.monotonic()
        connection.send(self, self._exchange, self._target, now)

    def refused(self, error: GatewayError) -> None:
        now = self._service.monotonic()
        self._count_failure(now, now)
        self._release()
        self._tried = (*self._tried, self._instance)
        if len(self._tried) < len(self._service.instances):
            self.start()
        else:
            self._pipeline.fail(self._exchange, error)

    def answered(self, reply: Reply, source: BodySource, now: float) -> None:
        """The head of the answer has come; its body follows to the sink."""
        exchange = self._exchange
        exchange.upstream_seconds = seconds = now - self._sent
        self._service.chooser.observe(self._instance, seconds, now)
        self._pipeline.answer(exchange, reply, source)

    def answered_whole(self, reply: Reply, now: float) -> None:
        """All of the answer has come at once, and the connection is back in its pool."""
        exchange = self._exchange
        instance = self._instance
        exchange.upstream_seconds = seconds = now - self._sent
        self._service.chooser.observe(instance, seconds, now)
        instance.in_flight -= 1
        self._connection = None
        exchange.work = None
        self._pipeline.answer(exchange, reply)

    def finished(self) -> None:
        """The answer is complete and the connection is back in its pool."""
        self._release()

    def failed(self, error: GatewayError, *, stale: bool) -> None:
        """The connection failed. `stale`: before any byte of an answer, and it had been idle when it was taken."""
        exchange = self._exchange
        if not stale:
            self._count_failure(self._service.monotonic(), self._sent)
        self._release()
        if stale and not self._again and exchange.body is NO_BODY and exchange.method in _SAFE_TWICE:
            self._again = True
            self._try(self._instance, self._service.monotonic())
        else:
            self._pipeline.fail(exchange, error)

    def _count_failure(self, now: float, began: float) -> None:
        """An instance that fails must look slower than those that answer, however fast it fails."""
        others = [each.latency for each in self._service.instances if each is not self._instance]
        seconds = max(now - began, _FAILED, self._instance.latency, 2 * max(others, default=0.0))
        self._service.chooser.observe(self._instance, min(seconds, _DEAREST), now)

    def cancel(self) -> None:
        connection = self._connection
        self._release()
        if connection is not None:
            connection.abandon()
        else:
            self._instance.pool.give_up(self)

    def _release(self) -> None:
        self._instance.in_flight -= 1
        self._connection = None
        self._exchange.work = None


Pick = Callable[[Exchange], Service]


def forward_to(pick: Pick, rewrite: Rewrite | None) -> Forward:
    """The innermost step of a route: one of the services that `pick` gives, at the rewritten path."""

    def forward(pipeline: Pipeline, exchange: Exchange) -> None:
        target = exchange.path if rewrite is None else rewrite.apply(exchange.params, exchange.rest)
        Attempt(pipeline, exchange, pick(exchange), target).start()

    return forward


def split(shares: Sequence[tuple[Service, int]], salt: str) -> Pick:
    """Divides people between services by weight. Sticky: an address stays where it is as long as the weights do.

    `salt` (the route's name) keeps two splits independent of each other.
    """
    total = sum([weight for _, weight in shares])
    key = salt.encode()

    def pick(exchange: Exchange) -> Service:
        digest = blake2b(exchange.client.encode(), key=key[:64], digest_size=8).digest()
        place = int.from_bytes(digest, "big") % total
        for service, weight in shares:
            if place < weight:
                return service
            place -= weight
        raise AssertionError("weights do not add up")

    return pick
