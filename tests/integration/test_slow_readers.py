"""Clients that read slowly get all of an answer, however its connection ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.kit.certs import Authority
from tests.integration.kit.gateway import Gateway, service
from tests.integration.kit.origin import Origin, Request, Talk
from tests.integration.kit.raw import Client, get

SIZE = 3 * 1024 * 1024


@pytest.fixture(scope="module")
def gateway(folder: Path, origin: Origin, authority: Authority) -> Iterator[Gateway]:
    origin.on(b"/much", lambda talk, request: talk.reply(b"m" * SIZE))
    origin.on(b"/early", early, early=True)
    certificate = authority.issue("127.0.0.1")
    http = {"body_timeout": "30s"}
    with Gateway(folder, {"s": service(origin.port)}, certificate=certificate, http=http) as running:
        yield running
        assert running.failures() == []


def early(talk: Talk, request: Request) -> None:
    """Answer before the body has come."""
    talk.reply(b"e" * SIZE)
    talk.wait_gone()


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize(
    "data",
    [get("/much", "Connection: close"), get("/early", "Content-Length: 1000", method="POST") + b"x"],
    ids=["last", "early"],
)
def test_the_last_answer_of_a_connection_arrives_whole(
    gateway: Gateway, authority: Authority, tls: bool, data: bytes
) -> None:
    context = authority.client_context() if tls else None
    with Client(gateway.secure_port if tls else gateway.port, context, buffer=65536) as client:
        client.send(data)
        head = client.head()
        assert (head.status, head.value(b"connection")) == (200, b"close")
        assert len(client.slowly(SIZE, 1024 * 1024)) == SIZE
        assert not client.broken
        assert client.at_end()
