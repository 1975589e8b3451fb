from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.auth.revocation_entries import PARTS, PREFIX, decode, encode, key_of, place_of
from ttagw.core.revocation import Entry, mark

ENTRIES = st.builds(
    Entry,
    st.sampled_from(["jti", "user", "key"]),
    st.integers(1, 1 << 53),
    st.floats(0, 1e11),
    st.floats(0, 1e11) | st.just(float("inf")),
    st.booleans(),
)


@given(ENTRIES)
def test_what_is_stored_can_be_read(entry: Entry) -> None:
    assert decode(encode(entry)) == entry


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"version":2,"kind":"jti","revision":1,"moment":1,"end":2,"lifted":false}',
        b'{"version":1,"kind":"all","revision":1,"moment":1,"end":2,"lifted":false}',
        b'{"version":1,"kind":"jti","revision":0,"moment":1,"end":2,"lifted":false}',
        b'{"version":1,"kind":"jti","revision":1,"moment":-1,"end":2,"lifted":false}',
        b'{"version":1,"kind":"jti","revision":1,"moment":1,"end":1e300,"lifted":false}',
        b'{"version":1,"kind":"jti","revision":1,"moment":1,"end":2,"lifted":false,"more":1}',
        b'{"version":1,"kind":"jti","revision":1,"moment":1,"end":2}',
    ],
)
def test_what_no_gateway_writes_is_not_read(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - what it says is for nobody
        decode(raw)


def test_the_parts_are_all_that_there_can_be() -> None:
    place = mark("jti", "j")
    assert place_of(key_of(place)) == place
    assert sum(key_of(place).startswith(part) for part in PARTS) == 1
    assert [place_of(key) for key in (PREFIX, f"{PREFIX}{place}0", f"{PREFIX}{place.upper()}", place)] == [None] * 4
