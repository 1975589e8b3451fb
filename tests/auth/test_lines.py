from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from ttagw.auth.lines import LineFullError, Lines


class Waiting:
    """Some that wait in one line, and in which order they went on."""

    def __init__(self, most: int = 3) -> None:
        self.clock = Clock()
        self.lines = Lines(self.clock, most)
        self.lines.enter("k")
        self.went: list[str] = []

    def wait(self, name: str, seconds: float = 10.0) -> Deferred[None]:
        waiting = Deferred.fromCoroutine(self.lines.turn("k", seconds))
        return waiting.addCallback(lambda _: self.went.append(name))


def test_those_who_wait_go_on_in_their_order_when_one_is_done() -> None:
    line = Waiting()
    line.wait("a")
    line.wait("b")
    assert line.went == []
    line.lines.leave("k")
    assert line.went == ["a", "b"]
    assert len(line.lines) == 0
    assert line.clock.getDelayedCalls() == []


def test_nobody_waits_for_longer_than_they_said() -> None:
    line = Waiting()
    late = line.wait("a", 2.0)
    line.clock.advance(2.0)
    failure: list[object] = []
    late.addErrback(lambda why: failure.append(why.type))
    assert failure == [LineFullError]
    line.lines.leave("k")
    assert line.went == []


def test_a_line_that_is_full_takes_nobody_and_one_whose_time_is_over_does_not_wait() -> None:
    line = Waiting(most=1)
    line.wait("a")
    for waiting in (line.wait("b"), line.wait("c", 0.0)):
        with pytest.raises(LineFullError):
            raise waiting.result.value  # type: ignore[union-attr]
        waiting.addErrback(lambda _: None)
    line.lines.leave("k")
    assert line.went == ["a"]


def test_who_leaves_the_line_makes_room_in_it() -> None:
    line = Waiting(most=1)
    gone = line.wait("a")
    gone.cancel()
    gone.addErrback(lambda why: why.trap(CancelledError))
    line.wait("b")
    line.lines.leave("k")
    assert line.went == ["b"]
    assert line.clock.getDelayedCalls() == []


def test_who_goes_on_may_make_others_leave() -> None:
    line = Waiting()
    first = Deferred.fromCoroutine(line.lines.turn("k", 10.0))
    second = line.wait("b")
    first.addCallback(lambda _: second.cancel())
    second.addErrback(lambda why: why.trap(CancelledError))
    line.lines.leave("k")
    assert line.went == []


def test_how_many_are_under_way_is_known() -> None:
    lines = Lines(Clock())
    assert lines.under_way("k") == 0
    lines.enter("k")
    lines.enter("k")
    lines.leave("k")
    assert lines.under_way("k") == 1
