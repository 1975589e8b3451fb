"""What a case says."""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """Bytes that a client sends on one connection.

    Afterwards the client has got answers with exactly these `statuses`, then the end of the connection, and the service
    has got complete requests for exactly the targets in `reached`. `begins`: a service may see the beginning of a
    request that turns out wrong in the middle of its body; it must never see its end.
    """

    name: str
    data: bytes
    statuses: tuple[int, ...] = (400,)
    reached: tuple[bytes, ...] = ()
    begins: bool = False


HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"
"""A request that somebody tries to hide inside another."""


def request(
    *lines: bytes, body: bytes = b"", first: bytes = b"POST /outer HTTP/1.1", host: bytes = b"Host: h"
) -> bytes:
    """A request with these fields; `host` may be anything, b"" leaves it out."""
    head = [first, *([host] if host else []), *lines, b"", b""]
    return b"\r\n".join(head) + body


def get(target: bytes, *lines: bytes, host: bytes = b"Host: h") -> bytes:
    """A GET of this target."""
    return request(*lines, first=b"GET %b HTTP/1.1" % target, host=host)


def label(data: bytes) -> str:
    """Bytes as a part of a test's name."""
    return (
        "".join([chr(byte) if chr(byte).isalnum() or byte in b"-=,;+." else f"~{byte:02x}" for byte in data]) or "empty"
    )
