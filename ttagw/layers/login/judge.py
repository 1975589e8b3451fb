"""What becomes of the service's answer to one login."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure

from ttagw.core.login import Verdict, is_invalid_grant, verdict
from ttagw.errors import GatewayError, LoginRefusedError
from ttagw.layers.login.aside import Aside
from ttagw.layers.login.grid import Grid
from ttagw.model import BodySource, Exchange, Reply
from ttagw.pipeline import Pipeline


class Ticket(Protocol):
    """A login that was let through; see `ttagw.auth.lockouts`. It ends once, however often that is said."""

    def failed(self) -> None:
        """Name and password did not fit."""

    def succeeded(self) -> None:
        """They did."""

    def over(self) -> None:
        """Nothing was found out."""


class Judge(Pipeline):
    """Stands in for the pipeline while a login is at its service; a route's innermost step takes it for one.

    What is good, or says nothing about name and password, is passed on as it is. All else becomes one and the same
    refusal, which leaves on the grid: the service's own words, and how long it took, would tell which accounts exist.
    """

    def __init__(self, pipeline: Pipeline, exchange: Exchange, ticket: Ticket, grid: Grid) -> None:
        """The grid is counted from now."""
        self._pipeline = pipeline
        self._ticket = ticket
        self._grid = grid
        self._since = grid.now()
        self._refused = False
        self._aside = exchange.sink = Aside(exchange.sink)

    def answer(self, exchange: Exchange, reply: Reply, source: BodySource | None = None) -> None:
        """The service has answered; with `source` the body follows."""
        found = verdict(reply.status)
        if found is Verdict.REFUSED:
            # Counted before anything else, so that nobody gets around it by leaving early.
            self._refused = True
            self._ticket.failed()
        elif found is not Verdict.UNCLEAR:
            (self._ticket.succeeded if found is Verdict.GOOD else self._ticket.over)()
            self._pass_on(exchange, reply, source)
            return
        if source is None:
            self._judge(exchange, reply, reply.body or b"")
        else:
            self._aside.put(partial(self._judge, exchange, reply), partial(self._too_long, exchange, reply, source))

    def _judge(self, exchange: Exchange, reply: Reply, body: bytes) -> None:
        if self._refused or is_invalid_grant(body):
            self._ticket.failed()
            self._refuse(exchange)
            return
        self._ticket.over()
        reply.body = body
        self._pass_on(exchange, reply, None)

    def _too_long(self, exchange: Exchange, reply: Reply, source: BodySource) -> None:
        if self._refused:
            if exchange.work is not None:
                exchange.work.cancel()
            self._refuse(exchange)
            return
        # Nobody says `invalid_grant` in so many words.
        self._ticket.over()
        begun = self._aside.let_go()
        self._pass_on(exchange, reply, source)
        self._aside.write(begun)
        self._aside.flush()

    def fail(self, exchange: Exchange, error: GatewayError) -> None:
        """There is no answer, or not a whole one."""
        if self._refused:
            self._refuse(exchange)
            return
        self._ticket.over()
        self._restore(exchange)
        self._pipeline.fail(exchange, error)

    def _pass_on(self, exchange: Exchange, reply: Reply, source: BodySource | None) -> None:
        self._restore(exchange)
        self._pipeline.answer(exchange, reply, source)

    def _restore(self, exchange: Exchange) -> None:
        self._aside.let_go()
        exchange.sink = self._aside.sink

    def _refuse(self, exchange: Exchange) -> None:
        """At the next point of the grid, unless the client leaves before."""
        self._restore(exchange)
        # The service has answered: its deadline is over, and this wait is ours.
        exchange.deadline = 0.0
        exchange.work = point = self._grid.point(self._since)
        point.addCallbacks(lambda _: self._pipeline.fail(exchange, LoginRefusedError()), _cancelled)


def _cancelled(failure: Failure) -> None:
    failure.trap(CancelledError)
