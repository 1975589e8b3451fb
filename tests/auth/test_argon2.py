from __future__ import annotations

from ttagw.auth.argon2 import hashed, like, matches

KEY = b"ttagw_a_" + b"k" * 43


def test_a_key_has_its_hash_and_no_other() -> None:
    phc = hashed(KEY)
    assert phc.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert matches(KEY, phc)
    assert not matches(KEY + b"x", phc)
    assert hashed(KEY) != phc


def test_what_is_no_hash_matches_nothing() -> None:
    assert not matches(KEY, "")
    assert not matches(KEY, hashed(KEY)[:-1])


def test_a_hash_of_nothing_costs_the_same_and_matches_nothing() -> None:
    phc = hashed(KEY)
    nothing = like(phc)
    assert nothing.rpartition("$")[0].rpartition("$")[0] == phc.rpartition("$")[0].rpartition("$")[0]
    assert len(nothing) == len(phc)
    assert not matches(KEY, nothing)
