from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred

from tests.auth.glass_kit import result
from tests.twisted_hygiene import Failures
from ttagw.auth.rarely import MOST, Rarely
from ttagw.auth.shared import Shared
from ttagw.errors import AccessUnknownError
from ttagw.testing import Clock


class Works:
    """Works that end when the test says so."""

    def __init__(self, most: int = 2) -> None:
        self.shared: Shared[str] = Shared(most)
        self.begun: list[Deferred[str]] = []

    def ask(self, key: str = "a") -> Deferred[str] | None:
        return self.shared.ask(key, self._work)

    def join(self, key: str = "a") -> Deferred[str]:
        found = self.ask(key)
        assert found is not None
        return found

    async def _work(self) -> str:
        self.begun.append(Deferred())
        return await self.begun[-1]


def test_who_asks_the_same_gets_the_same() -> None:
    works = Works()
    one, other = works.join(), works.join()
    assert (len(works.begun), works.shared.under_way) == (1, 1)
    works.begun[0].callback("done")
    assert (result(one), result(other), works.shared.under_way) == ("done", "done", 0)


def test_when_it_is_over_it_is_begun_again() -> None:
    works = Works()
    works.join()
    works.begun[0].callback("done")
    again = works.join()
    works.begun[1].callback("again")
    assert result(again) == "again"


def test_who_leaves_ends_nothing_for_the_others() -> None:
    works = Works()
    one, other = works.join(), works.join()
    one.cancel()
    assert isinstance(result(one), CancelledError)
    works.begun[0].callback("done")
    assert result(other) == "done"


def test_a_failure_is_everybody_s() -> None:
    works = Works()
    one, other = works.join(), works.join()
    works.begun[0].errback(AccessUnknownError("x"))
    assert isinstance(result(one), AccessUnknownError)
    assert isinstance(result(other), AccessUnknownError)


def test_a_failure_that_nobody_waits_for_is_logged_unless_it_was_foreseen(failures: Failures) -> None:
    works = Works()
    for error in (AccessUnknownError("x"), ValueError("x")):
        leaving = works.join()
        leaving.cancel()
        assert isinstance(result(leaving), CancelledError)
        works.begun.pop().errback(error)
    assert len(failures.take(ValueError)) == 1


def test_there_is_room_for_so_many() -> None:
    works = Works()
    works.join("a")
    works.join("b")
    assert works.ask("c") is None
    works.join("a")
    works.begun[0].callback("done")
    assert works.ask("c") is not None


def test_work_that_waits_for_nothing_is_done_at_once() -> None:
    async def now() -> str:
        return "now"

    shared: Shared[str] = Shared(1)
    for _ in range(2):
        found = shared.ask("a", now)
        assert found is not None
        assert result(found) == "now"
    shared.stop()


def test_at_the_end_all_of_it_is_ended() -> None:
    works = Works()
    waiting = [works.join("a"), works.join("a"), works.join("b")]
    works.shared.stop()
    assert all(isinstance(result(each), CancelledError) for each in waiting)
    assert works.shared.under_way == 0


@given(st.lists(st.tuples(st.sampled_from(["join", "leave", "end"]), st.integers(0, 3)), max_size=40))
def test_nobody_waits_for_ever_and_nothing_runs_twice(steps: list[tuple[str, int]]) -> None:
    shared: Shared[int] = Shared(3)
    running: dict[int, Deferred[Any]] = {}
    waiting: list[Deferred[int]] = []
    answered: list[object] = []

    async def work(key: int) -> int:
        assert key not in running
        running[key] = Deferred()
        try:
            await running[key]
        finally:
            del running[key]
        return key

    for what, key in steps:
        if what == "join":
            found = shared.ask(key, lambda key=key: work(key))  # type: ignore[misc]
            assert (found is None) == (key not in running)
            if found is not None:
                waiting.append(found.addBoth(answered.append))
        elif what == "leave" and waiting:
            waiting[key % len(waiting)].cancel()
        elif what == "end" and key in running:
            running[key].callback(None)
        assert shared.under_way == len(running) <= 3
    shared.stop()
    assert len(answered) == len(waiting)


# Rarely


def test_a_thing_is_said_now_and_then() -> None:
    clock = Clock()
    rarely = Rarely(60.0, clock)
    assert [rarely.due("a"), rarely.due("a"), rarely.due("b")] == [True, False, True]
    clock.advance(59.0)
    assert not rarely.due("a")
    clock.advance(1.0)
    assert rarely.due("a")
    assert not rarely.due("a")


def test_what_somebody_else_has_said_counts() -> None:
    rarely = Rarely(60.0, Clock())
    rarely.said("a")
    assert not rarely.due("a")


def test_only_so_many_things_are_remembered() -> None:
    rarely = Rarely(60.0, Clock())
    for number in range(MOST + 1):
        assert rarely.due(number)
    assert rarely.due(0)
    assert not rarely.due(MOST)
    assert len(rarely._said) == MOST
