"""The registry: every service with its instances, kept true by what is declared, by leases and by checks.

It decides nothing about a request. It offers each service those of its instances that can be asked, and replaces what
it offers whenever something changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Protocol

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ttagw.attempt import Service
from ttagw.config import Service as ServiceConfig
from ttagw.core.breaker import State
from ttagw.registry.checks import Probe, Told, Verdict
from ttagw.registry.events import Events
from ttagw.registry.group import Group, MakeInstance
from ttagw.registry.member import Member
from ttagw.registry.records import Origin, Record

TICK = 0.25
"""Seconds between two looks at leases, breakers and slow starts."""

MOST_INSTANCES = 10_000
"""Instances of all services together, so that nobody can fill the memory by registering."""

_FORCES: Mapping[str, State | None] = {
    "forced_open": State.FORCED_OPEN,
    "forced_closed": State.FORCED_CLOSED,
    "auto": None,
}


class Checker(Protocol):
    """Who has instances checked: the poller."""

    def watch(
        self,
        key: Any,
        probe: Probe,
        interval: float,
        told: Told,
        first: float | None = None,
        *,
        timeout: float = 2.0,
    ) -> None:
        """Check from now on; a check that takes much longer than `timeout` is given up."""

    def forget(self, key: Any) -> None:
        """Check no more."""

    def hurry(self, key: Any) -> None:
        """Check now."""


MakeProbe = Callable[[Record, ServiceConfig], "Probe | None"]
"""Builds what checks an instance; None: it is not checked."""


class FullError(Exception):
    """`MOST_INSTANCES` are there."""

    def __init__(self) -> None:
        super().__init__(f"{MOST_INSTANCES} instances are there already")


class ConflictError(Exception):
    """Another service, or the configuration, has an instance of this id. The message says which."""


class Registry:
    """All services. Whatever changes is told to `events`."""

    log = Logger()

    def __init__(
        self,
        services: Mapping[str, tuple[ServiceConfig, Service]],
        make_instance: MakeInstance,
        make_probe: MakeProbe,
        checker: Checker,
        events: Events,
        clock: Any,
        monotonic: Callable[[], float],
    ) -> None:
        self.events = events
        self.groups = {
            name: Group(config, service, make_instance, events, monotonic)
            for name, (config, service) in services.items()
        }
        for group in self.groups.values():
            group.service.breaker.watch(group.service_breaker_changed)
            group.gone = self._gone
        self._needs = {name: _closure(name, services) for name in services}
        self._make_probe = make_probe
        self._checker = checker
        self._monotonic = monotonic
        self._judged: object = None
        """How everything was when it was looked at what depends on what."""
        self._running = False
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = clock
        self.health_changed: Callable[[Member], None] = lambda member: None  # noqa: ARG005
        """Told whenever an instance has gone up or down by its checks."""
        self.joined: Callable[[str, str], None] = lambda service, id_: None  # noqa: ARG005
        """Told service and id of each new instance."""
        self.lease_ended: Callable[[Record], None] = lambda record: None  # noqa: ARG005
        """Told whenever an instance has left because it was not heard of."""
        self.hold: Callable[[Record], float] = lambda record: 0.0  # noqa: ARG005
        """Asked when a lease is over: seconds that it lasts all the same, because nobody could have been heard of."""

    # Life

    def start(self) -> None:
        """Look at leases, breakers and slow starts, and have everybody checked."""
        self._running = True
        for group in self.groups.values():
            for member in group.members.values():
                self._check(group, member)
        self._ticking.start(TICK, now=False)

    def stop(self) -> None:
        """Look no more."""
        self._running = False
        if self._ticking.running:
            self._ticking.stop()

    def _tick(self) -> None:
        now = self._monotonic()
        for group in self.groups.values():
            try:
                group.tick(now)
                self._end_leases(group, now)
            except Exception:
                self.log.failure("{service}: its instances could not be looked after", service=group.name)
        try:
            self._judge(now)
        except Exception:
            self.log.failure("dependencies could not be looked at")

    def _end_leases(self, group: Group, now: float) -> None:
        over = [each for each in group.members.values() if each.ends and each.ends <= now]
        if not over:
            return
        with group.at_once(now):
            for member in over:
                more = self.hold(member.record)
                if more:
                    member.ends = now + more
                    continue
                self.leave(group.name, member.record.id, "lease_expired")
                self.lease_ended(member.record)

    # Who is there

    def put(self, record: Record, *, slowly: bool, lease: float = 0.0, heard: bool = False) -> bool:
        """An instance is declared, or declared anew. Returns whether it is new.

        `lease`: seconds until it leaves if it is not heard of. `heard`: another gateway has accepted it. Raises
        `KeyError` for an unknown service, `ConflictError` when the id is taken, `FullError`, and `ValueError` for a URL
        that cannot be used.
        """
        group = self.groups[record.service]
        self._may_have(record, group, heard=heard)
        now = self._monotonic()
        old = group.members.get(record.id)
        same = old is not None and old.record == record and not old.draining
        member = group.join(record, now, slowly=slowly)
        member.ends = now + lease if lease else 0.0
        if not same:
            self._check(group, member)
        if old is None:
            self.joined(group.name, record.id)
        return old is None

    def _may_have(self, record: Record, group: Group, *, heard: bool) -> None:
        # Two gateways that do not hear of each other may give one id to two services; then both have to stand, or each
        # would go on with its own.
        if record.origin is Origin.SELF and not heard:
            for name, each in self.groups.items():
                other = each.members.get(record.id)
                if each is not group and other is not None and other.record.origin is Origin.SELF:
                    raise ConflictError(f'an instance of "{name}" has this id')
        old = group.members.get(record.id)
        if old is not None and old.record.origin is not record.origin:
            raise ConflictError(f"an instance with this id is there already, from: {old.record.origin.value}")
        if old is None and sum([len(each.members) for each in self.groups.values()]) >= MOST_INSTANCES:
            raise FullError

    def _check(self, group: Group, member: Member) -> None:
        if not self._running:
            return
        key = (group.name, member.record.id)
        self._checker.forget(key)
        probe = self._make_probe(member.record, group.config)
        if probe is not None:
            settings = member.settings
            told = partial(self._told, group, member)
            self._checker.watch(key, probe, settings.interval, told, timeout=settings.timeout)

    def renew(self, service: str, id: str, lease: float) -> Member | None:  # noqa: A002
        """An instance was heard of. None: there is no such instance, or it is on its way out."""
        group = self.groups.get(service)
        member = group.members.get(id) if group is not None else None
        if member is None or member.draining or not member.ends:
            return None
        member.ends = self._monotonic() + lease
        return member

    def drain(self, service: str, id: str, reason: str) -> None:  # noqa: A002
        """An instance leaves when it has finished what it was asked."""
        self.groups[service].drain(id, self._monotonic(), reason)
        self._checker.forget((service, id))

    def leave(self, service: str, id: str, reason: str) -> None:  # noqa: A002
        """An instance is gone."""
        self.groups[service].leave(id, self._monotonic(), reason)

    def _gone(self, service: str, id_: str) -> None:
        self._checker.forget((service, id_))

    def replace(self, service: str, origin: Origin, records: Sequence[Record], *, slowly: bool) -> None:
        """These are all the instances of a service that come from `origin`: others of that origin leave."""
        wanted = {each.id: each for each in records}
        group = self.groups[service]
        with group.at_once(self._monotonic()):
            members = group.members
            for id_ in [key for key, each in members.items() if each.record.origin is origin and key not in wanted]:
                self.drain(service, id_, "not_listed")
            for record in records:
                try:
                    self.put(record, slowly=slowly)
                except (ConflictError, FullError, ValueError) as error:
                    self.log.warn(
                        "{service} {instance}: not taken: {why}", service=service, instance=record.id, why=str(error)
                    )
                except Exception:
                    if origin is Origin.CONFIG:
                        raise  # the start ends with it
                    self.log.failure("{service} {instance}: could not be taken", service=service, instance=record.id)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Several changes of any services, and one decision for each service after all of them."""
        now = self._monotonic()
        with ExitStack() as stack:
            for group in self.groups.values():
                stack.enter_context(group.at_once(now))
            yield

    # How they do

    def _told(self, group: Group, member: Member, verdict: Verdict) -> bool:
        now = self._monotonic()
        changed = member.took(verdict, now)
        group.took(member, changed, now)
        if changed:
            self._judge(now)
            self.health_changed(member)
        return member.doubtful(now)

    def _judge(self, now: float) -> None:
        """Look at what depends on what."""
        stands = [(each.version, each.service.breaker.state) for each in self.groups.values()]
        if stands == self._judged:
            return
        down: set[str] = set()

        def lacking(names: Sequence[str]) -> tuple[str, ...]:
            return tuple(
                dict.fromkeys(need for name in names for need in (name, *self._needs.get(name, ())) if need in down)
            )

        # Who is down by itself, then who is because of those, and so on: those who need each other must be able to come
        # back, which they could not if being left out because of the other counted as a reason of its own.
        found = True
        while found:
            more = {name for name, each in self.groups.items() if name not in down and each.down_without(lacking)}
            down |= more
            found = bool(more)
        for group in self.groups.values():
            group.missing(lacking(group.config.dependencies), lacking, now)
        self._judged = stands

    def remember_down(self, service: str, id: str) -> bool:  # noqa: A002
        """An instance was down when the gateway stopped. Whether it is there; what is known better by now is left."""
        group = self.groups.get(service)
        member = None if group is None else group.members.get(id)
        if group is not None and member is not None and member.settings.type != "none" and member.last is None:
            member.was_down(self._monotonic())
            group.refresh(self._monotonic())
        return member is not None

    def suspect(self, service: str, id: str, *, up: bool) -> bool:  # noqa: A002
        """Somebody else says that an instance is up or down. Whether that is news, to be looked at."""
        group = self.groups.get(service)
        member = None if group is None else group.members.get(id)
        if member is None or member.health.up == up or member.settings.type == "none":
            return False
        member.health.suspect()
        return True

    def force(self, service: str, id: str | None, state: str) -> None:  # noqa: A002
        """An operator decides about a breaker: `forced_open`, `forced_closed`, `auto`. Raises `KeyError`."""
        group = self.groups[service]
        breaker = group.service.breaker if id is None else group.members[id].instance.breaker
        breaker.force(_FORCES[state], self._monotonic())

    # What others ask

    def views(self) -> list[dict[str, Any]]:
        """All services, as people and programs can know them."""
        now = self._monotonic()
        return [group.view(now) for group in self.groups.values()]

    def view(self, service: str) -> dict[str, Any] | None:
        """One service."""
        group = self.groups.get(service)
        return None if group is None else group.view(self._monotonic())


def _closure(name: str, services: Mapping[str, tuple[ServiceConfig, Service]]) -> tuple[str, ...]:
    """Everything that a service depends on, directly or through others."""
    found: dict[str, None] = {}
    todo = list(services[name][0].dependencies)
    while todo:
        each = todo.pop()
        if each not in found and each in services:
            found[each] = None
            todo.extend(services[each][0].dependencies)
    return tuple(found)
