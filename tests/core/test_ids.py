"""Ids are UUIDs of version 7, each greater than the last."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.ids import UUID7

MOMENT = 1_763_942_400_123


def ids_at(*moments: int, seed: int = 1) -> list[bytes]:
    maker = UUID7(iter(moments).__next__, Random(seed).randbytes)
    return [maker.next() for _ in moments]


def timestamp(made: bytes) -> int:
    return UUID(made.decode()).int >> 80


@given(st.lists(st.integers(0, 2**48 - 10_000), min_size=1, max_size=700), st.integers(0, 99))
def test_ids_are_of_version_7_and_grow_whatever_the_clock_does(moments: list[int], seed: int) -> None:
    made = ids_at(*moments, seed=seed)
    assert all(UUID(each.decode()).version == 7 and UUID(each.decode()).variant == RFC_4122 for each in made)
    assert all(len(each) == 36 and str(UUID(each.decode())).encode() == each for each in made)
    assert all(one < two for one, two in pairwise(made))


def test_time_is_that_of_the_clock() -> None:
    made = ids_at(MOMENT, MOMENT, MOMENT + 1, MOMENT + 5000)
    assert [timestamp(each) for each in made] == [MOMENT, MOMENT, MOMENT + 1, MOMENT + 5000]


def test_time_stands_while_the_clock_is_behind() -> None:
    made = ids_at(MOMENT, MOMENT - 3_600_000, MOMENT - 1)
    assert {timestamp(each) for each in made} == {MOMENT}


def test_ids_of_one_millisecond_stay_unique_when_the_count_is_used_up() -> None:
    made = ids_at(*[MOMENT] * 10_000)
    assert len(set(made)) == 10_000
    assert made == sorted(made)
    assert MOMENT < timestamp(made[-1]) <= MOMENT + 5


def test_millisecond_has_room_for_two_thousand_ids() -> None:
    assert {timestamp(each) for each in ids_at(*[MOMENT] * 2048)} == {MOMENT}


def test_tails_are_the_random_bytes_each_used_once() -> None:
    given_out: list[bytes] = []
    source = Random(7)

    def randbytes(size: int) -> bytes:
        given_out.append(source.randbytes(size))
        return given_out[-1]

    maker = UUID7(lambda: MOMENT, randbytes)
    made = [UUID(maker.next().decode()).int & (2**62 - 1) for _ in range(1200)]
    pool = b"".join(given_out)
    words = [int.from_bytes(pool[at : at + 8], "big") & (2**62 - 1) for at in range(0, len(pool), 8)]
    # The first word seeds the count; no other is skipped or used again.
    assert made == words[1 : len(made) + 1]
