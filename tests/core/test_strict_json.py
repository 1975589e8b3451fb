from __future__ import annotations

import json
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.strict_json import DEEPEST, parse_object, too_deep

SCALARS = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(-1e9, 1e9) | st.text(max_size=20)
VALUES: Any = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def depth(value: object) -> int:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth, inner), default=0)
    return 0


@given(st.dictionaries(st.text(), VALUES, max_size=5), st.booleans())
def test_what_others_write_is_read(document: dict[str, Any], ascii_only: bool) -> None:
    data = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    if depth(document) > DEEPEST:
        assert too_deep(data)
    else:
        assert parse_object(data) == document


@given(st.binary(max_size=60) | st.lists(st.sampled_from(b'{}[]":,\\u0123de+-.'), max_size=40).map(bytes))
def test_nothing_but_a_value_error_comes_of_anything(data: bytes) -> None:
    try:
        assert isinstance(parse_object(data), dict)
    except ValueError:
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'"a"',
        b"1",
        b"null",
        b"{} {}",
        b"{}x",
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        "{}".encode("utf-32"),
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"c":2,"b":3}}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e400}',
        b'{"a":-1e400}',
        b'{"a":1' + b"0" * 30 + b"}",
        b'{"a":0.' + b"1" * 30 + b"}",
        b'{"a":01}',
        b'{"a":"\n"}',
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":' * 20 + b"1" + b"}" * 20,
        b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}",
    ],
)
def test_what_has_no_one_meaning_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_object(data)


def test_as_many_levels_as_are_allowed() -> None:
    deepest = b'{"a":' + b"[" * (DEEPEST - 1) + b"]" * (DEEPEST - 1) + b"}"
    assert depth(parse_object(deepest)) == DEEPEST
    with pytest.raises(ValueError, match="deep"):
        parse_object(b'{"a":' + b"[" * DEEPEST + b"]" * DEEPEST + b"}")


def test_brackets_in_strings_are_no_levels() -> None:
    text = '[{"' * 100 + "\\"
    assert parse_object(json.dumps({"a": text, text: 1}).encode()) == {"a": text, text: 1}


@pytest.mark.parametrize("piece", [b'"', b'\\"', b'"\\', b"[", b"{", b'{"', b"\\", b'"\\"'])
def test_the_time_grows_with_the_length_alone(piece: bytes) -> None:
    """What takes a time of the square of the length would need minutes."""
    began = process_time()
    for data in (b'{"a":' + piece * (250_000 // len(piece)), b'{"a":"' + piece * (250_000 // len(piece))):
        with pytest.raises(ValueError, match=r".+"):
            parse_object(b"[" * (DEEPEST + 1) + b'"' + data)
        with pytest.raises(ValueError, match=r".+"):
            parse_object(data)
    assert process_time() - began < 5
