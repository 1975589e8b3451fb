from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.issuing import Signer, as_json, b64, key_set, number
from ttagw.auth.keyset import MOST_BYTES, MOST_KEYS, MOST_TRIED, KeySet, KeySetError, Skipped, parse

ALLOWED = ("RS256", "ES256", "EdDSA")
RSA, EC, OKP = Signer("RS256", "r"), Signer("ES256", "e"), Signer("EdDSA", "o")
OTHER = Signer("RS256", "other")


def usable(*keys: Any, allowed: tuple[str, ...] = ALLOWED) -> KeySet:
    found, skipped = parse(key_set(*keys), allowed)
    assert skipped == []
    return found


def skipped(*keys: Any, allowed: tuple[str, ...] = ALLOWED) -> list[Skipped]:
    """Beside one that is good."""
    found, others = parse(key_set(Signer("EdDSA", "good"), *keys), allowed)
    assert [each.kid for each in found.keys] == ["good"]
    return others


def failure(document: bytes) -> KeySetError:
    with pytest.raises(KeySetError) as caught:
        parse(document, ALLOWED)
    return caught.value


def test_a_key_is_found_by_its_name_and_for_its_algorithm() -> None:
    found = usable(RSA, EC, OKP)
    assert len(found) == 3
    for each in (RSA, EC, OKP):
        (key,) = found.find(each.kid, each.algorithm)
        assert (
            key.public_bytes_raw() == each.private.public_key().public_bytes_raw() if each is OKP else key is not None
        )
        assert not found.refuses("unknown", each.algorithm)
        for name in {*ALLOWED, "PS256", "HS256", "none"} - {each.algorithm}:
            assert not found.find(each.kid, name)
            assert found.refuses(each.kid, name)
    assert not found.find("unknown", "RS256")


def test_without_a_name_it_is_each_that_fits_up_to_a_few() -> None:
    found = usable(RSA, EC)
    assert found.find(None, "RS256") == found.find("r", "RS256")
    assert not found.find(None, "EdDSA")
    assert not found.refuses(None, "EdDSA")
    several = usable(RSA, OTHER, EC)
    assert several.find(None, "RS256") == several.find(RSA.kid, "RS256") + several.find(OTHER.kid, "RS256")
    assert not several.refuses(None, "RS256")
    assert len(several.find(None, "ES256")) == 1
    many = usable(*[Signer("ES256", f"n{number}") for number in range(MOST_TRIED + 2)])
    assert len(many.find(None, "ES256")) == MOST_TRIED
    nameless = usable(RSA.jwk(kid=None))
    assert len(nameless.find(None, "RS256")) == 1
    assert not nameless.find("r", "RS256")
    assert not nameless.find("", "RS256")


def test_a_key_without_an_algorithm_has_those_that_it_can_and_its_issuer_may() -> None:
    assert usable(RSA.jwk(alg=None), allowed=("RS256", "PS512", "ES256")).keys[0].algorithms == {"RS256", "PS512"}
    assert usable(EC.jwk(alg=None), allowed=("RS256", "ES256", "ES384")).keys[0].algorithms == {"ES256"}
    assert usable(RSA.jwk(use=None, key_ops=["verify"])).keys[0].algorithms == {"RS256"}
    assert len(usable(RSA.jwk(x5c=["abc"], x5t="abc", exp=5, more={"a": [1]})).find("r", "RS256")) == 1


WRONG: list[tuple[Any, str]] = [
    (7, "not_an_object"),
    (None, "not_an_object"),
    ([], "not_an_object"),
    ({}, "kty"),
    ({"kty": "oct", "k": "a" * 43}, "symmetric"),
    ({"kty": "oct", "k": "a" * 43, "alg": "RS256"}, "symmetric"),
    (RSA.jwk(kty="rsa"), "kty"),
    (RSA.jwk(kty="AKP"), "kty"),
    (RSA.jwk(kty=["RSA"]), "kty"),
    (RSA.jwk(d="AQAB"), "private"),
    (RSA.jwk(p="AQAB"), "private"),
    (EC.jwk(d="AQAB"), "private"),
    (RSA.jwk(kid=7), "kid"),
    (RSA.jwk(kid="k" * 257), "kid"),
    (RSA.jwk(kid="a\nb"), "kid"),
    (RSA.jwk(use="enc"), "use"),
    (RSA.jwk(use=["sig"]), "use"),
    (RSA.jwk(key_ops=["sign"]), "key_ops"),
    (RSA.jwk(key_ops=[]), "key_ops"),
    (RSA.jwk(key_ops="verify"), "key_ops"),
    (RSA.jwk(alg="RS512"), "alg"),
    (RSA.jwk(alg="ES256"), "alg"),
    (RSA.jwk(alg="HS256"), "alg"),
    (RSA.jwk(alg="none"), "alg"),
    (RSA.jwk(alg=["RS256"]), "alg"),
    (RSA.jwk(alg=7), "alg"),
    (RSA.jwk(alg="RSA-OAEP"), "alg"),
    (Signer("ES384", "e").jwk(), "alg"),
    (Signer("ES384", "e").jwk(alg="ES256"), "alg"),
    (EC.jwk(crv="secp256k1"), "curve"),
    (EC.jwk(crv=None), "curve"),
    (EC.jwk(crv=["P-256"]), "curve"),
    (OKP.jwk(crv="X25519"), "curve"),
    (Signer("RS256", "s", bits=1024).jwk(), "too_short"),
    (RSA.jwk(n=number((1 << 9000) + 1)), "too_long"),
    (RSA.jwk(n="B" * 100_000), "too_long"),
    (RSA.jwk(e=number((1 << 64) + 1)), "too_long"),
    (RSA.jwk(e="Ag"), "numbers"),
    (RSA.jwk(e=None), "numbers"),
    (RSA.jwk(e=65537), "numbers"),
    (RSA.jwk(n=""), "numbers"),
    (RSA.jwk(n="é"), "numbers"),
    (RSA.jwk(n=RSA.jwk()["n"] + "=="), "numbers"),
    (RSA.jwk(n="+/" * 200), "numbers"),
    (EC.jwk(y=None), "numbers"),
    (EC.jwk(y=b64(bytes(32))), "numbers"),
    (EC.jwk(y=EC.jwk()["x"]), "numbers"),
    (EC.jwk(x=b64(b"\0" * 40)), "numbers"),
    (OKP.jwk(x=b64(b"\0" * 31)), "numbers"),
    (OKP.jwk(x=7), "numbers"),
]


@pytest.mark.parametrize(("key", "reason"), WRONG)
def test_a_bad_key_is_passed_over_and_the_others_are_used(key: Any, reason: str) -> None:
    (one,) = skipped(key)
    assert one.reason == reason
    assert one.kid in ("", "r", "e", "o", "s")
    assert one.kid.isprintable()


@pytest.mark.parametrize("curve", ["Ed25519", "Ed448"])
def test_both_curves_of_edwards_are_taken(curve: str) -> None:
    signer = Signer("EdDSA", "o", curve="" if curve == "Ed25519" else curve)
    assert signer.jwk()["crv"] == curve
    assert len(usable(signer).find("o", "EdDSA")) == 1


def test_a_name_that_stands_for_two_keys_stands_for_none() -> None:
    second = OTHER.jwk(kid="r")
    assert skipped(RSA, second) == [Skipped("r", "kid_twice")] * 2
    assert skipped(RSA, second, RSA.jwk()) == [Skipped("r", "kid_twice")] * 2
    assert skipped(RSA.jwk(alg=None), second) == [Skipped("r", "kid_twice")] * 2
    # In every order, also one without an algorithm beside one with.
    assert skipped(second, RSA.jwk(alg=None)) == [Skipped("r", "kid_twice")] * 2
    assert failure(key_set(RSA, second)).reason == "no_usable_key"


def test_a_name_may_stand_for_one_key_of_each_algorithm() -> None:
    found = usable(RSA, EC.jwk(kid="r"))
    assert len(found.find("r", "RS256")) == 1
    assert len(found.find("r", "ES256")) == 1


def test_the_same_key_twice_is_one() -> None:
    found = usable(RSA, RSA.jwk(x5t="abc"))
    assert len(found) == 1
    assert len(found.find("r", "RS256")) == 1
    assert len(usable(RSA, RSA.jwk(alg=None)).find(None, "RS256")) == 1
    assert len(usable(RSA.jwk(kid=None), RSA.jwk(kid=None)).find(None, "RS256")) == 1


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "not_json"),
        (b"<html>", "not_json"),
        (key_set(RSA)[:-1], "not_json"),
        (b"[]", "not_json"),
        (key_set(RSA).decode().encode("utf-16"), "not_json"),
        (b'{"keys":[],"keys":[]}', "not_json"),
        (b'{"keys":' + b"[" * 5000 + b"]" * 5000 + b"}", "not_json"),
        (b"{}", "not_a_key_set"),
        (b'{"keys":{}}', "not_a_key_set"),
        (b'{"keys":null}', "not_a_key_set"),
        (b'{"keys":[]}', "no_usable_key"),
        (as_json({"keys": [{}] * (MOST_KEYS + 1)}), "too_many_keys"),
        (as_json({"keys": [RSA.jwk()], "pad": "x" * MOST_BYTES}), "too_large"),
    ],
)
def test_a_document_without_keys_is_a_failure(document: bytes, reason: str) -> None:
    assert failure(document).reason == reason


def test_a_failure_says_why_no_key_was_good() -> None:
    error = failure(key_set(RSA.jwk(use="enc"), {"kty": "oct", "kid": "s", "k": "a" * 43}))
    assert error.reason == "no_usable_key"
    assert error.skipped == [Skipped("r", "use"), Skipped("s", "symmetric")]


def test_as_many_keys_as_are_allowed() -> None:
    assert len(usable(*[OTHER.jwk(kid=str(at)) for at in range(MOST_KEYS)])) == MOST_KEYS


def test_whether_keys_are_others_is_seen() -> None:
    before = usable(RSA, EC).facts()
    assert usable(EC.jwk(x5t="a"), RSA).facts() == before
    assert usable(RSA).facts() < before < usable(RSA, EC, OKP).facts()
    assert usable(RSA, EC.jwk(kid="x")).facts() != before
    assert usable(RSA.jwk(**{name: OTHER.jwk()[name] for name in "ne"}), EC).facts() != before


MEMBERS = st.sampled_from(["kty", "crv", "alg", "use", "key_ops", "kid", "n", "e", "x", "y", "d", "k"])
VALUES: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["RSA", "EC", "P-384", "sig", "AQAB"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.tuples(st.sampled_from([RSA, EC, OKP]), st.dictionaries(MEMBERS, VALUES, max_size=4)), max_size=5))
def test_whatever_a_key_says_it_is_used_or_passed_over(keys: list[tuple[Signer, dict[str, Any]]]) -> None:
    jwks = [{**signer.jwk(), **more} for signer, more in keys]
    try:
        found, others = parse(json.dumps({"keys": jwks}).encode(), ALLOWED)
    except KeySetError:
        return
    assert 0 < len(found) <= len(jwks)
    assert len(others) < len(jwks)
    for each in found.keys:
        assert each.algorithms <= set(ALLOWED)
