from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.glass import LONGEST, SHORTEST, left, reason_of


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"ten letter", "ten letter"),
        (b"  ten letter  ", "ten letter"),
        (b"x" * LONGEST, "x" * LONGEST),
        ("Grund: Übergabe".encode(), "Grund: Übergabe"),
        ("Grund: Übergabe".encode("latin-1"), "Grund: Übergabe"),
        ("é".encode() * LONGEST, "é" * LONGEST),
        (b"nine char", ""),
        (b" " * 20, ""),
        (b"nine char     ", ""),
        (b"x" * (LONGEST + 1), ""),
        (b"with a\ttab in it", ""),
        (b"with a\x00 in it", ""),
        (b"with a\x1b[31m in it", ""),
        ("with a line\u2028in it".encode(), ""),
        ("turned \u202e around".encode(), ""),
        (b"with a \x85 in latin-1", ""),
        (b"", ""),
    ],
)
def test_a_reason_is_a_sentence_that_prints(value: bytes, reason: str) -> None:
    assert reason_of([value]) == reason


def test_a_reason_is_given_once() -> None:
    good = b"a good reason"
    assert reason_of([]) == reason_of([good, good]) == ""


@given(st.lists(st.binary(max_size=2 * LONGEST), min_size=1, max_size=2))
def test_whatever_is_sent_a_reason_is_printable_and_of_the_right_length(values: list[bytes]) -> None:
    reason = reason_of(values)
    if reason:
        assert len(values) == 1
        assert SHORTEST <= len(reason) <= LONGEST
        assert reason.isprintable()
        assert reason_of([reason.encode()]) == reason


@given(st.text(min_size=SHORTEST, max_size=LONGEST).filter(lambda text: text.isprintable() and text.strip(" ") == text))
def test_every_sentence_of_the_right_length_is_a_reason(text: str) -> None:
    assert reason_of([text.encode()]) == text


TIMES = st.floats(min_value=0.0, max_value=1e10)


@given(TIMES, TIMES, TIMES, TIMES)
def test_no_clock_makes_a_window_longer_and_a_later_one_makes_it_shorter(
    lasts: float, ends: float, wall: float, more: float
) -> None:
    assert left(lasts, ends, wall) <= lasts
    assert left(lasts, ends, wall + more) <= left(lasts, ends, wall)


def test_a_window_that_is_over_has_nothing_left() -> None:
    assert left(900.0, 1000.0, 1000.0) == 0.0
    assert left(900.0, 1000.0, 1300.0) < 0.0
    assert left(900.0, 1900.0, 1000.0) == 900.0
    assert left(900.0, 1900.0, 0.0) == 900.0
