"""Answers whose head is recognised say what they would have said to the parser."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.upstream.served import Upstreamed, bytewise
from ttagw.core.headers import lay
from ttagw.model import Reply
from ttagw.upstream.known import LONGEST_PAUSE, AnswerMemory
from ttagw.upstream.reader import AnswerReader


def answer(*lines: bytes, body: bytes = b"ok", length: bytes = b"") -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", b"Content-Length: %b" % (length or b"%d" % len(body)), *lines, b"", body))


ANSWERS = st.builds(
    lambda lines, body: answer(*lines, body=body),
    st.lists(st.sampled_from([b"Date: 1", b"Date: 2", b"Set-Cookie: a=b", b"ETag: x"]), max_size=2),
    st.sampled_from([b"ok", b"no", b"", b"longer"]),
)
NAMES = [
    *(b"Date: ", b"ETag:", b"X-Request-ID: ", b"Set-Cookie: ", b"x-served: "),
    *(b"Connection: ", b"Content-Length: ", b"Transfer-Encoding: ", b"Upgrade: ", b"Proxy-Connection: "),
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
    *(
        b"a\rb",
        b"a\r\nX-More: 1",
        b"a\r\n folded",
        b"a\r\n\r\nHTTP/1.1 200 OK",
        b"close",
        b"ETag",
        b"keep-alive",
        b"chunked",
    ),
]
LENGTHS = [
    b"",
    b"",
    b"",
    b"0",
    b"2",
    b"007",
    b"0" * 15 + b"2",
    b"9" * 15,
    b"+2",
    b"2 ",
    b" 2",
    b"2, 2",
    b"x",
    b"2x",
    b"-2",
    b"1",
]


@st.composite
def series(draw: st.DrawFn) -> list[bytes]:
    """Answers of one service: the same lines in the same order, but for some values that are others."""
    names = draw(st.lists(st.sampled_from([*NAMES, *NAMES[:5]]), max_size=4))
    plain = st.sampled_from([b"1", b"2", b"two words"])
    answers = []
    for _ in range(draw(st.integers(1, 8))):
        values = [draw(plain if draw(st.booleans()) else st.sampled_from(VALUES)) for _ in names]
        body = draw(st.sampled_from([b"ok", b"no", b"", b"longer", b"x" * 300]))
        lines = [name + value for name, value in zip(names, values, strict=True)]
        answers.append(answer(*lines, body=body, length=draw(st.sampled_from(LENGTHS))))
    return answers


def told(data: list[list[bytes]]) -> list[tuple[object, ...]]:
    """What became of each; once a connection is of no use any more, the next comes on another."""
    served = Upstreamed()
    wire = served.used()
    found: list[tuple[object, ...]] = []
    for pieces in data:
        if wire.ended:
            served = Upstreamed()
            wire = served.used()
        ask = served.ask()
        for piece in pieces:
            if not wire.ended:
                wire.protocol.dataReceived(piece)
        reply = ask.sink.reply
        head = None if reply is None else (reply.status, reply.fields)
        found.append((head, ask.sink.body, ask.over, ask.exchange.reason, wire.ended, served.pool.idle))
        if not ask.over:
            # It waits for more.
            served = Upstreamed()
            wire = served.used()
    return found


@given(st.lists(ANSWERS, max_size=4).flatmap(lambda some: st.lists(st.sampled_from(some or [answer()]), max_size=12)))
def test_what_comes_in_turns_says_the_same_as_what_is_parsed(answers: list[bytes]) -> None:
    assert told([[each] for each in answers]) == told([bytewise(each) for each in answers])


@given(series())
def test_what_is_recognised_says_the_same_as_what_is_parsed(answers: list[bytes]) -> None:
    parsed = [Reading().read(each) for each in answers]
    reading = Reading()
    for each, expected in zip(answers, parsed, strict=True):
        assert reading.read(each) == expected
        if not isinstance(expected[0], tuple) or not reading.reader.keep or reading.reader.dirty or not expected[2]:
            reading = Reading()


@pytest.mark.parametrize("around", [b"a%bz", b"%bz", b"a%b"], ids=["within", "first", "last"])
def test_every_byte_in_a_hole_says_the_same(around: bytes) -> None:
    for number in range(256):
        reading = Reading()
        for each in (b"a", b"b", b"c", around % bytes((number,))):
            data = answer(b"ETag: " + each)
            assert reading.read(data) == Reading().read(data)


class Reading:
    """A reader of one connection's answers, as a connection uses it."""

    def __init__(self) -> None:
        self.reader = AnswerReader()
        self.recognised = 0

    def read(self, data: bytes) -> tuple[Any, ...]:
        """What it says: the head, the body and whether anything came after it; or why it is no answer."""
        reader = self.reader
        reader.expect(b"GET")
        reply = reader.read_as_before(data)
        if reply is not None:
            self.recognised += 1
            assert reply.laid == (reply.fields, lay(reply.fields))
            said: tuple[Any, ...] = ((reply.status, reply.fields, reply.length), reply.body, True, reader.dirty)
        else:
            try:
                reader.feed(data)
            except Exception as error:
                return (getattr(error, "reason", repr(error)),)
            said = self._parsed(data)
        reader.end()
        return said

    def _parsed(self, data: bytes) -> tuple[Any, ...]:
        reader = self.reader
        reply, body = reader.reply, b"".join(reader.chunks)
        if not isinstance(reply, Reply):
            return (None,)
        done = reader.phase == 3
        head = (reply.status, reply.fields[:], len(body) if done else reply.length)
        if done:
            reply.body = body
            reader.remember(reply, data)
        return (head, body, done, reader.dirty)


@pytest.fixture
def learnt(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The heads that were looked at to be remembered."""
    kept: list[bytes] = []
    learn = AnswerMemory.learn

    def learning(memory: AnswerMemory, head: bytes, *more: Any) -> None:
        kept.append(head)
        learn(memory, head, *more)

    monkeypatch.setattr(AnswerMemory, "learn", learning)
    return kept


def test_answers_that_differ_in_values_and_length_are_recognised() -> None:
    reading = Reading()
    for number in range(20):
        body = b"x" * (number + 1)
        data = answer(b"Date: %d" % number, b"Server: s", b'ETag: "%d"' % number, body=body)
        fields = [(b"Date", b"%d" % number), (b"Server", b"s"), (b"ETag", b'"%d"' % number)]
        assert reading.read(data) == ((200, fields, len(body)), body, True, False)
    assert reading.recognised == 18


def test_a_long_answer_in_between_is_no_reason_to_forget() -> None:
    reading = Reading()
    for number in range(3):
        reading.read(answer(b"Date: %d" % number, body=b"x" * (number + 1)))
    assert reading.recognised == 1
    reader = reading.reader
    for number in range(10):
        reader.expect(b"GET")
        assert reader.read_as_before(answer(b"Date: 9", body=b"x" * 9, length=b"10")) is None
        reader.feed(answer(b"Date: 9", body=b"x" * 9, length=b"10"))
        reader.feed(b"x")
        assert b"".join(reader.chunks) == b"x" * 10
        reader.end()
        reading.read(answer(b"Date: %d" % number))
    assert reading.recognised == 11


@pytest.mark.parametrize("line", [b"Connection: x%d", b"Proxy-Connection: x%d", b"X-%d: 1"], ids=bytes.decode)
def test_what_means_something_is_always_parsed(line: bytes) -> None:
    reading = Reading()
    for number in range(10):
        data = answer(line % number)
        assert reading.read(data) == Reading().read(data)
    assert not reading.recognised


def test_heads_that_do_not_come_again_are_remembered_ever_more_rarely(learnt: list[bytes]) -> None:
    reading = Reading()

    def read(data: bytes) -> bool:
        """Whether it was recognised."""
        before = reading.recognised
        reading.read(data)
        return reading.recognised > before

    assert [read(answer()) for _ in range(3)] == [False, True, True]
    learnt.clear()
    for number in range(1000):
        assert not read(answer(b"X-Served-%d: 1" % number))
    assert len(learnt) < 2 * 1000 / LONGEST_PAUSE + 16
    for _ in range(LONGEST_PAUSE + 2):
        read(answer())
    assert read(answer())
    # What changes once a second is followed at once.
    assert [read(answer(b"Date: 1")) for _ in range(4)] == [False, False, True, True]
    assert [read(answer(b"Date: 2")) for _ in range(3)] == [False, True, True]
    assert [read(answer(b"Date: %d" % second)) for second in (3, 4)] == [True, True]
