"""A service that does so many requests at once: `python -m benchmarks.capacity PORT SLOTS SECONDS`.

Each takes SECONDS; more than SLOTS wait in a line, and the longer the line, the longer each takes: whoever sends all
that comes gets less done than could be. It works for those who have gone away, too, as most services do.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections import deque
from operator import itemgetter

from benchmarks.instance import Instance

STRAIN = 0.005
"""By this share a request takes longer for each that waits, up to `WORST` times as long."""
WORST = 3.0


class Capacity(Instance):
    """The service."""

    def __init__(self, port: int, slots: int, seconds: float) -> None:
        super().__init__(port, os.open(os.devnull, os.O_WRONLY))
        self._slots = slots
        self._seconds = seconds
        self._line: deque[tuple[socket.socket, bytes]] = deque()

    def _put_off(self, now: float, client: socket.socket, answer: bytes) -> None:
        if len(self._due) < self._slots:
            self._serve(now, client, answer)
        else:
            self._line.append((client, answer))

    def _serve(self, now: float, client: socket.socket, answer: bytes) -> None:
        taking = self._seconds * min(WORST, 1 + STRAIN * len(self._line))
        self._due = deque(sorted([*self._due, (now + taking, client, answer)], key=itemgetter(0)))

    def _answer(self, due: float, client: socket.socket, answer: bytes) -> None:
        super()._answer(due, client, answer)
        if self._line:
            self._serve(time.monotonic(), *self._line.popleft())


if __name__ == "__main__":
    Capacity(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])).run()
