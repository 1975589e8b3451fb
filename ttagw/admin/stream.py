"""`/events`: what happens to services and instances, as server-sent events (WHATWG HTML §9.2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import LoopingCall
from zope.interface import implementer

from ttagw.admin.answers import Api
from ttagw.admin.channel import AdminRequest
from ttagw.errors import TooManyReadersError
from ttagw.registry.events import Event, Events, TooManyListenersError

MOST_READERS = 50
"""So many follow at once: half of the connections are left for others."""
BEAT = 15.0
"""Seconds between two comments that show that the connection lives."""
MOST_BEHIND = 64 * 1024
"""Bytes that may wait for a reader that takes nothing."""
MOST_SILENT = 4
"""Beats without room for one after which a reader is given up."""

_ID = re.compile(rb"[0-9]{1,15}")


class EventStream(Api):
    """Everybody who follows the events."""

    def __init__(self, events: Events, clock: Any) -> None:
        super().__init__()
        self._events = events
        self._readers: set[_Reader] = set()
        self._beating = LoopingCall(self._beat)
        self._beating.clock = clock
        self.offers = {b"GET": self._get}

    async def _get(self, request: AdminRequest) -> None:
        if len(self._readers) >= MOST_READERS:
            raise TooManyReadersError(retry_after=30)
        reader = _Reader(request, self._events, self._gone)
        try:
            reader.listen()
        except TooManyListenersError:
            raise TooManyReadersError(retry_after=30) from None
        if request.method == b"HEAD":
            reader.head()
            reader.end()
            return
        self._readers.add(reader)
        if not self._beating.running:
            self._beating.start(BEAT, now=False)
        reader.start()

    def _gone(self, reader: _Reader) -> None:
        self._readers.discard(reader)
        if not self._readers and self._beating.running:
            self._beating.stop()

    def _beat(self) -> None:
        for reader in list(self._readers):
            reader.beat()

    def stop(self) -> None:
        """Everybody is let go."""
        for reader in list(self._readers):
            reader.end()


@implementer(IPushProducer)
class _Reader:
    """One who follows. What it has not taken yet stays where the events are kept, not here."""

    def __init__(self, request: AdminRequest, events: Events, gone: Callable[[_Reader], None]) -> None:
        self._request = request
        self._events = events
        self._gone = gone
        self._sent = _start(request, events)
        self._paused = False
        self._behind = 0
        self._silent = 0
        self._over = False
        self._unlisten: Callable[[], None] = lambda: None

    def listen(self) -> None:
        """Raises `TooManyListenersError`."""
        self._unlisten = self._events.listen(self._told)
        self._request.notifyFinish().addBoth(lambda _: self._let_go())

    def head(self) -> None:
        """What comes before the events."""
        for name, value in (
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
            (b"x-content-type-options", b"nosniff"),
            (b"x-request-id", self._request.id),
        ):
            self._request.setHeader(name, value)

    def start(self) -> None:
        """Begin, with what the client has missed."""
        self.head()
        self._request.registerProducer(self, True)
        self._request.write(b": events of this gateway\n\n")
        self._catch_up()

    def _told(self, event: Event) -> None:
        if not self._paused:
            self._send(event)
            return
        self._behind += len(_written(event))
        if self._behind > MOST_BEHIND:
            self._give_up()

    def _catch_up(self) -> None:
        for event in self._events.after(self._sent):
            if self._paused or self._over:
                return
            self._send(event)
        self._behind = 0

    def _send(self, event: Event) -> None:
        lost = event.number - self._sent - 1
        if lost:
            self._request.write(b": %d events are no longer kept\n\n" % lost)
        self._sent = event.number
        self._request.write(_written(event))

    def beat(self) -> None:
        """Show that the connection lives; one on which nothing moves for long is given up."""
        if not self._paused:
            self._request.write(b":\n\n")
            return
        self._silent += 1
        if self._silent >= MOST_SILENT:
            self._give_up()

    def _give_up(self) -> None:
        """It comes again with the number of the last event that it has."""
        transport: Any = self._request.transport
        self._let_go()
        transport.abortConnection()

    def end(self) -> None:
        """It ends in order."""
        self._unregister()
        self._request.finish()

    def _unregister(self) -> None:
        if self._request.producer is not None:
            self._request.unregisterProducer()

    def _let_go(self) -> None:
        if not self._over:
            self._over = True
            self._unlisten()
            self._gone(self)

    # As a producer

    def pauseProducing(self) -> None:
        """The client does not take it."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The client has taken it."""
        self._paused = False
        self._silent = 0
        if not self._over:
            self._catch_up()

    def stopProducing(self) -> None:
        """The client is gone; we hear of that by another way."""


def _start(request: AdminRequest, events: Events) -> int:
    """The number of the last event that this client has, or is taken to have."""
    kept = events.after(0)
    newest = kept[-1].number if kept else 0
    given = request.getHeader(b"last-event-id") or b""
    if not _ID.fullmatch(given):
        return newest
    # A larger number is of a process that is no more: everything here is new.
    return int(given) if int(given) <= newest else kept[0].number - 1 if kept else 0


def _written(event: Event) -> bytes:
    return b"id: %d\ndata: %b\n\n" % (event.number, msgspec.json.encode(event._asdict()))
