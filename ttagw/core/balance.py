"""Which of a service's instances gets the next request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp
from typing import Protocol, TypeVar

from ttagw.core.ring import Ring

DECAY = 10.0
"""Seconds in which a measured latency fades to a third (1/e)."""

SILENCE = DECAY
"""Seconds without an answer after which an instance counts as one that was never measured.

A single answer a thousand times slower than usual would otherwise take more than a minute to fade, in which nothing can
show that all is well again.
"""

EQUAL = 0.005
"""Seconds up to which latencies are alike: who answers in 1 ms is not kept from work by one answer that took 2."""

DRAWS = 32
"""How often one is drawn anew before a small weight counts like any other."""

RINGS = 3
"""Rings that `Hash` keeps beside the present one."""

PENALTY = 1e6
"""Cost of an instance that has requests under way and never answered one: anything measured is better."""


class Load:
    """What is known about an instance that can be chosen. Made to be subclassed."""

    __slots__ = ("credit", "full", "in_flight", "latency", "name", "stamp", "weight")

    def __init__(self, name: str, weight: int = 1) -> None:
        self.name = name
        """What its place on the ring comes from: the same in every process."""
        self.full = weight
        """Its share, 1 or more."""
        self.weight: float = weight
        """Its share at present: less for one that has just come, above 0."""
        self.in_flight = 0
        """Requests under way, kept by whoever sends them."""
        self.latency = 0.0
        """Peak EWMA of answer times in seconds, as of `stamp`; 0: never measured."""
        self.stamp = 0.0
        """Monotonic seconds of the last measurement."""
        self.credit = 0.0
        """What smooth round robin owes it."""


L = TypeVar("L", bound=Load)


class Chooser(Protocol):
    """A way to choose. `loads` is never empty and is replaced, not changed, when instances come and go."""

    def choose(self, loads: Sequence[L], key: bytes, now: float) -> L:
        """The instance for a request with this key (b"": none), at `now` monotonic seconds."""

    def observe(self, load: Load, seconds: float, now: float) -> None:
        """`load` took `seconds` to answer, and did so at `now`."""


class P2C:
    """The cheaper of two at random, by peak EWMA of latency, as Finagle does: fast, and quick to leave who gets slow.

    `random` gives floats in [0, 1). Two are drawn by weight; the cost of each is latency * (1 + in flight / weight);
    of equals the first is taken. So a weight is a share when little is going on, and when much is. A slower answer than
    expected counts at once, a faster one slowly (`DECAY`); after `SILENCE` nothing is known any more.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._loads: Sequence[Load] = ()
        self._most = 1.0
        """The largest weight of those who are there."""

    def choose(self, loads: Sequence[L], key: bytes, now: float) -> L:  # noqa: ARG002 - as in Chooser
        count = len(loads)
        if count == 1:
            return loads[0]
        if loads is not self._loads:
            self._loads = loads
            self._most = max([load.full for load in loads])
        random = self._random
        one = loads[int(random() * count)]
        if one.weight < self._most:
            one = self._draw(loads, one)
        two = loads[int(random() * count)]
        if two.weight < self._most:
            two = self._draw(loads, two)
        if one is two:
            # By place, so that both orders are as likely.
            place = loads.index(one) + 1 + int(random() * (count - 1))
            two = loads[place % count]
            if two.weight < one.weight and random() * one.weight >= two.weight:
                return one
        return one if _cost(one, now) <= _cost(two, now) else two

    def _draw(self, loads: Sequence[L], load: L) -> L:
        """This one as often as its weight says, compared to the largest; else another draw."""
        random, most, count = self._random, self._most, len(loads)
        for _ in range(DRAWS):
            if random() * most < load.weight:
                break
            load = loads[int(random() * count)]
        return load

    def observe(self, load: Load, seconds: float, now: float) -> None:
        latency = load.latency
        if seconds < latency and now - load.stamp < SILENCE:
            keep = exp((load.stamp - now) / DECAY) if now > load.stamp else 1.0
            load.latency = latency * keep + seconds * (1.0 - keep)
        else:
            load.latency = seconds
        load.stamp = now


def _cost(load: Load, now: float) -> float:
    latency = load.latency
    idle = now - load.stamp
    if not latency or idle >= SILENCE:
        return PENALTY + load.in_flight / load.weight if load.in_flight else 0.0
    if idle > 0.0:
        latency *= exp(-idle / DECAY)
    if latency < EQUAL:
        latency = EQUAL
    return latency * (1.0 + load.in_flight / load.weight)


class RoundRobin:
    """In turn, each as often as its weight says and evenly spread, as nginx does (smooth weighted round robin)."""

    def choose(self, loads: Sequence[L], key: bytes, now: float) -> L:  # noqa: ARG002 - as in Chooser
        return loads[0] if len(loads) == 1 else _in_turn(loads)

    def observe(self, load: Load, seconds: float, now: float) -> None:
        """Nothing to learn."""


def _in_turn(loads: Sequence[L]) -> L:
    total = 0.0
    best = loads[0]
    most = float("-inf")
    for load in loads:
        weight = load.weight
        total += weight
        load.credit = credit = load.credit + weight
        if credit > most:
            best, most = load, credit
    best.credit -= total
    return best


class LeastConn:
    """Who has the fewest requests under way for its weight; among equals, in turn."""

    def choose(self, loads: Sequence[L], key: bytes, now: float) -> L:  # noqa: ARG002 - as in Chooser
        if len(loads) == 1:
            return loads[0]
        best = loads[0]
        busy, weight = best.in_flight, best.weight
        equals: list[L] = []
        for load in loads:
            # a/b < c/d without dividing.
            difference = load.in_flight * weight - busy * load.weight
            if difference < 0:
                best, busy, weight = load, load.in_flight, load.weight
                equals = [load]
            elif not difference:
                equals.append(load)
        return best if len(equals) == 1 else _in_turn(equals)

    def observe(self, load: Load, seconds: float, now: float) -> None:
        """Nothing to learn: what is under way says it all."""


class Hash:
    """The same instance for the same key, in every process, as long as it is there (consistent hashing).

    Adding one instance to n moves about 1/(n + 1) of the keys, removing one only its own. Without a key: least_conn.
    When a sequence that leaves some out comes for the first time, as in a retry, the present ring is walked past those
    that are missing; the second time it gets a ring of its own. Weights are read when the ring is built. The last few
    rings are kept: a ring takes milliseconds, and two zones may be asked in turns.
    """

    def __init__(self) -> None:
        self._without_key = LeastConn()
        self._loads: Sequence[Load] = ()
        self._passing: Sequence[Load] = ()
        self._ring: Ring = Ring(())
        self._before: list[tuple[Sequence[Load], Ring]] = []

    def choose(self, loads: Sequence[L], key: bytes, now: float) -> L:
        if len(loads) == 1:
            return loads[0]
        if not key:
            return self._without_key.choose(loads, key, now)
        if loads is not self._loads:
            return self._strange(loads, key)
        return loads[self._ring.owner(key)]

    def _strange(self, loads: Sequence[L], key: bytes) -> L:
        for known, ring in self._before:
            if loads is known:
                return loads[ring.owner(key)]
        if loads is not self._passing:
            self._passing = loads
            places = {load.name: place for place, load in enumerate(loads)}
            for known, ring in ((self._loads, self._ring), *self._before):
                names = [load.name for load in known]
                if set(names).issuperset(places):
                    return loads[next(places[names[owner]] for owner in ring.owners(key) if names[owner] in places)]
        self._before = [(self._loads, self._ring), *self._before][:RINGS]
        self._loads = loads
        self._ring = Ring([(load.name, load.full) for load in loads])
        return loads[self._ring.owner(key)]

    def observe(self, load: Load, seconds: float, now: float) -> None:
        """Nothing to learn: the key decides."""


def make(name: str, random: Callable[[], float]) -> Chooser:
    """The chooser that `services.*.balance` names: p2c, round_robin, least_conn or hash. Raises `ValueError`."""
    if name == "p2c":
        return P2C(random)
    plain: dict[str, Callable[[], Chooser]] = {"round_robin": RoundRobin, "least_conn": LeastConn, "hash": Hash}
    if name not in plain:
        raise ValueError(f'"{name}" is not a way to balance')
    return plain[name]()
