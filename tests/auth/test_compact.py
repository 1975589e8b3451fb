from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.issuing import Signer, as_json, b64, claims
from ttagw.auth.compact import LONGEST_KID, LONGEST_TOKEN, decode
from ttagw.errors import TokenRefusedError

HMAC = Signer("HS256", "k1", secret=b"s" * 32)
NOW = 1_800_000_000
GOOD = HMAC.token(claims(NOW))


def reason(token: bytes) -> str:
    with pytest.raises(TokenRefusedError) as caught:
        decode(token)
    return caught.value.reason


def with_header(**more: Any) -> bytes:
    return HMAC.token(claims(NOW), more)


def test_a_token_in_its_parts() -> None:
    parts = decode(GOOD)
    assert (parts.algorithm, parts.kid, parts.claims) == ("HS256", "k1", claims(NOW))
    assert parts.signed + b"." + b64(parts.signature).encode() == GOOD
    assert parts.signature == HMAC.sign(parts.signed)


def test_what_issuers_write_in_their_headers_is_taken() -> None:
    for typ in ("JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", None):
        assert decode(with_header(typ=typ)).algorithm == "HS256"
    assert decode(with_header(kid=None)).kid is None
    assert decode(with_header(kid="k" * LONGEST_KID)).kid == "k" * LONGEST_KID
    assert decode(with_header(kid="../../etc/passwd")).kid == "../../etc/passwd"
    assert decode(with_header(x5t="dGh1bWI", extra={"a": [1]})).kid == "k1"


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"alg": None}, "token_algorithm"),
        ({"alg": 5}, "token_algorithm"),
        ({"alg": ["HS256"]}, "token_algorithm"),
        ({"kid": 7}, "token_key"),
        ({"kid": ["k1"]}, "token_key"),
        ({"kid": {}}, "token_key"),
        ({"kid": "k" * (LONGEST_KID + 1)}, "token_key"),
        ({"kid": "k1\0"}, "token_key"),
        ({"kid": "k1\n"}, "token_key"),
        ({"kid": "\u202e1k"}, "token_key"),
        ({"typ": "JWE"}, "token_type"),
        ({"typ": ["JWT"]}, "token_type"),
        ({"typ": "\uff2a\uff37\uff34"}, "token_type"),
        ({"typ": ""}, "token_type"),
        ({"typ": "dpop+jwt"}, "token_type"),
        ({"typ": "logout+jwt"}, "token_type"),
        *[({name: value}, "token_header") for name in ("crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "enc", "cty")
          for value in ("JWT", False, [], {"kty": "oct"})],
    ],
)  # fmt: skip
def test_a_header_that_asks_for_more_is_refused(header: dict[str, Any], why: str) -> None:
    assert reason(with_header(**header)) == why


def test_null_is_not_absent() -> None:
    for name, why in (("kid", "token_key"), ("typ", "token_type"), ("crit", "token_header")):
        header = as_json({"alg": "HS256", name: None})
        assert reason(HMAC.token(claims(NOW), header)) == why


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b".",
        b"..",
        b"...",
        GOOD.rpartition(b".")[0],
        GOOD + b".",
        GOOD + b"." + GOOD,
        GOOD + b" ",
        b" " + GOOD,
        GOOD + b"\n",
        GOOD + b"=",
        GOOD.replace(b".", b"=."),
        GOOD.replace(b".", b" ."),
        GOOD + b"\xff",
        GOOD.replace(b".", b"\xe2\x80\xa4"),
        b"{" + GOOD,
    ],
)
def test_what_is_not_three_parts_of_base64url_is_refused(token: bytes) -> None:
    assert reason(token) == "token_malformed"


def test_header_and_claims_are_objects_that_mean_one_thing() -> None:
    good = as_json({"alg": "HS256"})
    for text in (b"", b"[]", b"7", b"null", b'"a"', b'{"alg":"HS256","alg":"none"}', b"{}" * 2, b"\xff", b'{"a":NaN}'):
        assert reason(HMAC.token(text, good)) == "token_malformed"
        assert reason(HMAC.token(claims(NOW), text)) == "token_malformed"
    assert reason(HMAC.token(b'{"a":' + b"[" * 900 + b"]" * 900 + b"}")) == "token_malformed"


def test_a_token_has_a_size() -> None:
    room = LONGEST_TOKEN - len(HMAC.token(claims(NOW, pad="")))
    largest = HMAC.token(claims(NOW, pad="x" * (room * 3 // 4)))
    assert LONGEST_TOKEN - 4 <= len(largest) <= LONGEST_TOKEN
    assert decode(largest).claims["pad"]
    assert reason(HMAC.token(claims(NOW, pad="x" * (room * 3 // 4 + 4)))) == "token_size"


PIECES = st.sampled_from([b".", b"e30", b"eyJhbGciOiJub25lIn0", b"=", b"A"])


@given(st.binary(max_size=200) | st.lists(PIECES).map(b"".join))
def test_nothing_but_a_refusal_comes_of_anything(token: bytes) -> None:
    try:
        parts = decode(token)
    except TokenRefusedError:
        return
    assert token == parts.signed + b"." + b64(parts.signature).encode()


@given(st.data())
def test_no_other_text_is_the_same_token(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(GOOD)))
    cut = data.draw(st.integers(0, 2))
    other = GOOD[:at] + data.draw(st.binary(max_size=2)) + GOOD[at + cut :]
    try:
        parts = decode(other)
    except TokenRefusedError:
        return
    if other != GOOD:
        assert (parts.signed, parts.signature) != (decode(GOOD).signed, decode(GOOD).signature)
