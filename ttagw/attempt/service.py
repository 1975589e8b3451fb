"""A service and its instances as the request path sees them: who can be asked now, and what was learnt by asking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ttagw.attempt.protocols import Pool
from ttagw.core.balance import Chooser, Load
from ttagw.core.breaker import Breaker
from ttagw.core.budget import RetryBudget
from ttagw.model import Exchange


class Timer(Protocol):
    """A call that was put off."""

    def cancel(self) -> None:
        """Do not make it."""


CallLater = Callable[..., Timer]
"""`reactor.callLater`: seconds, and what to call then."""


class Instance(Load):
    """A place where a service runs: what the chooser weighs, its pool, and its breaker."""

    __slots__ = ("bad", "breaker", "good", "guarded", "kept", "label", "pool", "refused", "took", "zone")

    pool: Pool
    label: bytes
    """How logs and metrics call it."""

    def __init__(self, name: str, breaker: Breaker, weight: int = 1, zone: str = "") -> None:
        super().__init__(name, weight)
        self.breaker = breaker
        self.zone = zone
        self.guarded = False
        """Its breaker is not simply closed: whoever chooses it has to ask."""
        self.kept = False
        """It is asked although its breaker is open, because too few others are left: the panic rule."""
        self.good = 0
        self.bad = 0
        """Tries that succeeded and that failed; those whose client left are neither."""
        self.took = 0.0
        """Seconds until its last answer began; 0: it has given none."""
        self.refused: dict[str, int] = {}
        """Failed tries by reason."""


class Retries:
    """How often, and when, a service is asked again."""

    __slots__ = ("budget", "call_later", "most", "random", "statuses")

    def __init__(
        self,
        most: int,
        budget: RetryBudget,
        call_later: CallLater,
        random: Callable[[], float],
        statuses: frozenset[int] = frozenset(),
    ) -> None:
        """`most`: tries after the first. `statuses`: answers that are as good as none. `random`: floats in [0, 1)."""
        self.most = most
        self.budget = budget
        self.call_later = call_later
        self.random = random
        self.statuses = statuses


class Service:
    """A service: who can be asked, how one is chosen, and whether it is left alone."""

    __slots__ = (
        "breaker",
        "chooser",
        "counts",
        "culprit",
        "instances",
        "key",
        "monotonic",
        "name",
        "retries",
        "rotation",
        "spare",
        "tiers",
    )

    def __init__(
        self,
        name: str,
        chooser: Chooser,
        key: Callable[[Exchange], bytes] | None,
        monotonic: Callable[[], float],
        breaker: Breaker,
        retries: Retries,
    ) -> None:
        self.name = name
        self.chooser = chooser
        self.key = key
        self.monotonic = monotonic
        self.breaker = breaker
        self.retries = retries
        self.instances: Sequence[Instance] = ()
        """All there are, in use or not."""
        self.tiers: Sequence[Sequence[Instance]] = ()
        """Those that can be asked now, by zone, the best zone first; no zone is empty. Replaced, never changed."""
        self.rotation: Sequence[Instance] = ()
        """The first of the tiers; empty when nobody can be asked."""
        self.spare: Sequence[Instance] = ()
        """Those that are left out because they are believed to be down, and not because somebody has decided so."""
        self.culprit: Instance | None = None
        """Who failed last when an exchange did."""
        self.counts: dict[str, int] = {}
        """What happened to exchanges on their way: retries by reason and the like; see docs/seeing.rst."""

    def offer(self, tiers: Sequence[Sequence[Instance]]) -> None:
        """From now on these can be asked."""
        self.tiers = tiers
        self.rotation = tiers[0] if tiers else ()

    def count(self, what: str) -> None:
        """One more of something that happened."""
        self.counts[what] = self.counts.get(what, 0) + 1
