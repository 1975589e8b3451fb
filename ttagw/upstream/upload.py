"""The body of one request on its way to a service."""

from __future__ import annotations

from collections.abc import Callable

from ttagw.model import UNKNOWN, Exchange
from ttagw.wire.writer import HIGH_WATER, Writer


class Upload:
    """Takes a request's body as it comes, frames it, and stops the client while the service does not take it."""

    __slots__ = ("_body", "_chunked", "_complete", "_writer")

    def __init__(self, exchange: Exchange, writer: Writer, complete: Callable[[], None]) -> None:
        """`complete` is called when all of the body has been given to `writer`."""
        self._body = exchange.body
        self._chunked = exchange.length == UNKNOWN
        self._writer = writer
        self._complete = complete

    def begin(self, head: bytes) -> None:
        """Send the head, with what has come of the body already."""
        held = self._body.take()
        if held:
            head += self._framed(held)
        self._writer.write(head)
        if self._body.complete:
            self.body_end()
            return
        self._body.attach(self)
        self._press_back()

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data

    def body_chunk(self, data: bytes) -> None:
        """More of the body."""
        self._writer.write(self._framed(data))
        self._press_back()

    def body_end(self) -> None:
        """The body is complete."""
        if self._chunked:
            self._writer.write(b"0\r\n\r\n")
        # Nothing more of this body comes, so nothing would resume the client: and it must be noticed when it leaves.
        if self._body.source is not None:
            self._body.source.resume()
        self._complete()

    def _press_back(self) -> None:
        if self._writer.queued >= HIGH_WATER and self._body.source is not None:
            self._body.source.pause()

    def drained(self) -> None:
        """The service has taken everything."""
        if self._body.source is not None:
            self._body.source.resume()

    def stalled(self, now: float) -> float:
        """For how many seconds the service has taken nothing of what is there for it."""
        return now - self._writer.progress if self._writer.outstanding(now) else 0.0

    def give_up(self) -> None:
        """Nobody wants the rest."""
        self._body.detach()
