from __future__ import annotations

import pytest

from tests.web.answering import Run
from ttagw.model import UNKNOWN, Reply


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


def test_lines_that_were_written_before_are_not_used_for_other_fields() -> None:
    def lines(*fields: tuple[bytes, bytes]) -> list[bytes]:
        run = Run()
        reply = Reply(200, list(fields), b"")
        reply.laid = ([(b"A", b"1"), (b"B", b"2")], b"A: as before\r\nB: 2")
        run.answer.start(reply)
        return b"".join(run.pen.writes).split(b"\r\n")[3:-2]

    assert lines((b"A", b"1"), (b"B", b"2")) == [b"A: as before", b"B: 2"]
    assert lines((b"A", b"1"), (b"B", b"2"), (b"C", b"3")) == [b"A: as before", b"B: 2", b"C: 3"]
    assert lines((b"A", b"1"), (b"B", b"3")) == [b"A: 1", b"B: 3"]
    assert lines((b"A", b"1")) == [b"A: 1"]
    assert lines() == []
