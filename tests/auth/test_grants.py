from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from tests.auth.glass_kit import REASON, World, asking, result, therapist
from tests.twisted_hygiene import Failures
from ttagw.auth import grants as module
from ttagw.auth.grants import PREFIX, RECONCILE, REMEMBERED

WINDOW = (
    b'{"id":"01890a5d-ac96-774b-bcce-b302099a8057","place":["token","https://i","thea","perry"],'
    b'"lasts":-5.0,"ends":1e12,"reasons":[],"alerted":false}'
)


def test_every_gateway_knows_as_soon_as_word_comes() -> None:
    world = World(2)
    one, other = world.gateways
    one.open(REASON)
    assert not other.lets_in()
    world.deliver()
    assert other.lets_in()
    assert other.open(REASON) is True
    assert len(one.page()) == 1


def test_without_word_it_is_known_after_the_next_comparison() -> None:
    world = World(2)
    one, other = world.gateways
    one.open(REASON)
    other.port.notices.clear()
    world.pass_time(RECONCILE)
    assert other.lets_in()


def test_it_ends_everywhere_at_the_same_time_and_is_forgotten() -> None:
    world = World(2, lasts=60.0)
    one, other = world.gateways
    one.open(REASON)
    world.pass_time(59.0)
    assert one.lets_in()
    assert other.lets_in()
    world.pass_time(1.0)
    assert not one.lets_in()
    assert not other.lets_in()
    world.pass_time(REMEMBERED + RECONCILE)
    for each in world.gateways:
        assert each.grants._by_id == {}
        assert each.grants._by_place == {}


def test_an_alert_elsewhere_is_an_alert() -> None:
    world = World(2)
    one, other = world.gateways
    one.open(REASON)
    world.deliver()
    other.open(b"Another good reason.")
    assert [each.severity for each in (*one.told, *other.told)] == ["alert", "warn"]


def test_a_window_survives_a_restart_with_what_is_left_of_it() -> None:
    world = World(lasts=60.0)
    (ward,) = world.gateways
    ward.open(REASON)
    world.pass_time(40.0)
    ward.stop()
    ward.start()
    assert ward.lets_in()
    # Also the reasons that were given.
    ward.open(REASON)
    assert len(ward.page()) == 1
    world.pass_time(20.0)
    assert not ward.lets_in()


def test_a_store_that_comes_late_is_asked_as_soon_as_it_is_there() -> None:
    world = World()
    (ward,) = world.gateways
    ward.open(REASON)
    ward.stop()
    ward.port.become(False)
    ward.start()
    assert not ward.lets_in()
    ward.port.become(True)
    assert ward.lets_in()


def test_what_is_open_stays_open_while_the_store_is_away() -> None:
    world = World()
    (ward,) = world.gateways
    ward.open(REASON)
    ward.port.become(False)
    world.pass_time(600.0, 10.0)
    assert ward.lets_in()
    world.pass_time(300.0, 10.0)
    assert not ward.lets_in()


@given(
    st.lists(
        st.tuples(st.integers(1, 40).map(lambda number: number / 2), st.floats(min_value=-1e5, max_value=1e5)),
        max_size=12,
    ),
    st.booleans(),
)
def test_no_clock_that_is_set_makes_a_window_longer(steps: list[tuple[float, float]], keeps: bool) -> None:
    """Nor does a store that counts by such a clock, and still has what is over here."""
    world = World(lasts=60.0)
    (ward,) = world.gateways
    ward.open(REASON)
    if keeps:
        world.data.kept = {key: (value, float("inf")) for key, (value, _) in world.data.kept.items()}
    for seconds, off in steps:
        ward.off = off
        world.pass_time(seconds, seconds)
        ward.port.become(False)
        ward.port.become(True)
        assert ward.lets_in() == (world.now < 60.0)


def test_what_the_store_has_again_after_its_end_begins_nothing_anew() -> None:
    world = World(lasts=60.0)
    (ward,) = world.gateways
    ward.open(REASON)
    kept = {key: (value, float("inf")) for key, (value, _) in world.data.kept.items()}
    world.pass_time(70.0)
    ward.off = -3600.0
    world.data.kept = kept
    world.pass_time(10.0)
    assert not ward.lets_in()


def test_a_gateway_whose_clock_is_ahead_sees_it_end_early() -> None:
    world = World(2, lasts=60.0)
    one, other = world.gateways
    other.off = 30.0
    one.open(REASON)
    world.deliver()
    assert other.lets_in()
    world.pass_time(30.0)
    assert not other.lets_in()
    assert one.lets_in()


def test_a_store_that_has_lost_everything_ends_nothing_early() -> None:
    world = World()
    (ward,) = world.gateways
    ward.open(REASON)
    world.data.kept.clear()
    world.pass_time(10.0)
    assert ward.lets_in()


def test_only_so_many_are_known_and_the_first_to_end_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_GRANTS", 3)
    world = World()
    (ward,) = world.gateways
    for number in range(5):
        ward.open(REASON, person=f"p{number}")
        world.pass_time(0.5, 0.5)
    assert [ward.lets_in(person=f"p{number}") for number in range(5)] == [False, False, True, True, True]
    assert len(ward.grants._by_id) == len(ward.grants._by_place) == 3


@pytest.mark.parametrize(
    ("id_", "raw"),
    [
        ("x", b"{}"),
        ("x", b"\xff"),
        ("01890a5d-ac96-774b-bcce-b302099a8057", b'{"id":"another"}'),
        (
            "01890a5d-ac96-774b-bcce-b302099a8057",
            WINDOW,
        ),
    ],
)
def test_what_no_gateway_writes_opens_nothing(id_: str, raw: bytes) -> None:
    world = World()
    (ward,) = world.gateways
    world.data.put(f"{PREFIX}{id_}", raw, 100.0)
    world.deliver()
    world.pass_time(RECONCILE)
    assert ward.grants._by_id == {}
    assert not ward.lets_in()


def test_a_comparison_that_is_under_way_at_the_end_is_ended(failures: Failures) -> None:
    world = World()
    (ward,) = world.gateways
    ward.port.slow = True
    ward.clock.advance(RECONCILE)
    assert len(ward.port.held) == 1
    ward.clock.advance(RECONCILE)
    assert len(ward.port.held) == 1
    ward.stop()
    assert ward.port.watchers == []
    assert ward.port.listeners == []
    assert ward.clock.getDelayedCalls() == []


def test_a_fault_of_our_own_in_a_comparison_is_logged_and_the_next_one_is_made(failures: Failures) -> None:
    world = World()
    (ward,) = world.gateways
    scan, ward.port.scan = ward.port.scan, lambda prefix: result(Deferred())  # type: ignore[method-assign]
    ward.clock.advance(RECONCILE)
    assert failures.take(TypeError)
    ward.port.scan = scan  # type: ignore[method-assign]
    assert ward.glass.open(asking(REASON), therapist(), "perry", [REASON])
    world.pass_time(RECONCILE)
    assert ward.lets_in()
