from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.headers import lay
from ttagw.core.stencil import Lines, Stencil, cut, differing

RAW = [(b"Host", b"h"), (b"X-A", b"1"), (b"X-B", b""), (b"X-C", b"two words")]
HEAD = b" HTTP/1.1\r\nHost: h\r\nX-A:  1\r\nX-B:\r\nX-C: two words\r\n\r\n"


def stencil(*holes: int) -> Stencil:
    made = cut(HEAD, RAW, holes)
    assert made is not None
    return made


def test_a_head_is_like_itself_wherever_it_begins() -> None:
    assert stencil().read(HEAD, 0) == ([], len(HEAD))
    assert stencil(1, 3).read(b"GET /a" + HEAD + b"more", 6) == ([b"1", b"two words"], 6 + len(HEAD))


def test_what_is_in_the_holes_may_be_longer_or_shorter() -> None:
    other = HEAD.replace(b"1\r\nX-B", b"a longer one\r\nX-B").replace(b"two words", b"x")
    assert stencil(1, 3).read(other, 0) == ([b"a longer one", b"x"], len(other))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"Host: h", b"Host: i"),
        (b"X-A:  1", b"X-A: 1"),
        (b"X-A:  1", b"X-A:  "),
        (b"X-A:  1", b"X-A:   1"),
        (b"X-A:  1", b"X-A:  1 "),
        (b"X-A:  1", b"X-A:  1\n"),
        (b"X-A:  1", b"X-A:  1\rX-B:"),
        (b"X-A:  1", b"X-A:  1\r\n 2"),
        (b"X-A:  1", b"x-a:  1"),
        (b"X-A:  1", b"X-D: 1\r\nX-A:  1"),
        (b"\r\n\r\n", b"\r\n"),
        (b"\r\n\r\n", b"\r\nX-D: 1\r\n\r\n"),
        (b"\r\n\r\n", b""),
    ],
)
def test_anything_else_is_not_like_it(before: bytes, after: bytes) -> None:
    assert stencil(1).read(HEAD.replace(before, after), 0) is None


def test_a_read_that_ends_anywhere_within_is_not_like_it() -> None:
    whole = stencil(1, 3)
    assert [size for size in range(len(HEAD)) if whole.read(HEAD[:size], 0) is not None] == []


def test_values_are_printable_ascii_without_space_at_the_ends() -> None:
    made = stencil(1)
    taken = [byte for byte in range(256) if made.read(HEAD.replace(b"1\r\nX-B", b"a%bz\r\nX-B" % bytes((byte,))), 0)]
    assert taken == list(range(0x20, 0x7F))


@pytest.mark.parametrize(
    ("head", "raw"),
    [
        (b" HTTP/1.1\r\nA: 1\r\nB: 2\r\n\r\n", [(b"A", b"1")]),
        (b" HTTP/1.1\r\nA: 1\r\n 2\r\n\r\n", [(b"A", b"1 2")]),
        (b" HTTP/1.1\r\nA: 1\nB: 2\r\n\r\n", [(b"A", b"1"), (b"B", b"2")]),
        (b" HTTP/1.1\r\nA: 1\r\n\r\n", [(b"B", b"1")]),
        (b" HTTP/1.1\r\nA: 12\r\n\r\n", [(b"A", b"2")]),
        (b" HTTP/1.1\r\nA:\r\n\r\n", [(b"A", b"")]),
    ],
    ids=["fewer", "folded", "bare LF", "name", "value", "empty"],
)
def test_a_head_whose_lines_are_not_simply_its_fields_has_no_stencil(
    head: bytes, raw: list[tuple[bytes, bytes]]
) -> None:
    assert cut(head, raw, range(len(raw))) is None


def test_heads_differ_where_their_values_do() -> None:
    assert differing(RAW, RAW) == frozenset()
    assert differing(RAW, [(b"Host", b"i"), *RAW[1:3], (b"X-C", b"")]) == {0, 3}
    assert differing(RAW, RAW[:3]) is None
    assert differing(RAW, [(b"host", b"h"), *RAW[1:]]) is None


TEXT = st.text("a%b: {}()0", max_size=5).map(str.encode)


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5), st.data())
def test_lines_with_values_are_those_of_the_fields_with_the_values(
    fields: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    places = sorted(data.draw(st.sets(st.integers(0, len(fields) - 1))))
    values = [data.draw(TEXT) for _ in places]
    changed = fields[:]
    for place, value in zip(places, values, strict=True):
        changed[place] = (changed[place][0], value)
    assert Lines(fields, places).lay(values) == lay(changed)
