"""Who has earned a block, and for how long.

Refusals of one subject fill a bucket that leaks at the rate of the threshold (a leaky bucket as a meter, ITU-T I.371
annex A). When more are in it than the threshold has, the subject is blocked, the bucket is emptied, and it begins anew.
A block lasts twice as long as the one before, up to a longest, as long as that one is remembered. Pure: times are
arguments, in seconds of whatever clock the caller counts by.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

ADDRESS, USER = "address", "user"
"""Who can be blocked."""
EARNED = "earned"
"""Under which an exchange carries who has earned its refusal."""

MOST = 100_000
"""Subjects that are counted at once; the one that was refused nothing for longest is the first to go."""
LEAST_MEMORY = 3600.0
"""Seconds for which it is remembered that somebody was blocked, at the least."""
TIMES_REMEMBERED = 4.0
"""So many times as long as a block lasted it is remembered after its end."""
_MOST_DOUBLINGS = 62


class Rules(NamedTuple):
    """More than `most` refusals, less those that leak out at `most` in `window` seconds, begin a block."""

    most: int
    window: float
    block_for: float
    """Seconds that the first one lasts."""
    longest: float
    """Seconds that one lasts at the most."""

    def length(self, offences: int) -> float:
        """Seconds that the block for this offence lasts; the first is 1."""
        return min(self.block_for * 2.0 ** min(offences - 1, _MOST_DOUBLINGS), max(self.longest, self.block_for))


def remembered_for(length: float) -> float:
    """Seconds after the end of a block of this length until it is forgotten."""
    return max(TIMES_REMEMBERED * length, LEAST_MEMORY)


class Noted(Protocol):
    """What can carry a note."""

    notes: dict[str, Any] | None


def note_earned(exchange: Noted, *kinds: str) -> None:
    """It is refused, and of those who have sent it only these have earned that; none: others have used up what there
    was. Where nothing is noted, all of them have.
    """
    if exchange.notes is None:
        exchange.notes = {}
    exchange.notes[EARNED] = kinds


def earned(exchange: Noted, kind: str) -> bool:
    """Whether the refusal of this exchange counts for its address, or its user."""
    return exchange.notes is None or kind in exchange.notes.get(EARNED, (ADDRESS, USER))


def counted_apart(parts: Sequence[str]) -> tuple[str, ...]:
    """Who uses up a limit that counts apart by these (`limits.*.key`): what all share, others may have spent.

    A header field says whose request it is where a limit counts by it, but not which user's.
    """
    if "user" in parts:
        return (ADDRESS, USER)
    return (ADDRESS,) if any(part == "ip" or part.startswith("header:") for part in parts) else ()


class Tally:
    """How many refusals each subject has left in its bucket."""

    def __init__(self, rules: Rules, most: int = MOST) -> None:
        self._rules = rules
        self._most = most
        self._levels: dict[str, tuple[float, float]] = {}
        """Level and when it was that, the subject that was counted last at the end."""

    def __len__(self) -> int:
        return len(self._levels)

    def count(self, subject: str, now: float) -> bool:
        """One more refusal. Whether that was one too many; then it begins anew."""
        rules = self._rules
        level, since = self._levels.pop(subject, (0.0, now))
        # A time before the last one counts as that: nothing leaks in, either.
        now = max(now, since)
        level = max(level - (now - since) * rules.most / rules.window, 0.0) + 1.0
        if level > rules.most:
            return True
        self._levels[subject] = (level, now)
        if len(self._levels) > self._most:
            del self._levels[next(iter(self._levels))]
        return False
