from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.rotation import Standing, decide

STANDINGS = st.lists(
    st.builds(Standing, st.integers(0, 3), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 5).map(float)),
    max_size=12,
)


def up(zone: int = 0, *, open: float = -1.0, forced: bool = False) -> Standing:  # noqa: A002
    return Standing(zone, True, open >= 0.0, forced, max(open, 0.0))


DOWN = Standing(0, False, False, False, 0.0)


@given(STANDINGS)
def test_it_is_what_the_rules_say(standings: list[Standing]) -> None:
    tiers, ejected, kept = decide(standings)
    places = [place for tier in tiers for place in tier]
    down = {place for place, each in enumerate(standings) if not each.up or each.forced}
    opened = {place for place, each in enumerate(standings) if each.open} - down
    # Everybody is asked but who is down, forced, or ejected; once each.
    assert sorted([*places, *down, *ejected]) == list(range(len(standings)))
    # Only open breakers eject, and the first that opened are the first to go.
    assert ejected | kept == opened
    assert not ejected & kept
    assert all(standings[out].since <= standings[left].since for out in ejected for left in kept)
    # As many as leave at least half of all in, and no fewer.
    room = 0
    while room < len(opened) and 2 * (len(standings) - len(down) - room - 1) >= len(standings):
        room += 1
    assert len(ejected) == room
    # Zones are whole and in order.
    zones = [{standings[place].zone for place in tier} for tier in tiers]
    assert all(len(each) == 1 for each in zones)
    assert [each.copy().pop() for each in zones] == sorted({standings[place].zone for place in places})
    assert all(list(tier) == sorted(tier) for tier in tiers)


def test_one_alone_is_asked_whatever_its_breaker_says_but_not_against_an_operators_word() -> None:
    assert decide([up(open=1.0)]) == (((0,),), frozenset(), {0})
    assert decide([up(open=1.0, forced=True)]) == ((), frozenset(), frozenset())


def test_the_panic_rule_begins_where_more_than_half_would_be_out() -> None:
    assert decide([up(open=1.0), up(open=2.0), up(), up()]).kept == frozenset()
    assert decide([up(open=1.0), up(open=2.0), up(open=3.0), up()]) == (((2, 3),), {0, 1}, {2})
    assert decide([up(open=1.0), DOWN, DOWN, up()]) == (((0, 3),), frozenset(), {0})


def test_a_zone_without_anybody_is_passed_over() -> None:
    assert decide([up(2), DOWN, up(1), up(2)]).tiers == ((2,), (0, 3))
    assert decide([]).tiers == decide([DOWN]).tiers == ()
