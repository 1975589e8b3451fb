"""Serialising a request for a service: always our own bytes, never the client's."""

from __future__ import annotations

from ttagw.core.headers import lay
from ttagw.model import NO_BODY, UNKNOWN, Exchange

_WITH_CONTENT = frozenset((b"POST", b"PUT", b"PATCH"))
"""Methods whose requests say that their body is empty (RFC 9110 §8.6)."""


def request_head(exchange: Exchange, target: bytes, authority: bytes) -> bytes:
    """The head of the request, up to and with its empty line.

    `authority` is the prepared ` HTTP/1.1` and `Host` of the instance; `target` begins with a slash.
    """
    query = exchange.query
    lines = [
        exchange.method,
        b" ",
        target if query is None else b"%b?%b" % (target, query),
        authority,
        exchange.forwarded,
        b"x-request-id: ",
        exchange.id,
        b"\r\n",
    ]
    fields = exchange.fields
    if fields:
        laid = exchange.laid
        lines.append(laid[1] if laid is not None and laid[0] == fields else lay(fields, laid))
        lines.append(b"\r\n")
    if exchange.body is NO_BODY:
        lines.append(b"content-length: 0\r\n\r\n" if exchange.method in _WITH_CONTENT else b"\r\n")
    elif exchange.length == UNKNOWN:
        lines.append(b"transfer-encoding: chunked\r\n\r\n")
    else:
        lines.append(b"content-length: %d\r\n\r\n" % exchange.length)
    return b"".join(lines)
