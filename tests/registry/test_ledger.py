from __future__ import annotations

import msgspec
import pytest
from twisted.internet.task import Clock

from tests.registry.fleets import Fleet, Gateway, SharedData, record, run
from tests.twisted_hygiene import Failures
from ttagw.config.services import Health
from ttagw.registry import ledger as module
from ttagw.registry.entries import decode, encode, key_of
from ttagw.registry.ledger import RECONCILE, REMEMBERED, Ledger
from ttagw.registry.registry import TICK, ConflictError
from ttagw.store.base import StoreError
from ttagw.store.memory import MemoryStore

KEY = "instances/a/x"


class World:
    """Gateways `g0`, `g1`, … on one store, in one time."""

    def __init__(self, count: int = 2) -> None:
        self.now = 0.0
        self.data = SharedData(lambda: self.now)
        self.gateways = [Gateway(f"g{number}", self.data, lambda: 1e6 + self.now) for number in range(count)]

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            for each in self.gateways:
                each.fleet.clock.advance(TICK)

    def deliver(self) -> None:
        for each in self.gateways:
            while each.port.notices:
                each.port.deliver()


@pytest.fixture
def world() -> World:
    return World()


class Alone:
    """A gateway with a store of its own, which outlives it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock, self.clock.seconds)
        run(self.store.start())
        self.start()

    def start(self) -> None:
        self.fleet = Fleet(clock=self.clock)
        self.ledger = Ledger(
            self.store, self.fleet.registry, "alone", self.clock, lambda: 1e6 + self.clock.seconds(), StoreError
        )
        run(self.ledger.start())

    def restart(self) -> None:
        run(self.ledger.stop())
        self.fleet.registry.stop()
        self.start()

    @property
    def ids(self) -> list[str]:
        return list(self.fleet.registry.groups["a"].members)


def test_what_registers_here_is_known_there_as_soon_as_word_comes(world: World) -> None:
    one, other = world.gateways
    assert run(one.ledger.register(record("x", weight=3, ttl=15.0)))
    world.deliver()
    assert other.instances() == {"a/x": 3}
    assert other.fleet.take() == ["instance_joined x self"]


def test_the_second_registration_is_not_new(world: World) -> None:
    one, _ = world.gateways
    assert run(one.ledger.register(record("x", ttl=15.0))) is True
    assert run(one.ledger.register(record("x", ttl=15.0))) is False


def test_without_word_it_is_known_after_the_next_comparison(world: World) -> None:
    one, other = world.gateways
    run(one.ledger.register(record("x", ttl=15.0)))
    other.port.notices.clear()
    world.pass_time(RECONCILE)
    assert other.instances() == {"a/x": 1}
    assert (one.ledger.repaired, other.ledger.repaired) == (0, 1)


def test_a_lease_that_is_renewed_anywhere_counts_everywhere(world: World) -> None:
    one, other = world.gateways
    run(one.ledger.register(record("x", ttl=15.0)))
    world.deliver()
    for _ in range(10):
        world.pass_time(5.0)
        assert run(other.ledger.renew("a", "x")) == 15.0
        world.deliver()
    assert one.instances() == other.instances() == {"a/x": 1}


def test_a_lease_ends_everywhere_within_a_tick(world: World) -> None:
    one, other = world.gateways
    run(one.ledger.register(record("x", ttl=15.0)))
    world.deliver()
    world.pass_time(15.0 - TICK)
    assert one.instances() == other.instances() == {"a/x": 1}
    world.pass_time(TICK)
    assert one.instances() == other.instances() == {}
    assert run(one.ledger.renew("a", "x")) == 0.0
    assert run(one.ledger.deregister("a", "x")) is False
    world.pass_time(20.0)
    world.deliver()
    assert one.instances() == other.instances() == {}
    assert one.ledger._known == other.ledger._known == {}


def test_what_the_store_could_not_take_is_written_when_it_is_back(world: World) -> None:
    one, other = world.gateways
    one.port.become(False)
    run(one.ledger.register(record("x", ttl=15.0)))
    assert (one.instances(), one.ledger.unwritten) == ({"a/x": 1}, 1)
    world.pass_time(3 * RECONCILE)
    one.port.become(True)
    assert one.ledger.unwritten == 0
    world.deliver()
    assert other.instances() == {"a/x": 1}


def test_a_lease_that_ended_while_the_store_was_away_is_no_news_when_it_is_back(world: World) -> None:
    one, other = world.gateways
    one.port.become(False)
    run(one.ledger.register(record("x", ttl=15.0)))
    world.pass_time(15.0)
    one.port.become(True)
    world.pass_time(2 * RECONCILE)
    world.deliver()
    assert (one.ledger.unwritten, other.instances(), world.data.registrations) == (0, {}, {})


def test_a_store_that_has_lost_everything_is_told_again_what_lives_and_what_does_not(world: World) -> None:
    one, other = world.gateways
    for name in "xy":
        run(one.ledger.register(record(name, ttl=60.0)))
    world.deliver()
    run(one.ledger.deregister("a", "y"))
    world.data.kept.clear()
    world.pass_time(RECONCILE)
    assert {key: decode(raw).gone for key, (raw, _) in world.data.registrations.items()} == {
        KEY: False,
        "instances/a/y": True,
    }
    world.deliver()
    assert one.instances() == other.instances() == {"a/x": 1}


def test_a_store_that_fell_back_behind_an_end_is_told_of_it_again(world: World) -> None:
    one, other = world.gateways
    run(one.ledger.register(record("x", ttl=60.0)))
    before = dict(world.data.kept)
    world.pass_time(1.0)
    run(one.ledger.deregister("a", "x"))
    world.data.kept = before
    world.pass_time(RECONCILE)
    assert decode(world.data.kept[KEY][0]).gone
    world.deliver()
    assert one.instances() == other.instances() == {}


def test_a_heartbeat_elsewhere_does_not_bring_back_what_was_deregistered(world: World) -> None:
    one, other = world.gateways
    run(one.ledger.register(record("x", ttl=15.0)))
    world.deliver()
    world.pass_time(1.0)
    run(one.ledger.deregister("a", "x"))
    world.pass_time(TICK)
    for port in (one.port, other.port):
        port.notices.clear()
    assert run(other.ledger.renew("a", "x")) == 15.0
    world.deliver()
    assert one.instances() == other.instances() == {}
    assert run(other.ledger.renew("a", "x")) == 0.0


def test_whoever_registers_again_is_back(world: World) -> None:
    one, other = world.gateways
    run(one.ledger.register(record("x", ttl=15.0)))
    assert run(one.ledger.deregister("a", "x"))
    assert run(one.ledger.register(record("x", weight=2, ttl=15.0)))
    world.deliver()
    assert one.instances() == other.instances() == {"a/x": 2}


def test_of_two_registrations_of_one_time_every_gateway_takes_the_same(world: World) -> None:
    one, other = world.gateways
    run(one.ledger.register(record("x", weight=1, ttl=15.0)))
    other.port.become(False)
    run(other.ledger.register(record("x", weight=2, ttl=15.0)))
    other.port.become(True)
    world.deliver()
    assert one.instances() == other.instances() == {"a/x": 2}


def test_one_id_that_two_services_were_given_at_once_stands_in_both_everywhere(world: World) -> None:
    one, other = world.gateways
    run(one.ledger.register(record("x", of="a", ttl=15.0)))
    run(other.ledger.register(record("x", of="b", ttl=15.0)))
    world.deliver()
    assert one.instances() == other.instances() == {"a/x": 1, "b/x": 1}


def test_the_id_of_another_service_is_refused_and_nothing_is_written(world: World) -> None:
    one, _ = world.gateways
    run(one.ledger.register(record("x", of="a", ttl=15.0)))
    with pytest.raises(ConflictError, match='an instance of "a" has this id'):
        run(one.ledger.register(record("x", of="b", ttl=15.0)))
    assert list(world.data.kept) == [KEY]


def test_a_lease_that_ends_while_it_is_being_written_stays_ended(world: World) -> None:
    one, other = world.gateways
    one.port.slow = True
    asked = one.begin(one.ledger.register(record("x", ttl=1.0)))
    world.pass_time(1.0)
    assert (asked, one.instances()) == ([], {})
    one.port.slow = False
    while one.port.held:
        one.port.release()
    assert asked == [True]
    world.pass_time(10.0)
    assert (one.instances(), one.ledger.unwritten, other.instances()) == ({}, 0, {})


def test_a_renewal_during_a_write_is_written_after_it(world: World) -> None:
    one, _ = world.gateways
    run(one.ledger.register(record("x", ttl=15.0)))
    one.port.slow = True
    world.now += 1.0
    first = one.begin(one.ledger.renew("a", "x"))
    world.now += 1.0
    second = one.begin(one.ledger.renew("a", "x"))
    while one.port.held:
        one.port.release()
    assert (first, second, one.ledger.unwritten) == ([15.0], [15.0], 0)
    assert decode(world.data.kept[KEY][0]).at == 1e6 + 2.0


def test_a_gateway_that_comes_later_takes_up_what_there_is_for_what_is_left(world: World) -> None:
    one, _ = world.gateways
    run(one.ledger.register(record("x", ttl=15.0)))
    world.pass_time(4.0)
    late = Gateway("late", world.data, lambda: 1e6 + world.now)
    assert late.fleet.member("x").ends - late.fleet.now == 11.0
    world.pass_time(8.0)
    later = Gateway("later", world.data, lambda: 1e6 + world.now)
    assert later.fleet.member("x").ends - later.fleet.now == 5.0, "time for one more heartbeat"


def test_what_is_no_registration_is_passed_over(world: World) -> None:
    one, other = world.gateways
    for key, value in {"instances/a": b"{}", KEY: b"no", "instances/nobody/x": encode(entry(1))}.items():
        world.data.put(key, value, None)
    world.deliver()
    world.pass_time(RECONCILE)
    assert one.instances() == other.instances() == {}
    run(one.ledger.register(record("x", ttl=15.0)))
    world.deliver()
    assert other.instances() == {"a/x": 1}


def entry(number: int, **more: object) -> module.Entry:
    values = {"revision": number, "born": number, "by": "else", "at": 1e6, "url": "http://x", "ttl": 15.0, **more}
    return msgspec.convert(values, module.Entry)


def test_a_url_that_cannot_be_used_hurts_nobody_else(world: World) -> None:
    one, _ = world.gateways
    world.data.put(KEY, encode(entry(1, url="http://bad")), None)
    world.data.put("instances/a/y", encode(entry(1)), None)
    world.deliver()
    assert one.instances() == {"a/y": 1}


def test_what_is_over_is_forgotten_first_when_too_much_is_known(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KNOWN", 3)
    one, _ = world.gateways
    for name in "uvwxyz":
        run(one.ledger.register(record(name, ttl=600.0)))
    for name in "uvwx":
        world.pass_time(TICK)
        run(one.ledger.deregister("a", name))
    world.pass_time(RECONCILE)
    assert sorted(one.ledger._known) == [key_of("a", name) for name in "xyz"]


def test_an_end_is_remembered_for_an_hour(world: World) -> None:
    one, _ = world.gateways
    run(one.ledger.register(record("x", ttl=15.0)))
    run(one.ledger.deregister("a", "x"))
    world.now += REMEMBERED - 10.0
    world.pass_time(RECONCILE)
    assert list(one.ledger._known) == [KEY]
    world.now += 20.0
    world.pass_time(RECONCILE)
    assert one.ledger._known == {}


def test_draining_does_not_end_with_the_lease(world: World) -> None:
    one, _ = world.gateways
    run(one.ledger.register(record("x", ttl=15.0)))
    one.fleet.member("x").instance.in_flight = 1
    one.fleet.take()
    run(one.ledger.deregister("a", "x"))
    world.pass_time(20.0)
    assert one.fleet.state("x") == "draining"
    one.fleet.member("x").instance.in_flight = 0
    world.pass_time(TICK)
    assert "instance_left x drained" in one.fleet.take()


def test_after_the_stop_nothing_is_heard_and_what_is_unwritten_is_tried_once_more(world: World) -> None:
    one, other = world.gateways
    one.port.become(False)
    run(one.ledger.register(record("x", ttl=15.0)))
    one.port.state_up = True
    run(one.ledger.stop())
    assert list(world.data.kept) == [KEY]
    run(other.ledger.register(record("y", ttl=15.0)))
    world.deliver()
    world.pass_time(RECONCILE)
    assert one.instances() == {"a/x": 1}


def test_alone_a_restart_gives_everybody_a_whole_lease() -> None:
    alone = Alone()
    health = Health(type="tcp", interval="3s", expect=(200, 204))  # type: ignore[arg-type]
    run(alone.ledger.register(record("x", ttl=15.0, health=health, tags=("t",), version="2", zone="z")))
    before = alone.fleet.member("x").record
    alone.clock.advance(14.0)
    alone.restart()
    assert alone.fleet.member("x").record == before
    assert alone.fleet.member("x").ends - alone.fleet.now == 15.0


def test_alone_what_ended_is_not_there_after_a_restart() -> None:
    alone = Alone()
    for name, ttl in (("x", 15.0), ("y", 15.0), ("z", 60.0)):
        run(alone.ledger.register(record(name, ttl=ttl)))
    run(alone.ledger.deregister("a", "y"))
    alone.fleet.pass_time(20.0)
    alone.restart()
    assert alone.ids == ["z"]
    assert list(alone.ledger._known) == ["instances/a/z"]


def test_alone_a_heartbeat_writes_nothing() -> None:
    alone = Alone()
    run(alone.ledger.register(record("x", ttl=15.0)))
    told: list[str] = []
    alone.store.watch("", lambda key, value: told.append(key))
    assert run(alone.ledger.renew("a", "x")) == 15.0
    assert told == []
    assert run(alone.ledger.renew("a", "nobody")) == 0.0


def test_a_comparison_that_fails_in_an_unforeseen_way_is_not_the_last(world: World, failures: Failures) -> None:
    one, other = world.gateways
    scan = other.port.scan

    async def broken(prefix: str) -> dict[str, bytes]:
        raise ZeroDivisionError

    other.port.scan = broken  # type: ignore[method-assign]
    run(one.ledger.register(record("x", ttl=15.0)))
    other.port.notices.clear()
    world.pass_time(RECONCILE)
    assert len(failures.take(ZeroDivisionError)) == 1
    other.port.scan = scan  # type: ignore[method-assign]
    world.pass_time(RECONCILE)
    assert other.instances() == {"a/x": 1}


def test_comparisons_go_on_after_one_that_found_the_store_away(world: World) -> None:
    one, other = world.gateways
    other.port.state_up = False
    world.pass_time(2 * RECONCILE)
    run(one.ledger.register(record("x", ttl=15.0)))
    other.port.state_up = True
    world.pass_time(RECONCILE)
    assert other.instances() == {"a/x": 1}


def test_leases_that_others_renew_do_not_end_because_the_store_takes_nothing(world: World) -> None:
    one, other = world.gateways
    run(one.ledger.register(record("x", ttl=15.0)))
    world.deliver()
    for each in world.gateways:
        each.port.full = True
    for _ in range(20):
        run(one.ledger.renew("a", "x"))
        world.pass_time(RECONCILE)
    assert one.instances() == other.instances() == {"a/x": 1}
    for each in world.gateways:
        each.port.full = False
    world.pass_time(2 * RECONCILE)
    world.deliver()
    world.pass_time(8.0)
    assert one.instances() == other.instances() == {"a/x": 1}
    world.pass_time(20.0)
    assert one.instances() == other.instances() == {}
