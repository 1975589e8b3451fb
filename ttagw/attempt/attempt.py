"""One exchange's way to a service: one try after the other, until an answer has begun or nothing is left to try.

A try that failed is made again, on another instance where there is one, if that is safe: nothing can have reached a
service, or the request says that it may come twice (an idempotent method, or `Idempotency-Key`); no byte of an answer
has gone out; the body is still held. All tries share the exchange's deadline, and the service's retry budget bounds
them. Each instance has a breaker, told of every try; the service has one, told of what became of the exchange. What a
request of the class crisis may do beyond that is in `ttagw.attempt.crisis`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ttagw.attempt.blame import circuit_open, exchange_failed, instance_failed, look_slower
from ttagw.attempt.crisis import all_that_can_be_asked, in_crisis, last_resort, passes, passes_breaker
from ttagw.attempt.protocols import Connection
from ttagw.attempt.service import Instance, Service, Timer
from ttagw.core.backoff import full_jitter
from ttagw.core.breaker import REFUSED, State
from ttagw.errors import (
    CircuitOpenError,
    GatewayError,
    NoInstanceError,
    UpstreamBrokenError,
    UpstreamBusyError,
    UpstreamClosedError,
    UpstreamTimeoutError,
)
from ttagw.model import NO_BODY, BodySource, Exchange, Reply
from ttagw.pipeline import Pipeline

_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
"""Methods that may come twice (RFC 9110 §9.2.2)."""
_BACKOFF = 0.025
"""Seconds that a retry waits at the most the first time; doubled each time."""
_LONGEST_BACKOFF = 0.25
_OVERDUE = 5.0
"""Seconds after which an instance that waits to be tried out gets anything that comes."""
_TRY_AGAIN = 1
"""Seconds after which somebody who found no instance may well come back."""


class Attempt:
    """What is under way for an exchange between its last layer and a service."""

    __slots__ = (
        "_began",
        "_connection",
        "_exchange",
        "_fresh",
        "_instance",
        "_pipeline",
        "_place",
        "_retried",
        "_sent",
        "_service",
        "_since",
        "_status",
        "_target",
        "_ticket",
        "_timer",
        "_tried",
    )

    def __init__(self, pipeline: Pipeline, exchange: Exchange, service: Service, target: bytes) -> None:
        self._pipeline = pipeline
        self._exchange = exchange
        self._service = service
        self._target = target
        self._tried: tuple[Instance, ...] = ()
        self._instance: Instance | None = None
        self._connection: Connection | None = None
        self._timer: Timer | None = None
        self._retried = 0
        self._fresh = False
        self._sent = 0.0
        """When the present try was sent, 0 while it is not."""

    # Tries

    def start(self) -> None:
        """Try an instance."""
        service = self._service
        self._began = now = service.monotonic()
        tiers = service.tiers or all_that_can_be_asked(self._exchange, service)
        if not tiers:
            service.count("no_instance")
            raise NoInstanceError("no_healthy_instance", retry_after=_TRY_AGAIN)
        self._ticket = service.breaker.admit(now)
        if not self._ticket and not passes_breaker(self._exchange, service):
            service.count("circuit_open")
            raise circuit_open(service, now)
        service.retries.budget.requested(now)
        key = b"" if service.key is None else service.key(self._exchange)
        instance = service.chooser.choose(tiers[0], key, now)
        if instance.guarded:
            self._ask(tiers, key, now, instance)
        else:
            self._try(instance, instance.breaker.admit(now), now)

    def _ask(
        self, tiers: Sequence[Sequence[Instance]], key: bytes, now: float, instance: Instance | None = None
    ) -> None:
        """Try one whose breaker admits it, or that is asked all the same, the best zone first; or say there is none."""
        alone = sum(map(len, tiers)) == 1
        spared: list[Instance] = []
        for left in tiers:
            while left:
                if instance is None:
                    instance = self._service.chooser.choose(left, key, now)
                if not instance.guarded or instance.kept or alone or self._may_probe(instance, now):
                    place = instance.breaker.admit(now)
                    if place or instance.kept:
                        self._try(instance, place, now)
                        return
                else:
                    spared.append(instance)
                refused = instance
                left = [each for each in left if each is not refused]
                instance = None
        for each in spared:
            place = each.breaker.admit(now)
            if place:
                self._try(each, place, now)
                return
        for tier in tiers:
            # Nobody else is left: as with those that are kept, letting only a few through would help nobody.
            last = [each for each in tier if each.breaker.state is State.HALF_OPEN]
            if last:
                self._try(self._service.chooser.choose(last, key, now), REFUSED, now)
                return
        anyone = last_resort(self._exchange, self._service, tiers)
        if anyone:
            self._try(self._service.chooser.choose(anyone, key, now), REFUSED, now)
            return
        self._over(CircuitOpenError("instances_open", retry_after=_TRY_AGAIN, more={"state": "open"}))

    def _may_probe(self, instance: Instance, now: float) -> bool:
        """An instance that is being tried out gets what can be tried again elsewhere, if there is an elsewhere.

        Where nothing of that kind comes, it must come back all the same.
        """
        breaker = instance.breaker
        return breaker.state is State.FORCED_CLOSED or self._repeatable() or breaker.overdue(now) >= _OVERDUE

    def _try(self, instance: Instance, place: int, now: float) -> None:
        exchange = self._exchange
        self._instance = instance
        self._place = place
        self._since = now
        self._sent = 0.0
        exchange.instance = instance.label
        exchange.tries += 1
        exchange.work = self
        instance.in_flight += 1
        connection = instance.pool.acquire(self, fresh=self._fresh)
        if connection is not None:
            self._connection = connection
            self._sent = now
            connection.send(self, exchange, self._target, now)

    def connected(self, connection: Connection) -> None:
        """The pool has a connection."""
        self._connection = connection
        self._sent = now = self._service.monotonic()
        connection.send(self, self._exchange, self._target, now)

    def passes(self, reason: str) -> bool:
        """The pool asks: whether this one goes before others, and takes a place that is kept."""
        return passes(self._exchange, reason)

    # How a try ends

    def refused(self, error: GatewayError) -> None:
        """The pool has no connection; nothing was sent."""
        now = self._service.monotonic()
        instance = self._let_go()
        if isinstance(error, UpstreamBusyError):
            # That we ask too much of it does not mean that it fails.
            instance.breaker.forget(self._place)
            look_slower(self._service, instance, now - self._since, now)
        else:
            self._count_failure(instance, error.reason, now)
        self._again_or(error, instance, now, reached=False)

    def answered(self, reply: Reply, source: BodySource, now: float) -> None:
        """The head of the answer has come; its body follows to the sink."""
        if reply.status >= 500 and self._answered_badly(reply, now):
            return
        exchange = self._exchange
        instance: Instance = self._instance  # type: ignore[assignment]
        exchange.upstream_seconds = seconds = now - self._sent
        self._status = reply.status
        if reply.status < 500:
            instance.took = seconds
            self._service.chooser.observe(instance, seconds, now)
        self._pipeline.answer(exchange, reply, source)

    def answered_whole(self, reply: Reply, now: float) -> None:
        """All of the answer has come at once, and the connection is back in its pool."""
        self._connection = None
        if reply.status >= 500 and self._answered_badly(reply, now):
            return
        exchange = self._exchange
        service = self._service
        instance: Instance = self._instance  # type: ignore[assignment]
        exchange.upstream_seconds = seconds = now - self._sent
        instance.in_flight -= 1
        exchange.work = None
        if reply.status < 500:
            instance.took = seconds
            service.chooser.observe(instance, seconds, now)
            instance.good += 1
            instance.breaker.success(self._place, seconds, now)
            service.breaker.success(self._ticket, now - self._began, now)
        else:
            self._count_bad(instance, reply.status, seconds, now)
        self._pipeline.answer(exchange, reply)

    def finished(self) -> None:
        """The answer is complete; the connection goes back to its pool."""
        now = self._service.monotonic()
        connection = self._connection
        instance = self._let_go()
        # For as long as its client did not take more, nobody waited for the service.
        waited = connection.waited if connection is not None else 0.0
        status = self._status
        seconds = now - self._sent - waited
        if status < 500:
            instance.good += 1
            instance.breaker.success(self._place, seconds, now)
            self._service.breaker.success(self._ticket, now - self._began - waited, now)
        else:
            self._count_bad(instance, status, seconds, now)

    def failed(self, error: GatewayError, *, stale: bool) -> None:
        """The connection failed. `stale`: before any byte of an answer, and it had been idle when it was taken."""
        now = self._service.monotonic()
        instance = self._let_go()
        if stale and not self._fresh:
            # Most likely it was closed while we took it: that is nobody's failure.
            instance.breaker.forget(self._place)
            self._fresh = True
            body = self._exchange.body
            if self._repeatable() and (body is NO_BODY or body.rewindable):
                self._rewind()
                self._try(instance, instance.breaker.admit(now), now)
                return
        else:
            self._count_failure(instance, error.reason, now)
        self._again_or(error, instance, now, reached=True)

    def cancel(self) -> None:
        """The client has left, or the exchange's deadline has passed."""
        now = self._service.monotonic()
        exchange = self._exchange
        timer, self._timer = self._timer, None
        late = 0.0 < exchange.deadline <= now and not exchange.sink.started and exchange.body.complete
        if timer is not None:
            timer.cancel()
            exchange.work = None
        else:
            connection = self._connection
            waiting = self._sent == 0.0
            instance = self._let_go()
            if connection is not None:
                connection.abandon()
            elif waiting:
                instance.pool.give_up(self)
            if late and not waiting:
                self._count_failure(instance, "route_timeout", now)
            else:
                instance.breaker.forget(self._place)
        if late:
            self._service_failed(now)
        else:
            self._service.breaker.forget(self._ticket)

    def move(self) -> None:
        """Who was asked has turned out to be down: ask somebody else, where that is safe; or go on waiting."""
        instance = self._instance
        connection = self._connection
        if instance is None or connection is None or self._exchange.sink.started or not self._repeatable():
            return
        now = self._service.monotonic()
        wait = self._wait(instance, now, reached=True, here=False)
        if wait >= 0.0:
            self._let_go()
            connection.abandon()
            self._count_failure(instance, "instance_down", now)
            self._put_off(wait, instance, now, reached=True)

    # What follows from it

    def _answered_badly(self, reply: Reply, now: float) -> bool:
        """A 5xx has come. Whether it is not passed on: another try is made, or somebody gets help instead."""
        instance: Instance = self._instance  # type: ignore[assignment]
        # Somebody whose request was used to see whether an instance is well again must not pay for it.
        probing = instance.breaker.state is State.HALF_OPEN and self._place == instance.breaker.generation
        wait = -1.0
        if (probing or reply.status in self._service.retries.statuses) and self._repeatable():
            wait = self._wait(instance, now, reached=True, here=not probing)
        if wait < 0.0 and not in_crisis(self._exchange):
            return False
        connection = self._connection
        self._let_go()
        if connection is not None:
            connection.abandon()
        self._count_failure(instance, f"status_{reply.status}", now)
        if wait < 0.0:
            # A service that is broken has no help to give.
            self._over(UpstreamBrokenError("answered_5xx"))
        else:
            self._put_off(wait, instance, now, reached=True)
        return True

    def _again_or(self, error: GatewayError, instance: Instance, now: float, *, reached: bool) -> None:
        """Try again, if that is safe and allowed; or give the exchange this error."""
        if not self._exchange.sink.started and (not reached or self._repeatable()):
            # Who took long, or talks nonsense, is not asked for the same again.
            here = not isinstance(error, UpstreamTimeoutError | UpstreamBrokenError) or isinstance(
                error, UpstreamClosedError
            )
            busy = isinstance(error, UpstreamBusyError)
            wait = self._wait(instance, now, reached=reached, here=here and not busy, busy=busy)
            if wait >= 0.0:
                self._put_off(wait, instance, now, reached=reached)
                return
        self._over(error)

    def _wait(self, instance: Instance, now: float, *, reached: bool, here: bool, busy: bool = False) -> float:
        """Seconds until the next try, or -1: there is none. `here`: the same instance may be asked again."""
        service = self._service
        retries = service.retries
        body = self._exchange.body
        if self._retried >= retries.most or (reached and body is not NO_BODY and not body.rewindable):
            return -1.0
        tried = (*self._tried, instance)
        tiers = service.tiers or all_that_can_be_asked(self._exchange, service)
        elsewhere = any(each not in tried for tier in tiers for each in tier)
        if not elsewhere and not here:
            return -1.0
        # Where nothing was sent, somebody else can be asked at once; and since the service as a whole is not asked more
        # than its clients ask, the budget has nothing to do with it, unless there is too much to do already.
        moved = elsewhere and not reached
        wait = 0.0
        if not moved:
            wait = full_jitter(self._retried + 1, _BACKOFF, _LONGEST_BACKOFF, retries.random)
        if 0.0 < self._exchange.deadline <= now + wait:
            return -1.0
        spent = (busy or not moved) and not retries.budget.take(now)
        if spent and not passes(self._exchange, "retry_budget"):
            service.count("budget_exhausted")
            return -1.0
        return wait

    def _put_off(self, wait: float, instance: Instance, now: float, *, reached: bool) -> None:
        if reached:
            self._rewind()
        self._tried = (*self._tried, instance)
        self._retried += 1
        self._service.count("retries")
        self._exchange.work = self
        if wait:
            self._timer = self._service.retries.call_later(wait, self._go_on)
        else:
            self._next(now)

    def _go_on(self) -> None:
        self._timer = None
        self._next(self._service.monotonic())

    def _next(self, now: float) -> None:
        """Another try: on an instance that was not tried, or where there is none, on any."""
        service = self._service
        tiers = service.tiers or all_that_can_be_asked(self._exchange, service)
        if not tiers:
            self._over(NoInstanceError("no_healthy_instance", retry_after=_TRY_AGAIN))
            return
        key = b"" if service.key is None else service.key(self._exchange)
        tried = self._tried
        untried = [rest for tier in tiers if (rest := [each for each in tier if each not in tried])]
        self._ask(untried or tiers, key, now)

    def _repeatable(self) -> bool:
        """Whether the request may come twice."""
        exchange = self._exchange
        return exchange.method in _IDEMPOTENT or bool(exchange.value(b"idempotency-key"))

    def _rewind(self) -> None:
        """All of the body that has come will be sent again."""
        body = self._exchange.body
        if body is not NO_BODY:
            body.rewind()

    def _over(self, error: GatewayError) -> None:
        """Nothing is left to try."""
        exchange = self._exchange
        exchange.work = None
        breaker = self._service.breaker
        if isinstance(error, UpstreamBusyError | CircuitOpenError):
            # We asked too much, or not at all: that says nothing about the service.
            breaker.forget(self._ticket)
        else:
            self._service_failed(self._service.monotonic())
        if exchange.body is not NO_BODY:
            exchange.body.detach()
        self._pipeline.fail(exchange, error)

    # Counting

    def _let_go(self) -> Instance:
        """The try is over. Returns who was tried."""
        instance: Instance = self._instance  # type: ignore[assignment]
        instance.in_flight -= 1
        self._connection = None
        self._exchange.work = None
        return instance

    def _count_bad(self, instance: Instance, status: int, seconds: float, now: float) -> None:
        """A 5xx was passed on."""
        self._count_failure(instance, f"status_{status}", now, passed_on=True, seconds=seconds)
        self._service_failed(now)

    def _service_failed(self, now: float) -> None:
        exchange_failed(self._service, self._ticket, self._instance, self._tried, now - self._began, now)

    def _count_failure(
        self, instance: Instance, reason: str, now: float, *, passed_on: bool = False, seconds: float = -1.0
    ) -> None:
        taken = now - (self._sent or self._since)
        seconds = taken if seconds < 0.0 else seconds
        instance_failed(instance, self._place, reason, seconds, now)
        look_slower(self._service, instance, taken, now)
        if not passed_on:
            self._exchange.failed = (*self._exchange.failed, (instance.label, reason, seconds))
