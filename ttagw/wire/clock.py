"""Time that only goes forward.

Twisted's reactor counts timers by the wall clock: set back an hour, every `callLater` is an hour late; set forward, all
of them are due.
"""

from __future__ import annotations

import time
from typing import Any


def use_monotonic(reactor: Any) -> None:
    """Make the reactor count its timers by the monotonic clock. Timers that exist keep what is left of their time."""
    if reactor.seconds is time.monotonic:
        return
    difference = time.monotonic() - reactor.seconds()
    reactor.seconds = time.monotonic
    for call in reactor.getDelayedCalls():
        call.time += difference
        call.seconds = time.monotonic
