"""Many connections at once, from a process of its own: `python flood.py PORT COUNT SOURCE`.

They are opened without waiting for answers, each begins a request that it never ends, and what they are told is read.
For each line on standard input the counts so far are printed, as JSON; the end of standard input ends it all.
"""

from __future__ import annotations

import errno
import json
import resource
import select
import socket
import sys

CONNECTING = 1000
"""How many may be on their way. The kernel tries one that it had to drop again after 1, 2, 4, 8, ... seconds: more of
them would measure that."""

BEGINNING = b"GET / HTTP/1.1\r\n"
"""Sent because the kernel may have dropped the end of a handshake too, and notices only when something follows."""


class Flood:
    """The connections, and what became of them."""

    def __init__(self, port: int, count: int, source: str) -> None:
        self.counts = {"open": 0, "refused": 0, "503": 0, "ended": 0, "other": 0}
        self._port = port
        self._source = source
        self._to_come = count
        self._sockets: dict[int, socket.socket] = {}
        self._connecting: set[int] = set()
        self._epoll = select.epoll()
        self._epoll.register(sys.stdin.fileno(), select.EPOLLIN)

    def run(self) -> None:
        """Until standard input ends."""
        while True:
            while self._to_come and len(self._connecting) < CONNECTING:
                self._connect()
            for number, _ in self._epoll.poll():
                if number == sys.stdin.fileno():
                    if not sys.stdin.readline():
                        return
                    print(json.dumps(self.counts), flush=True)
                elif number in self._connecting:
                    self._connected(number)
                else:
                    self._read(number)

    def _connect(self) -> None:
        self._to_come -= 1
        made = socket.socket()
        made.setblocking(False)
        # The port is chosen when it connects: all of them differ only in that.
        made.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        made.bind((self._source, 0))
        made.connect_ex(("127.0.0.1", self._port))
        number = made.fileno()
        self._sockets[number] = made
        self._connecting.add(number)
        self._epoll.register(number, select.EPOLLOUT)

    def _connected(self, number: int) -> None:
        """A connection that we get to see late may have been opened, turned away and cut already."""
        self._connecting.remove(number)
        fault = self._sockets[number].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self.counts["open" if fault in (0, errno.ECONNRESET, errno.EPIPE) else "refused"] += 1
        try:
            self._sockets[number].send(BEGINNING)
        except OSError:
            pass
        self._epoll.modify(number, select.EPOLLIN)

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
