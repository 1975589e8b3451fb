from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.classes import TrafficClass
from ttagw.core.marks import Mark, decode, encode


@given(st.sampled_from(TrafficClass), st.floats(0, 1e11))
def test_a_mark_comes_back_as_it_was(rank: TrafficClass, until: float) -> None:
    assert decode(encode(Mark(rank, until))) == Mark(rank, until)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"-",
        b"{",
        b"[]",
        b"[" * 100_000,
        b"\xff",
        b'{"class": "crisis"}',
        b'{"until": 5}',
        b'{"class": "highest", "until": 5}',
        b'{"class": ["crisis"], "until": 5}',
        b'{"class": "crisis", "until": "5"}',
        b'{"class": "crisis", "until": true}',
        b'{"class": "crisis", "until": NaN}',
        b'{"class": "crisis", "until": 1e999}',
        b'{"class": "crisis", "until": 1' + b"0" * 5000 + b"}",
    ],
)
def test_anything_else_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(raw)


@given(st.binary(max_size=50))
def test_whatever_stands_there_either_is_one_or_is_refused(raw: bytes) -> None:
    try:
        found = decode(raw)
    except ValueError:
        return
    assert isinstance(found.rank, TrafficClass)
