"""Rows 19 and 20, and what comes in: refused, answered in order, closed, and nothing of it reaches a service."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.corpus.case import Case
from tests.integration.corpus.edge import EDGE, MAX_BODY, MAX_HEADER_BYTES, MAX_HEADERS, MAX_URI
from tests.integration.corpus.smuggling import SMUGGLING
from tests.integration.kit.certs import Authority
from tests.integration.kit.gateway import Gateway, service
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import Client, Cut, each_byte, each_line, get, once, whole

LIMITS = {
    "max_uri": MAX_URI,
    "max_headers": MAX_HEADERS,
    "max_header_bytes": MAX_HEADER_BYTES,
    "max_body": MAX_BODY,
    "header_timeout": "10s",
    "body_timeout": "10s",
}


class Way:
    """How a client's bytes travel: over TLS or not, cut into what pieces, and whether after good requests."""

    def __init__(self, gateway: Gateway, context: ssl.SSLContext | None, cut: Cut, *, late: bool) -> None:
        self._port = gateway.port if context is None else gateway.secure_port
        self._context = context
        self._cut = cut
        self._before = [get("/before")] * 3 if late else []

    def exchange(self, case: Case) -> list[int]:
        """Send what the case says; the statuses that came back until the connection ended."""
        with Client(self._port, self._context, timeout=5) as client:
            assert [client.ask(data).status for data in self._before] == [200] * len(self._before)
            client.send(*self._cut(case.data))
            return [answer.status for answer in client.answers()]


@pytest.fixture(scope="module")
def gateway(folder: Path, origin: Origin, authority: Authority) -> Iterator[Gateway]:
    certificate = authority.issue("127.0.0.1")
    with Gateway(folder, {"s": service(origin.port)}, certificate=certificate, http=LIMITS) as running:
        yield running
        assert running.failures() == []


@pytest.fixture(params=["tcp", "tcp-lines", "tcp-bytes", "tcp-late", "tls", "tls-lines"])
def way(request: pytest.FixtureRequest, gateway: Gateway, authority: Authority) -> Way:
    context = authority.client_context() if request.param.startswith("tls") else None
    cuts = {"lines": each_line, "bytes": each_byte}
    return Way(gateway, context, cuts.get(request.param.partition("-")[2], whole), late=request.param.endswith("late"))


@pytest.mark.parametrize("case", [*SMUGGLING, *EDGE], ids=lambda case: case.name)
def test_a_request_that_is_not_one_is_refused_and_reaches_no_service(
    case: Case, way: Way, gateway: Gateway, origin: Origin
) -> None:
    before = len(origin.requests)
    assert way.exchange(case) == list(case.statuses)
    assert once(gateway.port, get("/fence")).status == 200
    came = origin.requests[before:]
    assert [each.target for each in came if each.complete and each.target != b"/before"] == [*case.reached, b"/fence"]
    assert case.begins or all(each.complete for each in came)


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len({case.name for case in SMUGGLING}) == len(SMUGGLING) > 100
    assert len({case.name for case in EDGE}) == len(EDGE) > 100


def test_each_refusal_is_one_line_of_the_access_log_with_its_reason(gateway: Gateway) -> None:
    for data, reason in (
        (b"GET /a HTTP/1.1\r\n\r\n", "no_host"),
        (get("/a//b"), "empty_segment"),
        (b"\x00", "bad_head"),
    ):
        answer = once(gateway.port, data)
        line = gateway.line(answer.id)
        assert (line["status"], line["reason"], line["tries"]) == (400, reason, 0)
