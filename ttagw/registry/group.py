"""The instances of one service: who is asked, who is left out and why, and who comes back how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ttagw.attempt import Instance, Service
from ttagw.config import Service as ServiceConfig
from ttagw.core.breaker import State
from ttagw.core.rotation import decide
from ttagw.registry.events import Events
from ttagw.registry.member import Member
from ttagw.registry.records import Record

MakeInstance = Callable[[Record], Instance]
"""Builds what carries requests to an instance. Raises `ValueError` for a URL that cannot be used."""

_FREE = frozenset((State.CLOSED, State.FORCED_CLOSED))
"""A breaker that is one of these has nothing to say about a request."""
_FREE_ALONE = frozenset(State) - {State.FORCED_OPEN}

LONGEST_DRAIN = 30.0
"""Seconds that an instance which leaves may take to finish what it was asked."""


class Group:
    """One service and its members, in the order in which they came."""

    def __init__(
        self,
        config: ServiceConfig,
        service: Service,
        make: MakeInstance,
        events: Events,
        monotonic: Callable[[], float],
    ) -> None:
        self.config = config
        self.service = service
        self.name = service.name
        self.members: dict[str, Member] = {}
        self.leaving: list[Instance] = []
        """Instances whose record was replaced, until they have finished."""
        self.panic = False
        self.degraded_by: tuple[str, ...] = ()
        self._make = make
        self._events = events
        self._monotonic = monotonic
        self._zones = list(dict.fromkeys(each.zone for each in config.instances))
        self._settled = False
        self._held = 0
        self._unfit: set[str] = set()
        self.version = 0
        """Another one after each change that may matter to others."""
        self.gone: Callable[[str, str], None] = lambda service, id_: None  # noqa: ARG005
        """Told whenever an instance is no member any more."""

    # Coming and going

    def join(self, record: Record, now: float, *, slowly: bool = False) -> Member:
        """A new instance, or one that is declared differently from before. Raises `ValueError` for a bad URL."""
        old = self.members.get(record.id)
        if old is not None and old.record.url == record.url:
            return self._change(old, record, now)
        instance = self._make(record)
        settings = record.health or self.config.health
        member = Member(record, settings, instance, self._rank(record.zone), now)
        instance.breaker.watch(lambda _, after: self._breaker_changed(member, after))
        if old is not None:
            self._retire(old)
            self._events.tell("instance_changed", self.name, record.id, "url")
        else:
            self._events.tell("instance_joined", self.name, record.id, record.origin.value)
        self.members[record.id] = member
        if slowly and len(self.members) > 1:
            member.begin_slowly(now, self.config.slow_start)
        self.refresh(now)
        return member

    def _change(self, member: Member, record: Record, now: float) -> Member:
        back = member.draining
        if not back and member.record == record:
            return member  # a heartbeat that somebody else has heard: of thousands there are hundreds a second
        if member.record != record:
            member.record = record
            member.instance.full = record.weight
            member.instance.weight = record.weight
            if member.slow_from >= 0.0:
                member.warm(now, self.config.slow_start)
            member.rank = self._rank(record.zone)
            self._events.tell("instance_changed", self.name, record.id, "record")
            if member.set(record.health or self.config.health, now):
                self._events.tell("instance_up", self.name, record.id, "unchecked")
        if back:
            member.draining = 0.0
            self._events.tell("instance_joined", self.name, record.id, "back")
        self.refresh(now)
        return member

    def _rank(self, zone: str) -> int:
        if zone not in self._zones:
            self._zones.append(zone)
        return self._zones.index(zone)

    def drain(self, id: str, now: float, reason: str) -> None:  # noqa: A002 - what it is called everywhere
        """It is asked no more, and leaves when it has finished; unknown ids are nobody's."""
        member = self.members.get(id)
        if member is None or member.draining:
            return
        member.draining = now
        member.restless = True
        # It renews nothing any more, and may take longer than what is left of its lease.
        member.ends = 0.0
        self._events.tell("instance_draining", self.name, id, reason)
        self.refresh(now)
        if not member.instance.in_flight:
            self.leave(id, now, "drained")

    def leave(self, id: str, now: float, reason: str) -> None:  # noqa: A002
        """It is gone: what is under way there may still end well, but nothing is waited for."""
        member = self.members.pop(id, None)
        if member is None:
            return
        self._retire(member)
        self._unfit.discard(id)
        self.gone(self.name, id)
        self._events.tell("instance_left", self.name, id, reason, "warn" if reason == "lease_expired" else "info")
        self.refresh(now)

    def _retire(self, member: Member) -> None:
        member.instance.pool.stop()
        if member.instance.in_flight:
            self.leaving.append(member.instance)

    def _sweep(self, now: float) -> None:
        with self.at_once(now):
            for id_, member in list(self.members.items()):
                if member.draining and (not member.instance.in_flight or now - member.draining >= LONGEST_DRAIN):
                    self.leave(id_, now, "drained")
        self.leaving = [each for each in self.leaving if each.in_flight]

    # How they do

    def took(self, member: Member, changed: bool, now: float) -> None:
        """A check of this member has ended; `changed`: it has gone up or down by that."""
        self._note_unfit(member)
        if not changed:
            if member.ejected and not member.instance.breaker.wait(now):
                self.refresh(now)
            return
        id_ = member.record.id
        reason = member.last.reason if member.last is not None else ""
        if member.health.up:
            member.begin_slowly(now, self.config.slow_start)
            self._events.tell("instance_up", self.name, id_)
        else:
            self._events.tell("instance_down", self.name, id_, reason, "alert")
        self.refresh(now)
        if not member.health.up:
            member.instance.pool.move()

    def _note_unfit(self, member: Member) -> None:
        """One alert is enough for a service: its instances are most likely all of a kind."""
        id_ = member.record.id
        if not member.unfit:
            self._unfit.discard(id_)
        elif id_ not in self._unfit:
            if not self._unfit and member.last is not None:
                self._events.tell("check_unfit", self.name, id_, member.last.reason, "alert")
            self._unfit.add(id_)

    def _breaker_changed(self, member: Member, after: State) -> None:
        id_ = member.record.id
        if self.members.get(id_) is not member:
            return
        now = self._monotonic()
        if after is State.OPEN:
            member.opened_at(now)
        elif after is State.CLOSED and member.ejected:
            member.ejected = False
            member.begin_slowly(now, self.config.slow_start)
            self._events.tell("instance_returned", self.name, id_)
        elif after in (State.FORCED_OPEN, State.FORCED_CLOSED):
            member.ejected = False
            self._events.tell("instance_forced", self.name, id_, after.value, "warn")
        self.refresh(now)

    @contextmanager
    def at_once(self, now: float) -> Iterator[None]:
        """Several changes, and one decision after all of them: with thousands of instances each costs a millisecond."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            self.refresh(now)

    def refresh(self, now: float) -> None:
        """Decide anew who is asked."""
        self.version += 1
        if self._held:
            return
        members = list(self.members.values())
        decision = decide([each.standing(now) for each in members])
        for place, member in enumerate(members):
            kept = place in decision.kept
            member.instance.kept = kept and len(members) > 1
            # Of one alone the service's own breaker says it all; its own would say the same twice.
            free = _FREE if len(members) > 1 else _FREE_ALONE
            member.instance.guarded = member.instance.breaker.state not in free
            if place in decision.ejected and not member.ejected:
                member.ejected = True
                self._events.tell("instance_ejected", self.name, member.record.id, "failures", "alert")
            elif kept and member.ejected:
                member.ejected = False
                self._events.tell("instance_returned", self.name, member.record.id, "too_few_left")
        self._note_panic(len(decision.kept) if len(members) > 1 else 0)
        tiers = tuple(tuple(members[place].instance for place in tier) for tier in decision.tiers)
        service = self.service
        service.instances = [each.instance for each in members]
        chosen = {place for tier in decision.tiers for place in tier}
        service.spare = [each.instance for place, each in enumerate(members) if place not in chosen and each.spare]
        asked = {id(each) for tier in service.tiers for each in tier}
        for tier in tiers:
            for instance in tier:
                if id(instance) not in asked:
                    # What it took when it failed says nothing about how it is now, and would keep everybody away.
                    instance.latency = 0.0
        if tiers != service.tiers:
            before = bool(service.rotation)
            service.offer(tiers)
            self._note_service(before, bool(service.rotation))

    def _note_panic(self, kept: int) -> None:
        if bool(kept) != self.panic:
            self.panic = bool(kept)
            kind = "panic_began" if kept else "panic_ended"
            self._events.tell(kind, self.name, "", "too_few_left", "alert" if kept else "info")

    def _note_service(self, before: bool, after: bool) -> None:
        if before == after:
            return
        if not after:
            reason = "no_healthy_instance" if self.members else "no_instance"
            self._events.tell("service_down", self.name, "", reason, "alert")
        elif self._settled:
            self._events.tell("service_up", self.name)
        self._settled = True

    def service_breaker_changed(self, before: State, after: State) -> None:  # noqa: ARG002 - a breaker's own call
        """The service's own breaker has changed."""
        severity = "alert" if after is State.OPEN else "warn" if after is State.FORCED_OPEN else "info"
        self._events.tell(f"circuit_{after.value}", self.name, "", after.value, severity)

    def tick(self, now: float) -> None:
        """What only time brings about: called a few times a second."""
        again = leaving = False
        # Of thousands of instances few wait for time to pass.
        for member in [each for each in self.members.values() if each.restless]:
            if member.slow_from >= 0.0:
                member.warm(now, self.config.slow_start)
            opened = member.instance.breaker.state is State.OPEN
            again = again or (opened and not member.instance.breaker.wait(now))
            leaving = leaving or bool(member.draining)
            member.restless = opened or bool(member.draining) or member.slow_from >= 0.0
        if again:
            self.refresh(now)
        if self.leaving or leaving:
            self._sweep(now)

    # What others ask

    @property
    def down(self) -> bool:
        """Whether nobody can be asked."""
        return not self.service.rotation or self._circuit_open

    @property
    def _circuit_open(self) -> bool:
        return self.service.breaker.state in (State.OPEN, State.FORCED_OPEN)

    def down_without(self, lacking: Callable[[Sequence[str]], tuple[str, ...]]) -> bool:
        """Whether nobody could be asked while it has to do without what `lacking` says."""
        if self._circuit_open:
            return True
        able = [each for each in self.members.values() if each.able]
        if not self.config.require_dependencies:
            return not able
        return bool(lacking(self.config.dependencies)) or all(lacking(each.record.dependencies) for each in able)

    def missing(self, without: Sequence[str], lacking: Callable[[Sequence[str]], tuple[str, ...]], now: float) -> None:
        """What it has to do without, as a service and instance by instance, has changed or not."""
        without = tuple(without)
        if without != self.degraded_by:
            kind = "service_degraded" if without else "service_whole"
            reason = without[0] if without else ""
            self.degraded_by = without
            self._events.tell(kind, self.name, "", reason, "warn" if without else "info")
        again = False
        for member in self.members.values():
            member.without = tuple(dict.fromkeys((*without, *lacking(member.record.dependencies))))
            barred = bool(member.without) and self.config.require_dependencies
            again = again or barred != member.barred
            member.barred = barred
        if again:
            self.refresh(now)

    @property
    def state(self) -> str:
        """In one word: up, degraded, panic, circuit_open, down."""
        if not self.service.rotation:
            return "down"
        if self._circuit_open:
            return "circuit_open"
        if self.panic:
            return "panic"
        return "degraded" if self.degraded_by else "up"

    def view(self, now: float) -> dict[str, Any]:
        """What people and programs can know about it."""
        breaker = self.service.breaker
        return {
            "name": self.name,
            "state": self.state,
            "panic": self.panic,
            "in_rotation": len(self.service.rotation),
            "dependencies": list(self.config.dependencies),
            "without": list(self.degraded_by),
            "breaker": {"state": breaker.state.value, "wait": round(breaker.wait(now), 1)},
            "instances": [each.view(now) for each in self.members.values()],
        }
