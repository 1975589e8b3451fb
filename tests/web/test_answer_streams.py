from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.web.answering import Run
from ttagw.model import UNKNOWN, Reply
from ttagw.testing import exchange
from ttagw.wire.writer import HIGH_WATER


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


def test_the_last_of_an_answer_does_not_pause_whom_the_source_serves_next() -> None:
    run = Run()
    run.answer.start(Reply(200, []), run.source)
    run.answer.write(b"x")
    run.pen.queued = HIGH_WATER
    run.answer.finish()
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
