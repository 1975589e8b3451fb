"""What the system knows about names beyond DNS: nsswitch.conf(5) may send it anywhere."""

from __future__ import annotations

import socket
from collections.abc import Callable
from threading import Thread
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import Deferred

from ttagw.wire.resolv import Addresses


class SystemNames:
    """`getaddrinfo`, in threads that keep nobody from ending."""

    PATIENCE = 2.0
    MOST = 4
    """Lookups at once; more find nothing."""

    def __init__(self, reactor: Any, getaddrinfo: Callable[..., Any] = socket.getaddrinfo) -> None:
        self._reactor = reactor
        self._getaddrinfo = getaddrinfo
        self.running = 0

    async def look_up(self, name: str) -> Addresses:
        if self.running >= self.MOST:
            return ()
        self.running += 1
        done: Deferred[Addresses] = Deferred()
        # Not the reactor's threads: its end waits for those, and a resolver may sit there for half a minute.
        Thread(target=self._run, args=(name, done), daemon=True).start()
        try:
            return await done.addTimeout(self.PATIENCE, self._reactor)
        except defer.TimeoutError:
            return ()

    def _run(self, name: str, done: Deferred[Addresses]) -> None:
        try:
            rows = self._getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            rows = []
        self._reactor.callFromThread(self._ended, done, tuple([row[4][0] for row in rows]))

    def _ended(self, done: Deferred[Addresses], addresses: Addresses) -> None:
        self.running -= 1
        if not done.called:
            done.callback(addresses)
