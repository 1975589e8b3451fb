from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.base64url import decoded, encoded

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(st.binary(max_size=100))
def test_what_is_encoded_comes_back(data: bytes) -> None:
    text = encoded(data)
    assert decoded(text) == data
    assert set(text) <= set(ALPHABET)


@given(st.binary(max_size=40) | st.lists(st.sampled_from(ALPHABET + b"=+/ \n."), max_size=20).map(bytes))
def test_there_is_one_text_for_any_bytes(text: bytes) -> None:
    try:
        data = decoded(text)
    except ValueError:
        return
    assert encoded(data) == text


@pytest.mark.parametrize(
    "text",
    [
        b"YQ==",
        b"YQ=",
        b"YR",
        b"YWJ",
        b"Y",
        b"YWJjZ",
        b"Y Q",
        b"YQ\n",
        b"YQ\x00",
        b"Y+Q/",
        b"Y/",
        b"\xffYQ",
        b"=",
        b"====",
    ],
)
def test_every_other_text_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="not base64url"):
        decoded(text)
