"""A service that reads an upload slowly and then answers 204: `python slow_sink.py PORT BYTES_PER_SECOND`.

One connection at a time. A request without a body is answered at once.
"""

from __future__ import annotations

import socket
import sys
import time

PIECE = 1 << 20
STALL = 1.0


def serve(client: socket.socket, rate: float) -> None:
    """Answer the requests of one connection until it ends."""
    rest = b""
    while True:
        while b"\r\n\r\n" not in rest:
            more = client.recv(65536)
            if not more:
                return
            rest += more
        head, _, rest = rest.partition(b"\r\n\r\n")
        length = content_length(head)
        if length:
            rest = swallow(client, rest, length, rate)
        client.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


def content_length(head: bytes) -> int:
    """The length that the head declares, 0 without one."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def swallow(client: socket.socket, begun: bytes, length: int, rate: float) -> bytes:
    """Read a body of `length` bytes, after a pause, at `rate`; returns what came after it."""
    time.sleep(STALL)
    began = time.monotonic()
    buffer = bytearray(PIECE)
    have = len(begun)
    while have < length:
        read = client.recv_into(buffer, min(PIECE, length - have))
        if not read:
            raise ConnectionError(f"the upload ended after {have} of {length} bytes")
        have += read
        time.sleep(max(0.0, began + have / rate - time.monotonic()))
    return begun[length:]


def main() -> None:
    """Serve for ever."""
    port, rate = int(sys.argv[1]), float(sys.argv[2])
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            client, _ = listener.accept()
            with client:
                try:
                    serve(client, rate)
                except OSError as fault:
                    print(fault, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
