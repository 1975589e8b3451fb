"""Clients of several addresses of this machine, and whether a gateway lets them in."""

from __future__ import annotations

import ssl
from typing import Any

from tests.integration.kit.operated import Operator, View
from tests.integration.kit.raw import Answer, Client, CutOffError, get
from tests.integration.kit.waiting import until

MALFORMED = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
THRESHOLD = 5
SECTION: dict[str, Any] = {"threshold": f"{THRESHOLD}/h", "block_for": "1h"}
"""Hardly anything leaks away while a test runs."""


def asked(port: int, source: str, data: bytes | None = None, context: ssl.SSLContext | None = None) -> Answer | None:
    """The answer to one request from this address, on a connection of its own; None if that is closed without one."""
    try:
        with Client(port, context, source=source) as client:
            return client.ask(data or get("/"))
    except (CutOffError, OSError):
        return None


def status(port: int, source: str, data: bytes | None = None) -> int:
    """Its status; 0 for none."""
    answer = asked(port, source, data)
    return 0 if answer is None else answer.status


def refused(port: int, source: str, data: bytes = MALFORMED, times: int = THRESHOLD + 1) -> list[int]:
    """The statuses of so many requests, each on a connection of its own."""
    return [status(port, source, data) for _ in range(times)]


def shut_out(port: int, source: str) -> bool:
    """Whether this address gets nothing at all."""
    return status(port, source) == 0


def blocks(operator: Operator, query: str = "") -> list[View]:
    """Who is blocked, as an operator sees it."""
    code, document = operator.ask("GET", f"/blocks{query}")
    assert code == 200, document
    found: list[View] = document["blocks"]
    return found


def blocked_soon(operator: Operator, **whom: str) -> View:
    """The block of somebody, once it is known."""
    [(name, value)] = whom.items()
    return until(lambda: blocks(operator, f"?{name}={value}"), f"{value} is blocked")[0]
