"""How often somebody was let in because the glass was broken."""

from __future__ import annotations

from tests.auth.glass_kit import REASON, World, asking, therapist
from ttagw.auth.glass import WRITE_USES, Glass
from ttagw.testing import route


def use(glass: Glass, times: int, route_name: str = "r") -> None:
    for _ in range(times):
        made = asking()
        made.route = route(name=route_name)
        grant = glass.grant(therapist(), "perry")
        assert grant is not None
        assert glass.use(made, grant)
        assert made.access == grant.access


def test_uses_are_counted_and_written_down() -> None:
    world = World()
    (ward,) = world.gateways
    ward.open(REASON)
    use(ward.glass, 3)
    use(ward.glass, 2, "other")
    world.pass_time(WRITE_USES)
    ((_, uses),) = ward.page()
    assert (uses.count, uses.routes) == (6, {"r": 4, "other": 2})
    assert uses.last == ward.wall() - WRITE_USES


def test_uses_that_the_store_does_not_take_are_written_later() -> None:
    world = World()
    (ward,) = world.gateways
    ward.open(REASON)
    world.pass_time(WRITE_USES)
    ward.port.become(False)
    use(ward.glass, 2)
    world.pass_time(5.0)
    ward.port.become(True)
    world.pass_time(WRITE_USES)
    assert ward.page()[0][1].count == 3


def test_uses_while_others_are_written_are_not_lost() -> None:
    world = World()
    (ward,) = world.gateways
    ward.open(REASON)
    ward.port.slow = True
    world.pass_time(WRITE_USES)
    use(ward.glass, 2)
    assert len(ward.port.held) >= 1
    ward.port.slow = False
    while ward.port.held:
        ward.port.release()
    ward.stop()
    assert ward.page()[0][1].count == 3


def test_uses_before_and_after_a_restart_and_elsewhere_add_up() -> None:
    world = World(2)
    one, other = world.gateways
    one.open(REASON)
    world.deliver()
    use(other.glass, 4)
    one.stop()
    one.start()
    use(one.glass, 2)
    world.pass_time(WRITE_USES)
    assert one.page() == other.page()
    assert one.page()[0][1].count == 7


def test_it_has_something_to_tell_prometheus() -> None:
    (ward,) = World().gateways
    ward.open(REASON)
    ward.open(b"short")
    samples = {
        (sample.name, sample.labels.get("outcome")): sample.value
        for family in ward.glass.metrics()
        for sample in family.samples
    }
    assert samples == {
        ("ttagw_break_glass_total", "recorded"): 1,
        ("ttagw_break_glass_total", "bad_reason"): 1,
        ("ttagw_break_glass_uses_total", None): 1,
        ("ttagw_break_glass_open", None): 1,
    }
