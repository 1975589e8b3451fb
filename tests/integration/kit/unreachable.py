"""A place from which nothing comes back, not even the answer to a SYN."""

from __future__ import annotations

import socket
from types import TracebackType

from tests.integration.kit.waiting import until


class Unreachable:
    """A port whose queue is full: the kernel drops every SYN that comes."""

    def __init__(self) -> None:
        self._listening = socket.socket()
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen(0)
        self.port: int = self._listening.getsockname()[1]
        self._waiting: list[socket.socket] = []
        until(self._full, "the queue is full")

    def _full(self) -> bool:
        """Whether one more is not taken any more, for longer than this machine needs for one."""
        one = socket.socket()
        self._waiting.append(one)
        one.settimeout(0.3)
        try:
            one.connect(("127.0.0.1", self.port))
        except TimeoutError:
            return True
        return False

    def __enter__(self) -> Unreachable:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for each in (*self._waiting, self._listening):
            each.close()
