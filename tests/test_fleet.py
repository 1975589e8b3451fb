from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from tests.registry.fleets import run
from tests.twisted_hygiene import Failures, _frozen_garbage, failures
from ttagw.config import Config
from ttagw.fleet import Fleet
from ttagw.registry.records import Origin, Record
from ttagw.store.base import StoreFileError
from ttagw.upstream.build import Surroundings, build_service
from ttagw.wire.deadlines import Deadlines

__all__ = ["_frozen_garbage", "failures"]


class Reactor(MemoryReactorClock):
    """Counts how often it is stopped."""

    stops = 0

    def stop(self) -> None:
        self.stops += 1


class Made:
    """The fleet of a configuration, in a time that goes forward when it is told to."""

    def __init__(self, *instances: Any, store: str = "memory:", reactor: Any = None) -> None:
        self.reactor: Any = reactor or Reactor()
        plan = {
            "gateway": {"name": "g", "store": store},
            "services": {"s": {"instances": list(instances), "health": {"type": "none"}}},
        }
        config = Config.model_validate(plan)
        seconds = self.reactor.seconds
        around = Surroundings(self.reactor, seconds, lambda: 0.5, Deadlines(self.reactor, seconds))
        self.services = {
            name: build_service(name, each, config.upstream, around) for name, each in config.services.items()
        }
        self.dns: Any = None
        self.fleet = Fleet(config, self.services, around, self.dns)

    def stop(self) -> None:
        ended: list[Any] = []
        Deferred.fromCoroutine(self.fleet.stop()).addBoth(ended.append)
        for _ in range(5):
            self.reactor.advance(0.0)
        assert ended == [None]

    @property
    def ids(self) -> list[str]:
        return [each.label.decode() for each in self.services["s"].rotation]


def test_what_is_configured_is_there_before_the_start() -> None:
    made = Made("http://127.0.0.1:1", {"url": "https://h", "weight": 3, "zone": "z"})
    assert [each.record for each in made.fleet.registry.groups["s"].members.values()] == [
        Record("s", "127.0.0.1:1", "http://127.0.0.1:1"),
        Record("s", "h", "https://h", 3, "z"),
    ]


def test_files_and_registrations_stand_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "instances.toml"
    file.write_text('[[instances]]\nurl = "http://127.0.0.1:2"\n')
    made = Made("http://127.0.0.1:1", f"file:{file}")
    made.fleet.start()
    assert made.fleet.loaded
    run(made.fleet.directory.register(Record("s", "x", "http://127.0.0.1:3", origin=Origin.SELF, ttl=15.0)))
    assert made.ids == ["127.0.0.1:1", "127.0.0.1:2", "x"]
    for _ in range(60):
        made.reactor.advance(0.25)
    assert made.ids == ["127.0.0.1:1", "127.0.0.1:2"]
    made.stop()
    assert made.reactor.getDelayedCalls() == []


def test_a_stop_while_the_store_is_awaited_is_no_failure(failures: Failures) -> None:
    made = Made("http://127.0.0.1:1")

    async def never() -> None:
        await Deferred()

    made.fleet.store.start = never  # type: ignore[method-assign]
    made.fleet.start()
    assert not made.fleet.loaded
    made.stop()
    assert (made.reactor.stops, made.reactor.getDelayedCalls()) == (0, [])


def test_a_stop_while_health_is_being_read_leaves_nothing_running() -> None:
    made = Made("http://127.0.0.1:1")
    scan = made.fleet.store.scan

    async def slow(prefix: str) -> Any:
        return await (Deferred() if prefix.startswith("health/") else scan(prefix))

    made.fleet.store.scan = slow  # type: ignore[method-assign]
    made.fleet.start()
    made.stop()
    assert (made.reactor.stops, made.reactor.getDelayedCalls()) == (0, [])


def test_a_store_that_cannot_be_used_ends_the_daemon() -> None:
    made = Made("http://127.0.0.1:1")

    async def fails() -> None:
        raise StoreFileError("no_file", "ttagw.db")

    made.fleet.store.start = fails  # type: ignore[method-assign]
    made.fleet.start()
    assert made.reactor.stops == 1
    assert not made.fleet.loaded
    made.stop()


def test_a_redis_is_awaited_for_a_moment_before_the_gateway_is_ready() -> None:
    made = Made("http://127.0.0.1:1", store="redis://127.0.0.1:1")
    made.fleet.start()
    for _ in range(19):
        made.reactor.advance(0.1)
        assert not made.fleet.loaded
    made.reactor.advance(0.2)
    assert made.fleet.loaded
    made.stop()


def test_there_are_metrics_of_the_store_and_of_the_services() -> None:
    made = Made("http://127.0.0.1:1")
    names = [each.name for each in made.fleet.metrics()]
    assert {"ttagw_store_up", "ttagw_instance_up", "ttagw_checks_running"} <= set(names)
    assert len(names) == len(set(names))
