"""The ledger in a few lines, by the clock that it is given: what the script in Redis must do as well."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, inf

from ttagw.core.lease import ASK, FORGIVE, KEPT, MOST_TOLD, OWED, Answer, Item, Told, lendable


class Bucket:
    """What was used, when that was, how it leaks since, and what is lent to whom until when."""

    def __init__(self, now: int, rate: float) -> None:
        self.level = 0.0
        self.at = now
        self.rate = rate
        self.idle, self.till = 0.0, float(now)
        self.lent: dict[str, tuple[float, int]] = {}
        self.wrote = self.keep = False

    def leak(self, now: int) -> None:
        if now <= self.at:
            return
        empty = self.at + self.level * 1e6 / self.rate
        if empty < now:
            if self.level > 0 or self.till != self.at:
                self.idle = empty
            self.till = now
        self.level = max(0.0, self.level - (now - self.at) * self.rate / 1e6)
        self.at = now

    def expire(self, now: int) -> None:
        """What was lent for so long is used; all the rest leaks."""
        for who, (amount, ends) in list(self.lent.items()):
            if ends <= now:
                self.leak(ends)
                self.level += amount
                del self.lent[who]
        self.leak(now)

    def total(self) -> float:
        return self.level + sum(amount for amount, _ in self.lent.values())


class Ledger:
    """All buckets. Inside times are microseconds, as in Redis."""

    def __init__(self) -> None:
        self.buckets: dict[bytes, Bucket] = {}

    def count(self, who: str, items: Sequence[Item], seconds: float) -> Answer:
        """What the script does."""
        now = round(seconds * 1e6)
        found = [self._told(who, item, now) for item in items]
        fits: list[bool] = []
        waits: list[float] = []
        more: dict[bytes, float] = {}
        for item, bucket in zip(items, found, strict=True):
            cost = 0.0 if item.kind >= OWED else item.cost
            over = bucket.total() + more.get(item.key, 0.0) + cost - item.burst
            fits.append(cost <= 0 or over <= item.burst * 1e-9)
            waits.append(0.0 if fits[-1] else inf if cost > item.burst else over / item.rate)
            if fits[-1]:
                more[item.key] = more.get(item.key, 0.0) + cost
        refused = any(not fit and item.kind == ASK for fit, item in zip(fits, items, strict=True))
        if not refused:
            for item, bucket, fit in zip(items, found, fits, strict=True):
                bucket.level += item.cost if fit and item.kind < OWED else 0.0
        told: list[Told] = []
        for item, bucket, fit, wait in zip(items, found, fits, waits, strict=True):
            granted = self._lend(who, item, bucket, now) if item.want and not refused else 0.0
            told.append(Told(fit and not refused, bucket.total(), wait, granted))
            wrote = bucket.wrote or (fit and not refused and item.cost > 0)
            if wrote and not bucket.lent and bucket.level <= 0.0 and not bucket.keep:
                self.buckets.pop(item.key, None)
        return Answer(refused, float(now), tuple(told))

    def _told(self, who: str, item: Item, now: int) -> Bucket:
        bucket = self.buckets.setdefault(item.key, Bucket(now, item.rate))
        bucket.expire(now)
        bucket.wrote, bucket.keep = bucket.rate != item.rate, False
        bucket.rate = item.rate
        mine, _ = bucket.lent.pop(who, (0.0, 0))
        used = min(item.used, mine)
        bucket.level += used
        mine -= used
        mine -= min(item.returned, mine)
        bucket.level = max(0.0, bucket.level - max(0.0, item.undone - max(0.0, now - item.since) * item.rate / 1e6))
        if item.kind == FORGIVE:
            bucket.level = 0.0
        bucket.wrote = bool(bucket.wrote or item.used or item.returned or item.undone or item.want or item.kind >= OWED)
        if item.kind >= OWED:
            since = max(bucket.idle, now - item.ago * 1e6)
            gone = min(item.leaked, max(0.0, bucket.till - since) * item.rate / 1e6)
            bucket.idle = since + gone * 1e6 / item.rate
            bucket.keep = item.leaked > 0
            bucket.level = max(bucket.level, min(bucket.level + item.cost - gone, MOST_TOLD * item.burst))
        if mine or item.want:
            bucket.lent[who] = mine, now + round(KEPT * 1e6)
        return bucket

    def _lend(self, who: str, item: Item, bucket: Bucket, now: int) -> float:
        most = lendable(item.rate, item.burst)
        mine, _ = bucket.lent[who]
        share = max(floor(most / len(bucket.lent)), item.unit)
        all_ = sum(amount for amount, _ in bucket.lent.values())
        room = min(most - all_, item.burst - bucket.total(), min(share, item.want) - mine)
        granted = max(0.0, floor(room / item.unit) * item.unit)
        bucket.lent[who] = mine + granted, now + round(KEPT * 1e6)
        return granted
