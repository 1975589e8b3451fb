"""Many connections at once, from a process of its own: `python flood.py PORT COUNT SOURCE`.

All are opened without waiting for each other, and what they are told is read. For each line on standard input the
counts so far are printed, as JSON; the end of standard input ends it all.
"""

from __future__ import annotations

import json
import resource
import select
import socket
import sys


class Flood:
    """The connections, and what became of them."""

    def __init__(self, port: int, count: int, source: str) -> None:
        self.counts = {"open": 0, "503": 0, "ended": 0, "other": 0}
        self._epoll = select.epoll()
        self._epoll.register(sys.stdin.fileno(), select.EPOLLIN)
        self._sockets: dict[int, socket.socket] = {}
        for _ in range(count):
            made = socket.socket()
            made.setblocking(False)
            # The port is chosen when it connects: all of them differ only in that.
            made.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            made.bind((source, 0))
            made.connect_ex(("127.0.0.1", port))
            self._sockets[made.fileno()] = made
            self._epoll.register(made.fileno(), select.EPOLLOUT)

    def run(self) -> None:
        """Until standard input ends."""
        while True:
            for number, event in self._epoll.poll():
                if number == sys.stdin.fileno():
                    if not sys.stdin.readline():
                        return
                    print(json.dumps(self.counts), flush=True)
                elif event & select.EPOLLOUT and not event & (select.EPOLLERR | select.EPOLLHUP):
                    self.counts["open"] += 1
                    self._epoll.modify(number, select.EPOLLIN)
                else:
                    self._read(number)

    def _read(self, number: int) -> None:
        try:
            data = self._sockets[number].recv(4096)
        except OSError:
            data = b""
        if data:
            self.counts["503" if data.startswith(b"HTTP/1.1 503 ") else "other"] += 1
        else:
            self.counts["ended"] += 1
            self._epoll.unregister(number)
            self._sockets.pop(number).close()


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    Flood(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]).run()
