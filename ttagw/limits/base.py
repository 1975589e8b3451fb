"""What is asked of a place that keeps buckets, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from twisted.internet.defer import Deferred

OnFailure = Literal["local", "deny", "allow"]


@dataclass(slots=True)
class Terms:
    """One limit by rate, as it is now: whoever changes it at run time sets these, and what was used stays used."""

    name: str
    count: int
    """So many in `window`."""
    window: float
    """Seconds."""
    burst: float
    """So many at once."""
    on_store_failure: OnFailure = "local"
    dry_run: bool = False

    @property
    def per_second(self) -> float:
        """How many in a second."""
        return self.count / self.window


class Want(NamedTuple):
    """Something that is to be charged. Multiples for roles and classes are in the cost already: with twice as much to
    use, each request costs half.
    """

    terms: Terms
    key: str
    """Whose bucket it is."""
    cost: float


class State(NamedTuple):
    """How a bucket is after it was asked."""

    left: float
    """What could be charged at once now."""
    reset: float
    """Seconds until all of it is there again."""


class Verdict(NamedTuple):
    """All of it was charged, or nothing. What has `dry_run` is charged if it fits, and refuses nothing."""

    allowed: bool
    states: Sequence[State]
    """In the order of what was asked; empty where nobody can say."""
    refused: Terms | None = None
    """The limit that will be over last."""
    wait: float = 0.0
    """Seconds until it would fit; infinite if it never does."""
    dry: Terms | None = None
    """A limit that would have refused it, were it not for its `dry_run`."""
    unknown: bool = False
    """Nobody can say what was used, and a limit says that nobody passes then."""


class Buckets(Protocol):
    """Keeps buckets by limit and key."""

    def take(self, wants: Sequence[Want]) -> Verdict | Deferred[Verdict]:
        """Charge all of it or nothing; a Deferred only where somebody else has to be asked. A Deferred that is
        cancelled charges nothing, as far as that can still be helped.
        """

    def give_back(self, wants: Sequence[Want]) -> None:
        """What was charged was not used after all."""

    def reset(self, terms: Terms, key: str) -> None:
        """An operator forgives: the bucket is as if nothing had been used."""
