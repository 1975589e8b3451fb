"""A registry with everything around it in the test's hands, and several gateways on one store."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from ttagw.attempt import Instance, Service
from ttagw.config import Service as ServiceConfig
from ttagw.config.services import Breaker as BreakerSettings
from ttagw.core.breaker import State
from ttagw.registry.checks import Told, Verdict
from ttagw.registry.events import Event, Events
from ttagw.registry.ledger import Ledger
from ttagw.registry.records import Origin, Record
from ttagw.registry.registry import TICK, Registry
from ttagw.store.base import StoreAwayError, StoreError, StoreRefusedError
from ttagw.testing import ScriptedPool, instance, service

ONE = BreakerSettings(consecutive_failures=1, open_for=30.0, half_open_calls=1)
"""A breaker that opens at once."""

GOOD = Verdict(True, "", 0.01)
BAD = Verdict(False, "timeout", 2.0)


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns that waits for nothing."""
    results: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    (result,) = results
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


class Checker:
    """The poller: checks are made when the test says so."""

    def __init__(self) -> None:
        self.watched: dict[Any, tuple[Any, float, Told]] = {}
        self.hurried: list[Any] = []
        self.begun: list[Any] = []

    def watch(
        self, key: Any, probe: Any, interval: float, told: Told, first: float | None = None, *, timeout: float = 2.0
    ) -> None:
        assert key not in self.watched
        self.watched[key] = (probe, interval, told)
        self.begun.append(key)

    def forget(self, key: Any) -> None:
        self.watched.pop(key, None)

    def hurry(self, key: Any) -> None:
        self.hurried.append(key)


class Fleet:
    """Services `a`, `b`, `c` or as given, without instances."""

    def __init__(
        self, configs: Mapping[str, ServiceConfig] | None = None, *, clock: Clock | None = None, guard: Any = ONE
    ) -> None:
        self.clock = clock or Clock()
        if not self.clock.seconds():
            self.clock.advance(1000.0)
        self.configs = dict(configs or {name: config() for name in "abc"})
        self.services = {name: self._service(name) for name in self.configs}
        self.guard = guard
        self.checker = Checker()
        self.events = Events(self.clock.seconds)
        self.told: list[Event] = []
        self.events.listen(self.told.append)
        self.retired: list[str] = []
        self.registry = Registry(
            {name: (each, self.services[name]) for name, each in self.configs.items()},
            self._make,
            self._probe,
            self.checker,
            self.events,
            self.clock,
            self.clock.seconds,
        )
        self.registry.start()

    def _service(self, name: str) -> Service:
        made = service([], self.clock.seconds)
        made.name = name
        made.breaker = type(made.breaker)(ONE, self.clock.seconds())
        return made

    def _make(self, record: Record) -> Instance:
        if "bad" in record.url:
            raise ValueError("this URL cannot be used")
        pool: Any = ScriptedPool()
        pool.stop = lambda: self.retired.append(record.url)
        made = instance(record.id, pool, self.clock.seconds, self.guard, weight=record.weight, zone=record.zone)
        made.name = record.url
        return made

    def _probe(self, record: Record, settings: ServiceConfig) -> Any:
        return None if (record.health or settings.health).type == "none" else object()

    def put(self, name: str, **more: Any) -> bool:
        lease = more.pop("lease", 0.0)
        slowly = more.pop("slowly", False)
        return self.registry.put(record(name, **more), slowly=slowly, lease=lease)

    def check(self, id_: str, verdict: Verdict, times: int = 1, *, of: str = "a") -> bool:
        """So many checks of an instance end like that. Returns whether the next one should come soon."""
        for _ in range(times):
            soon = self.checker.watched[of, id_][2](verdict)
        return soon

    def fails(self, id_: str, *, of: str = "a") -> None:
        """A request to an instance fails, which opens its breaker."""
        breaker = self.member(id_, of=of).instance.breaker
        breaker.failure(breaker.admit(self.now), 0.1, self.now)

    def succeeds(self, id_: str, *, of: str = "a") -> None:
        breaker = self.member(id_, of=of).instance.breaker
        breaker.success(breaker.admit(self.now), 0.1, self.now)

    def breaks(self, of: str) -> None:
        """The breaker of a service opens."""
        breaker = self.services[of].breaker
        breaker.failure(breaker.admit(self.now), 0.1, self.now)
        assert breaker.state is State.OPEN

    def member(self, id_: str, *, of: str = "a") -> Any:
        return self.registry.groups[of].members[id_]

    def asked(self, of: str = "a") -> list[list[str]]:
        """Who can be asked, by zone."""
        return [[each.label.decode() for each in tier] for tier in self.services[of].tiers]

    def state(self, id_: str = "", *, of: str = "a") -> str:
        group = self.registry.groups[of]
        return group.members[id_].state if id_ else group.state

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.clock.advance(TICK)

    def take(self) -> list[str]:
        """The events since the last call: kind, instance or service, reason."""
        told = [f"{each.kind} {each.instance or each.service} {each.reason}".strip() for each in self.told]
        self.told.clear()
        return told

    @property
    def now(self) -> float:
        return self.clock.seconds()


def config(**more: Any) -> ServiceConfig:
    return ServiceConfig.model_validate({"instances": [], "slow_start": "0s", **more})


def record(name: str, *, of: str = "a", url: str = "", origin: Origin = Origin.SELF, **more: Any) -> Record:
    return Record(of, name, url or f"http://{name}", origin=origin, **more)


class Port:
    """A shared store as one gateway reaches it. Word of changes waits until the test delivers it."""

    shared = True

    def __init__(self, data: SharedData) -> None:
        self._data = data
        self.state_up = True
        self.slow = False
        self.full = False
        self.held: list[Deferred[None]] = []
        """Operations that have not been done yet."""
        self.notices: list[tuple[str, bytes | None]] = []
        self.watchers: list[Callable[[str, bytes | None], None]] = []
        self.listeners: list[Callable[[Any], None]] = []
        data.ports.append(self)

    @property
    def up(self) -> bool:
        return self.state_up

    def become(self, up: bool) -> None:
        if self.state_up == up:
            return
        self.state_up = up
        if not up:
            self.notices.clear()
        for each in list(self.listeners):
            each(self)

    async def _turn(self) -> None:
        if not self.state_up:
            raise StoreAwayError("away")
        if self.slow:
            self.held.append(Deferred())
            await self.held[-1]
            if not self.state_up:
                raise StoreAwayError("timeout")

    async def get(self, key: str) -> bytes | None:
        await self._turn()
        return self._data.get(key)

    async def scan(self, prefix: str) -> Mapping[str, bytes]:
        await self._turn()
        return {
            key: self._data.get(key)
            for key in list(self._data.kept)
            if key.startswith(prefix) and self._data.get(key) is not None
        }  # type: ignore[misc]

    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        await self._turn()
        if self.full:
            raise StoreRefusedError("full")
        self._data.put(key, value, ttl)

    async def delete(self, key: str) -> bool:
        await self._turn()
        return self._data.kept.pop(key, None) is not None

    async def swap(self, key: str, expected: bytes | None, value: bytes, ttl: float | None = None) -> bool:
        await self._turn()
        if self.full:
            raise StoreRefusedError("full")
        if self._data.get(key) != expected:
            return False
        self._data.put(key, value, ttl)
        return True

    def watch(self, prefix: str, notice: Callable[[str, bytes | None], None]) -> Callable[[], None]:
        self.watchers.append(notice)
        return lambda: self.watchers.remove(notice)

    def on_state(self, told: Callable[[Any], None]) -> Callable[[], None]:
        self.listeners.append(told)
        return lambda: self.listeners.remove(told)

    def deliver(self, place: int = 0) -> None:
        key, value = self.notices.pop(place)
        for each in list(self.watchers):
            each(key, value)

    def release(self, place: int = 0) -> None:
        """Let an operation be done."""
        self.held.pop(place).callback(None)


class SharedData:
    """What all gateways share."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self.kept: dict[str, tuple[bytes, float]] = {}
        self.ports: list[Port] = []

    @property
    def registrations(self) -> dict[str, tuple[bytes, float]]:
        """Only what is about instances."""
        return {key: each for key, each in self.kept.items() if key.startswith("instances/")}

    def get(self, key: str) -> bytes | None:
        value, over = self.kept.get(key, (None, 0.0))
        return value if self._seconds() < over else None

    def put(self, key: str, value: bytes, ttl: float | None) -> None:
        self.kept[key] = (value, self._seconds() + (float("inf") if ttl is None else ttl))
        for port in self.ports:
            if port.state_up:
                port.notices.append((key, value))


class Gateway:
    """A registry and its ledger."""

    def __init__(self, name: str, data: SharedData, wall: Callable[[], float], start: float = 1000.0) -> None:
        """`start`: its own monotonic time, which is nobody else's."""
        clock = Clock()
        clock.advance(start)
        self.fleet = Fleet(clock=clock)
        self.port = Port(data)
        self.ledger = Ledger(self.port, self.fleet.registry, name, clock, wall, StoreError)
        run(self.ledger.start())

    def begin(self, coroutine: Coroutine[Any, Any, Any]) -> list[Any]:
        """What it has returned, when it has."""
        results: list[Any] = []
        Deferred.fromCoroutine(coroutine).addBoth(results.append)
        return results

    def instances(self) -> dict[str, int]:
        """Those that are there and not on their way out, with their weights."""
        return {
            f"{name}/{id_}": member.record.weight
            for name, group in self.fleet.registry.groups.items()
            for id_, member in group.members.items()
            if not member.draining
        }
