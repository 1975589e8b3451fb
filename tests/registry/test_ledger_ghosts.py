"""What is gone stays gone, and what has nothing to do with a registration is left alone by it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.registry.conftest import Follower
from tests.registry.fleets import Fleet, Gateway, SharedData, config, record, run
from tests.registry.test_ledger import Alone, World
from tests.twisted_hygiene import Failures
from ttagw.registry.ledger import Ledger
from ttagw.registry.records import Origin
from ttagw.registry.registry import TICK
from ttagw.store.base import StoreAwayError, StoreError


def seen(world: World, gateway: Gateway, seconds: float) -> list[bool]:
    """Whether this gateway has the instance, at each tick from now on."""
    found = []
    for _ in range(round(seconds / TICK)):
        world.pass_time(TICK)
        world.deliver()
        found.append("a/x" in gateway.instances())
    return found


def without_service(data: SharedData, world: World) -> Gateway:
    """A gateway whose configuration does not have the service yet."""
    gateway = Gateway("older", data, lambda: 1e6 + world.now)
    gateway.fleet = Fleet({"b": config()}, clock=gateway.fleet.clock)
    run(gateway.ledger.stop())
    gateway.ledger = Ledger(
        gateway.port, gateway.fleet.registry, "older", gateway.fleet.clock, lambda: 1e6 + world.now, StoreAwayError
    )
    run(gateway.ledger.start())
    return gateway


def test_a_gateway_without_the_service_does_not_keep_its_dead_instances_alive() -> None:
    world = World(1)
    (one,) = world.gateways
    world.gateways.append(without_service(world.data, world))
    run(one.ledger.register(record("x", ttl=15.0)))
    assert all(seen(world, one, 14.0))
    seen(world, one, 2.0)
    assert not any(seen(world, one, 120.0))
    assert not any(gateway.ledger._known for gateway in world.gateways)


def test_a_gateway_where_the_id_is_taken_does_not_keep_a_dead_instance_alive() -> None:
    world = World(2)
    one, other = world.gateways
    other.fleet.put("x", origin=Origin.CONFIG)
    run(one.ledger.register(record("x", ttl=15.0)))
    seen(world, one, 16.0)
    assert not any(seen(world, one, 120.0))
    assert other.fleet.member("x").record.origin is Origin.CONFIG


def test_gateways_that_start_late_do_not_keep_a_dead_instance_alive() -> None:
    world = World(1)
    (one,) = world.gateways
    run(one.ledger.register(record("x", ttl=60.0)))
    world.pass_time(64.0)
    world.gateways.append(Gateway("late", world.data, lambda: 1e6 + world.now))
    assert not any(seen(world, one, 200.0))
    assert world.data.get("instances/a/x") is None


def test_deregistering_does_not_touch_what_is_configured_under_the_same_id() -> None:
    world = World(2)
    one, other = world.gateways
    run(one.ledger.register(record("x", ttl=15.0)))
    other.fleet.put("x", of="b", origin=Origin.CONFIG)
    world.pass_time(TICK)
    other.fleet.registry.leave("a", "x", "test")
    other.fleet.put("x", origin=Origin.CONFIG)
    world.deliver()
    run(one.ledger.deregister("a", "x"))
    world.deliver()
    assert other.instances() == {"a/x": 1, "b/x": 1}


def test_what_was_registered_before_it_was_configured_cannot_deregister_what_is_configured() -> None:
    alone = Alone()
    run(alone.ledger.register(record("x", ttl=15.0)))
    run(alone.ledger.stop())
    alone.fleet.registry.stop()
    alone.fleet = Fleet(clock=alone.clock)
    alone.fleet.put("x", origin=Origin.CONFIG)
    alone.ledger = Ledger(
        alone.store, alone.fleet.registry, "alone", alone.clock, lambda: 1e6 + alone.clock.seconds(), StoreError
    )
    run(alone.ledger.start())
    assert run(alone.ledger.deregister("a", "x")) is False
    assert alone.fleet.asked() == [["x"]]


def test_a_lease_that_ends_while_it_is_written_is_taken_out_of_a_store_of_our_own() -> None:
    world = World(1)
    (one,) = world.gateways
    port: Any = one.port
    port.shared = False
    one.port.become(False)
    run(one.ledger.register(record("x", ttl=15.0)))
    world.pass_time(14.5)
    one.port.slow = True
    one.port.become(True)
    one.port.release()  # the comparison
    assert len(one.port.held) == 1
    world.pass_time(0.5)
    assert one.instances() == {}
    while one.port.held:
        one.port.release()
    one.port.slow = False
    world.pass_time(5.0)
    assert (world.data.kept, one.ledger._known, one.ledger.unwritten) == ({}, {}, 0)


def test_while_the_store_is_away_nobody_goes_because_others_cannot_be_heard() -> None:
    world = World(2)
    one, other = world.gateways
    run(one.ledger.register(record("x", ttl=15.0)))
    world.deliver()
    for each in world.gateways:
        each.port.become(False)
    for _ in range(20):
        world.pass_time(5.0)
        assert run(one.ledger.renew("a", "x")) == 15.0
        assert one.instances() == other.instances() == {"a/x": 1}
    other.port.become(True)
    assert all(seen(world, other, 2.0))
    one.port.become(True)
    assert all(seen(world, other, 14.0))
    seen(world, other, 2.0)
    assert one.instances() == other.instances() == {}
    assert not any(seen(world, other, 60.0))


def test_who_died_while_the_store_was_away_is_gone_soon_after_it_is_back() -> None:
    world = World(2)
    one, other = world.gateways
    run(one.ledger.register(record("x", ttl=15.0)))
    world.deliver()
    for each in world.gateways:
        each.port.become(False)
    world.pass_time(40.0)
    assert (one.instances(), other.instances()) == ({}, {"a/x": 1})
    for each in world.gateways:
        each.port.become(True)
    seen(world, other, 6.0)
    assert not any(seen(world, other, 60.0))
    assert world.data.get("instances/a/x") is None


ENTRY = {"revision": 1, "born": 1, "by": "z", "at": 1e6, "url": "http://h", "ttl": 15.0}


@pytest.mark.parametrize(
    ("key", "more"),
    [
        ("instances/a/x", {"weight": 0}),
        ("instances/a/x", {"ttl": 0.0}),
        ("instances/a/x", {"ttl": 1e9}),
        ("instances/a/x", {"url": "http://h\r\nx: y"}),
        ("instances/a/x", {"url": "http://user@h"}),
        ("instances/a/x", {"url": ""}),
        ("instances/a/x", {"health": {"type": "http", "interval": "soon"}}),
        ("instances/a/x", {"health": {"nonsense": 1}}),
        ('instances/a/x"}', {}),
        ("instances/a/x/y", {}),
        ("instances/a/../x", {}),
    ],
)
def test_what_no_gateway_would_have_written_is_not_taken(key: str, more: dict[str, Any]) -> None:
    world = World(1)
    (one,) = world.gateways
    world.data.put(key, json.dumps({**ENTRY, **more}).encode(), None)
    world.data.put("instances/a/good", json.dumps(ENTRY).encode(), None)
    world.pass_time(2.0)
    assert one.instances() == {"a/good": 1}
    assert one.ledger.repaired
    one.fleet.registry.views()


def test_an_entry_that_nobody_can_make_use_of_does_not_keep_others_from_being_taken(failures: Failures) -> None:
    world = World(1)
    (one,) = world.gateways
    make = one.fleet._make

    def fails(made: Any) -> Any:
        if made.id == "x":
            raise OSError("a certificate is gone")
        return make(made)

    one.fleet.registry.groups["a"]._make = fails
    for name in ("x", "y"):
        world.data.put(f"instances/a/{name}", json.dumps(ENTRY).encode(), None)
    world.pass_time(2.0)
    assert one.instances() == {"a/y": 1}
    assert len(failures.take(OSError)) == 1
    one.fleet.registry.replace("a", Origin.FILE, [record(n, origin=Origin.FILE) for n in "xz"], slowly=True)
    assert one.instances() == {"a/y": 1, "a/z": 1}
    assert len(failures.take(OSError)) == 1


def test_that_registrations_wait_is_said_once_and_not_with_each_heartbeat(follower: Follower) -> None:
    world = World(1)
    (one,) = world.gateways
    for _ in range(2):
        one.port.become(False)
        run(one.ledger.register(record("x", ttl=15.0)))
        for _ in range(3):
            world.pass_time(2.0)
            run(one.ledger.renew("a", "x"))
        one.port.become(True)
    assert [each for each in follower.said if "wait to be written" in each] == [
        "registrations wait to be written: away"
    ] * 2
