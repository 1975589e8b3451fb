"""Instances that DNS lists (RFC 2782): `srv+http://NAME` and `srv+https://NAME` in `[services.*]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.names import dns

from ttagw.core.backoff import full_jitter
from ttagw.registry.records import Origin, Record
from ttagw.registry.sources import State, Tell, Update
from ttagw.wire.dns import Answer, BadNameError, Outcome

JITTER = 0.1
"""Up to this share of their time more passes before records are asked for again."""
RETRY, LATEST_RETRY = 1.0, 10.0
"""Seconds between tries while it fails: at least the first, and chance up to about the second."""
MOST_WEIGHT = 1000
MOST = 1000
"""Instances that are taken from one answer."""

_HOST = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")


class Asked(Protocol):
    """Who is asked for records."""

    async def look_up(self, name: str, *kinds: int) -> list[Answer]:
        """The records of each kind. Raises `BadNameError`."""


class SrvSource:
    """Follows the SRV records of a name, for as long each time as they may be used.

    Only those of the best priority count: others are for a client that knows which targets it cannot reach. A weight of
    0 is a small one, and here 1. When DNS fails, or has no record, what it said last still counts; the target "." says
    that there is nothing.
    """

    log = Logger()

    def __init__(
        self,
        service: str,
        url: str,
        zone: str,
        tell: Tell,
        asked: Asked,
        clock: IReactorTime,
        random: Callable[[], float],
    ) -> None:
        self._service = service
        self._scheme, _, self._name = url.removeprefix("srv+").partition("://")
        self._zone = zone
        self._asked = asked
        self._clock = clock
        self._random = random
        self._state = State(service, tell)
        self._records: tuple[Record, ...] | None = None
        self._update: Update
        self._tries = 0
        self._asking: Deferred[None] | None = None
        self._call: IDelayedCall | None = None
        self._running = False

    def start(self, update: Update) -> None:
        """Ask now, and again whenever the time of the answer is over."""
        self._update = update
        self._running = True
        self._ask()

    def stop(self) -> None:
        """Ask no more."""
        self._running = False
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._asking is not None:
            self._asking.cancel()

    def _ask(self) -> None:
        self._call = None
        asking = Deferred.fromCoroutine(self._refresh())
        if not asking.called:
            self._asking = asking

    async def _refresh(self) -> None:
        wait = 0.0
        try:
            wait = await self._once()
        except CancelledError:
            pass  # stopped
        except Exception:
            self.log.failure("{service}: {name} could not be followed", service=self._service, name=self._name)
        self._asking = None
        if self._running:
            self._call = self._clock.callLater(wait or self._backoff(), self._ask)

    async def _once(self) -> float:
        """Ask, and hand on what has changed. Seconds until the next time; 0 when it has failed."""
        try:
            (answer,) = await self._asked.look_up(self._name, dns.SRV)
        except BadNameError:
            answer = Answer(Outcome.FAILED, reason="bad_name")
        records: tuple[Record, ...] = ()
        reason = answer.reason or "no_records"
        if answer.outcome is Outcome.FOUND:
            usable = _usable(answer.records)
            records = tuple([self._record(*each) for each in usable])
            reason = "" if records or _says_none(answer.records) else "bad_records"
        if reason:
            if self._state.bad(f"dns_{reason}"):
                self.log.warn(
                    "{service}: {name} gives no instances ({reason}); the last ones are kept",
                    service=self._service,
                    name=self._name,
                    reason=reason,
                )
            return 0.0
        if self._state.good():
            self.log.info("{service}: {name} gives instances again", service=self._service, name=self._name)
        self._tries = 0
        if records != self._records:
            self._records = records
            self._update(records)
        return answer.ttl * (1.0 + JITTER * self._random())

    def _backoff(self) -> float:
        self._tries += 1
        return RETRY + full_jitter(self._tries, RETRY, LATEST_RETRY - RETRY, self._random)

    def _record(self, host: str, port: int, weight: int) -> Record:
        place = f"{host}:{port}"
        return Record(self._service, place, f"{self._scheme}://{place}", weight, self._zone, origin=Origin.DNS)


def _says_none(rows: Sequence[Any]) -> bool:
    return all(row.target.name in (b"", b".") for row in rows)


def _usable(rows: Sequence[Any]) -> list[tuple[str, int, int]]:
    """Host, port and weight of the records of the best priority that can be used, in a fixed order, each place once."""
    good = [(row.priority, host, row) for row in rows if row.port and (host := _host(row.target.name))]
    best = min([priority for priority, _, _ in good], default=0)
    weights: dict[tuple[str, int], int] = {}
    for priority, host, row in good:
        if priority == best:
            weights[host, row.port] = min(max(row.weight, weights.get((host, row.port), 1)), MOST_WEIGHT)
    return [(*place, weight) for place, weight in sorted(weights.items())[:MOST]]


def _host(raw: bytes) -> str:
    """The name of a target; "" if it cannot be that of a host."""
    text = raw.decode("latin-1").rstrip(".").lower()
    return text if _HOST.fullmatch(text) else ""
