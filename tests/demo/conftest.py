"""A demo service as a real child process, and a small HTTP client for it."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

import pytest

from ttagw.demo.processes import Child, Family


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Ask = Callable[..., Answer]


def ask_port(port: int, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
    """Ask once over a new connection; `body` is sent as JSON unless it is bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, content, headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def announced(log: Path) -> dict[str, Any] | None:
    """The line by which a service says where it listens."""
    lines = [
        line for line in log.read_text().splitlines(keepends=True) if line.startswith('{"') and line.endswith("\n")
    ]
    return json.loads(lines[0]) if lines else None


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    with Family(tmp_path, tmp_path, lambda: False) as children:
        yield children


@pytest.fixture
def running(family: Family) -> Callable[[str], tuple[Child, Ask]]:
    """Start a service by name; returns its process and how to ask it."""

    def start(name: str) -> tuple[Child, Ask]:
        child = family.start(name, [sys.executable, "-m", "ttagw.demo.services", name, "0"])
        port = family.wait_until(child, lambda: announced(child.log), 20)["port"]
        return child, lambda *question, **more: ask_port(port, *question, **more)

    return start


@pytest.fixture
def service(running: Callable[[str], tuple[Child, Ask]]) -> Callable[[str], Ask]:
    """Start a service by name; returns how to ask it."""
    return lambda name: running(name)[1]


@pytest.fixture
def ask() -> Ask:
    """Ask a port."""
    return ask_port
