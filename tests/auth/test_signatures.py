from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.issuing import CURVES, ORDERS, Signer, number
from ttagw.auth.signatures import (
    FITTING,
    SHORTEST_SECRET,
    UnusableKeyError,
    is_signed,
    public_key,
    secret_key,
)

DATA = b"what is signed"
ALL = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


@pytest.mark.parametrize("algorithm", ALL)
def test_what_was_signed_is_and_nothing_else(algorithm: str) -> None:
    signer = Signer(algorithm)
    key = public_key(signer.jwk(), algorithm)
    good = signer.sign(DATA)
    assert is_signed(algorithm, key, DATA, good)
    assert not is_signed(algorithm, key, DATA + b"x", good)
    assert not is_signed(algorithm, key, DATA, Signer(algorithm, "other").sign(DATA))
    for bad in (b"", good[:-1], good + b"\0", b"\0" + good, good[1:], bytes(len(good)), b"\xff" * len(good), good * 2):
        assert not is_signed(algorithm, key, DATA, bad)


def test_ed448_is_taken_too() -> None:
    signer = Signer("EdDSA", curve="Ed448")
    key = public_key(signer.jwk(), "EdDSA")
    assert is_signed("EdDSA", key, DATA, signer.sign(DATA))
    assert not is_signed("EdDSA", key, DATA, signer.sign(DATA)[:-1])


@pytest.mark.parametrize("algorithm", sorted(ORDERS))
def test_the_numbers_of_an_ecdsa_signature_are_in_range(algorithm: str) -> None:
    signer = Signer(algorithm)
    key = public_key(signer.jwk(), algorithm)
    order, good = ORDERS[algorithm], signer.sign(DATA)
    size = len(good) // 2
    r, s = int.from_bytes(good[:size], "big"), int.from_bytes(good[size:], "big")
    for pair in ((0, 0), (0, s), (r, 0), (order, s), (r, order), (order, order), (0, order), (1, 1), (order - 1, 1)):
        assert not is_signed(algorithm, key, DATA, b"".join([each.to_bytes(size, "big") for each in pair]))
    # The one other value that says the same (a property of ECDSA, not of the text of the token).
    assert is_signed(algorithm, key, DATA, good[:size] + (order - s).to_bytes(size, "big"))


@given(st.sampled_from(ALL), st.data())
def test_a_signature_with_another_bit_is_none(algorithm: str, data: st.DataObject) -> None:
    signer = Signer(algorithm)
    good = signer.sign(DATA)
    at, bit = data.draw(st.integers(0, len(good) - 1)), data.draw(st.integers(0, 7))
    bad = bytearray(good)
    bad[at] ^= 1 << bit
    assert not is_signed(algorithm, public_key(signer.jwk(), algorithm), DATA, bytes(bad))


def unusable(jwk: dict[str, object], algorithm: str) -> str:
    with pytest.raises(UnusableKeyError) as caught:
        public_key(jwk, algorithm)
    return str(caught.value)


def test_keys_are_long_enough_and_not_longer_than_is_good() -> None:
    assert unusable(Signer(bits=1024, kid="short").jwk(), "RS256") == "too_short"
    jwk = Signer().jwk()
    assert unusable({**jwk, "n": number((1 << 9000) + 1)}, "RS256") == "too_long"
    assert unusable({**jwk, "e": number((1 << 40) + 1)}, "RS256") == "too_long"
    assert unusable({**jwk, "e": number(2)}, "RS256") == "numbers"


@pytest.mark.parametrize(("algorithm", "other"), [("ES256", "ES384"), ("ES384", "ES512"), ("ES512", "ES256")])
def test_a_curve_goes_with_its_algorithm(algorithm: str, other: str) -> None:
    assert unusable(Signer(other).jwk(), algorithm) == "numbers"


def test_points_are_on_their_curve() -> None:
    jwk = Signer("ES256").jwk()
    assert unusable({**jwk, "x": number(1, 32), "y": number(1, 32)}, "ES256") == "numbers"
    assert unusable({**jwk, "x": number(0, 32), "y": number(0, 32)}, "ES256") == "numbers"
    assert unusable({**jwk, "x": jwk["x"][:-2]}, "ES256") == "numbers"
    assert unusable(Signer().jwk(), "ES256") == "numbers"
    assert unusable({"kty": "OKP", "crv": "X25519", "x": "A" * 43}, "EdDSA") == "numbers"


def test_every_kind_of_key_has_its_algorithms() -> None:
    assert {name for names in FITTING.values() for name in names} == set(ALL)
    assert {crv: names for (kty, crv), names in FITTING.items() if kty == "EC"} == {
        crv: (name,) for name, (crv, _) in CURVES.items()
    }


@pytest.mark.parametrize(("algorithm", "least"), SHORTEST_SECRET.items())
def test_a_secret_is_as_long_as_the_hash(algorithm: str, least: int) -> None:
    secret = secret_key(b"s" * least, [algorithm])
    signer = Signer(algorithm, secret=secret)
    assert is_signed(algorithm, secret, DATA, signer.sign(DATA))
    assert not is_signed(algorithm, secret, DATA, signer.sign(DATA)[:-1])
    assert not is_signed(algorithm, secret, DATA, b"")
    with pytest.raises(UnusableKeyError, match=f"{least} bytes or more for {algorithm}, got {least - 1}"):
        secret_key(b"s" * (least - 1), [algorithm])


def test_a_secret_is_long_enough_for_all_its_algorithms() -> None:
    assert secret_key(b"s" * 64, list(SHORTEST_SECRET))
    with pytest.raises(UnusableKeyError, match="64 bytes or more for HS512, got 48"):
        secret_key(b"s" * 48, list(SHORTEST_SECRET))


def test_what_everybody_knows_is_no_secret() -> None:
    for known in (Signer().pem(), Signer().der(), Signer("ES256").pem(), b'{"kty":"oct","k":"' + b"a" * 43 + b'"}'):
        with pytest.raises(UnusableKeyError, match="another kind"):
            secret_key(known, ["HS256"])
