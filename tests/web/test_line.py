"""The first line of a request is found where it must be, however the bytes were cut."""

from __future__ import annotations

import pytest

from ttagw.errors import MalformedRequestError
from ttagw.web.line import RequestLine

HEAD = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


def test_the_version_follows_from_the_line() -> None:
    line = RequestLine()
    line.read(HEAD + HEAD.replace(b"1.1", b"1.0"))
    assert line.minor_version(b"GET", b"/a") == 1
    assert line.minor_version(b"GET", b"/a") == 0


def test_empty_lines_before_a_request_do_not_matter() -> None:
    line = RequestLine()
    line.read(b"\r\n\r\n" + HEAD)
    assert line.minor_version(b"GET", b"/a") == 1


@pytest.mark.parametrize("bad", [b"GET  /a HTTP/1.1", b"GET /a  HTTP/1.1", b"GET /a HTTP/2.0", b"GET /a RTSP/1.0"])
def test_a_line_of_another_shape_is_refused_even_if_the_right_one_comes_later(bad: bytes) -> None:
    line = RequestLine()
    line.read(bad + b"\r\nHost: x\r\n\r\n" + HEAD)
    with pytest.raises(MalformedRequestError):
        line.minor_version(b"GET", b"/a")


def test_a_counted_body_is_not_taken_for_the_next_request() -> None:
    line = RequestLine()
    body = b"\n" + HEAD
    line.read(HEAD + body + HEAD.replace(b"GET ", b"GET  "))
    assert line.minor_version(b"GET", b"/a") == 1
    line.at += len(body)
    with pytest.raises(MalformedRequestError):
        line.minor_version(b"GET", b"/a")


def test_a_head_that_came_in_two_reads_is_found() -> None:
    line = RequestLine()
    line.read(b"GET /b HT")
    line.unfinished()
    line.done()
    line.read(b"TP/1.1\r\nHost: x\r\n\r\n")
    assert line.minor_version(b"GET", b"/b") == 1
