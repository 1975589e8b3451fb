"""Recognising the head of an answer by the one before it on the same connection.

A service answers much the same again and again. A head that differs from the one before only in the length of the body
and in values that mean nothing for how it is read needs no parser: everything else about it has been judged already,
and those are judged here, exactly as strictly.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from ttagw.core.headers import RESPONSES, Laid, Plan, lay
from ttagw.core.stencil import MOST_HOLES, Lines, Stencil, cut, differing
from ttagw.model import Fields, Reply

LONGEST_PAUSE = 63
"""Heads of which none is remembered, when those that were did not come again."""
_MOST_DIGITS = 15
_LENGTH = -2
"""The place of Content-Length among the fields that go on: it is not there, and means something."""


class KnownHead:
    """What the head of an answer with a counted body said, but for what is in its holes."""

    __slots__ = (
        "_fields",
        "_head",
        "_holes",
        "_laid",
        "_length",
        "_lines",
        "_places",
        "_raw",
        "_size",
        "_status",
        "_stencil",
    )

    def __init__(
        self, head: bytes, raw: Fields, reply: Reply, length: int, holes: AbstractSet[int] = frozenset()
    ) -> None:
        """`raw` are the fields as they came, `length` the bytes of the body; as it was before any layer saw it."""
        self._head = head
        self._size = len(head)
        self._raw = raw
        self._status = reply.status
        self._fields = reply.fields[:]
        self._length = length
        self._holes = holes
        self._stencil: Stencil | None = None
        self._places: list[tuple[bytes, int]] = []
        self._laid: Laid = (self._fields, lay(self._fields))
        self._lines: Lines | None = None
        plan = RESPONSES.of(raw)
        if holes and holes <= plan.free | {plan.length} and len(plan.kept) == len(reply.fields):
            self._stencil = cut(head, raw, holes)
            self._places = [(raw[place][0], _place(plan, place)) for place in sorted(holes)]
            varying = [place for _, place in self._places if place >= 0]
            self._lines = Lines(self._fields, varying) if varying else None

    def wider(self, head: bytes, raw: Fields, reply: Reply, length: int) -> KnownHead | None:
        """What recognises this head as well, and those that differ from both in the same places; None: nothing does."""
        more = differing(self._raw, raw)
        if not more:
            return None
        holes = more | self._holes
        if holes == self._holes or len(holes) > MOST_HOLES:
            return None
        known = KnownHead(head, raw, reply, length, holes)
        return known if known._stencil is not None else None

    def read(self, data: bytes) -> Reply | None:
        """The answer, if its head is like this one and all of it is here, and nothing else."""
        if self._stencil is not None:
            return self._fill(data)
        size = self._size
        if data.startswith(self._head) and len(data) - size == self._length:
            reply = Reply(self._status, self._fields[:], data[size:])
            reply.laid = self._laid
            return reply
        return None

    def begins(self, data: bytes) -> bool:
        """Whether `data` begins with a head like this one, whatever comes after it."""
        return data.startswith(self._head) if self._stencil is None else self._stencil.read(data, 0) is not None

    def _fill(self, data: bytes) -> Reply | None:
        found = self._stencil.read(data, 0)  # type: ignore[union-attr]
        if found is None:
            return None
        values, size = found
        length = self._length
        fields = self._fields[:]
        varying = []
        for (name, place), value in zip(self._places, values, strict=True):
            if place >= 0:
                fields[place] = (name, value)
                varying.append(value)
            elif place == _LENGTH:
                if not value.isdigit() or len(value) > _MOST_DIGITS:
                    return None
                length = int(value)
        # A head without a body is for the parser: who knows what comes after it.
        if len(data) - size != length or not length:
            return None
        reply = Reply(self._status, fields, data[size:])
        reply.laid = self._laid if self._lines is None else (fields[:], self._lines.lay(varying))
        return reply


class AnswerMemory:
    """What one connection remembers of its heads. Those that do not come again are remembered ever more rarely."""

    __slots__ = ("_missed", "known", "pause", "wait")

    def __init__(self) -> None:
        self.known: KnownHead | None = None
        self.pause = 0
        """How many were passed over last; whoever recognises one sets it to 0."""
        self.wait = 0
        """Answers before the next one that is worth `learn`."""
        self._missed: KnownHead | None = None

    def miss(self) -> None:
        """What comes now is not like what is known."""
        self._missed, self.known = self.known, None

    def learn(self, head: bytes, raw: Fields, reply: Reply, length: int) -> None:
        """An answer has been parsed; see `KnownHead`. An empty `head`: nothing is to be known by it."""
        missed, self._missed = self._missed, None
        known = None
        if head:
            known = KnownHead(head, raw, reply, length) if missed is None else missed.wider(head, raw, reply, length)
        self.known = known
        if missed is not None and known is None:
            self.pause = min(2 * self.pause + 1, LONGEST_PAUSE)
            # This was one of them.
            self.wait = self.pause - 1


def _place(plan: Plan, place: int) -> int:
    """The place of a field among those that go on; -1: it does not."""
    if place == plan.length:
        return _LENGTH
    return plan.kept.index(place) if place in plan.kept else -1
