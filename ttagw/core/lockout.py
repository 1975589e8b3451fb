"""When somebody has failed too often: what is known of one address, or of one account.

Pure: a state and an event give another state. Times are seconds of whatever clock the caller counts by. Every event has
a nonce, by which two gateways know that they speak of the same one, whatever their clocks say.
"""

from __future__ import annotations

from typing import NamedTuple


class Mark(NamedTuple):
    """Something that happened, or will."""

    at: float
    nonce: str


NEVER = Mark(float("-inf"), "")


class Rules(NamedTuple):
    """So many failures within `window` seconds begin a pause that `lasts` so many."""

    failures: int
    window: float
    lasts: float


class State(NamedTuple):
    """What counts. Without arguments: nothing is known."""

    failures: tuple[Mark, ...] = ()
    """Those that count, oldest first; always fewer than begin a pause."""
    cleared: Mark = NEVER
    """The last success: what failed before it does not count."""
    pause: Mark = NEVER
    """`at` is the end of the last pause, the nonce that of the failure that began it."""

    def left(self, now: float) -> float:
        """Seconds that it is paused for, 0 if it is not."""
        return max(0.0, self.pause.at - now)


def failed(state: State, rules: Rules, mark: Mark) -> State:
    """One more failure, at `mark.at`, which is now. While it is paused nothing is counted; after that anew."""
    return settled(state._replace(failures=(*state.failures, mark)), rules, mark.at)


def succeeded(state: State, rules: Rules, mark: Mark) -> State:
    """What failed until now does not count any more. A pause stays."""
    return settled(state._replace(cleared=mark), rules, mark.at)


def merged(mine: State, theirs: State, rules: Rules, now: float) -> State:
    """What two gateways know together: the failures of both, the later success, the later end of a pause.

    Of an event that is known here the time that is known here counts. Theirs are bounded by what can be: nothing has
    happened later than now, and no pause is longer than they are.
    """
    failures = {each.nonce: Mark(min(each.at, now), each.nonce) for each in theirs.failures}
    failures.update({each.nonce: each for each in mine.failures})
    return settled(
        State(
            tuple(failures.values()),
            _later(mine.cleared, theirs.cleared, now),
            _later(mine.pause, theirs.pause, now + rules.lasts),
        ),
        rules,
        now,
    )


def _later(mine: Mark, theirs: Mark, latest: float) -> Mark:
    return mine if mine.nonce == theirs.nonce else max(mine, Mark(min(theirs.at, latest), theirs.nonce))


def settled(state: State, rules: Rules, now: float) -> State:
    """The same without what does not count any more, and with the pause that follows from it."""
    over = now - rules.window
    cleared = state.cleared if state.cleared.at > over else NEVER
    pause = state.pause if state.pause.at > over else NEVER
    since = max(over, cleared.at)
    kept = sorted([each for each in state.failures if each.at > since and each.at >= pause.at])
    while len(kept) >= rules.failures:
        full = kept[rules.failures - 1]
        pause = Mark(full.at + rules.lasts, full.nonce)
        kept = [each for each in kept if each.at >= pause.at]
    return State(tuple(kept), cleared, pause)


def news(mine: State, theirs: State) -> bool:
    """Whether `mine`, which knows all of `theirs`, says something that they do not."""
    known = {each.nonce for each in theirs.failures}
    return (
        mine.pause.nonce not in ("", theirs.pause.nonce)
        or mine.cleared.nonce not in ("", theirs.cleared.nonce)
        or any(each.nonce not in known for each in mine.failures)
    )
