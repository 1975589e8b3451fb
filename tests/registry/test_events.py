from __future__ import annotations

import pytest

from tests.twisted_hygiene import Failures
from ttagw.registry.events import KEPT, MOST_LISTENERS, Event, Events, TooManyListenersError


def test_everybody_is_told_each_event_once_and_in_order() -> None:
    events = Events(lambda: 5.0)
    told: list[tuple[str, Event]] = []
    for name in "xy":
        events.listen(lambda event, name=name: told.append((name, event)))  # type: ignore[misc]
    first = events.tell("instance_up", "s", "i", "why", "alert")
    second = events.tell("service_up", "s")
    assert first == Event(1, 5.0, "instance_up", "s", "i", "why", "alert")
    assert second == Event(2, 5.0, "service_up", "s", "", "", "info")
    assert told == [("x", first), ("y", first), ("x", second), ("y", second)]
    assert events.counts == {("instance_up", "s", "why"): 1, ("service_up", "s", ""): 1}


def test_one_that_fails_stops_nobody_else(failures: Failures) -> None:
    events, told = Events(lambda: 5.0), []

    def fail(event: Event) -> None:
        raise ZeroDivisionError

    events.listen(fail)
    events.listen(told.append)
    events.tell("k", "s")
    assert len(told) == len(failures.take(ZeroDivisionError)) == 1


def test_whoever_has_ended_is_told_nothing_and_makes_room() -> None:
    events = Events(lambda: 5.0)
    ends = [events.listen(lambda event: None) for _ in range(MOST_LISTENERS)]
    with pytest.raises(TooManyListenersError):
        events.listen(lambda event: None)
    told: list[Event] = []
    ends[0]()
    ends[0]()
    end = events.listen(told.append)
    events.tell("k", "s")
    end()
    events.tell("k", "s")
    assert [each.number for each in told] == [1]


def test_one_may_end_while_it_is_told() -> None:
    events, told = Events(lambda: 5.0), []
    ends = []
    ends.append(events.listen(lambda event: ends[0]()))
    events.listen(told.append)
    events.tell("k", "s")
    events.tell("k", "s")
    assert len(told) == 2


def test_the_latest_are_kept_for_who_comes_late() -> None:
    events = Events(lambda: 5.0)
    for _ in range(KEPT + 3):
        events.tell("k", "s")
    assert [each.number for each in events.after(KEPT)] == [KEPT + 1, KEPT + 2, KEPT + 3]
    assert events.after(0)[0].number == 4
    assert events.after(KEPT + 3) == []
