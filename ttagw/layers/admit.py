"""Layer: a bounded number of requests under way; whoever finds no room waits for a short while, or is sent away.

A request takes a place of the gateway, which it gives back after its last byte, and one of its service, which it gives
back when its answer begins: what comes then goes at the pace of the client, and says nothing about the service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import cycle
from typing import Any

from twisted.internet.defer import Deferred

from ttagw.auth.refusals import network
from ttagw.core.admission import CRISIS, Admission, Gate, State, Waiter
from ttagw.core.blocking import note_earned
from ttagw.core.gradient import Gradient
from ttagw.core.pressure import Pressure
from ttagw.core.room import CLASSES
from ttagw.core.sharing import answered, share
from ttagw.errors import ClientClosedError, CrisisCeilingError, GatewayError, OverloadedError
from ttagw.metrics import Histogram
from ttagw.model import Exchange, Reply
from ttagw.pipeline import Hooks, Route

RESPITE = 1.0
"""Seconds for which the connection of somebody who was sent away is not read, at the most. By chance it is less: those
who were sent away together would come together again, and nobody between.
"""
LEAST_RESPITE = 0.1
"""And at the least."""
AGAIN = 3
"""Those who are sent away are told to come back after 1 to so many seconds, so that they do not all come at once."""
MOST_NAMES = 10_000
"""Addresses of which is remembered to which network they belong."""
LATE = frozenset(("response_timeout", "route_timeout", "connect_timeout", "queue_timeout"))
"""Reasons of answers of our own that are due to a service that has too much to do."""
TOO_MUCH = (429, 503)
"""Answers by which a service says so itself."""

SOME = (True, False, False, False)
"""Which of the requests are measured while there are few; all are when there are many."""

Ended = Callable[[Exchange], None]


class Admit:
    """503 for whom there is no room."""

    name = "admit"

    def __init__(
        self, crowd: Crowd, services: Mapping[str, str], gradients: Mapping[str, Gradient], pressure: Pressure
    ) -> None:
        """`services`: by name of the route. `gradients`: by service; one without has a bound that stays."""
        self._crowd = crowd
        self._services = services
        self._gradients = gradients
        self._pressure = pressure

    def bind(self, route: Route) -> Hooks | None:
        """Nothing on a route that leads to no service."""
        service = self._services.get(route.name)
        if service is None:
            return None
        crowd = self._crowd
        gate = crowd.admission.gate(service)
        gradient = self._gradients.get(service)
        return Hooks(self._enter(gate, gradient, self._ended(gate)), self._leave(gate, gradient))

    def _enter(
        self, gate: Gate, gradient: Gradient | None, ended: Ended
    ) -> Callable[[Exchange], Deferred[Reply | None] | None]:
        crowd = self._crowd
        pressure = self._pressure
        stroll = gate.stroll
        monotonic = crowd.monotonic
        measured = cycle(SOME if gradient is not None else (False,)).__next__

        def enter(exchange: Exchange) -> Deferred[Reply | None] | None:
            rank = exchange.rank
            if rank < pressure.least:
                raise crowd.refusal(exchange, rank, pressure.reason)
            if rank == CRISIS:
                user = _user_of(exchange)
                if gate.too_greedy(user):
                    raise crowd.refusal(exchange, rank, "overloaded")
                modest = not gate.greedy(user)
                share(exchange, user, gate.shared, crowd.admission.shared)
                if not modest:
                    return crowd.ask(gate, exchange, user, ended, modest=False)
            if not stroll(rank):
                return crowd.ask(gate, exchange, _user_of(exchange), ended)
            # How fast a client sends its body says nothing about the service.
            exchange.admitted = (rank, "", monotonic() if measured() and exchange.body.complete else 0.0)
            exchange.awaited = True
            exchange.on_end.append(ended)
            return None

        return enter

    def _leave(self, gate: Gate, gradient: Gradient | None) -> Callable[[Exchange, Reply], None]:
        crowd = self._crowd
        line = crowd.admission.line
        room = gate.room
        monotonic = crowd.monotonic

        def leave(exchange: Exchange, reply: Reply) -> None:
            admitted = exchange.admitted
            if admitted is None or not exchange.awaited:
                return
            exchange.awaited = False
            rank, user, since = admitted
            if reply.body is None:
                exchange.on_end.append(crowd.admission.stream(user or _user_of(exchange)))
            if rank == CRISIS:
                answered(exchange, gate.shared)
            held = room.total
            gate.answered(rank)
            if since and gradient is not None and _changed(gradient, exchange, held, since, monotonic()):
                gate.resize(int(gradient.bound))
            if line:
                crowd.serve()

        return leave

    def _ended(self, gate: Gate) -> Ended:
        crowd = self._crowd
        line = crowd.admission.line

        def ended(exchange: Exchange) -> None:
            admitted = exchange.admitted
            if admitted is None:
                return
            exchange.admitted = None
            if exchange.awaited:
                # Its connection was cut: nobody has seen an answer.
                exchange.awaited = False
                gate.answered(admitted[0])
            gate.ended(admitted[0], admitted[1])
            if line:
                crowd.serve()

        return ended


@lru_cache(MOST_NAMES)
def _name(client: str) -> str:
    """What stands for whoever asks from an address; no user's id can look like that."""
    return f" {network(client)}"


def _user_of(exchange: Exchange) -> str:
    """Whose request it is: a user's, or that of an address."""
    return _name(exchange.client) if exchange.identity is None else exchange.identity.user


def _changed(gradient: Gradient, exchange: Exchange, held: int, since: float, now: float) -> bool:
    """Tell the gradient what became of a request. Whether the bound is another one now."""
    if exchange.upstream_seconds:
        if exchange.status in TOO_MUCH:
            return gradient.overrun(held, now)
        # Who has no user came while only some were measured.
        stands_for = 1 if exchange.admitted is None or exchange.admitted[1] else len(SOME)
        return gradient.answered(now - since, held, now, stands_for)
    if exchange.reason in LATE:
        return gradient.overrun(held, now)
    if exchange.status == ClientClosedError.status and 0.0 < gradient.usual < now - since:
        # Somebody who has lost patience: it would have taken longer still.
        return gradient.answered(now - since, held, now)
    return False


class _Guest:
    """Who waits: what is done when there is a place."""

    __slots__ = ("deferred", "ended", "exchange")

    def __init__(self, exchange: Exchange, ended: Ended) -> None:
        self.exchange = exchange
        self.ended = ended
        self.deferred: Deferred[Reply | None] | None = None


class Crowd:
    """Those who find no room: they wait, are let in, or are sent away, and all of that is counted."""

    def __init__(
        self, admission: Admission, reactor: Any, monotonic: Callable[[], float], random: Callable[[], float]
    ) -> None:
        self.admission = admission
        self.monotonic = monotonic
        self.shed: dict[tuple[int, str], int] = {}
        """Requests that were sent away, by class and reason."""
        self.bypasses = 0
        """Requests of the class `crisis` that were let in although there was no room."""
        self.waited = [Histogram() for _ in range(CLASSES)]
        """How long they waited who were let in then, by class."""
        self._reactor = reactor
        self._random = random
        self._timer: Any = None
        self._serving = self._again = False

    def ask(
        self, gate: Gate, exchange: Exchange, user: str, ended: Ended, *, modest: bool = True
    ) -> Deferred[Reply | None] | None:
        """A place, now or later. Raises, or fails with, `OverloadedError` and `CrisisCeilingError`."""
        rank = exchange.rank
        if self.admission.crisis_full if rank == CRISIS else self.admission.greedy(user):
            raise self.refusal(exchange, rank, "overloaded")
        guest = _Guest(exchange, ended)
        waiter = Waiter(rank, user, self.monotonic(), guest)
        pushed = gate.ask(waiter, modest=modest)
        if waiter.state is State.INSIDE:
            self._admit(waiter)
            return None
        if waiter.state is State.OUTSIDE:
            raise self.refusal(exchange, rank, "overloaded")
        deferred: Deferred[Reply | None] = Deferred(lambda _: self._given_up(waiter))
        guest.deferred = deferred
        if self._timer is None:
            self._timer = self._reactor.callLater(self.admission.patience, self._look)
        if pushed is not None:
            # Whatever comes of that, this one waits already.
            self._send_away(pushed, "overloaded")
        return deferred

    def refusal(self, exchange: Exchange, rank: int, reason: str) -> GatewayError:
        """The error for somebody who is sent away; counted."""
        exchange.respite = LEAST_RESPITE + (RESPITE - LEAST_RESPITE) * self._random()
        key = (rank, "crisis_ceiling" if rank == CRISIS else reason)
        self.shed[key] = self.shed.get(key, 0) + 1
        if rank == CRISIS:
            # Others have taken what there is: nobody is blocked for that.
            note_earned(exchange)
            return CrisisCeilingError(retry_after=1)
        return OverloadedError(reason, retry_after=1 + int(self._random() * AGAIN))

    def serve(self) -> None:
        """There may be room: let in whom there is room for."""
        self._again = True
        if self._serving:
            # Whoever is let in may end at once. The list of calls must not become as long as that of those who wait.
            return
        self._serving = True
        try:
            while self._again:
                self._again = False
                for waiter in self.admission.serve():
                    self._let_in(waiter)
        finally:
            self._serving = False

    def send_away_below(self, least: int, reason: str) -> None:
        """Those of lower classes wait no longer."""
        for waiter in self.admission.below(least):
            self._send_away(waiter, reason)

    def stop(self) -> None:
        """Nobody waits any more."""
        self.send_away_below(CLASSES, "overloaded")
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _let_in(self, waiter: Waiter) -> None:
        if waiter.state is not State.INSIDE:
            # Given up because of what became of another who was let in with it.
            return
        if waiter.tag.exchange.over:
            # Its connection was cut, and nobody will tell of its end.
            self._given_up(waiter)
            return
        self.waited[waiter.rank].observe(self.monotonic() - waiter.since)
        deferred = waiter.tag.deferred
        self._admit(waiter)
        deferred.callback(None)

    def _admit(self, waiter: Waiter) -> None:
        guest: _Guest = waiter.tag
        exchange = guest.exchange
        exchange.admitted = (waiter.rank, waiter.user, self.monotonic() if exchange.body.complete else 0.0)
        exchange.awaited = True
        exchange.on_end.append(guest.ended)
        # Nothing is left that holds itself: bodies are not kept until somebody looks for garbage.
        waiter.tag = None
        if waiter.bypassed:
            self.bypasses += 1
            exchange.bypass = f"{exchange.bypass},shed" if exchange.bypass else "shed"

    def _given_up(self, waiter: Waiter) -> None:
        """The client has left, or its time is over."""
        waiter.tag = None
        if waiter.state is State.WAITING:
            self.admission.drop(waiter)
        elif waiter.state is State.INSIDE:
            waiter.state = State.OUTSIDE
            waiter.gate.answered(waiter.rank)
            waiter.gate.ended(waiter.rank, waiter.user)
            self.serve()

    def _send_away(self, waiter: Waiter, reason: str) -> None:
        guest: _Guest | None = waiter.tag
        waiter.tag = None
        # It may have left because of another who was sent away with it.
        if guest is not None and guest.deferred is not None:
            guest.deferred.errback(self.refusal(guest.exchange, waiter.rank, reason))

    def _look(self) -> None:
        """Somebody may have waited too long."""
        self._timer = None
        for waiter in self.admission.overdue(self.monotonic()):
            self._send_away(waiter, "queue_time")
        line = self.admission.line
        if line and self._timer is None:
            first = next(iter(line))
            rest = first.since + self.admission.patience - self.monotonic()
            self._timer = self._reactor.callLater(max(rest, 0.001), self._look)
