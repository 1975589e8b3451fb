"""A name server whose records a test changes while it runs."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable
from threading import Thread
from types import TracebackType
from typing import Any

from twisted.names import dns

Change = Callable[[bytes], bytes | None]
"""What becomes of an answer before it is sent; None: nothing is sent."""


class NameServer:
    """Answers over UDP and TCP from another thread. `asked` has every question, with `udp` or `tcp` before it."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.asked: list[tuple[str, str, int]] = []
        self.change: Change = lambda data: data
        """For answers over UDP."""
        self.code = 0
        """What every answer says, if it is not 0."""
        self.silent: set[int] = set()
        """Types of records about which nothing is answered."""
        self._records: dict[tuple[str, int], list[Any]] = {}
        self._sockets = _bound(host, port)
        self.port: int = self._sockets[0].getsockname()[1]
        self._stop, self._stopped = socket.socketpair()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def place(self) -> tuple[str, int]:
        """Its address and port."""
        return self.host, self.port

    def times(self, name: str, kind: int = dns.A) -> int:
        """How often a question has come."""
        return sum([each[1:] == (name, kind) for each in self.asked])

    # What it knows

    def set(self, name: str, *addresses: str, ttl: int = 1) -> None:
        """The addresses of a name, instead of those that it had; without any there is no such name."""
        four = [dns.Record_A(each, ttl=ttl) for each in addresses if ":" not in each]
        six = [dns.Record_AAAA(each, ttl=ttl) for each in addresses if ":" in each]
        self._put(name, dns.A, four)
        self._put(name, dns.AAAA, six)

    def alias(self, name: str, other: str, ttl: int = 1) -> None:
        """The name is another one."""
        self._put(name, dns.CNAME, [dns.Record_CNAME(other, ttl=ttl)])

    def services(self, name: str, *rows: tuple[int, int, int, str], ttl: int = 1) -> None:
        """The SRV records of a name: priority, weight, port and target."""
        self._put(name, dns.SRV, [dns.Record_SRV(*row[:3], target=row[3], ttl=ttl) for row in rows])

    def _put(self, name: str, kind: int, records: list[Any]) -> None:
        if records:
            self._records[name, kind] = records
        else:
            self._records.pop((name, kind), None)

    # Answering

    def _answer(self, data: bytes, way: str) -> dns.Message | None:
        message = dns.Message()
        message.fromStr(data)
        (query,) = message.queries
        name = query.name.name.decode()
        self.asked.append((way, name, query.type))
        if query.type in self.silent:
            return None
        message.answer = 1
        message.rCode = self.code
        if self.code:
            return message
        known = {each for each, _ in self._records}
        seen = name
        while records := self._records.get((seen, dns.CNAME)):
            message.answers += [_row(seen, each) for each in records]
            seen = str(records[0].name)
        message.answers += [_row(seen, each) for each in self._records.get((seen, query.type), [])]
        message.rCode = dns.OK if seen in known else dns.ENAME
        return message

    def _run(self) -> None:
        datagrams, streams = self._sockets
        while True:
            ready, _, _ = select.select([datagrams, streams, self._stopped], [], [])
            if self._stopped in ready:
                return
            if datagrams in ready:
                self._datagram(datagrams)
            if streams in ready:
                self._stream(streams)

    def _datagram(self, server: socket.socket) -> None:
        data, where = server.recvfrom(65535)
        message = self._answer(data, "udp")
        if message is not None:
            message.maxSize = 512
            changed = self.change(message.toStr())
            if changed is not None:
                server.sendto(changed, where)

    def _stream(self, server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.settimeout(5)
            try:
                (size,) = struct.unpack("!H", connection.recv(2, socket.MSG_WAITALL))
                message = self._answer(connection.recv(size, socket.MSG_WAITALL), "tcp")
            except (OSError, struct.error):
                return
            if message is not None:
                message.maxSize = 65535
                whole = message.toStr()
                connection.sendall(struct.pack("!H", len(whole)) + whole)

    def stop(self) -> None:
        """Answer no more; the port is closed."""
        if self._thread.is_alive():
            self._stop.send(b".")
            self._thread.join()
            for each in (*self._sockets, self._stop, self._stopped):
                each.close()

    def __enter__(self) -> NameServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def _row(name: str, record: Any) -> dns.RRHeader:
    return dns.RRHeader(name, record.TYPE, dns.IN, record.ttl, record)


def _bound(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Sockets for datagrams and streams on one port."""
    while True:
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        streams = socket.socket()
        streams.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        datagrams.bind((host, port))
        try:
            streams.bind((host, datagrams.getsockname()[1]))
        except OSError:
            datagrams.close()
            streams.close()
            if port:
                raise
        else:
            streams.listen()
            return datagrams, streams
