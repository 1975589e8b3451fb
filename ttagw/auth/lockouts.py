"""Who may try to log in: failures are counted for each address and each account, and too many of them begin a pause.

What is known here decides, at once; what other gateways know is added by `ttagw.auth.lockout_ledger` as it comes.

As many logins of one address or account are under way at once as may fail before it is paused; further ones wait for
their turn, or many guesses sent together would all be let through before the first has failed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from math import ceil
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from ttagw.auth.lines import LineFullError, Lines
from ttagw.auth.lockout_table import Table
from ttagw.core.lockout import Mark, Rules, State, failed, merged, news, succeeded
from ttagw.core.login import Who
from ttagw.errors import LoginPausedError

LONGEST_WAIT = 10.0
"""Seconds that a login waits for its turn."""

KINDS = ("address", "account")

MOST_TOLD, TOLD_WITHIN = 60, 60.0
"""Pauses that are told of within so many seconds: an attack from everywhere must not drown what else happens."""

Pausing = Callable[[str], object]
"""Told `address` or `account` when a pause begins."""


class Ticket:
    """A login that was let through. It ends once, however often that is said."""

    __slots__ = ("_lockouts", "_open", "_whose")

    def __init__(self, lockouts: Lockouts, whose: Sequence[Who]) -> None:
        self._lockouts = lockouts
        self._whose = whose
        self._open = True

    def failed(self) -> None:
        """Name and password did not fit."""
        if self._open:
            self._lockouts.count(self._whose)
            self.over()

    def succeeded(self) -> None:
        """They did."""
        if self._open:
            self._lockouts.forgive(self._whose)
            self.over()

    def over(self) -> None:
        """Nothing was found out, or that was said already."""
        if self._open:
            self._open = False
            self._lockouts.leave(self._whose)


class Lockouts:
    """The one place that knows who is paused."""

    def __init__(
        self,
        rules: Rules,
        table: Table,
        clock: Any,
        monotonic: Callable[[], float],
        nonce: Callable[[], str],
        pausing: Pausing,
    ) -> None:
        """`clock` is the reactor; `nonce` gives short texts that do not come again."""
        self.rules = rules
        self.table = table
        self._monotonic = monotonic
        self._nonce = nonce
        self._pausing = pausing
        self._lines = Lines(clock)
        self.changed: Callable[[str], None] = lambda name: None  # noqa: ARG005
        """Told the name of what has changed here."""
        self._failures = dict.fromkeys(KINDS, 0)
        self._pauses = dict.fromkeys(KINDS, 0)
        self._told: deque[float] = deque(maxlen=MOST_TOLD)

    async def admit(self, whose: Sequence[Who]) -> Ticket:
        """Let a login through when it is its turn. Raises `LoginPausedError`."""
        until = self._monotonic() + LONGEST_WAIT
        while True:
            now = self._monotonic()
            self._check(whose, now)
            full = next((each for each in whose if self._full(each, now)), None)
            if full is None:
                break
            try:
                await self._lines.turn(full, until - now)
            except LineFullError:
                raise LoginPausedError("login_crowded", retry_after=1) from None
        for each in whose:
            self._lines.enter(each)
        return Ticket(self, whose)

    def _check(self, whose: Sequence[Who], now: float) -> None:
        """The longest pause counts; which one that was only the log says."""
        left, by = max([(self._state(each, now).left(now), each.by) for each in whose], default=(0.0, ""))
        if left:
            reason = "address_paused" if by == "address" else "account_paused"
            raise LoginPausedError(reason, retry_after=max(1, ceil(left)))

    def _state(self, who: Who, now: float) -> State:
        return self.table.get(self.table.name(who), now)

    def _full(self, who: Who, now: float) -> bool:
        return len(self._state(who, now).failures) + self._lines.under_way(who) >= self.rules.failures

    def leave(self, whose: Sequence[Who]) -> None:
        """A login is over: whoever waits for that may have their turn."""
        for each in whose:
            self._lines.leave(each)

    def count(self, whose: Sequence[Who]) -> None:
        """A login has failed."""
        now = self._monotonic()
        for each in whose:
            self._failures[each.by] += 1
            name = self.table.name(each)
            self._become(name, failed(self.table.get(name, now), self.rules, Mark(now, self._nonce())), now, each)

    def forgive(self, whose: Sequence[Who]) -> None:
        """A login was good: its account begins anew. Not its address: who has one good account has that one only."""
        now = self._monotonic()
        for each in whose:
            name = self.table.name(each)
            if each.by == "account" and self.table.get(name, now).failures:
                self._become(name, succeeded(self.table.get(name, now), self.rules, Mark(now, self._nonce())), now)

    def _become(self, name: str, state: State, now: float, who: Who | None = None) -> None:
        if state.pause.nonce not in ("", self.table.get(name, now).pause.nonce):
            self._paused(name, now)
        self.table.set(name, state, now, who)
        self.changed(name)

    def _paused(self, name: str, now: float) -> None:
        by = name.partition("/")[0]
        self._pauses[by] += 1
        if len(self._told) < MOST_TOLD or now - self._told[0] >= TOLD_WITHIN:
            self._told.append(now)
            self._pausing(by)

    def hear(self, name: str, theirs: State) -> bool:
        """What others know is known here too. Returns whether they do not know all of it that is known here."""
        now = self._monotonic()
        mine = self.table.get(name, now)
        state = merged(mine, theirs, self.rules, now)
        if state.pause.nonce not in ("", mine.pause.nonce, theirs.pause.nonce):
            # None of us had seen enough for it alone.
            self._paused(name, now)
        if state != mine:
            self.table.set(name, state, now)
        return news(state, theirs)

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        now = self._monotonic()
        failures = CounterMetricFamily("ttagw_login_failures", "Logins that have failed.", labels=["by"])
        pauses = CounterMetricFamily("ttagw_login_pauses", "Pauses that have begun here.", labels=["by"])
        paused = GaugeMetricFamily("ttagw_login_paused", "Addresses and accounts that are paused.", labels=["by"])
        for by in KINDS:
            failures.add_metric([by], self._failures[by])
            pauses.add_metric([by], self._pauses[by])
            paused.add_metric([by], self.table.paused(by, now))
        known = GaugeMetricFamily("ttagw_login_known", "Addresses and accounts of which something is known.")
        known.add_metric([], len(self.table))
        forgotten = CounterMetricFamily("ttagw_login_forgotten", "Of those, the ones that had to go for others.")
        forgotten.add_metric([], self.table.forgotten)
        yield from (failures, pauses, paused, known, forgotten)
