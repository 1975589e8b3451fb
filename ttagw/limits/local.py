"""Buckets in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ttagw.core.gcra import Meter
from ttagw.limits.base import State, Terms, Verdict, Want
from ttagw.limits.table import MOST, Table

_new = tuple.__new__
"""Makes a named tuple of what is known to have the right length, in a third of the time."""


class _Limit:
    """One limit: its clock, its buckets, and by which terms the clock goes."""

    __slots__ = ("burst", "count", "meter", "table", "terms", "window")

    def __init__(self, terms: Terms, scale: float, now: float, most: int) -> None:
        self.meter = Meter(terms.per_second * scale, _share(terms, scale), now)
        self.table = Table(now, most)
        self._go_by(terms, now)

    def renew(self, terms: Terms, scale: float, now: float) -> None:
        """The terms are others, or how much of them is for this gateway: what was used stays used."""
        self.meter.change(terms.per_second * scale, _share(terms, scale), now)
        self._go_by(terms, now)

    def _go_by(self, terms: Terms, now: float) -> None:
        self.terms = terms
        self.count, self.window, self.burst = terms.count, terms.window, terms.burst
        self.table.keep_for(self.meter.burst / self.meter.rate, now)


def _share(terms: Terms, scale: float) -> float:
    """What of a burst is for this gateway; one request at the least, or it would never let anybody through."""
    return max(terms.burst * scale, min(terms.burst, 1.0))


class LocalBuckets:
    """Buckets that nobody else sees. Nothing here waits.

    Whoever changes terms calls `refresh` at that moment; terms that are found to be others are taken up as well, at the
    next use.
    """

    def __init__(self, monotonic: Callable[[], float], scale: float = 1.0, most: int = MOST) -> None:
        """`scale`: how much of the rate and burst of each limit is for this gateway. `most`: keys of one limit."""
        self._monotonic = monotonic
        self._scale = scale
        self._most = most
        self._limits: dict[str, _Limit] = {}

    # As of `Buckets`

    def take(self, wants: Sequence[Want]) -> Verdict:
        """Charge all of it or nothing."""
        now = self._monotonic()
        limits = self._limits
        if len(wants) != 1:
            return self._take_several(wants, now)
        terms, key, cost = wants[0]
        limit = limits.get(terms.name)
        if limit is None or limit.count != terms.count or limit.burst != terms.burst or limit.window != terms.window:
            limit = self._limit(terms, now)
        table = limit.table
        newest = table.newest
        empty = newest.get(key)
        fits, after, left, reset = limit.meter.ask(table.find(key) if empty is None else empty, now, cost)
        if not (fits and cost):
            return self._take_all(wants, now)
        if empty is None:
            table.put(key, after, now, after - cost)
        else:
            newest[key] = after
        return _new(Verdict, (True, (_new(State, (left, reset)),), None, 0.0, None, False))

    def _take_several(self, wants: Sequence[Want], now: float) -> Verdict:
        """The usual case: each of another limit, and all of them fit."""
        limits = self._limits
        states: list[State] = []
        found: list[tuple[_Limit, str, float, float, bool]] = []
        for terms, key, cost in wants:
            limit = limits.get(terms.name)
            if (
                limit is None
                or limit.count != terms.count
                or limit.burst != terms.burst
                or limit.window != terms.window
            ):
                limit = self._limit(terms, now)
            empty = limit.table.newest.get(key)
            known = empty is not None
            fits, after, left, reset = limit.meter.ask(limit.table.find(key) if empty is None else empty, now, cost)
            if not (fits and cost):
                return self._take_all(wants, now)
            states.append(_new(State, (left, reset)))
            found.append((limit, key, after, after - cost, known))
        many = len(found)
        if found[0][0] is found[1][0] if many == 2 else len({each[0] for each in found}) < many:
            return self._take_all(wants, now)
        for limit, key, after, at, known in found:
            if known:
                limit.table.newest[key] = after
            else:
                limit.table.put(key, after, now, at)
        return _new(Verdict, (True, states, None, 0.0, None, False))

    def give_back(self, wants: Sequence[Want]) -> None:
        """What was charged was not used after all. What has leaked meanwhile is not taken again."""
        now = self._monotonic()
        for terms, key, cost in wants:
            limit = self._limit(terms, now)
            at = limit.meter.at(now)
            empty = limit.table.find(key)
            if empty > at and cost:
                limit.table.put(key, empty - cost, now, at)

    def reset(self, terms: Terms, key: str) -> None:
        """The bucket is as if nothing had been used."""
        self._limit(terms, self._monotonic()).table.remove(key)

    # More than that

    def look(self, wants: Sequence[Want]) -> Verdict:
        """What `take` would say, and nothing is charged."""
        return self._take_all(wants, self._monotonic(), keep=False)

    def charge(self, want: Want) -> None:
        """Charge something that has been used already, whether it fits or not."""
        terms, key, cost = want
        now = self._monotonic()
        limit = self._limit(terms, now)
        at = limit.meter.at(now)
        limit.table.put(key, limit.meter.charged(limit.table.find(key), at, cost), now, at)

    def debt(self, terms: Terms, key: str) -> tuple[float, State]:
        """Seconds until no more is used than the bucket holds, and how it is."""
        now = self._monotonic()
        limit = self._limit(terms, now)
        meter = limit.meter
        at = meter.at(now)
        empty = limit.table.find(key)
        wait = 0.0 if meter.fits(empty, at) else meter.wait(empty, at, 0.0)
        return wait, _state(meter, empty, at)

    def refresh(self, terms: Terms) -> None:
        """These terms were changed just now."""
        limit = self._limits.get(terms.name)
        if limit is not None:
            limit.renew(terms, self._scale, self._monotonic())

    @property
    def scale(self) -> float:
        """How much of the rate and burst of each limit is for this gateway."""
        return self._scale

    @scale.setter
    def scale(self, scale: float) -> None:
        now = self._monotonic()
        if scale != self._scale:
            self._scale = scale
            for limit in self._limits.values():
                limit.renew(limit.terms, scale, now)

    def keys(self, name: str) -> int:
        """How many keys of this limit are kept."""
        limit = self._limits.get(name)
        return 0 if limit is None else len(limit.table)

    def dropped(self, name: str) -> int:
        """How many keys of this limit went though they were in use, because there were too many."""
        limit = self._limits.get(name)
        return 0 if limit is None else limit.table.dropped

    # Inside

    def _limit(self, terms: Terms, now: float) -> _Limit:
        limit = self._limits.get(terms.name)
        if limit is None:
            limit = self._limits[terms.name] = _Limit(terms, self._scale, now, self._most)
        elif limit.count != terms.count or limit.burst != terms.burst or limit.window != terms.window:
            limit.renew(terms, self._scale, now)
        return limit

    def _take_all(self, wants: Sequence[Want], now: float, keep: bool = True) -> Verdict:
        """Look at all of them first; two for one bucket see each other."""
        asked: list[_Asked] = []
        refused: _Asked | None = None
        dry: Terms | None = None
        for terms, key, cost in wants:
            limit = self._limit(terms, now)
            meter = limit.meter
            at = meter.at(now)
            for before in reversed(asked):
                if before.limit is limit and before.key == key:
                    one = _Asked(limit, key, at, before.empty, before.after, before.cost + cost)
                    break
            else:
                empty = limit.table.find(key)
                one = _Asked(limit, key, at, empty, empty, cost)
            asked.append(one)
            if not cost:
                continue
            after = meter.charged(one.after, at, cost)
            # What our share never has room for, and the whole bucket has, passes when ours is empty.
            large = meter.burst < one.cost <= terms.burst
            if meter.fits(after, at) or (large and one.after <= at):
                one.after = after
            elif terms.dry_run:
                dry = dry or terms
            else:
                one.after = after
                one.wait = meter.reset(one.empty, at) if large else meter.wait(after, at, one.cost)
                if refused is None or one.wait > refused.wait:
                    refused = one
        if refused is not None:
            return Verdict(
                False,
                [_state(each.limit.meter, each.empty, each.at) for each in asked],
                refused.limit.terms,
                refused.wait,
                dry,
            )
        if keep:
            for each in asked:
                if each.after != each.empty:
                    each.limit.table.put(each.key, each.after, now, each.at)
        states = [_state(each.limit.meter, each.after if keep else each.empty, each.at) for each in asked]
        return _new(Verdict, (True, states, None, 0.0, dry, False))


class _Asked:
    """What is wanted of one bucket: when it would be empty now, and after."""

    __slots__ = ("after", "at", "cost", "empty", "key", "limit", "wait")

    def __init__(self, limit: _Limit, key: str, at: float, empty: float, after: float, cost: float) -> None:
        self.limit = limit
        self.key = key
        self.at = at
        self.empty = empty
        self.after = after
        self.cost = cost
        self.wait = 0.0


def _state(meter: Meter, empty: float, at: float) -> State:
    return _new(State, (meter.left(empty, at), meter.reset(empty, at)))
