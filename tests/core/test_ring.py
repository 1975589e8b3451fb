"""A ring gives each member its share and keeps keys where they are."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from ttagw.core.ring import Ring

KEYS = [b"key-%d" % number for number in range(10_000)]


def owners(members: list[tuple[str, int]]) -> list[str]:
    ring = Ring(members)
    return [members[ring.owner(key)][0] for key in KEYS]


def test_adding_one_of_ten_moves_a_tenth_and_only_to_it() -> None:
    nine = [(f"http://10.0.0.{number}:80", 1) for number in range(9)]
    new = ("http://10.0.0.9:80", 1)
    moved = [after for before, after in zip(owners(nine), owners([*nine, new]), strict=True) if before != after]
    assert 500 <= len(moved) <= 1500
    assert set(moved) == {new[0]}


def test_removing_one_moves_only_its_keys() -> None:
    ten = [(f"i{number}", 1) for number in range(10)]
    before, after = owners(ten), owners(ten[:4] + ten[5:])
    assert {old for old, new in zip(before, after, strict=True) if old != new} == {"i4"}
    assert "i4" not in after


def test_shares_follow_weights() -> None:
    counts = Counter(owners([("a", 1), ("b", 2), ("c", 5)]))
    assert 0.08 <= counts["a"] / len(KEYS) <= 0.17
    assert 0.20 <= counts["b"] / len(KEYS) <= 0.30
    assert 0.55 <= counts["c"] / len(KEYS) <= 0.70


def test_owners_are_the_same_in_every_process() -> None:
    ring = Ring([("a", 1), ("b", 1), ("c", 1)])
    assert [ring.owner(b"%d" % number) for number in range(12)] == [0, 1, 1, 0, 2, 2, 2, 0, 1, 2, 1, 1]


def test_walk_comes_by_everyone() -> None:
    ring = Ring([("a", 1), ("b", 2)])
    assert {1, 0} == set(ring.owners(b"k"))
    assert next(iter(ring.owners(b"k"))) == ring.owner(b"k")


@settings(max_examples=30)
@given(st.lists(st.integers(1, 3), min_size=2, max_size=5), st.binary(max_size=8), st.data())
def test_next_owner_is_the_owner_without_the_first(weights: list[int], key: bytes, data: st.DataObject) -> None:
    members = [(f"m{number}", weight) for number, weight in enumerate(weights)]
    gone = data.draw(st.sets(st.sampled_from(members), max_size=len(members) - 1))
    left = [member for member in members if member not in gone]
    walked = next(members[owner] for owner in Ring(members).owners(key) if members[owner] in left)
    assert walked == left[Ring(left).owner(key)]
