"""An open loop whose requests have numbers, and which writes down what became of each: every fifth is a POST.

Unlike fixed_rate.py it goes on when requests fail, and opens another connection when none is idle: what hangs must not
keep back what comes after it.

python numbered.py PORT FILE --rate PER_SECOND --seconds S
"""

from __future__ import annotations

import argparse
import gc
import json
import select
import socket
import time
from array import array
from collections import deque
from pathlib import Path

PATIENCE = 5.0
"""Seconds after which a client gives up."""
CONNECTIONS = 64
MOST = 8000
LOST, CUT, CUT_BEGUN, TIMEOUT, TIMEOUT_BEGUN = range(5)
"""What became of a request that has no status: never sent, or ended before or after its answer had begun."""
BODY = b'{"choice": "the path through the forest"}'


def is_post(number: int) -> bool:
    """One in five."""
    return number % 5 == 4


def request(number: int) -> bytes:
    """The bytes of one request."""
    if is_post(number):
        fields = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(BODY)
        return b"POST /f/%d HTTP/1.1\r\nHost: 127.0.0.1\r\n%b\r\n%b" % (number, fields, BODY)
    return b"GET /f/%d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % number


class Line:
    """One connection with at most one request under way; `number` is -1 while it is idle."""

    __slots__ = ("_expected", "_have", "close", "number", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.number = -1
        self.close = False
        self._have = b""
        self._expected = 0

    @property
    def begun(self) -> bool:
        """Whether something of an answer has come."""
        return bool(self._have)

    def receive(self) -> int:
        """The status of the answer if it is complete, 0 if not. Raises OSError where the connection has ended."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError
        self._have += data
        if not self._expected:
            end = self._have.find(b"\r\n\r\n")
            if end < 0:
                return 0
            head = self._have[: end + 2].lower()
            at = head.find(b"\r\ncontent-length:")
            length = int(head[at + 17 : head.index(b"\r", at + 17)]) if at >= 0 else 0
            self.close = b"\r\nconnection: close" in head
            self._expected = end + 4 + length
        if len(self._have) < self._expected:
            return 0
        status = int(self._have[9:12])
        self._have, self._expected = b"", 0
        return status


class Loop:
    """Sends `total` requests, one each `step` seconds."""

    def __init__(self, port: int, step: float, total: int) -> None:
        self._port = port
        self._step = step
        self._total = total
        self._epoll = select.epoll()
        self._lines: dict[int, Line] = {}
        self._idle: list[Line] = []
        self._waiting: deque[tuple[float, int, Line]] = deque()
        self.ends = array("d", bytes(8 * total))
        self.codes = array("H", bytes(2 * total))
        self._left = total
        for _ in range(CONNECTIONS):
            self._idle.append(self._open())

    def _open(self) -> Line:
        line = Line(self._port)
        self._lines[line.socket.fileno()] = line
        self._epoll.register(line.socket, select.EPOLLIN)
        return line

    def run(self) -> float:
        """Do it; returns when the first was due, in monotonic seconds."""
        clock = time.monotonic
        began = clock()
        step, total = self._step, self._total
        end = began + total * step + PATIENCE + 1.0
        sent = 0
        while self._left and (now := clock()) < end:
            while sent < total and began + sent * step <= now and (self._idle or len(self._lines) < MOST):
                self._send(sent)
                sent += 1
            self._give_up(now)
            until = began + sent * step - clock() if sent < total else 0.05
            self._receive(min(0.05, max(0.0, until)))
        return began

    def _send(self, number: int) -> None:
        try:
            line = self._idle.pop() if self._idle else self._open()
            line.number = number
            line.socket.send(request(number))
        except OSError:
            self._ended(number, CUT)
            return
        self._waiting.append((time.monotonic() + PATIENCE, number, line))

    def _give_up(self, now: float) -> None:
        while self._waiting and (self._waiting[0][0] <= now or self._waiting[0][2].number != self._waiting[0][1]):
            _, number, line = self._waiting.popleft()
            if line.number == number:
                self._drop(line, TIMEOUT)

    def _receive(self, timeout: float) -> None:
        # epoll_wait counts in milliseconds, select in microseconds, and the epoll itself can be selected.
        if timeout and not select.select([self._epoll], (), (), timeout)[0]:
            return
        for number, _ in self._epoll.poll(0):
            line = self._lines[number]
            try:
                status = line.receive()
            except OSError:
                self._drop(line, CUT)
                continue
            if not status:
                continue
            self._ended(line.number, status)
            line.number = -1
            if line.close:
                self._drop(line, CUT)
            else:
                self._idle.append(line)

    def _drop(self, line: Line, code: int) -> None:
        """The connection is over, and what was under way on it."""
        if line.number >= 0:
            self._ended(line.number, code + line.begun)
            line.number = -1
        elif line in self._idle:
            self._idle.remove(line)
        del self._lines[line.socket.fileno()]
        line.socket.close()

    def _ended(self, number: int, code: int) -> None:
        self.ends[number] = time.monotonic()
        self.codes[number] = code
        self._left -= 1


def main() -> None:
    """Run, and write a line of JSON, the ends and the codes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    loop = Loop(options.port, 1 / options.rate, round(options.rate * options.seconds))
    gc.disable()
    began = loop.run()
    head = {"began": began, "rate": options.rate, "total": len(loop.codes)}
    with options.file.open("wb") as out:
        out.write(json.dumps(head).encode() + b"\n")
        loop.ends.tofile(out)
        loop.codes.tofile(out)


if __name__ == "__main__":
    main()
