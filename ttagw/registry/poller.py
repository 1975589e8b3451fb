"""Has instances checked, each in its time: one heap and one timer for all of them.

A `LoopingCall` for each would start them all together, die of the first exception, and cost a timer each.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable
from heapq import heappop, heappush

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ttagw.registry.checks import Probe, Told, Verdict
from ttagw.registry.lateness import Lateness
from ttagw.registry.pace import LEAST, Firsts, patience, pause
from ttagw.registry.probes.reasons import LOCAL_FAILURE

TOGETHER = 0.05
"""Seconds between two looks at what is due: checks that are made together cost half as much as one now and one then."""

AT_ONCE = 16
"""Checks started in one turn of the reactor: requests wait no longer than that takes."""


class _Watch:
    """One instance that is checked."""

    __slots__ = ("again", "began", "check", "due", "entry", "interval", "key", "probe", "run", "timeout", "told")

    def __init__(self, key: Hashable, probe: Probe, interval: float, told: Told, timeout: float) -> None:
        self.key = key
        self.probe = probe
        self.interval = interval
        self.told = told
        self.timeout = timeout
        self.due = 0.0
        self.began = float("-inf")
        self.entry = 0
        """The number of its entry in the heap that counts; older ones are passed over."""
        self.run = 0
        """The number of the check under way, 0 for none. What comes from older ones is dropped."""
        self.check: Deferred[None] | None = None
        self.again = False


class Poller:
    """Checks what it is told to watch, until it is stopped."""

    log = Logger()

    def __init__(self, clock: IReactorTime, random: Callable[[], float], *, most: int = 512) -> None:
        """`clock` is monotonic; `random` in [0, 1); `most`: checks under way at once."""
        self._clock = clock
        self._random = random
        self._most = most
        self._watches: dict[Hashable, _Watch] = {}
        self._heap: list[tuple[float, int, _Watch]] = []
        self._ready: deque[tuple[int, _Watch]] = deque()
        self._number = 0
        self._call: IDelayedCall | None = None
        self._firsts = Firsts()
        self._looked = float("-inf")
        self._unfinished = 0
        self._stopped = False
        self._over: list[Deferred[None]] = []
        self._lateness = Lateness(clock.seconds())
        self.running = 0
        """Checks under way."""
        self.outcomes: Counter[str] = Counter()
        """Checks that have ended, by reason; "" for the good ones."""
        self.faults = 0
        """Exceptions out of probes and of those who are told, and probes that did not end. Each is logged."""

    def __len__(self) -> int:
        return len(self._watches)

    @property
    def lateness(self) -> float:
        """Seconds by which checks started late: the worst of the last 10 to 20 s, or of one that still waits."""
        now = self._clock.seconds()
        waiting = [watch.due for number, watch in self._ready if watch.entry == number][:1]
        waiting += [due for due, _, _ in self._heap[:1]]
        return max([self._lateness.worst(now), *[now - due for due in waiting]])

    def watch(
        self,
        key: Hashable,
        probe: Probe,
        interval: float,
        told: Told,
        first: float | None = None,
        *,
        timeout: float = 2.0,
    ) -> None:
        """Have `probe` check every `interval` seconds ± 10 %, or five times as often while `told` says so.

        What is watched under the same key is forgotten. `first`: seconds until the first check; by default soon, unless
        many begin at once. `timeout`: of the probe; a check that takes twice that long is given up, as a `timeout`.
        `told` hears nothing of a check that failed for want of something of our own, or because the probe is broken.
        """
        self.forget(key)
        if self._stopped:
            self._close(probe)
            return
        watch = self._watches[key] = _Watch(key, probe, interval, told, timeout)
        now = self._clock.seconds()
        due = now + first if first is not None else self._firsts.due(now, interval, self._random())
        self._plan(watch, due)

    def forget(self, key: Hashable) -> None:
        """Check it no more; a check under way is cancelled. Nothing happens if it is not watched."""
        watch = self._watches.pop(key, None)
        if watch is None:
            return
        watch.entry = 0
        check = watch.check
        if watch.run:
            self._end(watch)
        if check is not None:
            check.cancel()
        self._close(watch.probe)

    def hurry(self, key: Hashable) -> None:
        """Check it now, or once more when the check under way has ended. Nothing happens if it is not watched."""
        watch = self._watches.get(key)
        if watch is None:
            return
        soon = max(self._clock.seconds(), watch.began + LEAST)
        if watch.run:
            watch.again = True
        elif watch.due > soon:
            self._plan(watch, soon)

    def stop(self) -> Deferred[None]:
        """Forget everything for good. Fires when no check is under way any more, and their connections are gone."""
        self._stopped = True
        for key in list(self._watches):
            self.forget(key)
        self._heap.clear()
        self._ready.clear()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        done: Deferred[None] = Deferred()
        self._over.append(done)
        self._tell_over()
        return done

    def _tell_over(self) -> None:
        if self._stopped and not self._unfinished:
            over, self._over = self._over, []
            for done in over:
                # A connection that is aborted is gone in the next turn.
                self._clock.callLater(0, done.callback, None)

    # When

    def _plan(self, watch: _Watch, due: float) -> None:
        self._number += 1
        watch.entry = self._number
        watch.due = due
        heappush(self._heap, (due, self._number, watch))
        self._arm()

    def _arm(self) -> None:
        """Set the timer to what comes next."""
        heap = self._heap
        while heap and heap[0][2].entry != heap[0][1]:
            heappop(heap)
        if self._ready and self.running < self._most:
            self._wake(self._clock.seconds())
        elif heap:
            self._wake(max(heap[0][0], self._looked + TOGETHER))

    def _wake(self, due: float) -> None:
        call = self._call
        if call is not None:
            if call.getTime() <= due:
                return
            call.cancel()
        self._call = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._turn)

    def _turn(self) -> None:
        """Start what is due, and give up what takes too long."""
        self._call = None
        now = self._looked = self._clock.seconds()
        heap, ready = self._heap, self._ready
        while heap and heap[0][0] <= now:
            _, number, watch = heappop(heap)
            if watch.entry != number:
                continue
            if watch.run:
                self._give_up(watch)
            else:
                ready.append((number, watch))
        left = AT_ONCE
        while ready and left and self.running < self._most:
            number, watch = ready.popleft()
            if watch.entry == number:
                left -= 1
                self._start(watch, now)
        self._arm()

    def _start(self, watch: _Watch, now: float) -> None:
        self._lateness.note(now - watch.due, now)
        self.running += 1
        self._unfinished += 1
        watch.began = now
        self._plan(watch, now + patience(watch.timeout))
        run = watch.run = self._number
        try:
            check = watch.probe.check()
        except Exception:
            self._broken(watch, run, Failure())
            self._finished(None)
            return
        ended = check.addCallbacks(
            lambda verdict: self._judge(watch, run, verdict), lambda failure: self._broken(watch, run, failure)
        )
        if watch.run == run:
            watch.check = ended
        ended.addBoth(self._finished)

    def _finished(self, _: object) -> None:
        self._unfinished -= 1
        self._tell_over()

    # What comes of it

    def _judge(self, watch: _Watch, run: int, verdict: Verdict) -> None:
        """A check has ended by itself, or was given up."""
        if watch.run != run:
            return
        self.outcomes[verdict.reason] += 1
        doubt = False
        if verdict.reason != LOCAL_FAILURE:
            try:
                doubt = watch.told(verdict)
            except Exception:
                self.faults += 1
                self.log.failure("{key}: the result of a check was not taken well", key=watch.key)
        # Whoever was told may have had it forgotten.
        if watch.run == run:
            self._end(watch)
            self._plan_next(watch, doubt)

    def _broken(self, watch: _Watch, run: int, failure: Failure) -> None:
        """A probe did what none may do."""
        if watch.run != run:
            return
        self.faults += 1
        self.log.failure("{key}: a check could not be made", failure, key=watch.key)
        self._end(watch)
        self._plan_next(watch, doubt=False)

    def _give_up(self, watch: _Watch) -> None:
        self.faults += 1
        self.log.error("{key}: a check did not end in twice its time", key=watch.key)
        check = watch.check
        self._judge(watch, watch.run, Verdict(False, "timeout", self._clock.seconds() - watch.began))
        if check is not None:
            check.cancel()

    def _end(self, watch: _Watch) -> None:
        watch.run = 0
        watch.check = None
        self.running -= 1

    def _plan_next(self, watch: _Watch, doubt: bool) -> None:
        wait = pause(watch.interval, self._random(), doubt=doubt, again=watch.again)
        watch.again = False
        self._plan(watch, max(watch.began + wait, self._clock.seconds()))

    def _close(self, probe: Probe) -> None:
        try:
            probe.close()
        except Exception:
            self.faults += 1
            self.log.failure("a probe could not be closed")
