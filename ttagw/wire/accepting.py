"""Accepting pauses while files run short, and goes on when there are some again.

Every connection is a file. Twisted accepts until there is none left, and then closes whoever else comes. Here the last
files are kept for connections to services, for log files and for the admin side: requests that run can finish, and new
connections wait in the kernel's queue, as they do with nginx.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from typing import Any

from twisted.internet.tcp import Port
from twisted.logger import Logger

PAUSE = 0.1
"""Seconds until it is tried again."""

MOST_AT_ONCE = 128
"""Connections that are accepted in one turn of the reactor."""

SILENCE = 10.0
"""Seconds in which it is not said twice: there may be room for a moment, again and again."""


class Accepting:
    """Stops and starts listening ports as files come and go."""

    log = Logger()

    def __init__(self, reactor: Any, limit: Callable[[], int] | None = None) -> None:
        """`limit`: how many files this process may have open; as the system says if left out."""
        self._reactor = reactor
        self._limit = limit or _soft_limit
        self._paused: set[Any] = set()
        self._said = float("-inf")

    @property
    def paused(self) -> bool:
        """Whether new connections wait because files are short."""
        return bool(self._paused)

    def guard(self, port: Any, spare: int) -> None:
        """Watch a listening port: `spare` files are left for others, or half of all where that is less.

        A port of another kind than Twisted's own is left as it is.
        """
        if not isinstance(port, Port):
            return
        accept = port.doRead

        def accept_some() -> None:
            limit = self._limit()
            wanted = min(port.numberAccepts, MOST_AT_ONCE)
            room = _room(port, wanted, limit - min(spare, limit // 2))
            if not room:
                self._pause(port, limit)
                return
            self._paused.discard(port)
            port.numberAccepts = room
            accept()

        port.doRead = accept_some  # type: ignore[method-assign]

    def _pause(self, port: Any, limit: int) -> None:
        self._paused.add(port)
        now = self._reactor.seconds()
        if now - self._said >= SILENCE:
            self._said = now
            self.log.error(
                "few of {limit} open files are left: new connections wait; raise the limit (LimitNOFILE= in systemd)",
                limit=limit,
            )
        port.stopReading()
        self._reactor.callLater(PAUSE, self._resume, port)

    def _resume(self, port: Any) -> None:
        if port.connected and not port.disconnecting:
            port.startReading()
        else:
            self._paused.discard(port)


def _soft_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _room(port: Any, wanted: int, ceiling: int) -> int:
    """How many files, up to `wanted`, would get a number below `ceiling`.

    The system always gives the lowest number that is free, so whoever stays below the ceiling leaves what is above it
    to others; and only taking numbers tells how many are free below it.
    """
    taken: list[int] = []
    try:
        while len(taken) < wanted:
            number = os.dup(port.fileno())
            taken.append(number)
            if number >= ceiling:
                return len(taken) - 1
    except OSError:
        pass
    finally:
        for number in taken:
            os.close(number)
    return len(taken)
