"""What requests of the class crisis did, and what they were let pass: counted, and told so that it cannot flood."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ttagw.model import Exchange
from ttagw.registry.events import Events

EVERY = 10.0
"""Seconds between two words about the same reason, at the least."""


class CrisisRecord:
    """Counts, by names of routes and fixed reasons. Nothing in it is about a person."""

    log = Logger()

    def __init__(self, events: Events, clock: Any) -> None:
        self.requests: dict[str, int] = {}
        """By route."""
        self.bypasses: dict[tuple[str, str], int] = {}
        """By route and reason."""
        self.fallbacks: dict[str, int] = {}
        """By reason."""
        self._events = events
        self._untold: dict[str, int] = {}
        """By reason: those since the last word; a reason that is here had one less than `EVERY` ago."""
        self._telling = LoopingCall(self._tell_rest)
        self._telling.clock = clock

    def start(self) -> None:
        """From now on the rest is told, too."""
        self._telling.start(EVERY, now=False)

    def stop(self) -> None:
        """Tell what has not been told."""
        if self._telling.running:
            self._telling.stop()
        self._tell_rest()

    def ended(self, exchange: Exchange) -> None:
        """An exchange of the class crisis is over."""
        route = exchange.route.name
        self.requests[route] = self.requests.get(route, 0) + 1
        if exchange.helped:
            self.fallbacks[exchange.reason] = self.fallbacks.get(exchange.reason, 0) + 1
        if exchange.bypass:
            for reason in exchange.bypass.split(","):
                self.bypasses[route, reason] = self.bypasses.get((route, reason), 0) + 1
                self._note(reason)

    def _note(self, reason: str) -> None:
        if reason in self._untold:
            self._untold[reason] += 1
        else:
            # The first is told at once.
            self._untold[reason] = 0
            self._say(reason, 1)

    def _tell_rest(self) -> None:
        told, self._untold = self._untold, {}
        for reason, count in told.items():
            if count:
                self._say(reason, count)
                self._untold[reason] = 0

    def _say(self, reason: str, count: int) -> None:
        self.log.warn("{count} crisis requests were let past: {reason}", count=count, reason=reason)
        self._events.tell("crisis_bypass", "", reason=reason, severity="warn")
