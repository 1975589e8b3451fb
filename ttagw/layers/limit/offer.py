"""What a kind of caller may use on a route: prepared once for each set of roles and each class.

Announced as draft-ietf-httpapi-ratelimit-headers-10 says: `RateLimit-Policy` has what may be used, `RateLimit` what is
left. Each is a list (RFC 9651 §3.1) with an item for each limit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import ceil, inf

from ttagw.core.classes import TrafficClass
from ttagw.layers.limit.keys import Key
from ttagw.limits.base import State, Terms
from ttagw.limits.live import LiveLimit

HAIR = 1e-6
"""What a number may lack of a whole one and still be it: thirds do not add up to one exactly."""


class Line:
    """One limit for one kind of caller."""

    __slots__ = ("concurrent", "cost", "has_bandwidth", "has_rate", "key", "live", "multiple")

    def __init__(self, live: LiveLimit, key: Key, cost: int, multiple: float) -> None:
        limit = live.limit
        self.live = live
        self.key = key
        self.multiple = multiple
        burst = live.rate.burst
        # A small multiple lets less through, not nothing.
        self.cost = cost / multiple if cost > burst else min(cost / multiple, burst)
        self.has_rate = limit.rate is not None
        self.has_bandwidth = limit.bandwidth is not None
        self.concurrent = 0 if limit.concurrent is None else max(int(limit.concurrent * multiple + HAIR), 1)


class Offer:
    """All limits of a route for one kind of caller."""

    __slots__ = ("lines", "lives", "plain", "policy", "rates", "shown", "template")

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = tuple(lines)
        self.lives = tuple([line.live for line in lines])
        rated = [line for line in lines if line.has_rate]
        self.rates: tuple[tuple[Terms, Key, float], ...] = tuple(
            [(each.live.rate, each.key, each.cost) for each in rated]
        )
        self.plain = not any(line.concurrent or line.has_bandwidth for line in lines)
        """Whether there is nothing but rates."""
        self.shown = tuple([(at, each.multiple) for at, each in enumerate(rated) if not each.live.limit.dry_run])
        """Which of the rates are announced, and the caller's multiple."""
        names = [rated[at].live.name for at, _ in self.shown]
        self.template = b", ".join([b'"%b";r=%%d;t=%%d' % name.encode("ascii") for name in names])
        self.policy = b", ".join([item for line in lines if not line.live.limit.dry_run for item in _policy(line)])

    def usual(self, states: Sequence[State]) -> bytes:
        """`RateLimit` for these states of all rates."""
        if len(self.shown) == 1:
            at, multiple = self.shown[0]
            left, reset = states[at]
            return self.template % (int(left * multiple + HAIR), ceil(reset - HAIR))
        numbers: list[int] = []
        for at, multiple in self.shown:
            left, reset = states[at]
            numbers.append(int(left * multiple + HAIR))
            numbers.append(ceil(reset - HAIR))
        return self.template % tuple(numbers)


def _policy(line: Line) -> list[bytes]:
    limit, name, items = line.live.limit, line.live.name, []
    if limit.rate is not None:
        items.append(_quota(name, limit.rate.count * line.multiple, f";w={ceil(limit.rate.seconds)}"))
    if line.concurrent:
        items.append(_quota(f"{name}:concurrent", line.concurrent, ';qu="concurrent-requests"'))
    if limit.bandwidth is not None:
        window = f';qu="content-bytes";w={ceil(limit.bandwidth.seconds)}'
        items.append(_quota(f"{name}:bandwidth", limit.bandwidth.count * line.multiple, window))
    return items


def _quota(name: str, count: float, more: str) -> bytes:
    return f'"{name}";q={int(count + HAIR)}{more}'.encode("ascii")


def left(name: str, count: float, seconds: float | None = None) -> bytes:
    """One item of `RateLimit`; without `seconds` nobody knows when there is more."""
    item = f'"{name}";r={int(count + HAIR)}'
    return (item if seconds is None else f"{item};t={ceil(seconds - HAIR)}").encode("ascii")


def seconds_to_wait(wait: float) -> int | None:
    """`Retry-After`; None if waiting does not help."""
    return None if wait == inf else max(ceil(wait - HAIR), 1)


class Multiples:
    """By how much more one kind of caller may use of a limit."""

    def __init__(self, roles: Mapping[str, float], classes: Mapping[str, float]) -> None:
        self._roles = roles
        self._classes = classes
        self.by_role = bool(roles)
        self.by_class = bool(classes)

    def of(self, roles: Collection[str], rank: TrafficClass) -> float:
        """The largest of the roles that the caller has, times that of the class."""
        own = max([multiple for role, multiple in self._roles.items() if role in roles], default=1.0)
        return own * self._classes.get(rank.text, 1.0)
