"""How many requests a service can have at once before they only wait for each other.

After the gradient of latency of Netflix's concurrency-limits (Gradient2): the latency of the last moments is compared
with the usual one. If it is much longer, the bound is lowered; if not, and the bound is made use of, it grows. While
less than half of it is used, its size is not what decides about latency, and nothing is changed.

Three things are different, because a bound that is wrong hurts people. How low it may go is told by what the service
gets done: by Little's law, `rate * latency` requests are needed to keep it as busy as it is. The usual latency is only
learnt while the bound is not the reason for it, so that a long overload does not become the usual. And when lowering
the bound does not make answers faster, the service has simply become slower: the bound goes back to where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

WINDOW = 0.1
"""Seconds that a sample takes at the least."""
SAMPLES = 10
"""Answers in it at the least."""
TOLERANCE = 1.5
"""How much longer than usual is still usual."""
SMOOTHING = 0.2
"""How much of the way to the new bound is gone at once."""
FOLLOW = 0.1
"""How much a sample counts in the usual latency while that is doubted, and a second of calm."""
LOWER = 0.75
"""The part of what was under way at which it shows whether lowering the bound helps."""
LONG = 0.5
"""Seconds at the least for which that is looked at."""
MORE = 1.2
"""How many times as much as in calm a service gets done when it is asked for more than it can do."""
HOLD = 5.0
"""Seconds for which the bound is not lowered when that has not helped; doubled each time that it does not again, ..."""
LONGEST_HOLD = 60.0
"""... up to this."""
OVERRUN = 0.1
"""The part of answers that may say "too much" for other reasons."""
DOUBT = 30.0
"""Seconds of full use after which the usual latency is doubted: nobody has seen it for so long. ..."""
DOUBTED = 30
"""... At the least so many times that latency: from fewer samples nothing can be learnt."""


@dataclass(slots=True)
class _Trial:
    """The bound is being lowered: what was before."""

    bound: float
    held: int
    rate: float
    began: float
    since: float = 0.0
    """When fewer were under way for the first time; 0: they are not yet."""
    done: float = 0.0
    """What was done since then; before, since it began."""


class Gradient:
    """The bound of one service. Times are monotonic seconds."""

    __slots__ = (
        "_bad",
        "_before",
        "_began",
        "_calm",
        "_count",
        "_done",
        "_doubted",
        "_held_until",
        "_hold",
        "_known_at",
        "_learnt",
        "_longest",
        "_needs",
        "_overruns",
        "_peak",
        "_recent",
        "_sum",
        "_trial",
        "bound",
        "least",
        "most",
        "usual",
    )

    def __init__(self, least: int, most: int, now: float) -> None:
        """It begins with `most`, and never goes below `least`."""
        self.least = least
        self.most = most
        self.bound = float(most)
        self.usual = 0.0
        """The usual latency in seconds; 0: not known."""
        self._trial: _Trial | None = None
        self._known_at = self._began = now
        self._bad = 0
        self._doubted = False
        self._learnt = 0
        self._hold = HOLD
        self._held_until = now
        self._count = self._overruns = self._peak = self._done = 0
        self._sum = self._longest = 0.0
        self._calm = self._recent = 0.0
        # How many were under way while all was well; and before the service failed, until there is room for them again.
        self._needs = self._before = 0.0

    def answered(self, seconds: float, held: int, now: float, stands_for: int = 1) -> bool:
        """An answer came after so many seconds; `held` were under way, it included. Whether the bound has changed.

        `stands_for`: how many there were, of which only this one is told.
        """
        if not self._count and now - self._began > WINDOW:
            self._begin(now)
        self._count += 1
        self._done += stands_for
        self._sum += seconds
        if held > self._peak:
            self._peak = held
        if seconds > self._longest:
            self._longest = seconds
        return self._count >= SAMPLES and now - self._began >= WINDOW and self._sampled(now)

    def overrun(self, held: int, now: float) -> bool:
        """The service says that it is too much, or says nothing in time. Whether the bound has changed."""
        if not self._count and now - self._began > WINDOW:
            self._begin(now)
        self._overruns += 1
        self._peak = max(self._peak, held)
        enough = self._count + self._overruns >= SAMPLES
        return enough and now - self._began >= WINDOW and self._sampled(now)

    def limit(self, most: int) -> bool:
        """From now on it is not more than `most`, and grows up to that. Whether the bound has changed."""
        before = int(self.bound)
        open_ = self.bound >= self.most
        self.most = max(most, self.least)
        # A bound that nothing has lowered stays as high as it may be.
        self.bound = float(self.most) if open_ else min(self.bound, float(self.most))
        return int(self.bound) != before

    def _begin(self, now: float) -> None:
        """The time in which nothing came does not count."""
        if not self._overruns:
            self._began = now

    def _reset(self) -> None:
        self._count = self._overruns = self._peak = self._done = 0
        self._sum = self._longest = 0.0

    def _sampled(self, now: float) -> bool:
        before = int(self.bound)
        latency = self._sum / self._count if self._count else 0.0
        took = now - self._began
        rate = self._done / took
        overruns = self._overruns / (self._count + self._overruns)
        peak = self._peak
        longest = self._longest
        self._began = now
        self._reset()
        if peak < self.bound / 2:
            self._learn(latency, rate, took, now)
        elif overruns > OVERRUN:
            self._trial = None
            # Who says nothing cannot be seen to be quick.
            self._known_at += took
            self._before = max(self._before, self._needs)
            self._lower(max(self.bound * (1 - overruns), self._needed(rate), self.bound / 2), 1.0)
        else:
            trial = self._trial
            if trial is not None:
                trial.done += rate * took
            if trial is None or self._helps(trial, longest, peak, now):
                self._compare(latency, rate, peak, now)
            else:
                self._accept(latency, trial.bound, now)
        if 0.0 < latency <= self.usual * TOLERANCE and overruns <= OVERRUN:
            self._well(rate * latency, took, now)
        return int(self.bound) != before

    def _well(self, needs: float, took: float, now: float) -> None:
        """All is well with so many under way: if it was with more before the service failed, then with these too."""
        self._needs += (needs - self._needs) * (min(FOLLOW * took, 0.5) if self._needs else 1.0)
        if self._before > self.bound:
            self.bound = min(self.bound * 2, self._before, float(self.most))
            self._known_at = now
        if self._before <= self.bound:
            self._before = 0.0

    def _learn(self, latency: float, rate: float, took: float, now: float) -> None:
        """The bound has no part in this latency."""
        if latency:
            self._learnt += 1
            weight = max(min(FOLLOW * took, 0.5), 1 / self._learnt)
            self.usual += (latency - self.usual) * weight
            self._calm += (rate - self._calm) * weight
            self._known_at = now
            self._doubted = False
        self._trial = None
        self._bad = 0

    def _compare(self, latency: float, rate: float, peak: int, now: float) -> None:
        if not self.usual or (self.bound > self.least and now - self._known_at >= self._doubt):
            # Whether it could be faster is seen with fewer at once.
            self._doubted = True
            self._recent = latency
            self.usual = (self.usual or latency) / 2
            self._known_at = now
        if self._doubted:
            self._recent += (latency - self._recent) * SMOOTHING
            if self._recent < self.usual:
                self.usual += (self._recent - self.usual) * FOLLOW
        if latency <= self.usual * TOLERANCE:
            self._bad = 0
            self.bound = min(float(self.most), self.bound + max(1.0, sqrt(self.bound) / 4))
            # One good sample among bad ones may be chance: what is tried goes on until the bound is back where it was.
            if self._trial is not None and not self._trial.since and self.bound >= self._trial.bound:
                self._trial = None
        elif self.bound <= self.least:
            # It can be lowered no further: that is how long it takes.
            self._trial = None
            self.usual += (latency - self.usual) * FOLLOW
        elif now >= self._held_until:
            self._slower(latency, rate, peak, now)

    def _slower(self, latency: float, rate: float, peak: int, now: float) -> None:
        """Lower the bound, unless it shows that this only means that less is done."""
        self._bad += 1
        trial = self._trial
        if trial is None:
            trial = self._trial = _Trial(self.bound, peak, rate, now)
        elif not trial.since and peak <= LOWER * trial.held:
            # The first sample may have been of a moment in which everything changed.
            trial.rate = max(trial.rate, trial.done / (now - trial.began))
            trial.since = now
            trial.done = 0.0
        limit = self.usual * TOLERANCE
        target = max(self.bound * limit / latency, self._needed(rate))
        if rate < MORE * self._calm or not self._calm:
            # Perhaps the service has become slower, and nobody asks for more than before.
            target = max(target, min(trial.bound, trial.held) / 2)
        # One bad moment, such as a pause for collecting garbage, changes little.
        self._lower(target, 1.0 if self._bad > 1 and latency > 2 * limit else SMOOTHING)

    def _helps(self, trial: _Trial, longest: float, peak: int, now: float) -> bool:
        """Whether as much gets done with fewer at once; True while that is not known."""
        if not trial.since or now - trial.since < max(longest, LONG):
            return True
        rate = trial.done / (now - trial.since)
        if rate < trial.rate * (1 + peak / trial.held) / 2:
            return False
        self._hold = HOLD
        self._before = 0.0
        self._trial = _Trial(self.bound, peak, rate, now)
        return True

    @property
    def _doubt(self) -> float:
        """Seconds after which the usual latency is doubted: ever more, when that has shown nothing."""
        return max(DOUBT * self._hold / HOLD, DOUBTED * self.usual)

    def _accept(self, latency: float, bound: float, now: float) -> None:
        """That is how long it takes now."""
        self.usual = max(self.usual, latency)
        self.bound = min(bound, float(self.most))
        self._doubted = False
        self._held_until = now + self._hold
        self._hold = min(self._hold * 2, LONGEST_HOLD)
        self._known_at = now
        self._trial = None
        self._bad = 0

    def _needed(self, rate: float) -> float:
        """How many keep the service as busy as it is."""
        return rate * self.usual * TOLERANCE

    def _lower(self, target: float, way: float) -> None:
        target = min(max(target, self.least), self.bound)
        self.bound += (target - self.bound) * way
