"""What is remembered of what the ledger said last, by limit and key. Bounded: what is forgotten is asked again."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple, TypeVar

from ttagw.core.lease import ASK, DRY, HOT, Item, Lease, Refusal, Told, refusal
from ttagw.limits.base import State, Terms, Want

V = TypeVar("V")

MOST_KNOWN: Final = 20_000

Place = tuple[str, str]
"""The name of a limit, and a key."""


def place_of(want: Want) -> Place:
    """Where its bucket is."""
    return want.terms.name, want.key


def key_of(name: str, key: str) -> bytes:
    """The bucket's name for the ledger: short whatever the key is, and nobody reads in it who somebody is."""
    digest = blake2b(key.encode("utf-8", "surrogateescape"), digest_size=15).digest()
    return b"ttagw:buckets/%b/%b" % (name.encode(), urlsafe_b64encode(digest))


def item_of(want: Want) -> Item:
    """What is asked for it."""
    terms, key, cost = want
    return Item(key_of(terms.name, key), terms.per_second, terms.burst, cost, DRY if terms.dry_run else ASK)


def state_of(rate: float, burst: float, used: float) -> State:
    """How a bucket is of which so much is used."""
    left = min(burst, max(0.0, burst - used))
    return State(left, (burst - left) / rate)


def state_by(lease: Lease, now: float) -> State:
    """How a bucket is of which we hold a lease."""
    return state_of(lease.rate, lease.burst, lease.burst - lease.room - (now - lease.at) * lease.rate - lease.left)


class Said(NamedTuple):
    """What is known without asking."""

    refused: Terms | None
    """A limit that would refuse it."""
    wait: float
    dry: Terms | None
    """A dry one that would."""
    open: list[int]
    """Places of those of which nothing is known."""


class Known:
    """Refusals, and what was used."""

    def __init__(self) -> None:
        self._refusals: dict[Place, Refusal] = {}
        self._seen: dict[Place, tuple[float, float]] = {}
        """When it was asked for last, and how much was used then."""

    def look(self, wants: Sequence[Want], now: float) -> Said:
        """What the ledger would say."""
        refused: Terms | None = None
        wait = 0.0
        dry: Terms | None = None
        places: list[int] = []
        for place, (terms, key, cost) in enumerate(wants):
            known = self._refusals.get((terms.name, key))
            if known is None or not cost or not known.holds(terms.per_second, terms.burst, cost, now):
                places.append(place)
            elif terms.dry_run:
                dry = dry or terms
            elif refused is None or known.fits - now > wait:
                refused, wait = terms, max(0.0, known.fits - now)
        return Said(refused, wait, dry, places)

    def hot(self, place: Place, now: float) -> bool:
        """Whether it was asked for just now."""
        seen = self._seen.get(place)
        return seen is not None and now - seen[0] < HOT

    def asks(self, place: Place, now: float) -> None:
        """One question about it is on its way."""
        known = self._refusals.get(place)
        if known is not None and not known.ask_one(now):
            del self._refusals[place]

    def learn(self, place: Place, item: Item, told: Told, sent: float) -> None:
        """What the ledger said to what was asked at `sent`."""
        _keep(self._seen, place, (sent, told.total))
        if not item.cost:
            return
        known = refusal(item, told, sent)
        if known is not None:
            _keep(self._refusals, place, known)
        else:
            self._refusals.pop(place, None)

    def forget(self, place: Place) -> None:
        """There may be more than was said."""
        self._refusals.pop(place, None)

    def state(self, want: Want, now: float) -> State:
        """How it is, as far as that is known."""
        terms, key, _ = want
        known = self._refusals.get((terms.name, key))
        if known is not None and now < known.until:
            return State(*known.state(now))
        at, used = self._seen.get((terms.name, key), (now, 0.0))
        rate = terms.per_second
        return state_of(rate, terms.burst, used - (now - at) * rate)


def _keep(table: dict[Place, V], place: Place, value: V) -> None:
    table.pop(place, None)
    if len(table) >= MOST_KNOWN:
        del table[next(iter(table))]
    table[place] = value
