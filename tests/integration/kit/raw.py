"""A client that sends exactly the bytes it is told, in exactly these pieces, and reads answers strictly."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from types import TracebackType

from tests.integration.kit.fields import HasFields

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) [\t\x20-\x7e]*")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_SIZE = re.compile(rb"[0-9a-fA-F]+")

Cut = Callable[[bytes], Iterable[bytes]]


def whole(data: bytes) -> Iterable[bytes]:
    """In one piece."""
    return [data]


def each_byte(data: bytes) -> Iterable[bytes]:
    """Every byte on its own."""
    return [data[at : at + 1] for at in range(len(data))]


def each_line(data: bytes) -> Iterable[bytes]:
    """Every line, with its end, on its own."""
    return data.splitlines(keepends=True) if b"\n" in data else [data]


@dataclass(frozen=True)
class Answer(HasFields):
    """One answer, its framing checked."""

    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def id(self) -> str:
        """The request id."""
        return self.value(b"x-request-id").decode()

    @property
    def reason(self) -> bytes:
        """The code of an answer that the gateway gave itself."""
        return self.value(b"ttagw-reason")


class CutOffError(Exception):
    """The connection ended inside an answer."""


class Client:
    """A connection to a gateway."""

    def __init__(
        self,
        port: int,
        context: ssl.SSLContext | None = None,
        *,
        timeout: float = 15.0,
        source: str = "127.0.0.1",
        buffer: int = 0,
        session: ssl.SSLSession | None = None,
    ) -> None:
        """`buffer`: bytes that the kernel may receive ahead of us. `session`: a TLS session to go on with."""
        raw = socket.socket()
        raw.settimeout(timeout)
        raw.bind((source, 0))
        if buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        raw.connect(("127.0.0.1", port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = "127.0.0.1"
        self.socket = raw if context is None else context.wrap_socket(raw, server_hostname=name, session=session)
        self._buffer = b""
        self._ended = False
        self.broken = False
        """Whether the other side has cut the connection instead of closing it."""

    def send(self, *pieces: bytes) -> bool:
        """Send the pieces one by one. False: the other side took no more."""
        try:
            for piece in pieces:
                self.socket.sendall(piece)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            return False
        return True

    def ask(self, data: bytes, method: bytes = b"") -> Answer:
        """Send a request and read its answer."""
        self.send(data)
        return self.answer(method or data.partition(b" ")[0])

    def end(self) -> None:
        """Say that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """End the connection with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # Reading

    @property
    def begun(self) -> bool:
        """Whether something has come that is not read yet."""
        return bool(self._buffer)

    def more(self) -> bool:
        """Read something. False: there is nothing more."""
        if self._ended:
            return False
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError) as error:
            if isinstance(error, TimeoutError):
                raise
            data = b""
            self.broken = True
        self._ended = not data
        self._buffer += data
        return bool(data)

    def rest(self) -> bytes:
        """Everything until the end of the connection."""
        while self.more():
            pass
        data, self._buffer = self._buffer, b""
        return data

    def at_end(self) -> bool:
        """Wait for the next byte; whether there is none."""
        return not self._buffer and not self.more()

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            if not self.more():
                raise CutOffError(self._buffer)
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def exactly(self, size: int) -> bytes:
        """So many bytes of what comes next."""
        while len(self._buffer) < size:
            if not self.more():
                raise CutOffError(f"{len(self._buffer)} of {size} bytes")
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def slowly(self, size: int, rate: int) -> bytes:
        """So many bytes of what comes next, taken at `rate` bytes a second. Raises `CutOffError`."""
        taken = bytearray()
        while len(taken) < size:
            if not self._buffer and not self.more():
                raise CutOffError(f"{len(taken)} of {size} bytes")
            part = self.exactly(min(len(self._buffer), size - len(taken)))
            taken += part
            time.sleep(len(part) / rate)
        return bytes(taken)

    def head(self) -> Answer:
        """The next answer, 1xx too, without its body."""
        line = self._line()
        match = _STATUS_LINE.fullmatch(line)
        assert match, f"no status line: {line!r}"
        fields: list[tuple[bytes, bytes]] = []
        while line := self._line():
            field = _FIELD.fullmatch(line)
            assert field, f"no field: {line!r}"
            fields.append((field[1], field[2].rstrip(b" \t")))
        return Answer(int(match[1]), tuple(fields), b"")

    def answer(self, method: bytes = b"GET") -> Answer:
        """The next answer; 1xx are passed over. Raises `CutOffError` when it is not complete."""
        head = self.head()
        while head.status < 200:
            head = self.head()
        return replace(head, body=self.body(head, method))

    def body(self, head: Answer, method: bytes = b"GET") -> bytes:
        """The body that follows this head. Raises `CutOffError` when it is not complete."""
        coding, length = head.value(b"transfer-encoding"), head.value(b"content-length")
        if method == b"HEAD" or head.status in (204, 304):
            assert not coding
            return b""
        if coding:
            assert (coding, length) == (b"chunked", b"")
            return b"".join(iter(self._chunk, b""))
        if length:
            assert length.isdigit()
            return self.exactly(int(length))
        assert head.value(b"connection") == b"close"
        body = self.rest()
        if self.broken:
            raise CutOffError("reset")
        return body

    def _chunk(self) -> bytes:
        line = self._line()
        assert _SIZE.fullmatch(line), f"no chunk size: {line!r}"
        data = self.exactly(int(line, 16))
        assert self._line() == b""
        return data

    def answers(self) -> list[Answer]:
        """All answers until the connection ends."""
        found: list[Answer] = []
        while not self.at_end():
            found.append(self.answer())
        return found


def get(path: str | bytes = "/", *fields: str, method: str = "GET", host: str = "h", version: str = "1.1") -> bytes:
    """A request without a body."""
    target = path if isinstance(path, str) else path.decode("latin-1")
    head = [f"{method} {target} HTTP/{version}", f"Host: {host}", *fields, "", ""]
    return "\r\n".join(head).encode("latin-1")


def post(path: str, body: bytes, *fields: str, method: str = "POST") -> bytes:
    """A request with a counted body."""
    return get(path, f"Content-Length: {len(body)}", *fields, method=method) + body


def chunked(path: str, chunks: Iterable[bytes], *fields: str, trailers: bytes = b"", method: str = "POST") -> bytes:
    """A request with a chunked body."""
    body = b"".join([b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks])
    return get(path, "Transfer-Encoding: chunked", *fields, method=method) + body + b"0\r\n" + trailers + b"\r\n"


def once(port: int, data: bytes, context: ssl.SSLContext | None = None) -> Answer:
    """One request over a connection of its own."""
    with Client(port, context) as client:
        return client.ask(data)
