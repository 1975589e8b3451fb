from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ttagw.model import HELD, NO_BODY, UNKNOWN, Body, Reply
from ttagw.testing import RecordingSource, exchange


class Taker:
    """Takes a request body."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = 0

    def body_chunk(self, data: bytes) -> None:
        self.data += data

    def body_end(self) -> None:
        self.ended += 1


def test_a_body_without_a_source_is_complete() -> None:
    assert NO_BODY.complete
    assert NO_BODY.take() == b""


def test_what_has_come_waits_until_it_is_taken() -> None:
    body = Body(RecordingSource())
    body.feed(b"one ")
    body.feed(b"two")
    assert not body.complete
    assert body.take() == b"one two"
    assert body.take() == b""
    assert body.received == 7


def test_one_piece_is_taken_without_a_copy() -> None:
    body = Body(RecordingSource())
    piece = b"x" * 100
    body.feed(piece)
    assert body.take() is piece


def test_a_body_that_nobody_takes_pauses_its_source() -> None:
    source = RecordingSource()
    body = Body(source)
    body.feed(b"x" * (HELD - 1))
    assert not source.paused
    body.feed(b"x")
    assert source.paused
    body.take()
    body.attach(Taker())
    assert not source.paused


def test_an_attached_taker_gets_the_rest_and_the_end() -> None:
    body = Body(RecordingSource())
    body.feed(b"early ")
    taker = Taker()
    taker.data = body.take()
    body.attach(taker)
    body.feed(b"late")
    body.end()
    assert (taker.data, taker.ended, body.complete) == (b"early late", 1, True)
    assert body.held == []


def test_the_end_before_a_taker_is_only_noted() -> None:
    body = Body(RecordingSource())
    body.feed(b"x")
    body.end()
    assert body.complete


def test_a_detached_body_is_thrown_away_and_leaves_its_source_alone() -> None:
    source = RecordingSource()
    body = Body(source)
    taker = Taker()
    body.attach(taker)
    body.detach()
    source.calls.clear()
    body.feed(b"x" * 2 * HELD)
    body.end()
    assert source.calls == []
    assert (taker.data, taker.ended) == (b"", 0)
    assert body.held == []


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.integers(0, 8))
def test_nothing_is_lost_or_doubled_whenever_the_taker_comes(pieces: list[bytes], when: int) -> None:
    body = Body(RecordingSource())
    taker = Taker()
    for place, piece in enumerate(pieces):
        if place == when:
            taker.data = body.take()
            body.attach(taker)
        body.feed(piece)
    if when >= len(pieces):
        taker.data = body.take()
        body.attach(taker)
    assert taker.data == b"".join(pieces)
    assert body.received == len(taker.data)


def test_the_length_of_a_whole_reply_is_that_of_its_body() -> None:
    assert Reply(200, [], b"four", 99).length == 4
    assert Reply(200, []).length == UNKNOWN
    assert Reply(200, [], None, 12).length == 12


def test_the_value_of_a_field_is_the_first_by_lower_case_name() -> None:
    made = exchange(fields=((b"X-A", b"1"), (b"x-a", b"2")))
    assert made.value(b"x-a") == b"1"
    assert made.value(b"x-b") is None
