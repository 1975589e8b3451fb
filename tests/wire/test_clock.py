from __future__ import annotations

import time

from twisted.internet.task import Clock

from ttagw.wire.clock import use_monotonic


def test_timers_that_exist_keep_what_is_left_of_their_time() -> None:
    clock = Clock()
    clock.advance(5000.0)
    call = clock.callLater(10.0, lambda: None)
    use_monotonic(clock)
    assert clock.seconds is time.monotonic
    assert abs(call.getTime() - time.monotonic() - 10.0) < 1.0
    assert call.seconds is time.monotonic


def test_asking_twice_changes_nothing() -> None:
    clock = Clock()
    use_monotonic(clock)
    call = clock.callLater(10.0, lambda: None)
    due = call.getTime()
    use_monotonic(clock)
    assert call.getTime() == due
