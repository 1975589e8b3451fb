from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.room import Room, Shares

SHARES = Shares((0.0, 0.1, 0.0, 0.2, 0.3), (1.0, 1.0, 0.5, 1.0, 0.5))


def fill(room: Room, rank: int) -> int:
    """How many of a class fit in."""
    count = 0
    while room.fits(rank):
        room.take(rank)
        count += 1
    return count


def test_what_is_kept_for_a_class_is_taken_by_nobody_else() -> None:
    room = Room(10, SHARES)
    assert fill(room, 0) == 4
    assert fill(room, 1) == 1
    assert fill(room, 3) == 2
    assert fill(room, 4) == 3
    assert room.total == 10


def test_no_class_is_over_its_ceiling() -> None:
    assert fill(Room(10, SHARES), 2) == 4
    assert fill(Room(100, Shares(ceilings=(1.0, 1.0, 0.5, 1.0, 1.0))), 2) == 50
    assert fill(Room(10, Shares(ceilings=(1.0, 1.0, 0.01, 1.0, 1.0))), 2) == 1


def test_shares_are_whole_places_whatever_their_fractions() -> None:
    room = Room(10, Shares((0.1 + 0.2, 0.0, 0.0, 0.0, 0.0), (1.0, 1.0, 1.0, 1.0, 0.1 + 0.2)))
    assert room.reserved[0] == 3
    assert room.ceilings[4] == 3


def test_a_smaller_room_lets_nobody_in_until_enough_have_left() -> None:
    room = Room(10, Shares())
    assert fill(room, 1) == 10
    room.resize(4)
    for _ in range(6):
        assert not room.fits(1)
        room.give(1)
    assert not room.fits(1)
    room.give(1)
    assert room.fits(1)


shares = st.lists(st.floats(0.0, 0.19), min_size=5, max_size=5).map(tuple)
ceilings = st.lists(st.floats(0.2, 1.0), min_size=5, max_size=5).map(tuple)


@given(shares, ceilings, st.integers(1, 60), st.lists(st.integers(0, 4), max_size=80))
def test_the_quick_answer_is_the_thorough_one(
    reserved: tuple[float, ...], most: tuple[float, ...], bound: int, coming: list[int]
) -> None:
    room = Room(bound, Shares(reserved, most))
    for rank in coming:
        fits = room.fits(rank)
        held = room.held[rank]
        over = sum([max(0, each - own) for each, own in zip(room.held, room.reserved, strict=True)])
        within = held < room.reserved[rank] or over < bound - sum(room.reserved)
        assert fits == (within and held < room.ceilings[rank])
        if fits:
            room.take(rank)
    assert room.total <= bound
