"""An open loop: requests leave at fixed times, whether or not earlier ones have been answered.

Latency counts from the time a request was due, so a proxy that stalls cannot make the generator wait politely and hide
the stall ("coordinated omission", G. Tene). A request that finds no idle connection waits for one; its clock runs.

python fixed_rate.py PORT PATH --rate PER_SECOND --seconds S [--connections N] [--headers JSON]
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import math
import select
import socket
import sys
import time
from array import array
from collections import deque

GRACE = 2.0
WARM_UP = 0.5
PR_SET_TIMERSLACK = 29  # prctl(2): the default of 50 µs would be part of every latency


class BrokenAnswerError(Exception):
    """An answer is not a 200 with a Content-Length, or a connection ended."""


class Line:
    """One keep-alive connection with at most one request under way."""

    __slots__ = ("_expected", "_have", "due", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.due = 0.0
        self._have = b""
        self._expected = 0

    def send(self, request: bytes, due: float) -> None:
        """Begin a request that was due at `due`."""
        self.due = due
        if self.socket.send(request) != len(request):
            raise BrokenAnswerError("a small request did not fit into the socket's buffer")

    def receive(self) -> bool:
        """Read what is there; true when the answer is complete."""
        data = self.socket.recv(65536)
        if not data:
            raise BrokenAnswerError("a connection was closed")
        self._have += data
        if not self._expected:
            self._expected = _length(self._have)
        if not self._expected or len(self._have) < self._expected:
            return False
        self._have, self._expected = b"", 0
        return True


def _length(head: bytes) -> int:
    """Bytes of the whole answer, 0 while its head is not complete."""
    end = head.find(b"\r\n\r\n")
    if end < 0:
        return 0
    if not head.startswith(b"HTTP/1.1 200"):
        raise BrokenAnswerError(f"an answer was {head[:40]!r}")
    lowered = head[: end + 2].lower()
    at = lowered.find(b"\r\ncontent-length:")
    if at < 0:
        raise BrokenAnswerError("an answer has no Content-Length")
    return end + 4 + int(lowered[at + 17 : lowered.index(b"\r", at + 17)])


class OpenLoop:
    """Sends `total` requests, one each `1 / rate` seconds, over `lines`."""

    def __init__(self, lines: list[Line], request: bytes, rate: float) -> None:
        self._lines = {line.socket.fileno(): line for line in lines}
        self._idle = deque(lines)
        self._request = request
        self._step = 1 / rate
        self._epoll = select.epoll(len(lines))
        for number in self._lines:
            self._epoll.register(number, select.EPOLLIN)

    def run(self, total: int) -> tuple[array[float], int]:
        """Return the latencies in seconds, and how many requests were unanswered `GRACE` s after the last was due."""
        latencies: array[float] = array("d")
        clock = time.perf_counter
        began = clock()
        step, idle, request = self._step, self._idle, self._request
        end = began + total * step + GRACE
        sent = 0
        while len(latencies) < total and (now := clock()) < end:
            due = began + sent * step
            while sent < total and due <= now and idle:
                idle.popleft().send(request, due)
                sent += 1
                due = began + sent * step
            until = due - clock() if idle and sent < total else GRACE
            self._receive(latencies, max(0.0, until))
        missing = total - len(latencies)
        self._drain()
        return latencies, missing

    def _receive(self, latencies: array[float], timeout: float) -> None:
        # epoll_wait counts in milliseconds, select in microseconds, and the epoll itself can be selected.
        if timeout and not select.select([self._epoll], (), (), timeout)[0]:
            return
        for number, _ in self._epoll.poll(0):
            line = self._lines[number]
            if line.receive():
                latencies.append(time.perf_counter() - line.due)
                self._idle.append(line)

    def _drain(self) -> None:
        """Give late answers a moment, so that the next run begins with idle connections."""
        limit = time.perf_counter() + GRACE
        while len(self._idle) < len(self._lines) and time.perf_counter() < limit:
            self._receive(array("d"), 0.05)


def percentile(ordered: array[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def report(latencies: array[float], missing: int, rate: float) -> dict[str, float]:
    """Percentiles in ms; a request without an answer counts as one that took for ever."""
    ordered = array("d", sorted(latencies))
    ordered.extend([float("inf")] * missing)
    shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
    values = {name: percentile(ordered, share) * 1000 for name, share in shares.items()}
    finite = {name: value if math.isfinite(value) else 1000 * GRACE for name, value in values.items()}
    return {"rate": rate, "requests": len(ordered), "unanswered": missing, **finite}


def main() -> int:
    """Run, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--headers", type=json.loads, default={})
    options = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
    fields = "".join(f"{name}: {value}\r\n" for name, value in options.headers.items())
    request = f"GET {options.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n".encode()
    try:
        loop = OpenLoop([Line(options.port) for _ in range(options.connections)], request, options.rate)
        loop.run(max(1, round(options.rate * WARM_UP)))
        gc.disable()
        latencies, missing = loop.run(max(1, round(options.rate * options.seconds)))
    except (OSError, BrokenAnswerError) as fault:
        print(fault, file=sys.stderr)
        return 1
    print(json.dumps(report(latencies, missing, options.rate)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
