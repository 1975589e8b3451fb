"""Several open loops at once: each sends its requests at fixed times, whatever becomes of those before.

`python -m benchmarks.streams PLAN FILE`: PLAN is JSON, see `Stream`; FILE gets a line of JSON, then for each stream
when its requests were sent, when they ended, and how.
"""

from __future__ import annotations

import ctypes
import gc
import heapq
import json
import select
import socket
import sys
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.fixed_rate import PR_SET_TIMERSLACK

PATIENCE = 5.0
"""Seconds after which a client gives up."""
CONNECT = 0.2
"""Seconds for which the loop waits for a connection: on one machine there is one at once, or none."""
LINES = 2000
"""Connections from one address to one port, if a stream says nothing else; a request beyond waits for one of them."""
UNSENT, CUT, TIMEOUT = range(3)
"""What became of a request that has no status."""
REASON = 1000
"""A code of so much and more is a status with the code of a problem document: `reasons` has it."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Requests for one path, one each `1 / rate` seconds from `at` on, for `seconds`, to the ports in turn."""

    name: str
    path: str
    ports: Sequence[int]
    rate: float
    at: float
    seconds: float
    headers: dict[str, str] = field(default_factory=dict)
    source: str = "127.0.0.1"
    """The address that it comes from."""
    keys: int = 0
    """The requests have so many different values of X-Key, in turns."""
    lines: int = LINES
    """Connections from its address to each port, those of other streams included."""

    @property
    def total(self) -> int:
        """How many requests."""
        return max(1, round(self.rate * self.seconds))

    def requests(self) -> list[bytes]:
        """The bytes of one after another, and from the first again."""
        fields = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        keys = [f"X-Key: {self.name}-{number}\r\n" for number in range(self.keys)] or [""]
        return [f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}{key}\r\n".encode() for key in keys]


Place = tuple[str, int]
"""An address to come from and a port to go to."""


class Line:
    """One connection with at most one request under way."""

    __slots__ = ("_expected", "_have", "close", "number", "place", "socket", "status", "stream")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.socket = socket.create_connection(("127.0.0.1", place[1]), CONNECT, (place[0], 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.stream = 0
        self.number = -1
        self.status = 0
        self.close = False
        self._have = b""
        self._expected = 0

    def receive(self) -> bytes | None:
        """The whole answer once it is there, with `status` set. Raises OSError where the connection has ended."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError
        self._have += data
        if not self._expected:
            end = self._have.find(b"\r\n\r\n")
            if end < 0:
                return None
            head = self._have[: end + 2].lower()
            at = head.find(b"\r\ncontent-length:")
            length = int(head[at + 17 : head.index(b"\r", at + 17)]) if at >= 0 else 0
            self.close = b"\r\nconnection: close" in head
            self._expected = end + 4 + length
        if len(self._have) < self._expected:
            return None
        self.status = int(self._have[9:12])
        whole, self._have, self._expected = self._have, b"", 0
        return whole


@dataclass(slots=True)
class Pool:
    """The connections from one address to one port."""

    count: int = 0
    idle: list[Line] = field(default_factory=list)
    held: deque[tuple[int, int]] = field(default_factory=deque)
    """Requests that wait for one: stream and number."""


class Loop:
    """Sends all streams."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = streams
        self._requests = [each.requests() for each in streams]
        self._epoll = select.epoll()
        self._lines: dict[int, Line] = {}
        self._pools: dict[Place, Pool] = {}
        self._waiting: deque[tuple[float, int, int, Line]] = deque()
        self.reasons: dict[str, int] = {}
        self.sent = [array("d", bytes(8 * each.total)) for each in streams]
        self.ends = [array("d", bytes(8 * each.total)) for each in streams]
        self.codes = [array("H", bytes(2 * each.total)) for each in streams]
        self._left = sum(each.total for each in streams)

    def run(self, tell: Callable[[float], None]) -> float:
        """Do it; tells, and at the end returns, when it begins, in monotonic seconds."""
        clock = time.monotonic
        began = clock() + 0.1
        tell(began)
        due = [(began + each.at, number, 0) for number, each in enumerate(self._streams)]
        heapq.heapify(due)
        end = began + max(each.at + each.seconds for each in self._streams) + PATIENCE + 1.0
        while self._left and (now := clock()) < end:
            while due and due[0][0] <= now:
                _, stream, number = due[0]
                self._send(stream, number)
                about = self._streams[stream]
                if number + 1 < about.total:
                    heapq.heapreplace(due, (began + about.at + (number + 1) / about.rate, stream, number + 1))
                else:
                    heapq.heappop(due)
            self._give_up(now)
            self._receive(min(0.05, max(0.0, due[0][0] - clock())) if due else 0.05)
        return began

    def _send(self, stream: int, number: int) -> None:
        about = self._streams[stream]
        place = (about.source, about.ports[number % len(about.ports)])
        pool = self._pools.setdefault(place, Pool())
        if not pool.idle and pool.count >= about.lines:
            pool.held.append((stream, number))
            return
        self.sent[stream][number] = time.monotonic()
        requests = self._requests[stream]
        try:
            line = pool.idle.pop() if pool.idle else self._open(place, pool)
            line.stream, line.number = stream, number
            line.socket.send(requests[number % len(requests)])
        except OSError:
            self._ended(stream, number, CUT)
            return
        self._waiting.append((time.monotonic() + PATIENCE, stream, number, line))

    def _open(self, place: Place, pool: Pool) -> Line:
        line = Line(place)
        pool.count += 1
        self._lines[line.socket.fileno()] = line
        self._epoll.register(line.socket, select.EPOLLIN)
        return line

    def _go_on(self, pool: Pool) -> None:
        """There is room for a request that was held."""
        if pool.held:
            self._send(*pool.held.popleft())

    def _give_up(self, now: float) -> None:
        while self._waiting:
            until, stream, number, line = self._waiting[0]
            under_way = line.number == number and line.stream == stream
            if until > now and under_way:
                return
            self._waiting.popleft()
            if under_way:
                self._drop(line, TIMEOUT)

    def _receive(self, timeout: float) -> None:
        # epoll_wait counts in milliseconds, select in microseconds, and the epoll itself can be selected.
        if timeout and not select.select([self._epoll], (), (), timeout)[0]:
            return
        for number, _ in self._epoll.poll(0):
            line = self._lines[number]
            try:
                whole = line.receive()
            except OSError:
                self._drop(line, CUT)
                continue
            if whole is None:
                continue
            self._ended(line.stream, line.number, self._code(line.status, whole))
            line.number = -1
            if line.close:
                self._drop(line, CUT)
            else:
                pool = self._pools[line.place]
                pool.idle.append(line)
                self._go_on(pool)

    def _code(self, status: int, whole: bytes) -> int:
        if status < 500:
            return status
        at = whole.find(b'"code":"')
        code = whole[at + 8 : whole.index(b'"', at + 8)].decode() if at >= 0 else "other"
        return REASON + self.reasons.setdefault(f"{status} {code}", len(self.reasons))

    def _drop(self, line: Line, code: int) -> None:
        """The connection is over, and what was under way on it."""
        pool = self._pools[line.place]
        if line.number >= 0:
            self._ended(line.stream, line.number, code)
            line.number = -1
        elif line in pool.idle:
            pool.idle.remove(line)
        pool.count -= 1
        del self._lines[line.socket.fileno()]
        line.socket.close()
        self._go_on(pool)

    def _ended(self, stream: int, number: int, code: int) -> None:
        self.ends[stream][number] = time.monotonic()
        self.codes[stream][number] = code
        self._left -= 1


def main() -> None:
    """Run, and write what became of it."""
    plan, path = sys.argv[1:]
    loop = Loop([Stream(**each) for each in json.loads(Path(plan).read_text())])
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
    gc.disable()
    began = loop.run(lambda began: _replace(began_file(Path(path)), repr(began)))
    head = {"began": began, "reasons": list(loop.reasons), "totals": [len(each) for each in loop.codes]}
    with Path(path).open("wb") as out:
        out.write(json.dumps(head).encode() + b"\n")
        for these in zip(loop.sent, loop.ends, loop.codes, strict=True):
            for each in these:
                each.tofile(out)


def began_file(path: Path) -> Path:
    """The file beside FILE that says when the first stream begins, in monotonic seconds."""
    return path.with_suffix(".began")


def _replace(path: Path, text: str) -> None:
    """Whoever sees the file sees all of it."""
    part = path.with_suffix(".part")
    part.write_text(text)
    part.rename(path)


def write_plan(streams: Sequence[Stream], path: Path) -> None:
    """For `main`."""
    path.write_text(json.dumps([asdict(each) for each in streams]))


if __name__ == "__main__":
    main()
