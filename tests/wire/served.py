"""A connection with a real socket, served by a writer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.sockets import Raw, Recorder, pair
from tests.twisted_hygiene import until
from ttagw.testing import Clock
from ttagw.wire.writer import Writer, writer_for

MUCH = 2 * 1024 * 1024


class Served(Recorder):
    """The server's end, with a writer."""

    transport: Any
    writer: Writer

    def __init__(self, *, read_on: bool = False) -> None:
        super().__init__()
        self.read_on = read_on
        self.clock = Clock()
        self.drained = 0

    def connectionMade(self) -> None:
        handle = self.transport.getHandle()
        if isinstance(handle, socket.socket):
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        self.writer = writer_for(self.transport, self._count, self.clock, read_on=self.read_on)

    def _count(self) -> None:
        self.drained += 1

    def connectionLost(self, reason: Any = None) -> None:
        super().connectionLost(reason)
        self.writer.lost()


def pattern(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@contextmanager
def served(*, read_on: bool = False) -> Iterator[tuple[Served, Raw]]:
    protocol = Served(read_on=read_on)
    with pair(protocol) as raw:
        yield protocol, raw


async def ready(protocol: Served) -> Writer:
    await until(lambda: protocol.connected)
    return protocol.writer
