"""A service that does what a test wants, right or wrong, and remembers every byte that it was sent."""

from __future__ import annotations

import json
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from types import TracebackType

from tests.integration.kit.fields import HasFields
from tests.integration.kit.waiting import until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Request(HasFields):
    """A request as the service has read it."""

    method: bytes
    target: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    connection: int = 0
    complete: bool = False
    """Whether its body has come to its end."""
    trailers: list[bytes] = field(default_factory=list)


class GoneError(Exception):
    """The gateway has closed the connection."""


class Talk:
    """The service's end of one connection."""

    def __init__(self, origin: Origin, connection: socket.socket, number: int) -> None:
        self.origin = origin
        self.socket = connection
        self.number = number
        self.received = bytearray()
        """Every byte that has come."""
        self._at = 0
        self.gone = Event()
        """Set once the gateway has closed or cut the connection."""

    # Reading

    def more(self) -> None:
        """Wait for bytes. Raises `GoneError`."""
        try:
            data = self.socket.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.gone.set()
            raise GoneError
        self.received += data

    def _line(self) -> bytes:
        while (end := self.received.find(b"\r\n", self._at)) < 0:
            self.more()
        line = bytes(self.received[self._at : end])
        self._at = end + 2
        return line

    @property
    def at(self) -> int:
        """How much of what was received has been read."""
        return self._at

    def exactly(self, size: int) -> bytes:
        """So many bytes of what comes next."""
        while len(self.received) - self._at < size:
            self.more()
        data = bytes(self.received[self._at : self._at + size])
        self._at += size
        return data

    def head(self) -> Request:
        """The head of the next request; its body is still to come."""
        method, target, version = self._line().split(b" ")
        assert version == b"HTTP/1.1"
        fields: list[tuple[bytes, bytes]] = []
        while line := self._line():
            name, _, value = line.partition(b": ")
            fields.append((name, value))
        return Request(method, target, fields, connection=self.number)

    def body(self, request: Request) -> None:
        """Read all of the request's body into it. Raises `GoneError`."""
        if request.value(b"transfer-encoding") == b"chunked":
            assert not request.value(b"content-length")
            pieces: list[bytes] = []
            while size := int(self._line(), 16):
                pieces.append(self.exactly(size))
                assert self._line() == b""
            while line := self._line():
                request.trailers.append(line)
            request.body = b"".join(pieces)
        else:
            request.body = self.exactly(int(request.value(b"content-length") or 0))
        request.complete = True

    def wait_gone(self) -> None:
        """Read on until the gateway has closed the connection."""
        try:
            while True:
                self.more()
        except GoneError:
            pass

    # Writing

    def send(self, data: bytes) -> None:
        """Answer with these bytes. Raises `GoneError`."""
        try:
            self.socket.sendall(data)
        except OSError:
            self.gone.set()
            raise GoneError from None

    def reply(self, body: bytes, *fields: bytes, status: bytes = b"200 OK") -> None:
        """An ordinary answer."""
        lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *fields, b"", body]
        self.send(b"\r\n".join(lines))

    def reset(self) -> None:
        """Cut the connection with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Close the connection in order."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


Behaviour = Callable[[Talk, Request], None]
"""What a service does once it has read the head of a request (and, unless `early`, its body)."""


def sending(*pieces: bytes) -> Behaviour:
    """Send exactly this, and wait for the gateway to end the connection."""

    def behaviour(talk: Talk, request: Request) -> None:
        for piece in pieces:
            talk.send(piece)
        talk.wait_gone()

    return behaviour


def closing(*pieces: bytes) -> Behaviour:
    """Send exactly this, then close the connection in order."""

    def behaviour(talk: Talk, request: Request) -> None:
        for piece in pieces:
            talk.send(piece)
        talk.close()

    return behaviour


def resetting(*pieces: bytes) -> Behaviour:
    """Send exactly this, and cut the connection once the test has set `held`."""

    def behaviour(talk: Talk, request: Request) -> None:
        for piece in pieces:
            talk.send(piece)
        talk.origin.held.wait(10)
        talk.reset()

    return behaviour


def tell(talk: Talk, request: Request) -> None:
    """Answer with what was asked, as JSON."""
    told = {
        "method": request.method.decode("latin-1"),
        "target": request.target.decode("latin-1"),
        "fields": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.fields],
        "body": request.body.decode("latin-1"),
        "port": talk.origin.port,
    }
    talk.reply(json.dumps(told).encode(), b"Content-Type: application/json")


class Origin:
    """A service in threads of this process. What it does depends on the path; without a behaviour it `tell`s."""

    def __init__(self, context: ssl.SSLContext | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._listening = socket.create_server((host, port), backlog=512)
        self.port: int = self._listening.getsockname()[1]
        self._context = context
        self._behaviours: dict[bytes, tuple[Behaviour, bool]] = {}
        self._lock = Lock()
        self.talks: list[Talk] = []
        self.requests: list[Request] = []
        self.held = Event()
        """For behaviours to wait for, and tests to set."""
        self.refused = 0
        """Connections whose TLS handshake failed."""
        self.faults: list[BaseException] = []
        """What was wrong with what the gateway sent."""
        Thread(target=self._accept, daemon=True).start()

    def on(self, path: bytes, behaviour: Behaviour, *, early: bool = False) -> None:
        """What to do for paths that begin with `path`. `early`: before the request's body is read."""
        self._behaviours[path] = (behaviour, early)

    def seen(self, path: bytes) -> list[Request]:
        """The requests whose target begins with `path`."""
        with self._lock:
            return [each for each in self.requests if each.target.startswith(path)]

    def talk_of(self, path: bytes) -> Talk:
        """The connection on which the first such request came, once it has come."""
        request = until(lambda: self.seen(path), f"a request for {path!r} reaches the service")[0]
        return self.talks[request.connection]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
        except OSError:
            self.refused += 1
            connection.close()
            return
        with self._lock:
            talk = Talk(self, connection, len(self.talks))
            self.talks.append(talk)
        try:
            while connection.fileno() >= 0:
                self._one(talk)
        except GoneError:
            pass
        except BaseException as error:
            self.faults.append(error)
        talk.close()

    def _one(self, talk: Talk) -> None:
        request = talk.head()
        behaviour, early = self._behaviour(request.target)
        with self._lock:
            self.requests.append(request)
        if not early:
            talk.body(request)
        behaviour(talk, request)

    def _behaviour(self, target: bytes) -> tuple[Behaviour, bool]:
        fitting = [path for path in self._behaviours if target.startswith(path)]
        return self._behaviours[max(fitting, key=len)] if fitting else (tell, False)

    def stop(self) -> None:
        """Accept no more, and close what is open."""
        # `close` alone does not wake the thread that accepts, and the port would stay open.
        try:
            self._listening.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listening.close()
        for talk in self.talks:
            talk.close()

    def __enter__(self) -> Origin:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        if error is None:
            assert not self.faults, self.faults
