from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.twisted_hygiene import Failures
from ttagw.auth.revocation_batches import CALM, LONGEST_CALM, Batches


class Teller:
    """Is told of changes, which takes `costs` seconds each time."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.costs = 0.0
        self.told: list[list[str]] = []
        self.batches = Batches(self.clock, self.tell)

    def tell(self, changes: Sequence[str]) -> None:
        self.told.append(list(changes))
        self.clock.rightNow += self.costs

    def wait(self) -> list[None]:
        done: list[None] = []
        Deferred.fromCoroutine(self.batches.told()).addBoth(done.append)
        return done


def test_what_comes_in_one_turn_is_told_together_once_each() -> None:
    teller = Teller()
    assert teller.wait() == [None]
    for each in ("a", "b", "a"):
        teller.batches.add(each)
    waiting = teller.wait()
    assert (teller.told, waiting) == ([], [])
    teller.clock.advance(0.0)
    assert (teller.told, waiting) == ([["a", "b"]], [None])


def test_telling_takes_a_small_part_of_the_time() -> None:
    teller = Teller()
    teller.costs = 0.01
    teller.batches.add("a")
    teller.clock.advance(0.0)
    teller.batches.add("b")
    teller.clock.advance(0.01 * CALM - 0.001)
    assert len(teller.told) == 1
    teller.batches.add("c")
    teller.clock.advance(0.002)
    assert teller.told == [["a"], ["b", "c"]]


def test_nobody_waits_longer_than_that() -> None:
    teller = Teller()
    teller.costs = 5.0
    teller.batches.add("a")
    teller.clock.advance(0.0)
    teller.batches.add("b")
    teller.clock.advance(LONGEST_CALM)
    assert teller.told == [["a"], ["b"]]


def test_one_who_gives_up_does_not_end_it_for_others() -> None:
    teller = Teller()
    teller.batches.add("a")
    waiting = Deferred.fromCoroutine(teller.batches.told())
    waiting.addErrback(lambda failure: None)
    other = teller.wait()
    waiting.cancel()
    teller.clock.advance(0.0)
    assert (teller.told, other) == ([["a"]], [None])


def test_at_the_end_what_is_left_is_told_and_then_all_at_once() -> None:
    teller = Teller()
    teller.batches.add("a")
    waiting = teller.wait()
    teller.batches.stop()
    teller.batches.stop()
    assert (teller.told, waiting) == ([["a"]], [None])
    teller.batches.add("b")
    assert teller.told == [["a"], ["b"]]
    assert teller.clock.getDelayedCalls() == []


def test_one_who_fails_to_take_it_keeps_nobody_waiting(failures: Failures) -> None:
    clock = Clock()

    def broken(changes: Sequence[str]) -> None:
        raise RuntimeError("told")

    batches = Batches(clock, broken)
    batches.add("a")
    done: list[None] = []
    Deferred.fromCoroutine(batches.told()).addBoth(done.append)
    clock.advance(0.0)
    assert done == [None]
    assert len(failures.take(RuntimeError)) == 1
