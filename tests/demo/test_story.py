"""The story, told on a clock of the test's own."""

from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET
from twisted.web.test.requesthelper import DummyRequest

from ttagw.demo.story import Story


def test_each_line_is_sent_when_its_time_comes() -> None:
    clock, request = Clock(), DummyRequest([b""])
    assert Story(clock, 2.0, ["one", "two"]).render_GET(request) == NOT_DONE_YET
    assert request.written == [b"one\n"]
    clock.advance(2.0)
    assert (request.written, request.finished) == ([b"one\n", b"two\n"], 0)
    clock.advance(2.0)
    assert (request.finished, clock.getDelayedCalls()) == (1, [])


@pytest.mark.parametrize("reason", [ConnectionDone(), ConnectionLost()])
def test_a_listener_who_leaves_ends_the_story(reason: Exception) -> None:
    clock, request = Clock(), DummyRequest([b""])
    Story(clock, 2.0, ["one", "two"]).render_GET(request)
    request.processingFailed(Failure(reason))
    assert clock.getDelayedCalls() == []
