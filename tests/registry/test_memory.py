from __future__ import annotations

from twisted.internet.defer import Deferred

from tests.registry.fleets import BAD, GOOD, Fleet, Port, SharedData, run
from ttagw.registry.memory import HealthMemory
from ttagw.store.base import StoreAwayError


class Remembers:
    """A gateway that writes down how its instances are."""

    def __init__(self, data: SharedData, name: str = "g", port: Port | None = None) -> None:
        self.fleet = Fleet()
        for each in "xy":
            self.fleet.put(each)
        self.port = port or Port(data)
        self.memory = HealthMemory(
            self.port, self.fleet.registry, name, StoreAwayError, self.fleet.checker.hurried.append
        )

    def start(self) -> Remembers:
        run(self.memory.start())
        return self


def shared() -> SharedData:
    return SharedData(lambda: 0.0)


def values(data: SharedData) -> dict[str, bytes]:
    return {key: value for key, (value, _) in data.kept.items()}


def test_who_was_down_is_down_after_a_start_and_who_was_up_is_not() -> None:
    data = shared()
    first = Remembers(data).start()
    for name in "xy":
        first.fleet.check(name, BAD)
    first.fleet.check("y", GOOD)
    first.fleet.check("y", GOOD)
    assert values(data) == {"health/g/a/x": b"down", "health/g/a/y": b"up"}
    data.put("health/g/a/gone", b"down", None)
    data.put("health/other/a/y", b"down", None)
    again = Remembers(data).start()
    assert again.fleet.asked() == [["y"]]


def test_what_another_has_found_out_is_looked_at_at_once() -> None:
    data = shared()
    one, other = Remembers(data, "g").start(), Remembers(data, "h").start()
    other.fleet.check("x", GOOD)
    one.fleet.check("x", BAD)
    while other.port.notices:
        other.port.deliver()
    assert other.fleet.checker.hurried == [("a", "x")]
    assert other.fleet.asked() == [["x", "y"]]
    other.fleet.check("x", BAD)
    assert other.fleet.asked() == [["y"]]
    while one.port.notices:
        one.port.deliver()
    assert one.fleet.checker.hurried == []


def test_what_is_gone_or_makes_no_sense_is_no_news() -> None:
    data = shared()
    one = Remembers(data).start()
    one.port.notices = [("health/h/a/x", None), ("health/h", b"down"), ("health/h/nobody/x", b"down")]
    while one.port.notices:
        one.port.deliver()
    assert one.fleet.checker.hurried == []


def test_what_could_not_be_written_is_written_when_the_store_is_back() -> None:
    data = shared()
    one = Remembers(data).start()
    one.port.become(False)
    one.fleet.check("x", BAD)
    one.fleet.check("y", BAD)
    assert values(data) == {}
    one.port.become(True)
    assert values(data) == {"health/g/a/x": b"down", "health/g/a/y": b"down"}


def test_it_starts_without_a_store_and_works_as_soon_as_there_is_one() -> None:
    data = shared()
    port = Port(data)
    port.state_up = False
    one = Remembers(data, port=port).start()
    one.fleet.check("x", BAD)
    port.become(True)
    assert values(data) == {"health/g/a/x": b"down"}


def test_a_change_during_a_write_is_written_after_it() -> None:
    data = shared()
    one = Remembers(data).start()
    one.port.slow = True
    one.fleet.check("x", BAD)
    one.fleet.check("x", GOOD)
    one.fleet.check("x", GOOD)
    while one.port.held:
        one.port.release()
    assert values(data) == {"health/g/a/x": b"up"}


def test_the_stop_waits_for_what_is_being_written_and_then_nothing_is() -> None:
    data = shared()
    one = Remembers(data).start()
    one.port.slow = True
    one.fleet.check("x", BAD)
    stopped: list[None] = []
    Deferred.fromCoroutine(one.memory.stop()).addCallback(stopped.append)
    assert stopped == []
    one.fleet.check("y", BAD)
    while one.port.held:
        one.port.release()
    assert stopped == [None]
    one.fleet.check("x", GOOD)
    assert values(data) == {"health/g/a/x": b"down", "health/g/a/y": b"down"}


def test_the_stop_tries_once_more_for_what_waits() -> None:
    data = shared()
    one = Remembers(data).start()
    one.port.become(False)
    one.fleet.check("x", BAD)
    one.port.state_up = True
    run(one.memory.stop())
    assert values(data) == {"health/g/a/x": b"down"}


def test_who_was_down_is_down_also_when_the_store_is_there_only_after_the_start() -> None:
    data = shared()
    data.put("health/g/a/x", b"down", None)
    data.put("health/g/a/y", b"down", None)
    port = Port(data)
    port.state_up = False
    one = Remembers(data, port=port).start()
    one.fleet.check("y", GOOD)
    assert one.fleet.asked() == [["x", "y"]]
    port.become(True)
    assert one.fleet.asked() == [["y"]]


def test_it_is_read_once_what_was_found_out_since_counts() -> None:
    data = shared()
    data.put("health/g/a/x", b"down", None)
    one = Remembers(data).start()
    one.fleet.check("x", GOOD)
    data.put("health/g/a/x", b"down", None)
    one.port.become(False)
    one.port.become(True)
    assert one.fleet.asked() == [["x", "y"]]


def test_who_was_down_is_down_also_when_it_is_found_only_after_the_start() -> None:
    data = shared()
    data.put("health/g/a/z", b"down", None)
    one = Remembers(data).start()
    one.fleet.put("z")
    assert one.fleet.asked() == [["x", "y"]]
    one.fleet.check("z", GOOD)
    assert one.fleet.asked() == [["x", "y", "z"]]
    one.fleet.registry.leave("a", "z", "test")
    one.fleet.put("z")
    assert one.fleet.asked() == [["x", "y", "z"]]
