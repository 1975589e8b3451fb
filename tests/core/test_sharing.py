from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.sharing import GREED, Shared

PLACES = 12
STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=80)


@given(STEPS)
def test_whatever_some_do_who_holds_nothing_finds_a_place(steps: list[tuple[str, bool]]) -> None:
    shared = Shared()
    for user, comes in steps:
        held = sum(shared.users.values())
        if comes and not shared.greedy(user, PLACES - held):
            shared.take(user)
        elif not comes and user in shared.users:
            shared.give(user)
        held = sum(shared.users.values())
        assert held < PLACES
        assert not shared.greedy("somebody else", PLACES - held)


def test_one_alone_has_two_thirds() -> None:
    shared = Shared()
    for _ in range(30):
        if not shared.greedy("a", 30 - shared.users.get("a", 0)):
            shared.take("a")
    assert shared.users == {"a": 20}
    for _ in range(20):
        shared.give("a")
    assert shared.users == {}


def test_where_nothing_is_free_only_who_holds_something_is_greedy() -> None:
    shared = Shared()
    shared.take("a")
    assert shared.greedy("a", 0)
    assert shared.greedy("a", -5)
    assert not shared.greedy("b", 0)
    assert GREED == 2
