"""A second try before the first has failed: the first answer is passed on (Dean and Barroso, "The Tail at Scale")."""

from __future__ import annotations

from ttagw.attempt.attempt import Attempt
from ttagw.attempt.service import Instance, Service, Timer
from ttagw.core.breaker import REFUSED
from ttagw.errors import GatewayError
from ttagw.model import BodySource, Exchange, Reply
from ttagw.pipeline import Pipeline


class HedgedAttempt(Attempt):
    """One of two that may race for the same exchange: the first begins, and starts the second after `delay` seconds."""

    __slots__ = ("_delay", "_hedging", "_rival")

    def __init__(
        self, pipeline: Pipeline, exchange: Exchange, service: Service, target: bytes, delay: float = 0.0
    ) -> None:
        """`delay` 0: it starts no second one."""
        super().__init__(pipeline, exchange, service, target)
        self._delay = delay
        self._rival: HedgedAttempt | None = None
        self._hedging: Timer | None = None

    def start(self) -> None:
        super().start()
        if self._exchange.work is self:
            self._hedging = self._service.retries.call_later(self._delay, self._hedge)

    def _hedge(self) -> None:
        """No answer yet: try somebody else as well, if there is somebody and the budget allows it."""
        self._hedging = None
        service = self._service
        now = service.monotonic()
        tried = (*self._tried, self._instance)
        others: list[Instance] = next(
            (rest for tier in service.tiers if (rest := [each for each in tier if each not in tried])), []
        )
        others = [each for each in others if not each.guarded]
        if not others or not service.retries.budget.take(now):
            return
        service.count("hedges")
        rival = HedgedAttempt(self._pipeline, self._exchange, service, self._target)
        rival._began, rival._ticket = self._began, REFUSED
        rival._tried = tried  # type: ignore[assignment]
        rival._retried = service.retries.most
        rival._rival, self._rival = self, rival
        key = b"" if service.key is None else service.key(self._exchange)
        rival._ask((others,), key, now)

    # Who wins

    def answered(self, reply: Reply, source: BodySource, now: float) -> None:
        if self._rival is not None and reply.status >= 500:
            self._withdraw(reply.status, now)
            return
        self._win()
        super().answered(reply, source, now)

    def answered_whole(self, reply: Reply, now: float) -> None:
        if self._rival is not None and reply.status >= 500:
            self._connection = None
            self._withdraw(reply.status, now)
            return
        self._win()
        super().answered_whole(reply, now)

    def _win(self) -> None:
        """This one's answer is the exchange's."""
        self._calm()
        rival, self._rival = self._rival, None
        if rival is None:
            return
        if not self._ticket:
            self._ticket = rival._ticket
            self._service.count("hedges_won")
        rival._rival = None
        rival._lose()
        self._exchange.work = self
        self._exchange.instance = self._instance.label  # type: ignore[union-attr]

    def _lose(self) -> None:
        """The other one has answered: let everything go, and blame nobody."""
        self._calm()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            return
        connection = self._connection
        instance = self._let_go()
        instance.breaker.forget(self._place)
        if connection is not None:
            connection.abandon()
        elif self._sent == 0.0:
            instance.pool.give_up(self)

    def _withdraw(self, status: int, now: float) -> None:
        """An answer that is worth nothing while the other one may bring a better one."""
        connection = self._connection
        instance = self._let_go()
        if connection is not None:
            connection.abandon()
        self._count_failure(instance, f"status_{status}", now)
        self._leave_it()

    def _leave_it(self) -> None:
        """The other one goes on alone."""
        self._calm()
        rival, self._rival = self._rival, None
        if rival is not None:
            rival._rival = None
            rival._ticket = rival._ticket or self._ticket
            self._exchange.work = rival
            self._exchange.instance = rival._instance.label  # type: ignore[union-attr]

    def _calm(self) -> None:
        timer, self._hedging = self._hedging, None
        if timer is not None:
            timer.cancel()

    # What a single attempt does with the exchange, it does only when it is alone

    def _over(self, error: GatewayError) -> None:
        if self._rival is not None:
            self._leave_it()
        else:
            self._calm()
            super()._over(error)

    def _let_go(self) -> Instance:
        instance = super()._let_go()
        if self._rival is not None:
            self._exchange.work = self._rival
        return instance

    def cancel(self) -> None:
        self._calm()
        rival, self._rival = self._rival, None
        if rival is not None:
            self._ticket = self._ticket or rival._ticket
            rival._rival = None
            rival._lose()
        super().cancel()
