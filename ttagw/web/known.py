"""Recognising the head of a request by the one before it on the same connection.

A client that keeps its connection sends much the same head again and again. One that differs from the one before only
in its target, and in values that mean nothing for how it is read, needs no parser: everything else about it has been
judged already, and those are judged here, exactly as strictly.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from ttagw.core.headers import REQUESTS, TRUSTED_REQUESTS, Laid, Plan, lay
from ttagw.core.stencil import MOST_HOLES, Lines, Stencil, cut, differing
from ttagw.core.target import TargetError, canonical, split_target
from ttagw.model import Exchange, Fields

LONGEST_KNOWN = 4096
"""Bytes of a head that are kept to recognise the next one by."""
LONGEST_PAUSE = 63
"""Heads of which none is remembered, when those that were did not come again."""


class KnownHead:
    """What a head said, but for its target and what is in its holes."""

    __slots__ = (
        "_authority",
        "_client",
        "_credentials",
        "_end",
        "_fields",
        "_forwarded",
        "_holes",
        "_host",
        "_laid",
        "_lines",
        "_method",
        "_places",
        "_raw",
        "_start",
        "_stencil",
    )

    def __init__(self, exchange: Exchange, end: bytes, raw: Fields, holes: AbstractSet[int] = frozenset()) -> None:
        """`end` is everything after the target, `raw` the fields as they came, `holes` the places of those whose values
        may be others. For a request without a body, as it was before any layer saw it.
        """
        self._start = exchange.method + b" "
        self._end = end
        self._raw = raw
        self._method = exchange.method
        self._fields = exchange.fields[:]
        self._credentials = exchange.credentials
        self._authority = exchange.authority
        self._host = exchange.host
        self._forwarded = exchange.forwarded
        self._client = exchange.client
        self._holes = holes
        plan = _plan(exchange, raw)
        self._stencil: Stencil | None = None
        self._places: list[tuple[bytes, int, int]] = []
        self._laid: Laid = (self._fields, lay(self._fields))
        self._lines: Lines | None = None
        if holes and holes <= plan.free and len(plan.kept) == len(exchange.fields):
            self._stencil = cut(end, raw, holes)
            self._places = [_place(plan, raw, place) for place in sorted(holes)]
            varying = [field for _, field, _ in self._places if field >= 0]
            self._lines = Lines(self._fields, varying) if varying else None

    def wider(self, exchange: Exchange, end: bytes, raw: Fields) -> KnownHead | None:
        """What recognises this head as well, and those that differ from both in the same places; None: nothing does."""
        more = differing(self._raw, raw)
        if not more:
            return None
        holes = more | self._holes
        if holes == self._holes or len(holes) > MOST_HOLES:
            return None
        known = KnownHead(exchange, end, raw, holes)
        return known if known._stencil is not None else None

    def read(self, exchange: Exchange, data: bytes, max_uri: int) -> bool:
        """Fill in what the head says; False if it is not like this one and somebody else has to judge it."""
        start = self._start
        if not data.startswith(start):
            return False
        # No target has a space in it.
        at = len(start)
        end = data.find(b" ", at)
        if end - at > max_uri:
            return False
        stencil = self._stencil
        values = None
        if stencil is not None:
            found = stencil.read(data, end)
            if found is None or found[1] != len(data):
                return False
            values = found[0]
        elif data[end:] != self._end:
            return False
        try:
            path, exchange.query, absolute = split_target(data[at:end])
            if absolute is not None or path == b"*":
                return False
            exchange.path = canonical(path)
        except TargetError:
            return False
        exchange.method = self._method
        exchange.fields = self._fields[:]
        exchange.laid = self._laid
        exchange.credentials = self._credentials
        exchange.authority = self._authority
        exchange.host = self._host
        exchange.forwarded = self._forwarded
        exchange.client = self._client
        if values is not None:
            self._fill(exchange, values)
        return True

    def _fill(self, exchange: Exchange, values: list[bytes]) -> None:
        """Put what is in the holes where it belongs."""
        credentials = None
        varying = []
        for (name, field, credential), value in zip(self._places, values, strict=True):
            if field >= 0:
                exchange.fields[field] = (name, value)
                varying.append(value)
            elif credential >= 0:
                if credentials is None:
                    exchange.credentials = credentials = list(self._credentials or ())
                credentials[credential] = (name, value)
        if self._lines is not None:
            exchange.laid = (exchange.fields[:], self._lines.lay(varying))


class HeadMemory:
    """What one connection remembers of its heads. Those that do not come again are remembered ever more rarely."""

    __slots__ = ("_missed", "known", "longest", "pause", "wait")

    def __init__(self, longest: int) -> None:
        """`longest`: bytes of a request that can be recognised at all."""
        self.longest = longest
        self.known: KnownHead | None = None
        self.pause = 0
        """How many were passed over last; whoever recognises one sets it to 0."""
        self.wait = 1
        """Requests before the next one that is worth `learn`. The first of a connection may be its last."""
        self._missed: KnownHead | None = None

    def miss(self) -> None:
        """What comes now is not like what is known."""
        self._missed, self.known = self.known, None

    def learn(self, exchange: Exchange, end: bytes, raw: Fields) -> None:
        """A head has been parsed; see `KnownHead`. An empty `end`: nothing is to be known by it."""
        missed, self._missed = self._missed, None
        known = None
        if end:
            known = KnownHead(exchange, end, raw) if missed is None else missed.wider(exchange, end, raw)
        self.known = known
        if missed is not None and known is None:
            self.pause = min(2 * self.pause + 1, LONGEST_PAUSE)
            # This was one of them.
            self.wait = self.pause - 1


def _plan(exchange: Exchange, raw: Fields) -> Plan:
    return (TRUSTED_REQUESTS if exchange.peer.trusted else REQUESTS).of(raw)


def _place(plan: Plan, raw: Fields, place: int) -> tuple[bytes, int, int]:
    """Name of a field, its place among those that go on, and among the credentials; -1: it is not there."""
    for number, (name, at) in enumerate(plan.credentials):
        if at == place:
            return name, -1, number
    return raw[place][0], plan.kept.index(place) if place in plan.kept else -1, -1
