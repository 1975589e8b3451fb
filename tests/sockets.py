"""Real sockets for tests: a Twisted connection at one end, and at the other whatever the test wants to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.protocol import Factory, Protocol

from tests.twisted_hygiene import reactor, until


class Recorder(Protocol):
    """Notes what comes, and how it ends."""

    def __init__(self) -> None:
        self.data = b""
        self.lost: Any = None

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = reason


class Raw:
    """The other end: a plain socket, read only when the test says so."""

    def __init__(self, port: int, *, receive: int = 4096) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", port))
        self.data = b""
        self.ended = ""
        """`eof` or `reset`, once seen."""

    def read(self) -> bool:
        """Take what is there; whether that was the end."""
        while not self.ended:
            try:
                data = self.socket.recv(65536)
            except BlockingIOError:
                return False
            except ConnectionResetError:
                self.ended = "reset"
                break
            self.data += data
            if not data:
                self.ended = "eof"
        return True

    async def read_to_end(self) -> bytes:
        await until(self.read)
        return self.data

    async def read_until(self, size: int) -> bytes:
        await until(lambda: self.read() or len(self.data) >= size)
        return self.data


@contextmanager
def listening(factory: Any) -> Iterator[int]:
    """A port of this machine on which `factory` serves."""
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    try:
        yield port.getHost().port
    finally:
        port.stopListening()


@contextmanager
def pair(protocol: Any) -> Iterator[Raw]:
    """A connection between `protocol`, whose socket has small buffers, and a raw socket."""
    factory = Factory.forProtocol(lambda: protocol)
    factory.noisy = False
    with listening(factory) as port:
        raw = Raw(port)
        try:
            yield raw
        finally:
            raw.socket.close()
