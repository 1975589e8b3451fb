"""The framing of chunked bodies is followed exactly, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.errors import GatewayError
from ttagw.web.chunks import LONGEST_LINE, ChunkLines

EXTENSIONS = ["", ";a", ";a=b", ';a="b;\\"c"', ";a=b;c"]


def follow(body: bytes, cuts: list[int], most: int = 1000) -> int:
    """How many bytes belong to the body; -1: it goes on."""
    chunks = ChunkLines(most)
    places = [0, *sorted({cut for cut in cuts if 0 < cut < len(body)}), len(body)]
    for start, stop in pairwise(places):
        end = chunks.read(body[start:stop], 0)
        if end >= 0:
            return start + end
    return -1


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=40), st.sampled_from(EXTENSIONS))),
    st.lists(st.sampled_from([b"A: b\r\n", b"X-Long: cccccccccc\r\n"])),
    st.lists(st.integers(0, 400)),
    st.binary(max_size=20),
)
def test_a_body_ends_where_it_ends(
    chunks: list[tuple[bytes, str]], trailers: list[bytes], cuts: list[int], after: bytes
) -> None:
    body = b"".join([b"%x%b\r\n%b\r\n" % (len(data), each.encode(), data) for data, each in chunks])
    body += b"0\r\n" + b"".join(trailers) + b"\r\n"
    assert follow(body + after, cuts) == len(body)
    assert follow(body[:-1], cuts) == -1


@pytest.mark.parametrize(
    "body",
    [
        b"5;\r\nhello\r\n",
        b"5;=\r\nhello\r\n",
        b"5;a=\r\nhello\r\n",
        b"5;a b\r\nhello\r\n",
        b'5;a="b\r\nhello\r\n',
        b"5 \r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"\r\n",
        b"5\nhello\r\n",
        b"0000000000000005\r\nhello\r\n",
        b"1;" + b"a" * LONGEST_LINE,
        b"0\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"0\r\nA: " + b"b" * 2000,
    ],
)
@pytest.mark.parametrize("cuts", [[], list(range(3000))], ids=["whole", "bytewise"])
def test_what_is_not_strict_is_refused(body: bytes, cuts: list[int]) -> None:
    with pytest.raises(GatewayError):
        follow(body, cuts)
