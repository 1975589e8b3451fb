"""What is decided while nobody can be asked, limit by limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from ttagw.core.debts import Debts
from ttagw.core.lease import OWED
from ttagw.limits.base import State, Terms, Verdict, Want
from ttagw.limits.shared_known import item_of

MOST_OWED: Final = 10_000
"""Keys that are told about when it is back."""


class Local(Protocol):
    """Buckets of this gateway alone; see `ttagw.limits.local.LocalBuckets`."""

    scale: float
    """Which share of rate and burst it has."""

    def take(self, wants: Sequence[Want]) -> Verdict:
        """Charge all of it or nothing."""

    def give_back(self, wants: Sequence[Want]) -> None:
        """What was charged was not used after all."""

    def reset(self, terms: Terms, key: str) -> None:
        """The bucket is as if nothing had been used."""


class Away:
    """Decides by `on_store_failure`, and keeps in mind what has to be told later."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self.debts = Debts(MOST_OWED)

    def take(self, wants: Sequence[Want], gateways: int, now: float) -> tuple[str, Verdict]:
        """What decided, `local`, `deny` or `allow`, and how. `gateways`: how many share the limits."""
        counted: list[int] = []
        for place, want in enumerate(wants):
            mode = want.terms.on_store_failure
            if mode == "deny" and not want.terms.dry_run:
                return "deny", Verdict(False, (), refused=want.terms, unknown=True)
            if mode == "local":
                counted.append(place)
        if not counted:
            return "allow", Verdict(True, ())
        self._local.scale = 1.0 / max(gateways, 1)
        verdict = self._local.take([wants[place] for place in counted])
        if verdict.allowed:
            for place in counted:
                self.debts.add(item_of(wants[place])._replace(kind=OWED), now)
        if len(counted) == len(wants):
            return "local", verdict
        # Of the others nobody knows; they do not stand in the way.
        states = [State(want.terms.burst, 0.0) for want in wants]
        for place, state in zip(counted, verdict.states, strict=False):
            states[place] = state
        return "local", verdict._replace(states=states)

    def give_back(self, want: Want) -> None:
        """What was let through in `local` was not used after all."""
        if want.terms.on_store_failure == "local":
            self._local.give_back([want])
            self.debts.less(item_of(want).key, want.cost)

    def reset(self, terms: Terms, key: str, now: float) -> None:
        """Nothing counts that was used; the ledger is told with what is owed."""
        self._local.reset(terms, key)
        self.debts.forgive(item_of(Want(terms, key, 0.0)), now)
