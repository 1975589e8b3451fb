from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.model import UNKNOWN
from ttagw.testing import exchange
from ttagw.upstream.head import request_head

AUTHORITY = b" HTTP/1.1\r\nhost: up.test\r\n"


@pytest.mark.parametrize(
    ("method", "length", "end"),
    [
        (b"GET", 0, b"\r\n"),
        (b"DELETE", 0, b"\r\n"),
        (b"POST", 0, b"content-length: 0\r\n\r\n"),
        (b"PUT", 0, b"content-length: 0\r\n\r\n"),
        (b"PATCH", 0, b"content-length: 0\r\n\r\n"),
        (b"POST", 7, b"content-length: 7\r\n\r\n"),
        (b"GET", 7, b"content-length: 7\r\n\r\n"),
        (b"POST", UNKNOWN, b"transfer-encoding: chunked\r\n\r\n"),
    ],
)
def test_the_framing_is_ours(method: bytes, length: int, end: bytes) -> None:
    made = exchange(method, length=length)
    made.forwarded = b"x-forwarded-for: 192.0.2.7\r\n"
    head = request_head(made, b"/up", AUTHORITY)
    assert head == (
        method
        + b" /up HTTP/1.1\r\nhost: up.test\r\nx-forwarded-for: 192.0.2.7\r\nx-request-id: "
        + made.id
        + b"\r\n"
        + end
    )


@pytest.mark.parametrize(("query", "target"), [(None, b"/up"), (b"", b"/up?"), (b"a=%20&b", b"/up?a=%20&b")])
def test_the_query_is_passed_byte_for_byte(query: bytes | None, target: bytes) -> None:
    made = exchange()
    made.query = query
    assert request_head(made, b"/up", AUTHORITY).startswith(b"GET " + target + b" HTTP/1.1\r\n")


NAMES = st.from_regex(rb"[A-Za-z0-9!#$%&'*+.^`|~-]{1,12}", fullmatch=True)
VALUES = st.from_regex(rb"[!-~]([ -~]{0,20}[!-~])?", fullmatch=True)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=10))
def test_fields_survive_in_order_and_spelling(fields: list[tuple[bytes, bytes]]) -> None:
    head = request_head(exchange(fields=tuple(fields)), b"/up", AUTHORITY)
    lines = head.split(b"\r\n")[3:-2]
    assert [tuple(line.split(b": ", 1)) for line in lines] == fields
    assert head.endswith(b"\r\n\r\n")
    assert head.count(b"\r\n\r\n") == 1


def test_lines_that_were_written_before_are_not_used_for_other_fields() -> None:
    made = exchange(fields=((b"A", b"1"), (b"B", b"2")))
    made.laid = (made.fields[:], b"A: as before\r\nB: 2")
    assert request_head(made, b"/up", AUTHORITY).endswith(b"\r\nA: as before\r\nB: 2\r\n\r\n")
    made.fields.append((b"C", b"3"))
    assert request_head(made, b"/up", AUTHORITY).endswith(b"\r\nA: as before\r\nB: 2\r\nC: 3\r\n\r\n")
    made.fields[0] = (b"A", b"4")
    assert request_head(made, b"/up", AUTHORITY).endswith(b"\r\nA: 4\r\nB: 2\r\nC: 3\r\n\r\n")
    made.fields.clear()
    assert b"A:" not in request_head(made, b"/up", AUTHORITY)
