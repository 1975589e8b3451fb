"""Waiting for some time, or until somebody says that there is reason not to."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred


class Alarm:
    """One coroutine waits, anybody wakes it."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._waiting: Deferred[None] | None = None

    async def wait(self, seconds: float) -> None:
        """Until the time is over or `wake` is called."""
        waiting = self._waiting = Deferred()
        call = self._reactor.callLater(seconds, self.wake)
        try:
            await waiting
        finally:
            self._waiting = None
            if call.active():
                call.cancel()

    def wake(self) -> None:
        """Whoever waits waits no longer."""
        if self._waiting is not None and not self._waiting.called:
            self._waiting.callback(None)
