"""Gateways that share limits by a ledger which is near, far, slow, deaf or gone, in a time of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import Clock

from tests.limits.ledger import Ledger
from ttagw.core.lease import Answer, Item
from ttagw.limits.base import State, Terms, Verdict, Want
from ttagw.limits.shared import SharedBuckets


class AwayError(Exception):
    """As of a store."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Line:
    """A gateway's connection to the ledger. What is on its way when it is cut arrives or not, and is never answered."""

    def __init__(self, ledger: Ledger, clock: Clock, name: str) -> None:
        self._ledger = ledger
        self._clock = clock
        self.name = name
        self.generation = 0
        self.reason = "starting"
        self.told: Callable[[], None] = lambda: None
        self.there = 0.001
        """Seconds that a question takes."""
        self.back = 0.001
        self.deaf = False
        """Whether what is asked gets lost on its way."""
        self.gateways = 1
        self.charged_at = 0.0
        """When the ledger did what is answered just now."""
        self.asked = 0
        self._waiting: list[Deferred[Answer]] = []
        self._arrives = self._comes = 0.0

    def start(self) -> None:
        self.generation += 1
        self.reason = ""
        self.told()

    async def stop(self) -> None:
        self.told = lambda: None
        self.cut()

    def cut(self) -> None:
        """The connection is lost."""
        self.generation += 1
        waiting, self._waiting = self._waiting, []
        self.reason = "connection_lost"
        self.told()
        for each in waiting:
            each.errback(AwayError("connection_lost"))

    def mend(self) -> None:
        """There is another."""
        if self.reason:
            self.start()

    def hello(self) -> Deferred[int]:
        said: Deferred[int] = Deferred()
        self.count([]).addCallbacks(lambda _: said.callback(self.gateways), said.errback)
        return said

    def count(self, items: Sequence[Item]) -> Deferred[Answer]:
        if self.reason:
            return fail(AwayError(self.reason))
        if items:
            self.asked += 1
        generation, deaf = self.generation, self.deaf
        answered: Deferred[Answer] = Deferred()
        self._waiting.append(answered)
        # One after the other, as on a connection.
        self._arrives = max(self._arrives, self._clock.seconds() + self.there)

        def arrive() -> None:
            now = self._clock.seconds()
            if deaf:
                return
            answer = self._ledger.count(f"{self.name}/{generation}", items, now)
            self._comes = max(self._comes, now + self.back)
            self._clock.callLater(self._comes - now, come, answer, now)

        def come(answer: Answer, at: float) -> None:
            if answered in self._waiting:
                self._waiting.remove(answered)
                self.charged_at = at
                answered.callback(answer)

        self._clock.callLater(self._arrives - self._clock.seconds(), arrive)
        return answered


class Plain:
    """Local buckets that let everything through, and count."""

    def __init__(self) -> None:
        self.scale = 1.0
        self.taken: list[Want] = []
        self.given_back: list[Want] = []
        self.forgiven: list[str] = []
        self.verdict = Verdict(True, ())

    def take(self, wants: Sequence[Want]) -> Verdict:
        self.taken += wants
        return self.verdict._replace(states=[State(1.0, 1.0) for _ in wants])

    def give_back(self, wants: Sequence[Want]) -> None:
        self.given_back += wants

    def reset(self, _: Terms, key: str) -> None:
        self.forgiven.append(key)


class Gateway:
    """One of several."""

    def __init__(self, ledger: Ledger, clock: Clock, name: str) -> None:
        self.clock = clock
        self.line = Line(ledger, clock, name)
        self.local = Plain()
        self.told: list[tuple[bool, str]] = []
        self.buckets = SharedBuckets(
            self.line, self.local, clock, clock.seconds, lambda up, why: self.told.append((up, why))
        )
        self.used: list[tuple[float, float]] = []
        """When, and how much, was let through; of what the ledger charged it is its moment that counts."""
        self.refused: list[tuple[float, Verdict]] = []
        self.waited: list[float] = []
        self.unneeded: list[Want] = []
        """To be given back as soon as they are charged."""

    def start(self) -> None:
        self.buckets.start()
        advance(self.clock, 0.1)
        assert self.buckets.there

    def take(self, want: Want) -> Verdict | Deferred[Verdict]:
        """Ask for one, and keep account of what comes."""
        began = self.clock.seconds()
        answer = self.buckets.take([want])

        def said(verdict: Verdict, asked: bool) -> None:
            now = self.clock.seconds()
            self.waited.append(now - began)
            if verdict.allowed and any(want is each for each in self.unneeded):
                self.buckets.give_back([want])
            elif verdict.allowed:
                self.used.append((self.line.charged_at if asked else now, want.cost))
            else:
                self.refused.append((now, verdict))

        if isinstance(answer, Deferred):
            answer.addCallbacks(
                lambda verdict: said(verdict, self.buckets.there), lambda failure: failure.trap(CancelledError) and None
            )
        else:
            said(answer, False)
        return answer


def advance(clock: Clock, seconds: float, step: float = 0.001) -> None:
    """Let time go by, in small steps."""
    for _ in range(round(seconds / step)):
        clock.advance(step)
