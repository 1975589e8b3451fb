"""The whole body of a request, read before it goes on."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred

from ttagw.errors import BodyTooLargeError
from ttagw.model import NO_BODY, Exchange


class _End:
    """Takes a body, which keeps what it is given, and waits for its end."""

    def __init__(self) -> None:
        self.come: Deferred[None] = Deferred()

    def body_chunk(self, data: bytes) -> None:
        """Kept by the body."""

    def body_end(self) -> None:
        """All of it is there."""
        self.come.callback(None)


async def whole_body(exchange: Exchange) -> bytes:
    """All of it, which is then held again as if nobody had taken it. Raises `BodyTooLargeError` over `HELD`."""
    body = exchange.body
    if body is NO_BODY:
        return b""
    if not body.complete:
        end = _End()
        exchange.sink.go_on()
        body.attach(end)
        try:
            await end.come
        except CancelledError:
            body.detach()
            raise
    if not body.rewindable:
        raise BodyTooLargeError
    body.rewind()
    return b"".join(body.held)
