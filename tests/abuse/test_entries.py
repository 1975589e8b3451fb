from __future__ import annotations

import json

import pytest

from ttagw.abuse.entries import Block, decode, encode, key_of
from ttagw.core.networks import network_of

BLOCKS = [
    Block("address", "203.0.113.7", 1.0, 2.0, 3.0, offences=4),
    Block("address", "2001:db8::/64", 1.5),
    Block("user", "auth0|7", 1.0, None, None, "operator", "ticket-1", 0),
]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_the_same_after_the_store(block: Block) -> None:
    assert decode(encode(block)) == block


def test_a_key_shows_a_network_and_no_user() -> None:
    assert BLOCKS[1].key == "address/2001:db8::/64"
    assert key_of("user", "auth0|7").startswith("user/")
    assert "auth0" not in key_of("user", "auth0|7")
    assert BLOCKS[0].network() == network_of("203.0.113.7")


def test_what_has_no_end_never_goes() -> None:
    assert [(each.over, each.gone) for each in BLOCKS] == [
        (2.0, 3.0),
        (float("inf"), float("inf")),
        (float("inf"), float("inf")),
    ]


GOOD = json.loads(encode(BLOCKS[0]))


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"[]",
        b"{",
        {**GOOD, "kind": "key"},
        {**GOOD, "subject": "203.0.113.7/32"},
        {**GOOD, "subject": "203.0.113.7/24"},
        {**GOOD, "subject": "somebody"},
        {**GOOD, "kind": "user", "subject": "two words"},
        {**GOOD, "reason": "Not A Word"},
        {**GOOD, "reason": "a\n"},
        {**GOOD, "offences": -1},
        {**GOOD, "more": 1},
        {**GOOD, "end": "soon"},
    ],
)
def test_what_nobody_here_has_written_is_no_block(wrong: bytes | dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(wrong if isinstance(wrong, bytes) else json.dumps(wrong).encode())
