"""What this gateway was lent, and what it tells the ledger in the background."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred

from ttagw.core.debts import Debts
from ttagw.core.lease import Answer, Item, Lease, Told
from ttagw.limits.base import Want
from ttagw.limits.shared_asking import BATCH, Asking
from ttagw.limits.shared_known import Place, key_of, place_of

MOST_LEASES: Final = 2000
MOST_UNDONE: Final = 1000


class Leases:
    """Leases by bucket."""

    def __init__(self, monotonic: Callable[[], float], debts: Debts) -> None:
        self._monotonic = monotonic
        self._debts = debts
        self.asking: Asking
        """To be set before anything is asked."""
        self.held: dict[Place, Lease] = {}
        self._undone: list[Item] = []
        self._generation = 0

    def find(self, want: Want, hot: bool) -> Lease | None:
        """The lease of a bucket, to be asked for more; a new one if it is `hot`."""
        terms = want.terms
        place = place_of(want)
        lease = self.held.get(place)
        if lease is not None:
            lease.rate, lease.burst, lease.unit = terms.per_second, terms.burst, want.cost
        elif hot and len(self.held) < MOST_LEASES:
            key = key_of(terms.name, want.key)
            lease = self.held[place] = Lease(key, terms.per_second, terms.burst, want.cost)
        return lease

    def all_of(self, wants: Sequence[Want], now: float) -> list[Lease] | None:
        """Use what all of it costs; None if there is not enough of one."""
        used: list[Lease] = []
        for terms, key, cost in wants:
            lease = self.held.get((terms.name, key))
            if lease is None or not lease.take(cost, now):
                for want, taken in zip(wants, used, strict=False):
                    taken.untake(want.cost)
                return None
            used.append(lease)
        for want, lease in zip(wants, used, strict=True):
            if lease.left < lease.low and not lease.asking:
                self.top_up(place_of(want), lease, now)
        return used

    def top_up(self, place: Place, lease: Lease, now: float) -> None:
        """Ask for more before there is none."""
        if self.asking.there:
            self._ask([(place, lease.more(now))])

    def granted(self, place: Place, item: Item, told: Told, sent: float) -> None:
        """What was asked for more at `sent` was answered."""
        lease = self.held.get(place)
        if lease is not None:
            lease.asking = False
            lease.granted(told, sent)
        elif told.granted:
            self.tell([Item(item.key, item.rate, item.burst, returned=told.granted)])

    def missed(self, places: Sequence[Place]) -> None:
        """It was not answered in time."""
        for place in places:
            lease = self.held.get(place)
            if lease is not None:
                lease.asking = False

    def not_used(self, items: Sequence[Item], answer: Answer) -> None:
        """What was charged for these was for nothing."""
        self.undo(
            [
                Item(item.key, item.rate, item.burst, undone=item.cost, since=answer.now)
                for item, told in zip(items, answer.told, strict=True)
                if told.charged and item.cost
            ]
        )

    def undo(self, items: Sequence[Item]) -> None:
        """Tell the ledger so, later if it is away."""
        if self.asking.there:
            self.tell(items)
        else:
            self._undone = [*self._undone, *items][-MOST_UNDONE:]

    def renew(self, name: str) -> None:
        """The terms of a limit are others: what was lent by the old ones goes back, and is asked for anew."""
        self.undo([self.held.pop(place).settle() for place in list(self.held) if place[0] == name])

    def tell(self, items: Sequence[Item]) -> None:
        """Tell the ledger something of which nothing comes."""
        for first in range(0, len(items), BATCH):
            self.asking.ask(items[first : first + BATCH], lambda _: None, lambda _: None)

    def owed(self, most: int) -> list[Item]:
        """What the ledger does not know and must be told before it is asked again."""
        if self.asking.generation != self._generation:
            # Lent to somebody whom it does not know any more; it counts as used.
            self._generation = self.asking.generation
            self.held.clear()
        items, self._undone = self._undone[:most], self._undone[most:]
        return items + self._debts.some(most - len(items), self._monotonic())

    def beat(self, now: float) -> None:
        """Report, and give back what is not used."""
        if not self.asking.there:
            # What is said when it is back: else the ledger would count it as lent for as long as the key is busy.
            over = [place for place, lease in self.held.items() if now >= lease.dies]
            self.undo([self.held.pop(place).settle() for place in over])
            return
        told: list[tuple[Place, Item]] = []
        for place, lease in list(self.held.items()):
            item = lease.beat(now)
            if item is not None:
                told.append((place, item))
                if not item.want:
                    del self.held[place]
        for first in range(0, len(told), BATCH):
            self._ask(told[first : first + BATCH])
        if len(self._debts):
            self.tell(self.owed(BATCH))

    def end(self) -> Deferred[None]:
        """Give back all; fires when that was told, or nobody is there to be told."""
        over: Deferred[None] = Deferred()
        items = [lease.settle() for lease in self.held.values()]
        self.held.clear()
        if self.asking.there and items:
            self.asking.ask(items, lambda _: over.callback(None), lambda _: None)
        else:
            over.callback(None)
        return over

    def _ask(self, told: Sequence[tuple[Place, Item]]) -> None:
        sent = self._monotonic()

        def answered(answer: Answer) -> None:
            for (place, item), each in zip(told, answer.told, strict=True):
                if item.want:
                    self.granted(place, item, each, sent)

        def over(answer: Answer | None) -> None:
            if answer is None:
                self.missed([place for place, _ in told])
            else:
                answered(answer)

        self.asking.ask([item for _, item in told], over, answered)
