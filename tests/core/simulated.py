"""A service with so many places at once, a stream of requests, and a gate in front of it, in simulated time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush

from ttagw.core.gradient import Gradient


class Simulated:
    """Requests come evenly, are let in up to the gradient's bound, and wait inside until a place is free."""

    def __init__(self, gradient: Gradient, places: int, takes: Callable[[int], float]) -> None:
        """`takes`: seconds of work for the request with this number."""
        self.gradient = gradient
        self.places = places
        self.takes = takes
        self.refuses_beyond = 0
        """More than that at once and the service says 503 at once; 0: never."""
        self.silent = False
        """It says nothing: whoever asked is told so when its time is over."""
        self.now = 0.0
        self.held = 0
        self.shed = self.done = self.refused = 0
        self.latencies: list[float] = []
        self.bounds: list[float] = []
        self._number = 0
        self._next = 0.0
        self._working: list[tuple[float, int, float]] = []
        self._queue: deque[tuple[int, float]] = deque()

    def run(self, seconds: float, rate: float) -> Simulated:
        """Go on for so long with so many requests a second; counts begin anew."""
        self.shed = self.done = self.refused = 0
        self.latencies, self.bounds = [], []
        until = self.now + seconds
        self._next = max(self._next, self.now)
        while True:
            coming = self._next if rate else until
            ending = self._working[0][0] if self._working else until
            self.now = min(coming, ending, until)
            if self.now >= until:
                return self
            if ending <= coming:
                self._end()
            else:
                self._come()
                self._next += 1 / rate
            self.bounds.append(self.gradient.bound)

    def _come(self) -> None:
        if self.held >= int(self.gradient.bound):
            self.shed += 1
            return
        self._number += 1
        self.held += 1
        if self.refuses_beyond and self.held > self.refuses_beyond:
            self.refused += 1
            self.gradient.overrun(self.held, self.now)
            self.held -= 1
        elif len(self._working) < self.places:
            self._work(self._number, self.now)
        else:
            self._queue.append((self._number, self.now))

    def _work(self, number: int, came: float) -> None:
        heappush(self._working, (self.now + self.takes(number), number, came))

    def _end(self) -> None:
        _, _, came = heappop(self._working)
        if self.silent:
            self.gradient.overrun(self.held, self.now)
        else:
            self.done += 1
            self.latencies.append(self.now - came)
            self.gradient.answered(self.now - came, self.held, self.now)
        self.held -= 1
        if self._queue:
            self._work(*self._queue.popleft())

    @property
    def mean(self) -> float:
        """The mean latency."""
        return sum(self.latencies) / len(self.latencies)
