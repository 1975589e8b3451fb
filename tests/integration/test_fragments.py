"""However bytes are cut, the same requests come out; and whatever fields are sent arrive as they were sent."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.corpus.edge import EDGE
from tests.integration.corpus.smuggling import SMUGGLING
from tests.integration.kit.gateway import Gateway, service
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import Client
from ttagw.config import Http
from ttagw.core.forwarded import Peer, Trust
from ttagw.model import Exchange, Reply
from ttagw.web.reader import RequestReader

Cuts = list[int]


class Ends:
    """Both ends that a reader talks to, and who takes the bodies."""

    started = False

    def pause(self) -> None:
        """Nothing is sent but what the test feeds."""

    resume = go_on = flush = finish = abort = pause

    def start(self, reply: Reply, source: object) -> None:
        raise AssertionError("a reader answers nothing")

    def write(self, data: bytes) -> None:
        raise AssertionError("a reader writes nothing")


class Taker:
    """Collects one body."""

    def __init__(self, first: bytes) -> None:
        self.data = first
        self.ended = False

    def body_chunk(self, data: bytes) -> None:
        self.data += data

    def body_end(self) -> None:
        self.ended = True


def told(exchange: Exchange, taker: Taker | None) -> tuple[object, ...]:
    """What can be seen of an exchange. The body of one that is refused in the middle may have been begun or not."""
    if exchange.refusal is not None:
        return (exchange.refusal.status,)
    body = (b"", True) if taker is None else (taker.data, taker.ended)
    head = (exchange.method, exchange.path, exchange.query, exchange.host, tuple(exchange.fields), exchange.version)
    return (*head, exchange.forwarded, exchange.keep_alive, exchange.expects, exchange.length, body)


def exchanges(pieces: list[bytes]) -> list[tuple[object, ...]]:
    """What a reader makes of these pieces."""
    ends = Ends()
    trust = Trust(())
    reader = RequestReader(Http(), trust, Peer("192.0.2.1", trust, b"http", 80), ends, ends)
    found: list[tuple[Exchange, Taker | None]] = []
    for piece in pieces:
        if reader.deaf:
            break
        reader.feed(piece, 0.0)
        for exchange in reader.queue:
            taker = None
            if exchange.length and exchange.refusal is None:
                taker = Taker(exchange.body.take())
                taker.ended = exchange.body.complete
                exchange.body.attach(taker)
            found.append((exchange, taker))
        reader.queue.clear()
    return [told(*each) for each in found]


TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^`|~", min_size=1, max_size=12)
VALUE = st.binary(max_size=40).map(
    lambda raw: bytes([byte for byte in raw if byte == 9 or 0x20 <= byte < 0x7F or byte >= 0x80]).strip(b" \t")
)
PLAIN_FIELDS = st.lists(st.tuples(TOKEN.map(lambda token: b"X-H-" + token.encode()), VALUE), max_size=12)
PATHS = st.from_regex(rb"/([a-z0-9;=:@]{1,8}/?){0,4}(\?[a-z0-9/?%&=]{0,20})?", fullmatch=True).filter(
    lambda path: b"//" not in path.partition(b"?")[0] and b"/;" not in path
)


def with_body(body: bytes, sizes: list[int] | None) -> tuple[bytes, bytes]:
    """The framing field and the framed body; `sizes` of chunks, or None: counted."""
    if sizes is None:
        return b"Content-Length: %d\r\n" % len(body), body
    framed = b""
    for size in [*sizes, len(body)]:
        chunk, body = body[:size], body[size:]
        framed += b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunk else b""
    return b"Transfer-Encoding: chunked\r\n", framed + b"0\r\n\r\n"


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One good request."""
    fields = b"".join([b"%b: %b\r\n" % field for field in draw(PLAIN_FIELDS)])
    path = draw(PATHS)
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0"]))
    if version == b"1.0":
        fields += b"Connection: keep-alive\r\n"
    if draw(st.booleans()):
        return b"GET %b HTTP/%b\r\nHost: h\r\n%b\r\n" % (path, version, fields)
    sizes = draw(st.none() | st.lists(st.integers(1, 50), max_size=5)) if version == b"1.1" else None
    framing, body = with_body(draw(st.binary(max_size=200)), sizes)
    return b"POST %b HTTP/%b\r\nHost: h\r\n%b%b\r\n%b" % (path, version, fields, framing, body)


def cut(data: bytes, cuts: Cuts) -> list[bytes]:
    """The data cut at these places (taken modulo its length)."""
    places = sorted({0, len(data), *[place % (len(data) + 1) for place in cuts]})
    return [data[begin:end] for begin, end in pairwise(places)]


CUTS = st.lists(st.integers(0, 100_000), max_size=30)
BAD = st.sampled_from([case.data for case in (*SMUGGLING, *EDGE)])


@settings(deadline=None, max_examples=200)
@given(st.lists(requests(), min_size=1, max_size=5), CUTS)
def test_any_fragmentation_of_good_requests_gives_the_same_exchanges(stream: list[bytes], cuts: Cuts) -> None:
    one_by_one = exchanges(stream)
    assert len(one_by_one) == len(stream)
    assert all(len(each) > 1 for each in one_by_one)
    data = b"".join(stream)
    assert exchanges([data]) == one_by_one
    assert exchanges(cut(data, cuts)) == one_by_one


@settings(deadline=None, max_examples=100)
@given(requests(), PATHS, st.integers(2, 6))
def test_repeated_heads_are_recognised_and_read_the_same(first: bytes, path: bytes, times: int) -> None:
    second = first.replace(first.split(b" ")[1], path, 1)
    stream = [first, second] * times
    assert exchanges(stream) == exchanges([b"".join(stream)])


@settings(deadline=None, max_examples=200)
@given(st.lists(requests(), max_size=2), BAD, CUTS)
def test_any_fragmentation_of_a_bad_request_gives_the_same_refusal(before: list[bytes], bad: bytes, cuts: Cuts) -> None:
    data = b"".join(before) + bad
    whole = exchanges([data])
    assert exchanges(cut(data, cuts)) == whole
    assert exchanges([data[at : at + 1] for at in range(len(data))]) == whole
    assert exchanges([*before, bad]) == whole


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 60), st.integers(0, 70_000), st.integers(1, 65536))
def test_a_body_before_a_head_does_not_count_as_a_part_of_it(head: int, size: int, piece: int) -> None:
    framing, body = with_body(b"x" * size, [1000] * (size // 1000))
    data = b"POST /a HTTP/1.1\r\nHost: h\r\n%b\r\n%b" % (framing, body) + b"GET /b HTTP/1.1\r\nHost: h\r\n\r\n"
    begun = len(data) - head % 28
    found = exchanges([data[:begun][at : at + piece] for at in range(0, begun, piece)] + [data[begun:]])
    assert [each[1] for each in found] == [b"/a", b"/b"]


# Through a real gateway


@pytest.fixture(scope="module")
def gateway(folder: Path, origin: Origin) -> Iterator[Gateway]:
    with Gateway(folder, {"s": service(origin.port)}) as running:
        yield running
        assert running.failures() == []


def ours(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The fields that a test has made up."""
    return [(name, value) for name, value in fields if name.startswith(b"X-H-")]


@settings(deadline=None, max_examples=200)
@given(there=PLAIN_FIELDS, back=PLAIN_FIELDS, cuts=CUTS)
def test_any_list_of_fields_survives_the_way_there_and_back(
    gateway: Gateway,
    origin: Origin,
    there: list[tuple[bytes, bytes]],
    back: list[tuple[bytes, bytes]],
    cuts: Cuts,
) -> None:
    origin.on(b"/", lambda talk, request: talk.reply(b"body", *[b"%b: %b" % field for field in back]))
    head = b"".join([b"%b: %b\r\n" % field for field in there])
    with Client(gateway.port) as client:
        client.send(*cut(b"GET / HTTP/1.1\r\nHost: h\r\n" + head + b"\r\n", cuts))
        answer = client.answer()
    assert answer.status == 200
    assert ours(origin.requests[-1].fields) == there
    assert ours(list(answer.fields)) == back
