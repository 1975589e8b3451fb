"""A fast service, run as a program: answers each request with its own path and body, and counts each path.

Says its port in a line on standard output. `GET /report` gives how often each path came. Every third answer is chunked,
and so are all that are long.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter

COUNTS: Counter[str] = Counter()
REPORT = "/report"


class Echo(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (answer := self._one()) is not None:
            self._transport.write(answer)

    def _one(self) -> bytes | None:
        """The answer to the next request; None while it is not complete."""
        end = self._buffer.find(b"\r\n\r\n") + 4
        if end < 4:
            return None
        first, *lines = bytes(self._buffer[: end - 4]).split(b"\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
        body = self._chunks(end) if b"transfer-encoding" in fields else self._counted(end, fields)
        if body is None:
            return None
        return answer(first.split(b" ")[1].decode(), *body, buffer=self._buffer)

    def _counted(self, at: int, fields: dict[bytes, bytes]) -> tuple[bytes, int] | None:
        end = at + int(fields.get(b"content-length", 0))
        return (bytes(self._buffer[at:end]), end) if len(self._buffer) >= end else None

    def _chunks(self, at: int) -> tuple[bytes, int] | None:
        pieces: list[bytes] = []
        while (line := self._buffer.find(b"\r\n", at)) >= 0:
            begin, size = line + 2, int(self._buffer[at:line], 16)
            at = begin + size + 2
            if len(self._buffer) < at:
                return None
            if not size:
                return b"".join(pieces), at
            pieces.append(bytes(self._buffer[begin : begin + size]))
        return None


def answer(path: str, body: bytes, end: int, buffer: bytearray) -> bytes:
    """The echo; what has been read leaves the buffer."""
    del buffer[:end]
    if path == REPORT:
        body = json.dumps(COUNTS).encode()
    else:
        COUNTS[path] += 1
    head = b"HTTP/1.1 200 OK\r\nX-Path: %b\r\n" % path.encode()
    if COUNTS.total() % 3 and len(body) < 30000:
        return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    pieces = [body[at : at + 5000] for at in range(0, len(body), 5000)]
    chunks = b"".join([b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces])
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


async def serve() -> None:
    """Run until killed."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
