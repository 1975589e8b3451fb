"""A story told line by line: an answer that takes its time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request

from ttagw.demo.answers import JsonResource

LINES = (
    "The lantern flickers. You are at the edge of a quiet wood.",
    "A path of pale stones goes left; to the right, someone hums.",
    "You breathe in for four, and out for six.",
    "The humming stops. A fox looks up from its knitting.",
    "'You came the slow way,' it says. 'Good. The slow way has benches.'",
    "You sit down. Nothing needs to be solved at this moment.",
    "When you are ready, the path is still there.",
)


class Story(JsonResource):
    """`GET`: one line every `interval` seconds, each sent as it comes."""

    isLeaf = True

    def __init__(self, clock: IReactorTime, interval: float = 0.3, lines: Sequence[str] = LINES) -> None:
        super().__init__()
        self._clock = clock
        self._interval = interval
        self._lines = lines

    def render_GET(self, request: Request) -> int:
        """Begin to tell; a listener who leaves ends it."""
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        Telling(self._clock, self._interval, request, iter(self._lines)).next_line()
        return NOT_DONE_YET


class Telling:
    """One story on its way to one listener."""

    def __init__(self, clock: IReactorTime, interval: float, request: Request, lines: Iterator[str]) -> None:
        self._clock: Any = clock  # zope interfaces mislead mypy about self
        self._interval = interval
        self._request = request
        self._lines = lines
        self._next: Any = None
        request.notifyFinish().addErrback(self._left)

    def next_line(self) -> None:
        """Send the next line and plan the one after it, or end the answer."""
        self._next = None
        line = next(self._lines, None)
        if line is None:
            self._request.finish()
            return
        self._request.write(line.encode() + b"\n")
        self._next = self._clock.callLater(self._interval, self.next_line)

    def _left(self, failure: Failure) -> None:
        failure.trap(ConnectionDone, ConnectionLost)
        if self._next is not None:
            self._next.cancel()
