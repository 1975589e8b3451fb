"""A service as a process of its own, which can be killed, stopped and made to misbehave, and counts what it gets.

    python worker.py PORT MODE COUNTED

`MODE` is a file that says how it behaves: `ok`, `500` (everything, `/health` too) or `reset` (every answer but that of
`/health` is cut in the middle of its body). `COUNTED` is a file to which it appends a line for each request: the method
and the path.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from pathlib import Path

BODY = b"x" * 300


class Worker(asyncio.Protocol):
    """One connection."""

    mode: Path
    counted: int

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower()
            size = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
            if len(self.data) < end + 4 + size:
                return
            line = self.data.split(b"\r\n", 1)[0].split(b" ")
            self.data = self.data[end + 4 + size :]
            self.answer(line[0], line[1])

    def answer(self, method: bytes, path: bytes) -> None:
        if path != b"/health":
            os.write(self.counted, method + b" " + path + b"\n")
        mode = self.mode.read_text()
        if mode == "500":
            self.transport.write(b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno")
        elif mode == "reset" and path != b"/health":
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n" + BODY[:100])
            # What was written must have left before the connection is cut.
            asyncio.get_running_loop().call_later(0.005, self.cut)
        else:
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n" + BODY)

    def cut(self) -> None:
        linger = struct.pack("ii", 1, 0)
        found = self.transport.get_extra_info("socket")
        if found is not None:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()


async def main() -> None:
    port, mode, counted = sys.argv[1:]
    Worker.mode = Path(mode)
    Worker.counted = os.open(counted, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    server = await asyncio.get_running_loop().create_server(Worker, "127.0.0.1", int(port), backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
