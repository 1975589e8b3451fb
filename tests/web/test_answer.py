from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.model import UNKNOWN, Exchange, Reply
from ttagw.testing import RecordingSource, exchange
from ttagw.web.answer import Answer
from ttagw.wire.writer import HIGH_WATER


class Pen:
    """A writer that takes everything, or says that it does not."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.queued = 0
        self.progress = 0.0

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def close(self) -> None:
        raise AssertionError("an answer does not close")

    half_close = lost = abort = close


class Host:
    """The client's connection."""

    def __init__(self, *, last: bool = False) -> None:
        self.last = last
        self.ends: list[str] = []

    def closes_after(self) -> bool:
        return self.last

    def answered(self, *, close: bool) -> None:
        self.ends.append("close" if close else "keep")

    def cut(self) -> None:
        self.ends.append("cut")


class Run:
    """One answer to one request."""

    def __init__(self, method: bytes = b"GET", version: int = 1, *, last: bool = False) -> None:
        self.pen = Pen()
        self.host = Host(last=last)
        self.exchange: Exchange = exchange(method)
        self.exchange.version = version
        self.source = RecordingSource()
        self.answer = Answer(self.host, self.pen)
        self.answer.begin(self.exchange)

    def stream(self, reply: Reply, *chunks: bytes, flush: bool = True) -> Run:
        self.answer.start(reply, self.source)
        for chunk in chunks:
            self.answer.write(chunk)
            if flush:
                self.answer.flush()
        self.answer.finish()
        return self

    @property
    def head(self) -> bytes:
        return b"".join(self.pen.writes).partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        return b"".join(self.pen.writes).partition(b"\r\n\r\n")[2]

    def says(self, line: bytes) -> bool:
        return line in self.head.split(b"\r\n")


def test_a_small_answer_leaves_in_one_write_with_its_length() -> None:
    run = Run()
    run.answer.start(Reply(200, [(b"X-One", b"1"), (b"x-one", b"2")], b"hello"))
    assert run.pen.writes == [
        b"HTTP/1.1 200 OK\r\nx-request-id: %b\r\ncontent-length: 5\r\nX-One: 1\r\nx-one: 2\r\n\r\nhello"
        % run.exchange.id
    ]
    assert run.host.ends == ["keep"]
    assert run.exchange.bytes_out == 5


def test_a_streamed_answer_that_is_whole_by_its_end_leaves_in_one_write_too() -> None:
    run = Run().stream(Reply(200, []), b"he", b"llo", flush=False)
    assert len(run.pen.writes) == 1
    assert run.says(b"content-length: 5")
    assert run.body == b"hello"


def test_a_whole_answer_without_a_body_says_so() -> None:
    run = Run()
    run.answer.start(Reply(404, [], b""))
    assert run.says(b"content-length: 0")
    assert len(run.pen.writes) == 1


def test_an_unknown_length_is_chunked_for_http_1_1() -> None:
    run = Run().stream(Reply(200, []), b"one", b"three")
    assert run.says(b"transfer-encoding: chunked")
    assert b"content-length" not in run.head
    assert run.body == b"3\r\none\r\n5\r\nthree\r\n0\r\n\r\n"
    assert run.exchange.bytes_out == 8
    assert run.host.ends == ["keep"]


def test_a_flush_before_the_body_sends_the_head_and_no_empty_chunk() -> None:
    run = Run()
    run.answer.start(Reply(200, []), run.source)
    run.answer.flush()
    assert run.says(b"transfer-encoding: chunked")
    assert run.body == b""
    run.answer.flush()
    run.answer.write(b"x")
    run.answer.flush()
    assert run.body == b"1\r\nx\r\n"


def test_an_unknown_length_ends_with_the_connection_for_http_1_0() -> None:
    run = Run(version=0).stream(Reply(200, []), b"one", b"two")
    assert b"chunked" not in run.head
    assert run.says(b"connection: close")
    assert run.body == b"onetwo"
    assert run.host.ends == ["close"]


@pytest.mark.parametrize(
    ("version", "last", "line"),
    [(0, False, b"connection: keep-alive"), (0, True, b"connection: close"), (1, True, b"connection: close")],
)
def test_the_client_is_told_whether_the_connection_goes_on(version: int, last: bool, line: bytes) -> None:
    run = Run(version=version, last=last)
    run.answer.start(Reply(200, [], b"x"))
    assert run.says(line)
    assert run.host.ends == ["close" if last else "keep"]


def test_http_1_1_goes_on_without_a_word() -> None:
    run = Run()
    run.answer.start(Reply(200, [], b"x"))
    assert b"connection" not in run.head


@pytest.mark.parametrize(
    ("method", "status", "length", "line"),
    [
        (b"HEAD", 200, 12, b"content-length: 12"),
        (b"HEAD", 200, 0, b"content-length: 0"),
        (b"HEAD", 200, UNKNOWN, None),
        (b"GET", 304, 12, b"content-length: 12"),
        (b"GET", 304, 0, None),
        (b"GET", 304, UNKNOWN, None),
        (b"GET", 204, UNKNOWN, None),
        (b"GET", 204, 0, None),
        (b"GET", 204, 12, None),
        (b"HEAD", 204, 12, None),
        (b"HEAD", 304, 12, b"content-length: 12"),
    ],
)
@pytest.mark.parametrize("version", [0, 1])
def test_an_answer_that_cannot_have_a_body_sends_none(
    method: bytes, status: int, length: int, line: bytes | None, version: int
) -> None:
    run = Run(method, version).stream(Reply(status, [], None, length), b"must not be seen")
    framing = [each for each in run.head.split(b"\r\n") if each.startswith((b"content-length", b"transfer-encoding"))]
    assert framing == ([line] if line else [])
    assert run.body == b""
    assert run.exchange.bytes_out == 0
    assert run.host.ends == ["keep"]


def test_the_body_of_a_whole_reply_to_head_is_only_counted() -> None:
    run = Run(b"HEAD")
    run.answer.start(Reply(404, [], b"not shown"))
    assert run.says(b"content-length: 9")
    assert run.body == b""


def test_a_known_length_that_is_kept_goes_on() -> None:
    run = Run().stream(Reply(200, [], None, 6), b"one", b"two")
    assert run.says(b"content-length: 6")
    assert run.body == b"onetwo"
    assert run.host.ends == ["keep"]


def test_a_known_empty_body_leaves_at_once() -> None:
    run = Run().stream(Reply(200, [], None, 0))
    assert run.says(b"content-length: 0")
    assert len(run.pen.writes) == 1


@pytest.mark.parametrize("flush", [True, False])
def test_a_body_short_of_its_length_is_cut(flush: bool) -> None:
    run = Run().stream(Reply(200, [], None, 6), b"one", flush=flush)
    assert run.host.ends == ["cut"]


def test_a_body_longer_than_its_length_is_cut_and_the_surplus_never_sent() -> None:
    run = Run()
    run.answer.start(Reply(200, [], None, 3), run.source)
    run.answer.write(b"one")
    run.answer.flush()
    run.answer.write(b"evil")
    run.answer.flush()
    assert b"evil" not in run.body
    assert run.host.ends == ["cut"]


def test_a_body_that_is_too_long_at_its_end_is_cut_once() -> None:
    run = Run().stream(Reply(200, [], None, 3), b"one and more", flush=False)
    assert b"more" not in run.body
    assert run.host.ends == ["cut"]


def test_a_slow_client_pauses_the_source_and_a_drained_one_resumes_it() -> None:
    run = Run()
    run.answer.start(Reply(200, []), run.source)
    run.pen.queued = HIGH_WATER - 1
    run.answer.write(b"x")
    run.answer.flush()
    assert not run.source.paused
    run.pen.queued = HIGH_WATER
    run.answer.write(b"x")
    run.answer.flush()
    assert run.source.paused
    run.answer.drained()
    assert not run.source.paused


def test_after_its_end_an_answer_leaves_the_source_alone() -> None:
    run = Run().stream(Reply(200, []), b"x")
    run.source.calls.clear()
    run.answer.drained()
    assert run.source.calls == []


def test_an_abort_cuts_the_connection() -> None:
    run = Run()
    run.answer.start(Reply(200, []), run.source)
    run.answer.write(b"half")
    run.answer.abort()
    assert run.host.ends == ["cut"]
    run.answer.drained()
    assert run.source.calls == []


def test_a_status_without_a_name_has_a_phrase_all_the_same() -> None:
    run = Run()
    run.answer.start(Reply(599, [], b""))
    assert run.head.startswith(b"HTTP/1.1 599 Unassigned\r\n")


def test_100_continue_is_said_once_and_only_to_who_waits() -> None:
    run = Run()
    run.answer.go_on()
    assert run.pen.writes == []
    run.exchange.expects = True
    run.answer.go_on()
    run.answer.go_on()
    assert run.pen.writes == [b"HTTP/1.1 100 Continue\r\n\r\n"]


def test_100_continue_is_not_said_after_an_answer_has_begun() -> None:
    run = Run()
    run.exchange.expects = True
    run.answer.start(Reply(200, []), run.source)
    run.answer.go_on()
    assert run.pen.writes == []


def test_one_answer_after_the_other_uses_the_same_object() -> None:
    run = Run().stream(Reply(200, []), b"one", b"two")
    assert run.answer.started
    run.pen.writes.clear()
    run.answer.begin(exchange())
    assert not run.answer.started
    run.answer.start(Reply(200, [], b"next"))
    assert run.body == b"next"
    assert run.host.ends == ["keep", "keep"]


def dechunked(data: bytes) -> bytes:
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        if size == b"0":
            assert data == b"\r\n"
            return body
        body += data[: int(size, 16)]
        assert data[int(size, 16) :][:2] == b"\r\n"
        data = data[int(size, 16) + 2 :]


@given(
    st.lists(st.tuples(st.binary(max_size=20), st.booleans()), max_size=8),
    st.booleans(),
    st.sampled_from([0, 1]),
    st.booleans(),
)
def test_whatever_the_pieces_the_client_reads_the_same_body(
    pieces: list[tuple[bytes, bool]], known: bool, version: int, flush_first: bool
) -> None:
    whole = b"".join(piece for piece, _ in pieces)
    run = Run(version=version)
    run.answer.start(Reply(200, [], None, len(whole) if known else UNKNOWN), run.source)
    if flush_first:
        run.answer.flush()
    for piece, flush in pieces:
        run.answer.write(piece)
        if flush:
            run.answer.flush()
    run.answer.finish()
    if run.says(b"transfer-encoding: chunked"):
        assert dechunked(run.body) == whole
    else:
        assert run.body == whole
        assert run.says(b"content-length: %d" % len(whole)) or run.host.ends == ["close"]
    assert run.exchange.bytes_out == len(whole)
    assert run.host.ends[0] in ("keep", "close")
    assert len(run.host.ends) == 1


FIELDS: Any = st.lists(
    st.tuples(
        st.from_regex(rb"[A-Za-z][A-Za-z0-9-]{0,10}", fullmatch=True), st.from_regex(rb"[!-~]{0,20}", fullmatch=True)
    ),
    max_size=10,
)


@given(FIELDS)
def test_fields_keep_their_order_and_spelling(fields: list[tuple[bytes, bytes]]) -> None:
    run = Run()
    run.answer.start(Reply(200, fields, b""))
    assert [tuple(line.split(b": ", 1)) for line in run.head.split(b"\r\n")[3:]] == fields
