"""What connections and streams cost in memory: many idle clients, and a gigabyte to a slow reader in each direction."""

from __future__ import annotations

import resource
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.origin import GIGABYTE, SMALL, UPLOAD
from benchmarks.process import ADDRESS, resident_kib

SPARE_FILES = 200
BATCH = 100
SETTLE = 1.0
GIB = 1 << 30
SLOW_RATE = 128 << 20
PIECE = 1 << 20
WATCH = 0.1
STALL = 1.0


class MeasureError(Exception):
    """The measurement could not be made; says why."""


class Watch:
    """Looks at the resident memory of a process each 100 ms, as often as it is called."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._next = 0.0
        self.idle = resident_kib(pid)
        self.highest = self.idle

    def look(self) -> None:
        """Measure when it is time."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + WATCH
            self.highest = max(self.highest, resident_kib(self._pid))

    @property
    def grown_mib(self) -> float:
        """The highest memory over idle."""
        return (self.highest - self.idle) / 1024


def idle_cost(port: int, pid: int, headers: dict[str, str], count: int) -> float:
    """Open `count` keep-alive connections, use each once, leave them idle; returns KiB of memory for each.

    Raises MeasureError.
    """
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed < count + SPARE_FILES:
        raise MeasureError(f"{count} connections do not fit: ulimit -n is {allowed}")
    request = _head("GET", SMALL, headers)
    sockets: list[socket.socket] = []
    try:
        _use(_connect(port, BATCH), request)
        time.sleep(SETTLE)
        before = resident_kib(pid)
        while len(sockets) < count:
            batch = _connect(port, min(BATCH, count - len(sockets)))
            sockets += batch
            _use(batch, request)
        time.sleep(SETTLE)
        closed = _closed(sockets)
        if closed:
            raise MeasureError(f"{closed} of {count} idle connections were closed")
        return (resident_kib(pid) - before) / count
    except (OSError, MeasureError) as fault:
        raise MeasureError(f"after {len(sockets)} connections: {fault}") from fault
    finally:
        for each in sockets:
            each.close()


def download(port: int, pid: int) -> float:
    """Fetch 1 GiB slowly, with a pause at first; returns MiB of memory over idle at the highest.

    Raises MeasureError.
    """
    watch = Watch(pid)
    with _client(port) as client:
        client.sendall(_head("GET", GIGABYTE, {}))
        _stall(watch)
        body = len(_read_head(client, b"200"))
        buffer = bytearray(PIECE)
        pause = _pace(watch)
        while body < GIB:
            read = client.recv_into(buffer)
            if not read:
                raise MeasureError(f"the download ended after {body} of {GIB} bytes")
            body += read
            pause(body)
    return watch.grown_mib


def upload(port: int, pid: int) -> float:
    """Send 1 GiB to a service that reads slowly; returns MiB of memory over idle at the highest.

    Raises MeasureError.
    """
    watch = Watch(pid)
    with _client(port) as client:
        client.sendall(_head("POST", UPLOAD, {"Content-Length": str(GIB)}))
        client.setblocking(False)
        piece = memoryview(bytes(PIECE))
        sent = 0
        while sent < GIB:
            if select.select([], [client], [], WATCH)[1]:
                sent += client.send(piece[: min(PIECE, GIB - sent)])
            watch.look()
        client.settimeout(60)
        _read_head(client, b"204")
    return watch.grown_mib


def _pace(watch: Watch) -> Callable[[int], None]:
    began = time.monotonic()

    def pause(done: int) -> None:
        watch.look()
        early = began + done / SLOW_RATE - time.monotonic()
        if early > 0:
            time.sleep(min(early, WATCH))

    return pause


def _stall(watch: Watch) -> None:
    limit = time.monotonic() + STALL
    while time.monotonic() < limit:
        watch.look()
        time.sleep(WATCH)


@contextmanager
def _client(port: int) -> Iterator[socket.socket]:
    try:
        with socket.create_connection((ADDRESS, port), 60) as client:
            yield client
    except OSError as fault:
        raise MeasureError(f"the stream broke: {fault}") from fault


def _head(method: str, path: str, headers: dict[str, str]) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\nHost: {ADDRESS}\r\n{fields}\r\n".encode()


def _read_head(client: socket.socket, status: bytes) -> bytes:
    """Read to the end of the head; returns what came of the body. Interim answers (1xx) are passed over."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            raise MeasureError(f"the connection was closed: {data[:60]!r}")
        data += more
    if not data.startswith(b"HTTP/1.1 " + status):
        raise MeasureError(f"the answer was {data[:60]!r}")
    return data.partition(b"\r\n\r\n")[2]


def _connect(port: int, count: int) -> list[socket.socket]:
    return [socket.create_connection((ADDRESS, port), 10) for _ in range(count)]


def _use(sockets: list[socket.socket], request: bytes) -> None:
    """One request on each, all under way at once."""
    for each in sockets:
        each.sendall(request)
    for each in sockets:
        body = _read_head(each, b"200")
        while len(body) < 300:
            body += each.recv(65536)


def _closed(sockets: list[socket.socket]) -> int:
    closed = 0
    for each in sockets:
        each.setblocking(False)
        try:
            closed += each.recv(1) == b""
        except BlockingIOError:
            continue
        except OSError:
            closed += 1
    return closed
