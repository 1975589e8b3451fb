"""What was let through while nobody could be told."""

from __future__ import annotations

from ttagw.core.lease import FORGIVE, Item


class Debts:
    """What was let through while nobody could be told, by key; it leaks meanwhile as it does in a bucket."""

    def __init__(self, most: int) -> None:
        """`most`: keys; those that were used last are kept."""
        self._most = most
        self._owed: dict[bytes, tuple[Item, float]] = {}

    def __len__(self) -> int:
        return len(self._owed)

    def add(self, item: Item, now: float) -> None:
        """So much more was used: an item that is `OWED`."""
        owed, kind = item.cost, item.kind
        before = self._owed.pop(item.key, None)
        if before is not None:
            owed += _leaked(*before, now)
            kind = max(kind, before[0].kind)
        elif len(self._owed) >= self._most:
            del self._owed[next(iter(self._owed))]
        self._owed[item.key] = item._replace(cost=owed, kind=kind), now

    def less(self, key: bytes, cost: float) -> None:
        """Some of it was not used after all."""
        before = self._owed.get(key)
        if before is not None:
            item, at = before
            self._owed[key] = item._replace(cost=max(0.0, item.cost - cost)), at

    def forgive(self, item: Item, now: float) -> None:
        """Nothing that was used until now counts, here and with the ledger."""
        self._owed.pop(item.key, None)
        self.add(item._replace(cost=0.0, kind=FORGIVE), now)

    def some(self, most: int, now: float) -> list[Item]:
        """Take out as many, or all that there are, to be charged now."""
        found: list[Item] = []
        while self._owed and len(found) < most:
            item, at = self._owed.pop(next(iter(self._owed)))
            owed = _leaked(item, at, now)
            if owed or item.kind == FORGIVE:
                found.append(item._replace(cost=owed))
        return found


def _leaked(item: Item, at: float, now: float) -> float:
    return max(0.0, item.cost - (now - at) * item.rate)
