"""What was revoked: a table that says whether somebody's token or key is one of it, and which of two entries counts.

Entries are kept by a digest of what they forbid, so nothing here or in a store says whom it is about.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from ttagw.core.identity import Identity

JTI, USER, KEY = "jti", "user", "key"
KINDS = (JTI, USER, KEY)
"""One token; all tokens of a person that were issued up to a moment; a key or a certificate."""
UNREADABLE = "unreadable"
"""What somebody else has written, or a later version: it may forbid anything, so it forbids all that it can."""

GRACE = 4000.0
"""Seconds for which an entry is kept after its end: a clock that was an hour ahead for a while has ended nothing."""

MOST_SWEPT = 5000
"""Entries that are looked at in one sweep."""


def mark(kind: str, id_: str) -> str:
    """Under which name something that is forbidden is kept: 64 hexadecimal digits."""
    return sha256(f"{kind}\0{id_}".encode("utf-8", "surrogatepass")).hexdigest()


class Entry(NamedTuple):
    """Something that is forbidden, or, when `lifted`, is not any more. Times are Unix seconds."""

    kind: str
    revision: int
    """Of two entries for the same, the one with the larger revision counts."""
    moment: float
    """A user's tokens that were issued then or before are forbidden; of other kinds, when it was revoked."""
    end: float
    """From when on it forbids nothing, because what it forbids has ended by itself; infinite: until it is lifted."""
    lifted: bool = False

    def holds(self, now: float) -> bool:
        """Whether it forbids anything at this Unix time."""
        return not self.lifted and now < self.end

    def over(self, now: float) -> bool:
        """Whether it need not be kept any more."""
        return now >= self.end + GRACE


class Kept(NamedTuple):
    """An entry as the table has it."""

    entry: Entry
    raw: bytes
    """How it is stored."""

    @property
    def order(self) -> tuple[int, bytes]:
        """What is compared."""
        return self.entry.revision, self.raw


def revoked(found: Entry | None, wanted: Entry, now: float) -> Entry:
    """What is to be stored when `wanted` is asked for and `found` is there: never less than either forbids."""
    if found is None:
        return wanted
    revision = max(wanted.revision, found.revision + 1)
    if not found.holds(now) or found.kind == UNREADABLE:
        return wanted._replace(revision=revision)
    return wanted._replace(revision=revision, moment=max(wanted.moment, found.moment), end=max(wanted.end, found.end))


def lifted(found: Entry, kind: str, now: float, longest: float) -> Entry:
    """What is to be stored when `found` is to forbid nothing any more: that must be known for as long as some gateway
    may think otherwise, which is until its end, or for `longest` seconds where it has none.
    """
    end = found.end if found.end != float("inf") else now + longest
    moment = found.moment if found.moment != float("inf") else now
    return Entry(kind, max(found.revision + 1, int(now * 1000)), moment, end, True)


class Table:
    """Everything that is known to be revoked, by its mark."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[str, Kept]] = {digit: {} for digit in "0123456789abcdef"}
        """By the first digit of the mark."""
        self._due: list[tuple[float, str, bytes]] = []
        """When something is to be done about an entry, as a heap: at its end it is counted no more, later dropped."""
        self._ended: set[str] = set()
        """What is kept and not counted, because its end has come."""
        self._counts = dict.fromkeys(KINDS, 0)

    def __len__(self) -> int:
        return sum(map(len, self._parts.values()))

    def __contains__(self, place: str) -> bool:
        return place in self._parts[place[0]]

    def get(self, place: str) -> Kept | None:
        """What is kept under a mark."""
        return self._parts[place[0]].get(place)

    def part(self, digit: str) -> dict[str, Kept]:
        """What is kept under marks that begin with this digit."""
        return self._parts[digit]

    def take(self, place: str, entry: Entry, raw: bytes) -> bool:
        """Keep an entry unless a newer one is; whether it was."""
        kept = Kept(entry, raw)
        part = self._parts[place[0]]
        known = part.get(place)
        if known is not None:
            if known.order >= kept.order:
                return False
            self._forget(place, known.entry)
        part[place] = kept
        if not entry.lifted:
            self._counts[entry.kind] = self._counts.get(entry.kind, 0) + 1
        if entry.end != float("inf"):
            self._put_off(entry.end, place, raw)
        return True

    def drop(self, place: str) -> None:
        """Know nothing of it any more."""
        kept = self._parts[place[0]].pop(place, None)
        if kept is not None:
            self._forget(place, kept.entry)

    def _forget(self, place: str, entry: Entry) -> None:
        """It is not counted any more, if it was."""
        if place in self._ended:
            self._ended.discard(place)
        elif not entry.lifted:
            self._counts[entry.kind] -= 1

    def _put_off(self, until: float, place: str, raw: bytes) -> None:
        heappush(self._due, (until, place, raw))
        if len(self._due) > 2 * len(self) + 1000:
            # Most are of entries that were replaced, again and again.
            self._due = [each for each in self._due if self._is(each)]
            heapify(self._due)

    def _is(self, due: tuple[float, str, bytes]) -> bool:
        kept = self.get(due[1])
        return kept is not None and kept.raw == due[2]

    def sweep(self, now: float) -> int:
        """Drop what need not be kept any more, some thousands at once at the most; how many that were."""
        before = len(self)
        due: list[tuple[float, str, bytes]] = []
        while self._due and self._due[0][0] <= now and len(due) < MOST_SWEPT:
            due.append(heappop(self._due))
        for each in filter(self._is, due):
            place = each[1]
            entry = self._parts[place[0]][place].entry
            if entry.over(now):
                self.drop(place)
            else:
                self._forget(place, entry)
                self._ended.add(place)
                self._put_off(entry.end + GRACE, place, each[2])
        return before - len(self)

    def counts(self, now: float) -> dict[str, int]:
        """How many entries of each kind forbid something now."""
        self.sweep(now)
        return dict(self._counts)

    def forbids(self, issued: float, marks: Iterable[str], now: float) -> bool:
        """Whether something with these marks, that was issued then, is revoked."""
        for place in marks:
            kept = self._parts[place[0]].get(place)
            if kept is not None and kept.entry.holds(now) and (kept.entry.kind != USER or issued <= kept.entry.moment):
                return True
        return False


def marks_of(identity: Identity) -> tuple[str, ...]:
    """Under which names it may be forbidden."""
    if identity.kind != "token":
        return (mark(KEY, identity.user),)
    by_user = mark(USER, identity.user)
    return (mark(JTI, identity.token_id), by_user) if identity.token_id else (by_user,)
