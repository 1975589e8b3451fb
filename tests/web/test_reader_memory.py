"""Heads that are recognised say what they would have said to the parser; those that never come again cost little."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.reading import Reading
from ttagw.config import Http
from ttagw.core.forwarded import Peer, Trust
from ttagw.core.headers import lay
from ttagw.model import Exchange
from ttagw.testing import RecordingSink
from ttagw.web.known import LONGEST_PAUSE, HeadMemory
from ttagw.web.reader import RequestReader

WIDE = Http(max_uri=200, max_headers=9, max_header_bytes=600)
TRUST = Trust(())


def head(target: bytes, *lines: bytes, method: bytes = b"GET") -> bytes:
    return b"%b %b HTTP/1.1\r\n%b\r\n\r\n" % (method, target, b"\r\n".join((b"Host: gateway.test", *lines)))


TARGETS = [b"/a", b"/b?q", b"/a/../c", b"http://gateway.test/d", b"/%zz", b"/e HTTP/1.1\r\nX: 1", b"*"]
FIXED = [b"Accept: */*", b"Connection: close", b"Content-Length: 0", b"Proxy-Connection: close", b"X_Y: 1"]
NAMES = [
    b"Authorization: Bearer ",
    b"authorization:",
    b"X-Trace: ",
    b"X-Trace:",
    b"X-API-Key: ",
    b"X-Request-ID: ",
    b"X-Forwarded-For: ",
    b"X-User-ID: ",
    b"Connection: ",
    b"Content-Length: ",
    b"Transfer-Encoding: ",
    b"Expect: ",
    b"Host: ",
    b"Upgrade: ",
    b"Proxy-Connection: ",
]
VALUES = [
    *(
        b"1",
        b"22",
        b"two words",
        b"",
        b" ",
        b"\t",
        b" lead",
        b"trail ",
        b"t\tab",
        b"\xff",
        b"\x7f",
        b"\0",
        b"\x01",
        b"a\nb",
    ),
    *(b"a\rb", b"a\r\nX-More: 1", b"a\r\n folded", b"a\r\n\r\nGET /z HTTP/1.1", b"close", b"X-Trace", b"keep-alive"),
    *(b"x" * 250, b"100-continue", b"gateway.test", b"ttagw_k"),
]
LINES = st.lists(
    st.builds(lambda name, value: name + value, st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=3
)


@st.composite
def series(draw: st.DrawFn) -> list[bytes]:
    """Requests of one client: the same lines in the same order, but for some values that are others."""
    names = draw(st.lists(st.sampled_from([*NAMES, *NAMES[:5]]), max_size=4))
    fixed = draw(st.lists(st.sampled_from(FIXED), max_size=1))
    plain = st.sampled_from([b"1", b"2", b"two words"])
    requests = []
    for _ in range(draw(st.integers(1, 8))):
        values = [draw(plain if draw(st.booleans()) else st.sampled_from(VALUES)) for _ in names]
        target = draw(st.sampled_from([*TARGETS[:2], draw(st.sampled_from(TARGETS))]))
        method = draw(st.sampled_from([b"GET", b"GET", b"HEAD"]))
        requests.append(
            head(target, *[name + value for name, value in zip(names, values, strict=True)], *fixed, method=method)
        )
    return requests


def said(exchange: Exchange) -> tuple[Any, ...]:
    refusal = None if exchange.refusal is None else exchange.refusal.reason
    if refusal is not None:
        return (refusal,)
    if exchange.laid is not None:
        assert exchange.laid == (exchange.fields, lay(exchange.fields))
    known = (exchange.method, exchange.path, exchange.query, exchange.host, exchange.authority, exchange.client)
    return (
        *known,
        exchange.forwarded,
        exchange.fields,
        exchange.credentials,
        exchange.keep_alive,
        exchange.expects,
        exchange.length,
        exchange.version,
        exchange.id,
    )


class Asking:
    """A connection of a peer that is trusted, or not."""

    def __init__(self, *, trusted: bool = False) -> None:
        self.reading = Reading(WIDE)
        if trusted:
            peer = Peer("192.0.2.7", TRUST, b"http", 8000)
            peer.trusted = True
            self.reading.reader = RequestReader(WIDE, TRUST, peer, RecordingSink(), self.reading.source)

    def ask(self, request: bytes, *, bytewise: bool = False) -> list[tuple[Any, ...]]:
        """What has become of it, and of what was in it beside."""
        before = len(self.reading.reader.queue)
        self.reading.feed(*([request[at : at + 1] for at in range(len(request))] if bytewise else [request]))
        return [said(each) for each in self.reading.reader.queue[before:]]

    @property
    def deaf(self) -> bool:
        """Whether nothing more is looked at."""
        return self.reading.reader.deaf


@given(series(), st.booleans())
def test_what_is_recognised_says_the_same_as_what_is_parsed(requests: list[bytes], trusted: bool) -> None:
    whole, pieces = Asking(trusted=trusted), Asking(trusted=trusted)
    for request in requests:
        assert whole.ask(request) == pieces.ask(request, bytewise=True)
        assert whole.deaf == pieces.deaf


@given(
    st.lists(st.builds(head, st.sampled_from(TARGETS), LINES.map(b"\r\n".join)), max_size=6).map(lambda some: some * 2)
)
def test_whatever_comes_in_turns_says_the_same(requests: list[bytes]) -> None:
    whole, pieces = Asking(), Asking()
    for request in requests:
        assert whole.ask(request) == pieces.ask(request, bytewise=True)


@given(st.binary(max_size=40), st.binary(max_size=4))
def test_any_bytes_in_a_hole_say_the_same(value: bytes, tail: bytes) -> None:
    whole, pieces = Asking(), Asking()
    for each in (b"a", b"b", b"c", b"d", value):
        request = head(b"/a", b"Authorization: Bearer " + each, b"X-Trace: t") + (tail if each == value else b"")
        assert whole.ask(request) == pieces.ask(request, bytewise=True)
    assert whole.deaf == pieces.deaf


@pytest.mark.parametrize("around", [b"a%bz", b"%bz", b"a%b"], ids=["within", "first", "last"])
def test_every_byte_in_a_hole_says_the_same(around: bytes) -> None:
    for number in range(256):
        whole, pieces = Asking(), Asking()
        for each in (b"a", b"b", b"c", around % bytes((number,))):
            request = head(b"/a", b"X-Trace: " + each)
            assert whole.ask(request) == pieces.ask(request, bytewise=True)
        assert whole.deaf == pieces.deaf


class Parsed:
    """Counts the heads that were parsed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = self.learnt = 0
        parse = RequestReader.on_headers_complete
        learn = HeadMemory.learn

        def counting(reader: RequestReader) -> None:
            self.count += 1
            parse(reader)

        def learning(memory: HeadMemory, *what: Any) -> None:
            self.learnt += 1
            learn(memory, *what)

        monkeypatch.setattr(RequestReader, "on_headers_complete", counting)
        monkeypatch.setattr(HeadMemory, "learn", learning)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Parsed:
    return Parsed(monkeypatch)


def test_the_first_head_of_a_connection_is_not_remembered(parsed: Parsed) -> None:
    asking = Asking()
    for _ in range(4):
        asking.ask(head(b"/a"))
    assert (parsed.count, parsed.learnt) == (2, 1)


def test_heads_with_other_tokens_and_ids_are_recognised(parsed: Parsed) -> None:
    asking = Asking()
    for number in range(20):
        token = b"Authorization: Bearer t%d" % number
        (seen,) = asking.ask(head(b"/p?%d" % number, b"Accept: */*", token, b"X-Trace: %d" % number, b"X-User-ID: 1"))
        assert seen[7] == [(b"Accept", b"*/*"), (b"X-Trace", b"%d" % number)]
        assert seen[8] == [(b"authorization", b"Bearer t%d" % number)]
    assert parsed.count == 3


def test_credentials_are_nobody_elses(parsed: Parsed) -> None:
    asking = Asking()
    for token in (b"a", b"b", b"c", b"d", b"e"):
        asking.ask(head(b"/a", b"Authorization: Bearer " + token, b"X-API-Key: k"))
    seen = [each.credentials for each in asking.reading.reader.queue]
    expected = [
        [(b"authorization", b"Bearer " + token), (b"x-api-key", b"k")] for token in (b"a", b"b", b"c", b"d", b"e")
    ]
    assert seen == expected
    assert parsed.count == 3


@pytest.mark.parametrize(
    "line", [b"Host: h%d", b"Connection: x%d", b"Proxy-Connection: x%d", b"X-%d: 1", b"Upgrade: x%d"], ids=bytes.decode
)
def test_what_means_something_is_always_parsed(parsed: Parsed, line: bytes) -> None:
    asking = Asking()
    lines = [] if line.startswith(b"Host") else [b"Host: h"]
    for number in range(10):
        request = b"\r\n".join((b"GET /a HTTP/1.1", line % number, *lines, b"", b""))
        assert asking.ask(request) == Asking().ask(request)
    assert parsed.count == 20


def test_a_field_that_another_names_as_its_own_is_dropped_still(parsed: Parsed) -> None:
    asking = Asking()
    for number in range(6):
        (seen,) = asking.ask(head(b"/a", b"Connection: X-Trace", b"X-Trace: %d" % number, b"X-Other: 1"))
        assert seen[7] == [(b"X-Other", b"1")]
    assert parsed.count == 6


def test_heads_that_do_not_come_again_are_remembered_ever_more_rarely(parsed: Parsed) -> None:
    asking = Asking()
    for number in range(1000):
        asking.ask(head(b"/a", b"X-Trace-%d: 1" % number))
    assert parsed.learnt < 2 * 1000 / LONGEST_PAUSE + 16
    for _ in range(LONGEST_PAUSE + 5):
        asking.ask(head(b"/a"))
    before = parsed.learnt
    for _ in range(10):
        asking.ask(head(b"/other?target"))
    assert parsed.learnt == before
    # One that differs now and then is soon followed again.
    for each in (head(b"/a", b"X-Trace: x"), head(b"/a"), head(b"/a"), head(b"/a")):
        asking.ask(each)
    assert parsed.learnt == before + 2


def test_more_values_than_a_stencil_has_holes_are_parsed(parsed: Parsed) -> None:
    asking = Asking()
    for number in range(30):
        lines = [b"X-%b: %d" % (letter, number) for letter in (b"a", b"b", b"c", b"d", b"e", b"f", b"g")]
        (seen,) = asking.ask(head(b"/a", *lines))
        assert len(seen[7]) == 7
    assert parsed.count == 30
