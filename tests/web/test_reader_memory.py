"""Heads that are recognised say what they would have said to the parser; those that never come again cost little."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.reading import Reading
from ttagw.model import Exchange
from ttagw.web.head import KnownHead
from ttagw.web.reader import LONGEST_PAUSE


def head(target: bytes, *lines: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\n%b\r\n\r\n" % (target, b"\r\n".join((b"Host: gateway.test", *lines)))


REQUESTS = st.builds(
    lambda target, lines: head(target, *lines),
    st.sampled_from([b"/a", b"/b?q", b"/a/../c", b"http://gateway.test/d", b"/%zz", b"/e HTTP/1.1\r\nX: 1", b"*"]),
    st.lists(
        st.sampled_from([b"Accept: */*", b"X-Trace: 1", b"X-Trace: 2", b"Connection: close", b"Content-Length: 0"]),
        max_size=2,
    ),
)


def said(exchange: Exchange) -> tuple[Any, ...]:
    refusal = None if exchange.refusal is None else exchange.refusal.reason
    known = (exchange.method, exchange.path, exchange.query, exchange.host, exchange.authority, exchange.client)
    return (
        *known,
        exchange.forwarded,
        exchange.fields,
        exchange.keep_alive,
        exchange.length,
        exchange.version,
        refusal,
    )


@given(st.lists(REQUESTS, max_size=12).flatmap(lambda some: st.lists(st.sampled_from(some or [head(b"/a")]))))
def test_what_is_recognised_says_the_same_as_what_is_parsed(requests: list[bytes]) -> None:
    whole, pieces = Reading(), Reading()
    at_once = [said(each) for request in requests for each in whole.feed(request)]
    bytewise = [said(each) for request in requests for each in pieces.feed(*[bytes([byte]) for byte in request])]
    assert at_once == bytewise


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The heads that were remembered."""
    kept: list[bytes] = []

    def keep(exchange: Exchange, end: bytes) -> KnownHead:
        kept.append(end)
        return KnownHead(exchange, end)

    monkeypatch.setattr("ttagw.web.reader.KnownHead", keep)
    return kept


def test_the_first_head_of_a_connection_is_not_remembered(remembered: list[bytes]) -> None:
    reading = Reading()
    for _ in range(3):
        reading.feed(head(b"/a"))
    assert len(remembered) == 1


def test_heads_that_do_not_come_again_are_remembered_ever_more_rarely(remembered: list[bytes]) -> None:
    reading = Reading()
    for number in range(1000):
        reading.feed(head(b"/a", b"X-Trace: %d" % number))
    assert len(remembered) < 1000 / LONGEST_PAUSE + 8
    for _ in range(LONGEST_PAUSE + 5):
        reading.feed(head(b"/a"))
    before = len(remembered)
    for _ in range(10):
        reading.feed(head(b"/other?target"))
    assert len(remembered) == before
    # One that differs now and then is soon followed again.
    reading.feed(head(b"/a", b"X-Trace: x"), head(b"/a"), head(b"/a"), head(b"/a"))
    assert len(remembered) == before + 1
