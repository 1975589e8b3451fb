"""One check: a conversation over a link, within a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred

from ttagw.registry.checks import Verdict
from ttagw.registry.probes.talks import Talk
from ttagw.wire.deadlines import Deadlines

PARTING = 0.5
"""Seconds that the other side has to say goodbye, where it must (TLS)."""


class Link(Protocol):
    """A connection that is made for one check. Tells the check what happens, and nothing after `close` or `abort`."""

    def open(self, check: Check) -> None:
        """Connect. The check is told `connected` or `lost`, maybe before this returns."""

    def send(self, data: bytes) -> None:
        """Say something. May end in `lost`."""

    def close(self) -> bool:
        """End it in order. Returns whether it is gone; if not, the check is told `lost` when it is."""

    def abort(self) -> None:
        """Drop it, connected or not. It is gone in the next turn of the reactor at the latest."""


class Check:
    """From the connection to the verdict, which comes when the connection is gone."""

    __slots__ = ("_began", "_deadlines", "_done", "_link", "_monotonic", "_talk", "_verdict", "deadline")

    def __init__(
        self, talk: Talk, link: Link, timeout: float, deadlines: Deadlines, monotonic: Callable[[], float]
    ) -> None:
        self._talk = talk
        self._link = link
        self._deadlines = deadlines
        self._monotonic = monotonic
        self._verdict: Verdict | None = None
        self._done: Deferred[Verdict] | None = None
        self._began = monotonic()
        self.deadline = self._began + timeout

    def run(self) -> Deferred[Verdict]:
        """Begin. Never fails; cancelling it drops the connection."""
        done: Deferred[Verdict] = Deferred(self._cancel)
        self._done = done
        self._deadlines.watch(self)
        self._link.open(self)
        return done

    # As what a link tells

    def connected(self) -> None:
        """Somebody is there."""
        if self._talk.result is not None:
            self._conclude(self._talk.result)
            self._part()
        else:
            self._link.send(self._talk.opening)

    def received(self, data: bytes) -> None:
        """The other side has said something."""
        if self._verdict is not None:
            return
        answer = self._talk.read(data)
        if self._talk.result is not None:
            self._conclude(self._talk.result)
        if answer:
            self._link.send(answer)
        if self._verdict is not None and self._done is not None:
            self._part()

    def lost(self, reason: str) -> None:
        """There is no connection, or no longer."""
        self._conclude(reason)
        self._deliver()

    # As one that is watched

    def expire(self, now: float) -> None:  # noqa: ARG002 - the name is the protocol's
        """The time is over: for an answer, or for a goodbye."""
        self._link.abort()
        self._conclude(self._talk.late)
        self._deliver()

    def _conclude(self, reason: str) -> None:
        """What comes first counts."""
        if self._verdict is None:
            self._verdict = Verdict(not reason, reason, self._monotonic() - self._began)

    def _part(self) -> None:
        if self._link.close():
            self._deliver()
        else:
            self.deadline = min(self.deadline, self._monotonic() + PARTING)

    def _deliver(self) -> None:
        self._deadlines.forget(self)
        done, self._done = self._done, None
        if done is not None and self._verdict is not None:
            done.callback(self._verdict)

    def _cancel(self, done: Deferred[Verdict]) -> None:  # noqa: ARG002 - Twisted's signature
        self._done = None
        self._deadlines.forget(self)
        self._link.abort()
