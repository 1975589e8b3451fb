from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock

from tests.twisted_hygiene import Failures
from ttagw.registry.checks import Verdict
from ttagw.registry.pace import LEAST, SPREAD
from ttagw.registry.poller import TOGETHER, Poller
from ttagw.registry.probes.reasons import LOCAL_FAILURE

GOOD = Verdict(True, "", 0.01)
BAD = Verdict(False, "status_503", 0.01)
SOON = 2 * TOGETHER
"""What a check may be late by design."""


class Scripted:
    """A probe: `answers` says what a check finds, None leaves it under way."""

    def __init__(self, clock: Clock, answer: Callable[[], Verdict | None] = lambda: GOOD) -> None:
        self.clock = clock
        self.answer = answer
        self.at: list[float] = []
        self.open: list[Deferred[Verdict]] = []
        self.most = 0
        self.cancelled = 0
        self.closed = 0

    def check(self) -> Deferred[Verdict]:
        self.at.append(self.clock.seconds())
        verdict = self.answer()
        if verdict is not None:
            return succeed(verdict)
        self.open.append(Deferred(self._cancel))
        self.most = max(self.most, len(self.open))
        return self.open[-1]

    def _cancel(self, done: Deferred[Verdict]) -> None:
        self.cancelled += 1
        self.open.remove(done)

    def end(self, verdict: Verdict = GOOD) -> None:
        self.open.pop(0).callback(verdict)

    def close(self) -> None:
        self.closed += 1

    @property
    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in pairwise(self.at)]


class Polled:
    """A poller whose time and chance the test has in its hands."""

    def __init__(self, chance: Callable[[], float] = lambda: 0.5, **more: Any) -> None:
        self.clock = Clock()
        self.poller = Poller(self.clock, chance, **more)
        self.told: list[Verdict] = []
        self.doubt = False

    def tell(self, verdict: Verdict) -> bool:
        self.told.append(verdict)
        return self.doubt

    def probe(self, answer: Callable[[], Verdict | None] = lambda: GOOD, key: Any = "one", **more: Any) -> Scripted:
        """Watch one: every 10 s, at once."""
        made = Scripted(self.clock, answer)
        settings = {"interval": 10.0, "told": self.tell, "first": 0.0, **more}
        self.poller.watch(key, made, **settings)
        return made

    def pass_time(self, seconds: float, step: float = 0.01) -> None:
        self.clock.pump([step] * round(seconds / step))


@given(st.integers(0, 1 << 32), st.sampled_from([0.1, 0.5, 1.0, 10.0, 60.0]))
def test_the_pause_is_the_interval_more_or_less(seed: int, interval: float) -> None:
    polled = Polled(random.Random(seed).random)
    probe = polled.probe(interval=interval)
    polled.pass_time(20 * interval, interval / 100)
    assert 17 <= len(probe.at) <= 24
    slack = SOON + interval / 50
    assert all(0.9 * interval - 1e-6 <= gap <= 1.1 * interval + slack for gap in probe.gaps)
    assert len(polled.told) == len(probe.at)


def test_pauses_differ() -> None:
    polled = Polled(random.Random(1).random)
    probe = polled.probe()
    polled.pass_time(1000, 0.05)
    assert max(probe.gaps) - min(probe.gaps) > 1.5


@given(st.integers(0, 1 << 32), st.sampled_from([0.1, 0.5, 2.0, 10.0]))
def test_with_doubt_it_comes_five_times_sooner_but_not_too_soon(seed: int, interval: float) -> None:
    polled = Polled(random.Random(seed).random)
    polled.doubt = True
    probe = polled.probe(lambda: BAD, interval=interval)
    polled.pass_time(10.0)
    least = min(0.9 * interval, max(LEAST, 0.9 * interval / 5))
    most = min(1.1 * interval, max(LEAST, 1.1 * interval / 5))
    assert len(probe.gaps) > 3
    assert all(least - 1e-6 <= gap <= most + SOON for gap in probe.gaps)


def test_without_doubt_it_is_slow_again() -> None:
    polled = Polled()
    polled.doubt = True
    probe = polled.probe()
    polled.pass_time(3.0)
    assert len(probe.at) == 2
    polled.doubt = False
    polled.pass_time(2.0)
    assert len(probe.at) == 3
    polled.pass_time(8.5)
    assert len(probe.at) == 3
    polled.pass_time(1.0)
    assert len(probe.at) == 4


def test_a_lone_one_is_checked_soon() -> None:
    for chance in (0.0, 0.5, 0.999):
        polled = Polled(lambda chance=chance: chance)  # type: ignore[misc]
        probe = polled.probe(first=None)
        polled.pass_time(SPREAD + SOON)
        assert len(probe.at) == 1


def test_the_first_may_be_said() -> None:
    polled = Polled()
    probe = polled.probe(first=3.0)
    polled.pass_time(2.99)
    assert probe.at == []
    polled.pass_time(SOON)
    assert len(probe.at) == 1


def test_two_thousand_do_not_come_in_a_burst() -> None:
    chance = random.Random(3).random
    polled = Polled(chance)
    probes = [polled.probe(key=number, first=None) for number in range(2000)]
    polled.pass_time(60.0)
    firsts = sorted(probe.at[0] for probe in probes)
    assert firsts[-1] < 5.0
    every = sorted(at for probe in probes for at in probe.at)
    for second in range(60):
        assert len([at for at in every if second <= at < second + 1]) < 620
    assert len([at for at in every if 50 <= at < 60]) == pytest.approx(2000, rel=0.1)
    assert all(gap < 11.1 for probe in probes for gap in probe.gaps)
    assert polled.poller.lateness <= SOON
    assert polled.poller.outcomes == {"": len(every)}
    assert len(polled.poller) == 2000


def test_those_that_are_due_together_are_started_over_several_turns() -> None:
    polled = Polled()
    probes = [polled.probe(key=number) for number in range(100)]
    started = []
    for _ in range(8):
        # Unlike a reactor, the clock goes on until nothing is due.
        (call,) = [each for each in polled.clock.calls if each.getTime() <= polled.clock.seconds()] or [None]
        if call is not None:
            polled.clock.calls.remove(call)
            call.func()
        started.append(sum(len(probe.at) for probe in probes))
    assert started[0] < 20
    assert started[-1] == 100
    assert all(later - earlier < 20 for earlier, later in pairwise(started))


def test_there_is_a_cap_and_nobody_starves() -> None:
    polled = Polled(most=10)
    probes = [polled.probe(lambda: None, key=number, interval=1.0) for number in range(100)]
    polled.pass_time(0.5)
    running = [probe for probe in probes if probe.open]
    assert (len(running), polled.poller.running) == (10, 10)
    for _ in range(40):
        polled.pass_time(0.5)
        assert polled.poller.running <= 10
        assert polled.poller.lateness > 0.4
        for probe in probes:
            if probe.open:
                probe.end()
    assert all(len(probe.at) >= 1 for probe in probes)
    assert max(len(probe.at) for probe in probes) - min(len(probe.at) for probe in probes) <= 1


def test_one_that_still_runs_is_not_started_again() -> None:
    polled = Polled()
    probe = polled.probe(lambda: None, interval=1.0, timeout=5.0)
    polled.pass_time(4.0)
    assert (len(probe.at), probe.most) == (1, 1)
    probe.end()
    polled.pass_time(SOON)
    assert (len(probe.at), probe.most) == (2, 1)


@pytest.mark.parametrize(("timeout", "patience"), [(2.0, 4.0), (0.1, 1.1)])
def test_a_check_that_never_ends_is_given_up(timeout: float, patience: float, failures: Failures) -> None:
    polled = Polled()
    probe = polled.probe(lambda: None, timeout=timeout)
    polled.pass_time(patience - 0.05)
    assert probe.cancelled == 0
    polled.pass_time(0.05 + SOON)
    assert probe.cancelled == 1
    assert [(each.good, each.reason) for each in polled.told] == [(False, "timeout")]
    assert polled.told[0].seconds == pytest.approx(patience, abs=SOON)
    assert (polled.poller.faults, polled.poller.running) == (1, 0)
    polled.pass_time(10.0)
    assert len(probe.at) == 2


def test_one_that_hangs_frees_its_place_under_the_cap() -> None:
    polled = Polled(most=1)
    polled.probe(lambda: None, key="hangs")
    other = polled.probe(key="other")
    polled.pass_time(3.0)
    assert other.at == []
    polled.pass_time(1.5)
    assert len(other.at) == 1


def test_an_exception_in_a_probe_stops_nothing(failures: Failures) -> None:
    def fail() -> Verdict:
        raise ZeroDivisionError

    polled = Polled()
    bad, good = polled.probe(fail, key="bad"), polled.probe(key="good")
    polled.pass_time(25.0)
    assert (len(bad.at), len(good.at)) == (3, 3)
    assert len(polled.told) == 3
    assert polled.poller.faults == len(failures.take(ZeroDivisionError)) == 3
    assert polled.poller.running == 0


def test_a_probe_that_fails_stops_nothing(failures: Failures) -> None:
    polled = Polled()
    probe = polled.probe(lambda: None)
    polled.pass_time(0.1)
    probe.open.pop().errback(ZeroDivisionError())
    assert (polled.told, polled.poller.faults, polled.poller.running) == ([], 1, 0)
    polled.pass_time(10.0)
    assert len(probe.at) == 2
    assert len(failures.take(ZeroDivisionError)) == 1


def test_an_exception_in_who_is_told_stops_nothing(failures: Failures) -> None:
    def fail(verdict: Verdict) -> bool:
        raise ZeroDivisionError

    polled = Polled()
    probe = polled.probe(told=fail)
    polled.pass_time(25.0)
    assert len(probe.at) == 3
    assert polled.poller.faults == len(failures.take(ZeroDivisionError)) == 3
    assert polled.poller.outcomes == {"": 3}


def test_a_probe_that_cannot_be_closed_is_forgotten_all_the_same(failures: Failures) -> None:
    class Sticky(Scripted):
        def close(self) -> None:
            raise ZeroDivisionError

    polled = Polled()
    polled.poller.watch("one", Sticky(polled.clock), 10.0, polled.tell)
    polled.poller.forget("one")
    assert (len(polled.poller), polled.poller.faults) == (0, 1)
    assert len(failures.take(ZeroDivisionError)) == 1


def test_what_says_nothing_about_the_instance_is_not_told() -> None:
    polled = Polled()
    probe = polled.probe(lambda: Verdict(False, LOCAL_FAILURE, 0.0))
    polled.pass_time(15.0)
    assert len(probe.at) == 2
    assert polled.told == []
    assert polled.poller.outcomes == {LOCAL_FAILURE: 2}


def test_hurry_checks_now() -> None:
    polled = Polled()
    probe = polled.probe()
    polled.pass_time(3.0)
    polled.poller.hurry("one")
    polled.poller.hurry("one")
    polled.pass_time(SOON)
    assert len(probe.at) == 2
    polled.pass_time(9.5)
    assert len(probe.at) == 2
    polled.pass_time(1.0)
    assert len(probe.at) == 3


def test_hurry_during_a_check_means_another_one_after_it() -> None:
    polled = Polled()
    probe = polled.probe(lambda: None)
    polled.pass_time(0.5)
    polled.poller.hurry("one")
    polled.pass_time(0.5)
    assert len(probe.at) == 1
    probe.end()
    polled.pass_time(SOON)
    assert len(probe.at) == 2
    probe.end()
    polled.pass_time(5.0)
    assert len(probe.at) == 2


def test_hurry_of_one_that_is_first_checked_later_or_not_at_all() -> None:
    polled = Polled()
    probe = polled.probe(first=5.0)
    polled.poller.hurry("one")
    polled.poller.hurry("nobody")
    polled.pass_time(SOON)
    assert len(probe.at) == 1


def test_nobody_can_hurry_all_the_time() -> None:
    polled = Polled()

    def hurry(verdict: Verdict) -> bool:
        polled.poller.hurry("one")
        return False

    probe = polled.probe(told=hurry)
    for _ in range(1000):
        polled.poller.hurry("one")
        polled.pass_time(0.01)
    assert 40 <= len(probe.at) <= 51


def test_hurry_does_not_lose_its_place_in_the_line() -> None:
    polled = Polled(most=1)
    first = polled.probe(lambda: None, key=1)
    second, third = polled.probe(key=2), polled.probe(lambda: None, key=3)
    polled.pass_time(0.5)
    polled.poller.hurry(2)
    first.end()
    polled.pass_time(SOON)
    assert second.at[0] < third.at[0] or second.at[0] == third.at[0]
    assert len(third.open) == 1


def test_forget_before_and_during_a_check() -> None:
    polled = Polled()
    early = polled.probe(key="early", first=5.0)
    late = polled.probe(lambda: None, key="late")
    polled.pass_time(1.0)
    polled.poller.forget("early")
    polled.poller.forget("late")
    polled.poller.forget("nobody")
    assert (early.closed, late.closed, late.cancelled) == (1, 1, 1)
    assert (polled.poller.running, len(polled.poller)) == (0, 0)
    polled.pass_time(30.0)
    assert (early.at, len(late.at), polled.told) == ([], 1, [])


def test_forget_while_it_waits_for_a_place() -> None:
    polled = Polled(most=1)
    first = polled.probe(lambda: None, key=1)
    second, third = polled.probe(key=2), polled.probe(key=3)
    polled.pass_time(0.5)
    polled.poller.forget(2)
    first.end()
    polled.pass_time(SOON)
    assert (second.at, len(third.at)) == ([], 1)


def test_who_is_told_may_have_it_forgotten_or_replaced() -> None:
    polled = Polled()

    def forget(verdict: Verdict) -> bool:
        polled.poller.forget("one")
        return True

    gone = polled.probe(told=forget)
    polled.pass_time(30.0)
    assert (len(gone.at), gone.closed, polled.poller.running) == (1, 1, 0)

    def replace(verdict: Verdict) -> bool:
        replaced.append(polled.probe())
        return True

    replaced: list[Scripted] = []
    polled.probe(lambda: None, told=replace).clock.advance(0)
    polled.pass_time(5.0)
    assert len(replaced) == 1
    assert len(replaced[0].at) == 1
    assert polled.poller.running == 0


def test_the_same_key_again_replaces_it() -> None:
    polled = Polled()
    old = polled.probe(lambda: None)
    polled.pass_time(0.1)
    new = polled.probe()
    assert (old.cancelled, old.closed, len(polled.poller)) == (1, 1, 1)
    polled.pass_time(0.1)
    assert (len(old.at), len(new.at), polled.told) == (1, 1, [GOOD])


def test_stop_during_checks() -> None:
    polled = Polled()
    running, waiting = polled.probe(lambda: None, key=1), polled.probe(key=2, first=5.0)
    polled.pass_time(1.0)
    over: list[None] = []
    polled.poller.stop().addCallback(over.append)
    assert (running.cancelled, running.closed, waiting.closed) == (1, 1, 1)
    polled.clock.advance(0)
    assert over == [None]
    assert not polled.clock.getDelayedCalls()
    polled.poller.stop().addCallback(over.append)
    polled.clock.advance(0)
    assert len(over) == 2
    late = polled.probe(key=3)
    polled.poller.hurry(3)
    assert (late.closed, len(polled.poller), polled.clock.getDelayedCalls()) == (1, 0, [])
    assert polled.told == []


def test_stop_waits_for_a_check_that_takes_long_to_end() -> None:
    class Reluctant(Scripted):
        def check(self) -> Deferred[Verdict]:
            return Deferred.fromCoroutine(self.go_on())

        async def go_on(self) -> Verdict:
            try:
                await Deferred()
            except CancelledError:
                await slow
            return GOOD

    slow: Deferred[None] = Deferred()
    polled = Polled()
    probe = Reluctant(polled.clock)
    polled.poller.watch("one", probe, 10.0, polled.tell, 0.0)
    polled.pass_time(0.1)
    over: list[None] = []
    polled.poller.stop().addCallback(over.append)
    polled.pass_time(1.0)
    assert over == []
    slow.callback(None)
    polled.clock.advance(0)
    assert (over, polled.told) == ([None], [])


def test_who_is_told_may_stop_it() -> None:
    polled = Polled()
    over: list[None] = []

    def stop(verdict: Verdict) -> bool:
        polled.poller.stop().addCallback(over.append)
        return True

    probes = [polled.probe(key=number, told=stop) for number in range(5)]
    polled.pass_time(1.0)
    assert over == [None]
    assert sum(len(probe.at) for probe in probes) == 1
    assert not polled.clock.getDelayedCalls()


def test_lateness_is_that_of_what_starts_late() -> None:
    polled = Polled()
    polled.probe(first=1.0)
    assert polled.poller.lateness == 0.0
    polled.clock.advance(4.0)
    assert polled.poller.lateness == pytest.approx(3.0)


def test_there_is_one_timer_whatever_is_watched() -> None:
    polled = Polled(random.Random(5).random)
    for number in range(300):
        polled.probe(key=number, first=None)
    for _ in range(500):
        polled.clock.advance(0.01)
        assert len(polled.clock.getDelayedCalls()) == 1


STEPS = st.lists(
    st.tuples(st.sampled_from(["watch", "forget", "hurry", "end", "time", "doubt"]), st.integers(0, 5)), max_size=60
)


@given(STEPS, st.integers(0, 1 << 16))
def test_whatever_happens_the_books_are_right(steps: list[tuple[str, int]], seed: int) -> None:
    polled = Polled(random.Random(seed).random, most=3)
    alive: dict[int, Scripted] = {}
    everyone: list[Scripted] = []
    for step, number in steps:
        if step == "watch":
            alive[number] = polled.probe(lambda: None, key=number, first=None, interval=1.0, timeout=3.0)
            everyone.append(alive[number])
        elif step == "forget":
            polled.poller.forget(number)
            alive.pop(number, None)
        elif step == "hurry":
            polled.poller.hurry(number)
        elif step == "end" and number in alive and alive[number].open:
            alive[number].end(BAD)
        elif step == "doubt":
            polled.doubt = not polled.doubt
        else:
            polled.pass_time(0.3 * number, 0.05)
        assert polled.poller.running == sum(len(each.open) for each in everyone) <= 3
        assert len(polled.poller) == len(alive)
        assert all(len(each.open) <= 1 for each in everyone)
        assert all(each.closed == (each not in alive.values()) for each in everyone)
    over: list[None] = []
    polled.poller.stop().addCallback(over.append)
    polled.clock.advance(0)
    assert over == [None]
    assert not any(each.open for each in everyone)
    assert not polled.clock.getDelayedCalls()
