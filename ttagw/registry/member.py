"""One instance as the registry keeps it: what was declared, how its checks went, how long it may stay."""

from __future__ import annotations

from typing import Any

from ttagw.attempt import Instance
from ttagw.config.services import Health as HealthSettings
from ttagw.core.breaker import State
from ttagw.core.health import Health
from ttagw.core.rotation import Standing
from ttagw.registry.checks import Verdict
from ttagw.registry.records import Record

SOON = (2.5, 5.0, 10.0)
"""Seconds after which an instance that is left out, but whose checks are good, is tried again: the first time, the
second, and from then on. Without checks it waits for as long as its breaker says."""

ATTENTIVE = 60.0
"""Seconds for which an instance that has gone down is checked more often: most troubles are short."""

LEAST_SHARE = 0.1
"""Of its weight, with which an instance begins its slow start."""


class Member:
    """One instance of a service. Times are monotonic seconds."""

    def __init__(self, record: Record, settings: HealthSettings, instance: Instance, rank: int, now: float) -> None:
        self.record = record
        self.settings = settings
        self.instance = instance
        self.rank = rank
        """Of its zone."""
        self.joined = now
        self.health = Health(settings.healthy_after, settings.unhealthy_after, up=True)
        self.changed = now
        """When it last went up or down."""
        self.checks: dict[str, int] = {}
        """Checks by what they found; `good`, or why not."""
        self.last: Verdict | None = None
        self.proven = False
        """Whether a check was ever good."""
        self.unfit = False
        """Its checks ask for something that it does not have: they say nothing about it."""
        self.ends = 0.0
        """When its lease is over; 0: it has none."""
        self.draining = 0.0
        """Since when it is on its way out; 0: it is not."""
        self.restless = False
        """Time alone may change something about it: it drains, warms up, or its breaker waits."""
        self.slow_from = -1.0
        """When its slow start began; -1: it has none."""
        self.opened = 0.0
        """When its breaker opened last."""
        self.trips = 0
        """How often in a row it was left out."""
        self.ejected = False
        self.without: tuple[str, ...] = ()
        """Services that it depends on and that are down."""
        self.barred = False
        """It is not to be asked as long as it has to do without them."""

    def set(self, settings: HealthSettings, now: float) -> bool:
        """It is checked in another way from now on; what was found out stays.

        Returns whether it has come up by that: who is not checked is not down.
        """
        if settings == self.settings:
            return False
        self.settings = settings
        came_up = not self.health.up and settings.type == "none"
        self.health = Health(settings.healthy_after, settings.unhealthy_after, up=self.health.up or came_up)
        if came_up:
            self.changed = now
        return came_up

    def took(self, verdict: Verdict, now: float) -> bool:
        """A check has ended. Returns whether it has gone up or down by that."""
        self.last = verdict
        self.unfit = not self.proven and verdict.reason.startswith("status_4")
        if self.unfit:
            # It answers, and says that it knows no such question. Until that was ever answered well, the question is
            # what is wrong, and a service that works is not taken away for it.
            self.checks[verdict.reason] = self.checks.get(verdict.reason, 0) + 1
            return False
        if not self.proven:
            # Nothing speaks for it yet, nor against it: one result decides (as in HAProxy).
            self.health.suspect()
            self.proven = verdict.good
        key = "good" if verdict.good else verdict.reason
        self.checks[key] = self.checks.get(key, 0) + 1
        changed = self.health.passed(now) if verdict.good else self.health.failed(now)
        if changed:
            self.changed = now
        breaker = self.instance.breaker
        if verdict.good and breaker.state is State.OPEN and self.health.up:
            waited = now - self.opened
            if changed or waited >= SOON[min(self.trips, len(SOON)) - 1]:
                breaker.hasten(now)
        return changed

    def was_down(self, now: float) -> None:
        """It was down when it was last known."""
        settings = self.settings
        self.health = Health(settings.healthy_after, settings.unhealthy_after, up=False)
        self.changed = now

    def doubtful(self, now: float) -> bool:
        """Whether the next check should come soon."""
        down = not self.health.up and now - self.changed < ATTENTIVE
        return self.health.doubtful or down or self.ejected

    def opened_at(self, now: float) -> None:
        """Its breaker has opened."""
        self.restless = True
        self.trips = self.trips + 1 if now - self.opened < 10 * SOON[-1] else 1
        self.opened = now

    @property
    def able(self) -> bool:
        """Whether it could be asked if nothing else were missing."""
        return self.health.up and not self.draining and self.instance.breaker.state is not State.FORCED_OPEN

    @property
    def spare(self) -> bool:
        """Whether it may be asked where nobody else can, however its checks are: nobody has taken it out."""
        return not self.draining and self.instance.breaker.state is not State.FORCED_OPEN

    def standing(self, now: float) -> Standing:
        """How it stands."""
        breaker = self.instance.breaker
        waits = breaker.state is State.OPEN and breaker.wait(now) > 0.0
        up = self.health.up and not self.draining and not self.barred
        return Standing(self.rank, up, waits, breaker.state is State.FORCED_OPEN, self.opened)

    def begin_slowly(self, now: float, seconds: float) -> None:
        """It comes back, or is new: its share grows from a tenth to all of it within `seconds`."""
        if seconds > 0.0:
            self.slow_from = now
            self.restless = True
            self.warm(now, seconds)

    def warm(self, now: float, seconds: float) -> None:
        """Let its share grow."""
        share = (now - self.slow_from) / seconds
        if share >= 1.0:
            self.slow_from = -1.0
            share = 1.0
        self.instance.weight = self.record.weight * max(LEAST_SHARE, share)

    def view(self, now: float) -> dict[str, Any]:
        """What people and programs can know about it."""
        record, instance, last = self.record, self.instance, self.last
        return {
            "id": record.id,
            "url": record.url,
            "state": self.state,
            "origin": record.origin.value,
            "weight": record.weight,
            "share": round(instance.weight / record.weight, 3),
            "zone": record.zone,
            "version": record.version,
            "tags": list(record.tags),
            "dependencies": list(record.dependencies),
            "without": list(self.without),
            "health": {
                "type": self.settings.type,
                "up": self.health.up,
                "held_down": self.health.held(now),
                "seconds": round(now - self.changed, 1),
                "last": None
                if last is None
                else {"good": last.good, "reason": last.reason, "seconds": round(last.seconds, 4)},
            },
            "breaker": {"state": instance.breaker.state.value, "wait": round(instance.breaker.wait(now), 1)},
            "in_flight": instance.in_flight,
            "succeeded": instance.good,
            "failed": instance.bad,
            "latency": round(instance.latency, 4),
            "lease": round(self.ends - now, 1) if self.ends else None,
        }

    @property
    def state(self) -> str:
        """In one word; docs/registry.rst says what each means."""
        breaker = self.instance.breaker.state
        if self.draining:
            return "draining"
        if not self.health.up:
            return "down"
        if self.barred:
            return "barred"
        if breaker is State.FORCED_OPEN:
            return "forced_open"
        if self.ejected:
            return "probing" if breaker is State.HALF_OPEN else "ejected"
        if self.instance.kept:
            return "panic"
        if breaker is State.HALF_OPEN:
            return "probing"
        return "degraded" if self.without else "up"
