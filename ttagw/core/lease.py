"""Limits that several gateways share: what they borrow of a bucket, and what they know without asking.

There is one ledger (`ttagw.store.redis_counting`). For each bucket it has a *level*, which is what was used and leaks
out at the limit's rate, and what is *lent* to whom, which does not leak. A gateway decides by itself about tokens
that it was lent, says later how many of them it has used, and gives back what it does not use.

The law. In any window of W seconds no more than burst + rate * W is let through, by all gateways together:

* The ledger charges and lends only where level + lent + cost <= burst.
* Let u be what was used of what is lent and is not reported yet, and let m be the level of one bucket that had seen
  each use at its moment. Then m <= level + u always: a use adds the same to m and to u; a report moves it from u to
  the level; while the level is above zero both leak alike, and while it is zero m can only shrink.
* A gateway uses nothing that the ledger does not count as lent: it uses it for `LIFE` after it asked, by its
  monotonic clock, and the ledger keeps it for `KEPT` after it answered, by its own. What was kept so long is charged
  as used.
* So m <= level + lent <= burst, which is the law. Whatever is lost, late or dies leaves more counted, never less:
  what a gateway has used is reported once, and what it gives back it had.

What was charged when it was asked for, and then not used, is taken off again less what can have leaked since. The
level then is not below what it had been without it.

The moment of a request that was asked for is the one at which the ledger charged it.

What this costs. A request is refused which one gateway alone had let through only if no more than `SLACK` of burst +
rate * 2 s was missing: what others were lent and have not used, at most R = `lendable`; what has leaked out of m
while it waited to be reported, again at most R; and what comes to fit while a refusal is remembered, at most R / 2.
Below `LEAST_RATE` nothing is lent, and a refusal is remembered only for as long as it holds.
"""

from __future__ import annotations

from math import floor, inf
from typing import Final, NamedTuple

SLACK: Final = 0.01
LEAST_RATE: Final = 100.0
"""Requests in a second from which on a limit lends."""

LIFE: Final = 1.0
"""Seconds after it was asked for that a gateway uses what it was lent."""
KEPT: Final = 2.0
"""Seconds after which the ledger counts what it has lent as used."""

MOST_TOLD: Final = 3.0
"""Bursts that a bucket has in it at the most, after it was told what was let through without it."""

HOT: Final = 0.1
"""Seconds between two questions about a key, at the most, for it to be worth a lease."""
FEW: Final = 4.0
"""Requests that the first lease of a key is for."""
MEMORY: Final = 1.0
"""Seconds that a refusal is remembered, at the most: others may have been forgiven or given back."""

ASK, DRY, OWED, FORGIVE = range(4)
"""What is to happen with a cost: charge it if all of it fits; charge it if it fits, and refuse nothing; charge it,
since it was used; the same, and forget what was used before."""


class Item(NamedTuple):
    """What is told and asked of one bucket."""

    key: bytes
    rate: float
    """In a second."""
    burst: float
    cost: float = 0.0
    kind: int = ASK
    used: float = 0.0
    """So many of those that we were lent have been used."""
    returned: float = 0.0
    """So many will not be."""
    want: float = 0.0
    """So many we would like to hold."""
    unit: float = 1.0
    """What is lent is a multiple of this."""
    undone: float = 0.0
    """So many were charged when the ledger's clock said `since`, and not used."""
    since: float = 0.0
    leaked: float = 0.0
    """So much of a cost that is `OWED` would have leaked, were the bucket empty when it was used."""
    ago: float = 0.0
    """Seconds since the first of it."""


class Told(NamedTuple):
    """How a bucket is after that."""

    charged: bool
    total: float
    """What is used, and lent, to anybody."""
    wait: float
    """Seconds until the cost would fit; infinite if it never does."""
    granted: float
    """So many more are ours."""


class Answer(NamedTuple):
    """Of the ledger. If something was refused nothing was charged."""

    refused: bool
    now: float
    """By the ledger's clock, whatever that counts."""
    told: tuple[Told, ...]


def lendable(rate: float, burst: float) -> float:
    """How many of a bucket's tokens may be lent at once."""
    if rate < LEAST_RATE:
        return 0.0
    return float(floor(SLACK * 0.4 * (2.0 * rate + burst)))


def recess(rate: float, burst: float) -> float:
    """Seconds that a refusal is remembered at the least: a limit of thousands in a second is not asked for each."""
    return lendable(rate, burst) / 2.0 / rate


class Lease:
    """What a gateway holds of one bucket. Times are monotonic seconds."""

    __slots__ = (
        "asking",
        "at",
        "burst",
        "dies",
        "key",
        "left",
        "low",
        "rate",
        "reports",
        "room",
        "size",
        "spent",
        "topped",
        "unit",
        "used",
    )

    def __init__(self, key: bytes, rate: float, burst: float, unit: float) -> None:
        self.key = key
        self.rate = rate
        self.burst = burst
        self.unit = unit
        self.left = 0.0
        """May be used, while it is before `dies`."""
        self.dies = 0.0
        self.used = 0.0
        """Has been, and the ledger was not told."""
        self.reports = 0
        """How often the ledger was told. What was used before the last time cannot be taken back here."""
        self.low = 0.0
        """Below this it is time to ask for more."""
        self.asking = False
        self.size = FEW * unit
        """What to ask for."""
        self.spent = 0.0
        """Used since the last `beat`, as far as it was reported."""
        self.topped = 0.0
        """When there was more the last time."""
        self.room = 0.0
        """What was left in the bucket for everybody."""
        self.at = 0.0
        """When it was."""

    def take(self, cost: float, now: float) -> bool:
        """Use some, if there is enough."""
        if self.left < cost or now >= self.dies:
            return False
        self.left -= cost
        self.used += cost
        return True

    def untake(self, cost: float) -> bool:
        """It was not used after all. Too late when the ledger was told."""
        if self.used < cost:
            return False
        self.left += cost
        self.used -= cost
        return True

    def more(self, now: float) -> Item:
        """Report, and ask for more; for as many as it takes if the last were gone soon."""
        if now - self.topped < HOT / 2:
            self.size = min(self.size * 2.0, max(lendable(self.rate, self.burst), self.unit))
        return self._more(now)

    def ask(self, cost: float, kind: int, now: float) -> Item:
        """There is not enough: report, give back what there is, and ask for a cost and for more."""
        item = self.more(now)
        left, self.left = self.left, 0.0
        return item._replace(cost=cost, kind=kind, returned=item.returned + left)

    def settle(self) -> Item:
        """Report, and give back what is left."""
        left, self.left = self.left, 0.0
        return Item(self.key, self.rate, self.burst, used=self._report(), returned=left)

    def beat(self, now: float) -> Item | None:
        """Called now and then. What to tell the ledger; with `want` 0 nothing was used since, and it is over."""
        if self.asking:
            return None
        spent = self.spent + self.used
        if not spent:
            return self.settle()
        self.size = max(min(self.size, spent), FEW * self.unit)
        item = self._more(now)
        self.spent = 0.0
        return item

    def _more(self, now: float) -> Item:
        self.asking = True
        dead = 0.0
        if now >= self.dies:
            # The next answer must not bring these back: by then the ledger may have counted them as used.
            dead, self.left = self.left, 0.0
        used = self._report()
        return Item(self.key, self.rate, self.burst, used=used, returned=dead, want=self.size, unit=self.unit)

    def granted(self, told: Told, sent: float) -> None:
        """The ledger has answered what was asked at `sent`."""
        self.left += told.granted
        self.dies = max(self.dies, sent + LIFE)
        self.room = self.burst - told.total
        self.at = self.topped = sent
        # A few of them are filled up after each: one more at once, and the next has to wait.
        self.low = self.left if self.left < 8.0 * self.unit else self.left / 2.0

    def _report(self) -> float:
        used, self.used = self.used, 0.0
        self.reports += 1
        self.spent += used
        return used


class Refusal:
    """What the ledger would say again: costs from `cost` on do not fit before `fits`."""

    __slots__ = ("burst", "cost", "fits", "rate", "until")

    def __init__(self, rate: float, burst: float, cost: float, fits: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self.cost = cost
        self.fits = fits
        self.until = _until(self, now)
        """It is asked again after this."""

    def holds(self, rate: float, burst: float, cost: float, now: float) -> bool:
        """Whether it refuses this."""
        return now < self.until and cost >= self.cost and rate == self.rate and burst == self.burst

    def ask_one(self, now: float) -> bool:
        """One is asked for. If it fits the next will not for as long; if it does not, neither would the next.

        False when it is too long ago to say that.
        """
        if now - self.fits > self.burst / self.rate:
            return False
        self.fits += self.cost / self.rate
        self.until = _until(self, now)
        return True

    def state(self, now: float) -> tuple[float, float]:
        """What is left, and seconds until all is there again."""
        left = max(0.0, self.cost - max(0.0, self.fits - now) * self.rate)
        return left, (self.burst - left) / self.rate


def _until(one: Refusal, now: float) -> float:
    return min(max(one.fits, now + recess(one.rate, one.burst)), now + MEMORY)


def refusal(item: Item, told: Told, sent: float) -> Refusal | None:
    """What is known of the next request of the same cost, from what was told of one asked for at `sent`."""
    over = told.total + item.cost - item.burst
    if over <= 0.0 or not item.cost:
        return None
    # The ledger answered after `sent`: from then on this is early, never late.
    fits = inf if item.cost > item.burst else sent + over / item.rate
    return Refusal(item.rate, item.burst, item.cost, fits, sent)
