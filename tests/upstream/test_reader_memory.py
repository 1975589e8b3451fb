"""Answers whose head is recognised say what they would have said to the parser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.upstream.served import Upstreamed, bytewise
from ttagw.model import Reply
from ttagw.upstream import reader
from ttagw.upstream.reader import LONGEST_PAUSE, AnswerReader


def answer(*lines: bytes, body: bytes = b"ok") -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *lines, b"", body))


ANSWERS = st.builds(
    lambda lines, body: answer(*lines, body=body),
    st.lists(st.sampled_from([b"Date: 1", b"Date: 2", b"Set-Cookie: a=b", b"ETag: x"]), max_size=2),
    st.sampled_from([b"ok", b"no", b"", b"longer"]),
)


def told(data: list[list[bytes]]) -> list[tuple[object, ...]]:
    served = Upstreamed()
    wire = served.used()
    found = []
    for pieces in data:
        ask = served.ask()
        for piece in pieces:
            wire.protocol.dataReceived(piece)
        found.append((ask.reply.status, ask.reply.fields, ask.sink.body, ask.over))
    return found


@given(st.lists(ANSWERS, max_size=4).flatmap(lambda some: st.lists(st.sampled_from(some or [answer()]), max_size=12)))
def test_what_is_recognised_says_the_same_as_what_is_parsed(answers: list[bytes]) -> None:
    assert told([[each] for each in answers]) == told([bytewise(each) for each in answers])


def test_heads_that_do_not_come_again_are_remembered_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    make = reader._KnownHead
    monkeypatch.setattr(reader, "_KnownHead", lambda *what: kept.append(what) or make(*what))
    reading = AnswerReader()

    def read(data: bytes) -> bool:
        """Whether it was recognised."""
        reading.expect(b"GET")
        known = reading.read_as_before(data)
        if known is None:
            reading.feed(data)
            assert isinstance(reading.reply, Reply)
            reading.reply.body = b"".join(reading.chunks)
            reading.remember(reading.reply, data)
        reading.end()
        return known is not None

    assert [read(answer()) for _ in range(3)] == [False, True, True]
    kept.clear()
    for number in range(1000):
        assert not read(answer(b"X-Served: %d" % number))
    assert len(kept) < 1000 / LONGEST_PAUSE + 8
    for _ in range(LONGEST_PAUSE + 2):
        read(answer())
    assert read(answer())
    # What changes once a second is followed at once.
    assert [read(answer(b"Date: 1")) for _ in range(4)] == [False, False, True, True]
