"""Row 41: hostile values are refused or passed unchanged, and every log line stays one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import Client, get, once
from tests.integration.kit.waiting import until

UNPLEASANT = st.sampled_from(
    [
        b"\x00",
        b"\r",
        b"\n",
        b"\r\n",
        b'"',
        b"\\",
        b'","status":200}',
        b"%00",
        b"%0d%0a",
        b"%2f",
        b"..%2f",
        b"..",
        b"%2e%2e/",
        b"%c0%af",
        b"%ff",
        b"%s%n%x",
        b"{0}{id}",
        b"${jndi:ldap://x}",
        b"<script>",
        b"' OR 1=1 --",
        b"\x1b[31m",
        b"\x7f",
        b"\x85",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        "😀".encode(),
        "\u202e\u2028\ufeff".encode(),
        b"a" * 5000,
        b" ",
        b"\t",
        b"/",
    ]
)
BYTES = st.lists(UNPLEASANT | st.binary(max_size=20), max_size=6).map(b"".join)


@pytest.fixture(scope="module")
def gateway(folder: Path, origin: Origin) -> Iterator[Gateway]:
    trusted = {"gateway": {"trusted_proxies": ["127.0.0.1/32"]}}
    routes = [route("/p/{id}/*", name="p", rewrite="/q/{id}/*"), route()]
    with Gateway(folder, {"s": service(origin.port)}, routes, **trusted) as running:
        yield running
        assert running.failures() == []
        lines = running.access.read_bytes()
        assert not [byte for byte in lines.replace(b"\n", b"") if not 0x20 <= byte < 0x7F]
        assert [json.loads(line)["status"] for line in lines.splitlines()]


@settings(deadline=None, max_examples=300)
@given(BYTES)
@example(b"X: \xe9\xff")
def test_a_field_value_is_refused_or_passed_unchanged(gateway: Gateway, origin: Origin, value: bytes) -> None:
    before = len(origin.requests)
    head = b"GET /value HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Hostile: "
    with Client(gateway.port) as client:
        client.send(head + value + b"\r\n\r\n")
        answer = client.answer()
    if answer.status == 200:
        (came,) = origin.requests[before:]
        first, *others = value.split(b"\r\n")
        # Blanks around a value are no part of it (RFC 9110 §5.5).
        assert [each.strip(b" \t") for each in came.all(b"x-hostile")] == [first.strip(b" \t")]
        assert others == [] or came.complete
    else:
        assert answer.status in (400, 417, 431)
        assert answer.reason
        assert origin.requests[before:] == []


@settings(deadline=None, max_examples=300)
@given(BYTES)
def test_a_path_is_refused_or_reaches_the_service_as_the_same_path(
    gateway: Gateway, origin: Origin, tail: bytes
) -> None:
    before = len(origin.requests)
    with Client(gateway.port) as client:
        client.send(b"GET /p/" + tail + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        answer = client.answer()
    came = origin.requests[before:]
    if answer.status != 200:
        assert answer.status in (400, 404, 414, 431)
        assert came == []
        return
    (request,) = came
    path, _, query = request.target.partition(b"?")
    sent, _, sent_query = (b"/p/" + tail).partition(b"?")
    assert query == sent_query
    assert unquote_to_bytes(path)[3:] == unquote_to_bytes(sent)[3:]
    assert path[:3] in (b"/p/", b"/q/")
    assert b".." not in path.split(b"/")


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([b"X-Request-ID", b"X-Forwarded-For", b"X-Forwarded-Host", b"Forwarded", b"Host", b"Accept"]), BYTES
)
def test_what_is_read_here_cannot_break_a_log_or_another_field(
    gateway: Gateway, origin: Origin, name: bytes, value: bytes
) -> None:
    before = len(origin.requests)
    value = value.replace(b"\r", b"").replace(b"\n", b"")
    host = b"" if name == b"Host" else b"Host: h\r\n"
    with Client(gateway.port) as client:
        client.send(b"GET / HTTP/1.1\r\nConnection: close\r\n" + host + name + b": " + value + b"\r\n\r\n")
        answer = client.answer()
    assert answer.status in (200, 400, 431)
    assert len(origin.requests) - before == (answer.status == 200)
    if answer.status == 200:
        request = origin.requests[-1]
        for each in (b"x-request-id", b"x-forwarded-for", b"x-forwarded-host", b"forwarded", b"host"):
            assert request.value(each)


def test_one_line_for_each_request(gateway: Gateway) -> None:
    until(lambda: gateway.metric("ttagw_requests_in_flight") == 0, "nothing is under way")
    last = once(gateway.port, get("/")).id
    gateway.line(last)
    lines = gateway.lines()
    assert len({line["request_id"] for line in lines}) <= len(lines)
    counted = gateway.metric("ttagw_requests_total")
    assert len(lines) == counted


@settings(deadline=None, max_examples=300)
@given(st.lists(BYTES, max_size=5).map(b"\r\n".join))
def test_arbitrary_bytes_bring_nothing_down_and_nothing_through(gateway: Gateway, origin: Origin, data: bytes) -> None:
    before = len(origin.requests)
    with Client(gateway.port) as client:
        client.send(data + b"\r\n\r\n\x00\x01 \r\n\r\n")
        assert {answer.status for answer in client.answers()} <= {400, 405, 414, 431}
    assert origin.requests[before:] == []
