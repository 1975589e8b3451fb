"""What was let through while nobody could be told."""

from __future__ import annotations

from ttagw.core.lease import FORGIVE, MOST_TOLD, Item


class _Debt:
    """Of one key: all of it, and what of that had not leaked at `at`, were it in a bucket of its own."""

    __slots__ = ("at", "first", "item", "level")

    def __init__(self, item: Item, now: float) -> None:
        self.item = item
        self.level = item.cost
        self.first = self.at = now

    def leak(self, now: float) -> None:
        self.level = max(0.0, self.level - (now - self.at) * self.item.rate)
        self.at = now

    def over(self, now: float) -> bool:
        """Whether the fullest bucket would be empty by now."""
        item = self.item
        return item.kind != FORGIVE and now - self.at >= MOST_TOLD * item.burst / item.rate

    def told(self, now: float) -> Item:
        self.leak(now)
        return self.item._replace(leaked=self.item.cost - self.level, ago=now - self.first)


class Debts:
    """What was let through while nobody could be told, by key.

    It leaks meanwhile only if the ledger's bucket does not: two that leak at once would let twice as much through.
    Which of both it was the ledger knows.
    """

    def __init__(self, most: int) -> None:
        """`most`: keys; those that were used last are kept."""
        self._most = most
        self._owed: dict[bytes, _Debt] = {}

    def __len__(self) -> int:
        return len(self._owed)

    def add(self, item: Item, now: float) -> None:
        """So much more was used: an item that is `OWED`."""
        debt = self._owed.pop(item.key, None)
        if debt is None or debt.over(now):
            if len(self._owed) >= self._most:
                del self._owed[next(iter(self._owed))]
            debt = _Debt(item, now)
        else:
            debt.leak(now)
            debt.level += item.cost
            before = debt.item
            debt.item = item._replace(cost=before.cost + item.cost, kind=max(before.kind, item.kind))
        self._owed[item.key] = debt

    def less(self, key: bytes, cost: float) -> None:
        """Some of it was not used after all."""
        debt = self._owed.get(key)
        if debt is not None:
            debt.item = debt.item._replace(cost=max(0.0, debt.item.cost - cost))
            debt.level = max(0.0, min(debt.level - cost, debt.item.cost))

    def forgive(self, item: Item, now: float) -> None:
        """Nothing that was used until now counts, here and with the ledger."""
        self._owed.pop(item.key, None)
        self.add(item._replace(cost=0.0, kind=FORGIVE), now)

    def some(self, most: int, now: float) -> list[Item]:
        """Take out as many, or all that there are, to be charged now."""
        found: list[Item] = []
        while self._owed and len(found) < most:
            debt = self._owed.pop(next(iter(self._owed)))
            if (debt.item.cost and not debt.over(now)) or debt.item.kind == FORGIVE:
                found.append(debt.told(now))
        return found
