"""Circuit breaker: when something is left alone for a while, and how it comes back.

Closed, it counts: so many failures in a row, or a share of failures or of slow calls in a sliding window, open it.
Open, it refuses, for `open_for` at first and twice as long each time it fails again. Then it is half open: a bounded
number of calls try, and all of them must succeed; where none of them ends, as many more may try after `open_for`. The
pattern is Nygard's ("Release It!"), the counting that of Resilience4j with a time-based window; every change begins a
new generation, as in gobreaker, and an answer that comes later than its generation counts for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from ttagw.core.window import Window

LONGEST = 300.0
"""Seconds that doubling does not go beyond."""

_CALLS, _FAILURES, _SLOW = range(3)

REFUSED = 0
"""The ticket of a call that may not be made."""


class State(Enum):
    """What a breaker does with calls; the values are what logs and metrics say."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    FORCED_CLOSED = "forced_closed"


_CLOSED = State.CLOSED
"""Looked up once: that costs ten times as much as the comparison."""


class Limits(Protocol):
    """When a breaker opens and how it comes back: `services.*.breaker`. Durations are seconds."""

    @property
    def consecutive_failures(self) -> int: ...
    @property
    def failure_ratio(self) -> float: ...
    @property
    def minimum_calls(self) -> int: ...
    @property
    def window(self) -> float: ...
    @property
    def slow_call(self) -> float: ...
    @property
    def slow_ratio(self) -> float: ...
    @property
    def open_for(self) -> float: ...
    @property
    def half_open_calls(self) -> int: ...


class Breaker:
    """One breaker. `now` is monotonic seconds and never goes back.

    Each call takes a ticket with `admit` and gives it back once: with `success`, `failure`, or `forget` when nobody can
    be blamed for how it ended.
    """

    __slots__ = (
        "_admits",
        "_changed",
        "_closed_at",
        "_half_open_calls",
        "_least_calls",
        "_longest_streak",
        "_open_for",
        "_open_until",
        "_passed",
        "_probed",
        "_probes",
        "_ratio",
        "_slow_call",
        "_slow_passed",
        "_slow_ratio",
        "_streak",
        "_trips",
        "_window",
        "_window_seconds",
        "generation",
        "state",
    )

    def __init__(self, limits: Limits, now: float, changed: Callable[[State, State], None] | None = None) -> None:
        """`changed(before, after)` is called after each change of state."""
        self._changed = changed
        self._longest_streak = limits.consecutive_failures
        self._ratio = limits.failure_ratio
        self._least_calls = limits.minimum_calls
        self._window_seconds = limits.window
        self._slow_call = limits.slow_call
        self._slow_ratio = limits.slow_ratio
        self._open_for = limits.open_for
        self._half_open_calls = limits.half_open_calls
        self._trips = 0
        self._open_until = self._closed_at = self._probed = now
        self.generation = 0
        self.state = State.CLOSED
        self._begin(State.CLOSED, now)

    def _begin(self, state: State, now: float) -> None:
        """A new generation: what was counted belongs to the one before."""
        self.state = state
        self.generation += 1
        self._admits = state is State.CLOSED or state is State.FORCED_CLOSED
        self._streak = 0
        self._window = Window(self._window_seconds, 3, now)
        self._probes = self._passed = self._slow_passed = 0

    def _change(self, state: State, now: float) -> None:
        before = self.state
        self._begin(state, now)
        if self._changed is not None:
            self._changed(before, state)

    # Calls

    def admit(self, now: float) -> int:
        """A ticket for one call, or `REFUSED`."""
        if self._admits:
            return self.generation
        return self._admit_probe(now)

    def _admit_probe(self, now: float) -> int:
        if self.state is State.OPEN and now >= self._open_until:
            self._change(State.HALF_OPEN, now)
        if self.state is not State.HALF_OPEN:
            return REFUSED
        if self._probes >= self._half_open_calls - self._passed:
            if now - self._probed < self._open_for:
                return REFUSED
            # Those that are out may be streams, which last: whatever they say later, nobody waits for them.
            self._probes = 0
        self._probes += 1
        self._probed = now
        return self.generation

    def success(self, ticket: int, seconds: float, now: float) -> None:
        """The call was answered after so many seconds."""
        if ticket != self.generation:
            return
        self._streak = 0
        slow = seconds > self._slow_call
        self._window.add(_CALLS, now)
        if slow:
            self._window.count(_SLOW)
            self._slow_passed += 1
        if self.state is _CLOSED:
            if slow:
                self._judge(now)
        elif self.state is State.HALF_OPEN:
            self._probe_passed(now)

    def failure(self, ticket: int, seconds: float, now: float) -> None:
        """The call failed after so many seconds."""
        if ticket != self.generation:
            return
        self._streak += 1
        self._window.add(_CALLS, now)
        self._window.count(_FAILURES)
        if seconds > self._slow_call:
            self._window.count(_SLOW)
        if self.state is State.CLOSED:
            self._judge(now)
        elif self.state is State.HALF_OPEN:
            self._open(now)

    def forget(self, ticket: int) -> None:
        """The call ended and says nothing about who was called: its client left."""
        if ticket == self.generation and self.state is State.HALF_OPEN and self._probes:
            self._probes -= 1

    def _judge(self, now: float) -> None:
        calls, failures, slow = self._window.totals
        enough = calls >= self._least_calls
        if (
            self._streak >= self._longest_streak
            or (enough and failures >= self._ratio * calls)
            or (enough and slow >= self._slow_ratio * calls)
        ):
            self._open(now)

    def _open(self, now: float) -> None:
        seconds = self.open_seconds
        if self.state is State.CLOSED and now - self._closed_at > 2 * seconds:
            # It has been well for longer than it was left alone: what was is forgotten.
            self._trips = 0
            seconds = self.open_seconds
        self._trips += 1
        self._open_until = now + seconds
        self._change(State.OPEN, now)

    def _probe_passed(self, now: float) -> None:
        self._probes = max(0, self._probes - 1)
        self._passed += 1
        if self._passed < self._half_open_calls:
            return
        if self._slow_passed >= self._slow_ratio * self._half_open_calls:
            self._open(now)
        else:
            self._closed_at = now
            self._change(State.CLOSED, now)

    # What others ask and say

    def watch(self, changed: Callable[[State, State], None]) -> None:
        """Call `changed(before, after)` after each change of state, instead of whoever was called until now."""
        self._changed = changed

    @property
    def open_seconds(self) -> float:
        """How long it would stay open if it opened now."""
        seconds: float = self._open_for * 2 ** min(self._trips, 30)
        return min(seconds, max(LONGEST, self._open_for))

    def wait(self, now: float) -> float:
        """Seconds until a call may be tried; 0 when one may be tried now, or when nobody can tell."""
        return max(0.0, self._open_until - now) if self.state is State.OPEN else 0.0

    def overdue(self, now: float) -> float:
        """Seconds for which calls might have been tried already and it has not closed by that; 0 if it is closed."""
        return max(0.0, now - self._open_until) if self.state in (State.OPEN, State.HALF_OPEN) else 0.0

    def hasten(self, now: float) -> None:
        """There is reason to believe that all is well again: if it is open, let calls try now."""
        if self.state is State.OPEN:
            self._open_until = now

    def force(self, state: State | None, now: float) -> None:
        """An operator decides: `FORCED_OPEN`, `FORCED_CLOSED`, or None to leave it to the breaker, closed.

        Raises `ValueError` for any other state.
        """
        if state not in (None, State.FORCED_OPEN, State.FORCED_CLOSED):
            raise ValueError(f"a breaker cannot be forced to be {state}")
        wanted = state or State.CLOSED
        forced = self.state in (State.FORCED_OPEN, State.FORCED_CLOSED)
        if wanted is self.state or (state is None and not forced):
            return
        self._trips = 0
        self._closed_at = now
        self._change(wanted, now)
