"""A small service that can be made to fail: `python instance.py PORT RECORDS`.

Answers 300 B after 1 ms. SIGUSR1: 500 to everything, its health too; SIGUSR2: answers are cut in the middle of the
body, and its health is well; SIGHUP: well again. What it was asked is appended to RECORDS before it is answered, so
that SIGKILL loses nothing.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import sys
import time
from collections import deque

RECORD = struct.Struct("<dIB")
"""Monotonic seconds, the number in the path `/f/NUMBER`, and whether it was a POST."""
DELAY = 0.001
WELL, BAD, CUT = range(3)
GOOD_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 300\r\n\r\n" + b"x" * 300
BAD_ANSWER = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 6\r\n\r\nfailed"
HALF = GOOD_ANSWER[:-150]
RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: close with a reset."""


class Instance:
    """The service: one loop, answers put off in the order in which they are due."""

    def __init__(self, port: int, records: int) -> None:
        self.mode = WELL
        self._records = records
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._open: dict[int, socket.socket] = {}
        self._read: dict[int, bytes] = {}
        self._due: deque[tuple[float, socket.socket, bytes]] = deque()
        self._new: list[bytes] = []

    def run(self) -> None:
        """Serve for ever."""
        listener = self._listener.fileno()
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else -1
            for number, _ in self._epoll.poll(wait):
                if number == listener:
                    self._accept()
                else:
                    self._receive(number)
            if self._new:
                os.write(self._records, b"".join(self._new))
                self._new.clear()
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                self._answer(*self._due.popleft())

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                client, _ = self._listener.accept()
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open[client.fileno()] = client
                self._read[client.fileno()] = b""
                self._epoll.register(client, select.EPOLLIN)

    def _receive(self, number: int) -> None:
        client = self._open[number]
        try:
            data = client.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._close(client)
            return
        rest: bytes | None = self._read[number] + data
        while rest:
            self._read[number] = rest
            rest = self._request(client, rest)
        if rest is not None:
            self._read[number] = rest

    def _request(self, client: socket.socket, data: bytes) -> bytes | None:
        """Take one request; returns what comes after it, None while it is not complete."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return None
        end += 4
        post = data.startswith(b"POST")
        if post:
            head = data[:end].lower()
            at = head.index(b"\r\ncontent-length:") + 17
            end += int(head[at : head.index(b"\r", at)])
            if len(data) < end:
                return None
        now = time.monotonic()
        path = data.split(b" ", 2)[1]
        if path.startswith(b"/f/"):
            self._new.append(RECORD.pack(now, int(path[3:]), post))
            answer = (GOOD_ANSWER, BAD_ANSWER, HALF)[self.mode]
        else:
            answer = BAD_ANSWER if self.mode == BAD else GOOD_ANSWER
        self._put_off(now, client, answer)
        return data[end:]

    def _put_off(self, now: float, client: socket.socket, answer: bytes) -> None:
        self._due.append((now + DELAY, client, answer))

    def _answer(self, _due: float, client: socket.socket, answer: bytes) -> None:
        if client.fileno() < 0:
            return
        if not answer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self._close(client)
            return
        try:
            client.send(answer)
        except OSError:
            self._close(client)
            return
        if answer is HALF:
            self._due.append((time.monotonic() + DELAY, client, b""))

    def _close(self, client: socket.socket) -> None:
        self._open.pop(client.fileno())
        self._read.pop(client.fileno())
        client.close()


def main() -> None:
    """Serve until a signal ends it."""
    records = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    instance = Instance(int(sys.argv[1]), records)
    for number, mode in ((signal.SIGUSR1, BAD), (signal.SIGUSR2, CUT), (signal.SIGHUP, WELL)):
        signal.signal(number, lambda *_, mode=mode: setattr(instance, "mode", mode))
    instance.run()


if __name__ == "__main__":
    main()
