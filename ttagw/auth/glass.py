"""Breaking the glass: reaching somebody whom the caller does not care for, with a reason, for a while, never unseen.

First a record is stored, then the window is, then an alert goes out, and only then is anybody let in. What cannot be
stored lets nobody in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from math import ceil
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ttagw.auth.glass_records import Record, Records
from ttagw.auth.glass_terms import Tell, Terms
from ttagw.auth.grants import Grant, Grants, Opened, Place
from ttagw.auth.rarely import Rarely
from ttagw.auth.shared import Shared
from ttagw.core.glass import reason_of
from ttagw.core.identity import Identity
from ttagw.errors import AccessRefusedError, AccessUnknownError, GlassLimitError, GlassReasonError
from ttagw.model import Exchange

HEADER = b"x-break-glass-reason"

ALERT_EVERY = 60.0
"""Seconds between two alerts about one caller and one person, and between two events about one caller who may not."""

MOST_REASONS = 10
"""Reasons that are recorded for one caller and one person without a pause; further ones change nothing."""

MOST_RECORDING = 100
"""Records that are being written at once."""

WRITE_USES = 1.0
"""Seconds after which the store knows of a use."""


class Glass:
    """Who has broken it, and what is written down about that."""

    log = Logger()

    def __init__(
        self,
        terms: Terms,
        records: Records,
        grants: Grants,
        tell: Tell,
        clock: Any,
        failures: type[Exception],
        *,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
        new_id: Callable[[], bytes],
        revoked: Callable[[str, float], bool],
    ) -> None:
        """`failures` is what the store raises; `new_id` makes UUIDs of version 7; `revoked` says of a user whether what
        they got at that Unix time is taken back.
        """
        self._terms = terms
        self._records = records
        self._grants = grants
        self._tell = tell
        self._failures = failures
        self._wall = wall
        self._new_id = new_id
        self._revoked = revoked
        self._alerts = Rarely(ALERT_EVERY, monotonic)
        self._refusals = Rarely(ALERT_EVERY, monotonic)
        self._recording: Shared[Grant] = Shared(MOST_RECORDING)
        self._opening: list[Place] = []
        """Of what is being recorded."""
        self._unwritten: dict[str, Grant] = {}
        self._writing: Deferred[Any] | None = None
        self._loop = LoopingCall(self._write_uses)
        self._loop.clock = clock
        self.outcomes: dict[str, int] = {}
        """What became of reasons: `recorded`, `not_recorded`, `refused`, `no_mfa`, `bad_reason`, `too_many`."""
        self.uses = 0
        """Requests that were let through."""
        grants.heard = self._heard

    # Life

    def start(self) -> None:
        """Know who has broken it already."""
        self._grants.start()
        self._loop.start(WRITE_USES, now=False)

    async def stop(self) -> None:
        """What is not written yet is tried for once more."""
        self._grants.stop()
        self._recording.stop()
        if self._loop.running:
            self._loop.stop()
        for _ in range(2):
            # What came while others were being written is one more to write.
            self._write_uses()
            if self._writing is not None:
                await self._writing

    # Deciding

    def may_break(self, identity: Identity) -> bool:
        """Whether the glass is there for this caller to break."""
        return not self._terms.roles.isdisjoint(identity.roles)

    def grant(self, identity: Identity, person: str) -> Grant | None:
        """The window that is open for this caller, as they are now, and this person.

        One who was revoked since it was opened, and has signed in again, has to give a reason again.
        """
        grant = self._grants.find(_place(identity, person))
        if grant is None or not identity.mfa or not self.may_break(identity):
            return None
        return None if self._revoked(identity.user, grant.opened.ends - grant.opened.lasts) else grant

    def use(self, exchange: Exchange, grant: Grant) -> bool:
        """Let a request through because of a window."""
        exchange.access = grant.access
        self.uses += 1
        uses = grant.uses
        name = exchange.route.name
        uses.count += 1
        uses.last = self._wall()
        uses.routes[name] = uses.routes.get(name, 0) + 1
        self._unwritten[grant.uses_key] = grant
        return True

    def open(
        self, exchange: Exchange, identity: Identity, person: str, values: Sequence[bytes]
    ) -> bool | Deferred[bool]:
        """Whether the caller is let in for the reason in `values`, all that was sent.

        Raises, or fails with, `AccessRefusedError`, `GlassReasonError`, `GlassLimitError` or `AccessUnknownError`.
        """
        if not self.may_break(identity):
            self._refused(identity)
            return False
        if not identity.mfa:
            self._count("no_mfa")
            detail = "Breaking the glass needs a second factor. Signing in again with it opens this address."
            raise AccessRefusedError("mfa_missing", "mfa", detail)
        reason = reason_of(values)
        if not reason:
            self._count("bad_reason")
            raise GlassReasonError("reason_twice" if len(values) > 1 else "")
        place = _place(identity, person)
        digest = blake2b(reason.encode("utf-8"), digest_size=16).hexdigest()
        grant = self.grant(identity, person)
        if grant is not None and (digest in grant.opened.reasons or len(grant.opened.reasons) >= MOST_REASONS):
            return self.use(exchange, grant)
        route, request_id = exchange.route.name, exchange.id.decode("ascii")
        recorded = self._recording.ask(
            (place, digest), lambda: self._record(identity, place, reason, digest, route, request_id)
        )
        if recorded is None:
            self._count("not_recorded")
            if grant is not None:
                return self.use(exchange, grant)
            raise AccessUnknownError("not_recorded", retry_after=1)
        return recorded.addCallbacks(
            lambda found: self.use(exchange, found),
            lambda failure: self._use_if_open(failure, exchange, identity, person),
        )

    def _use_if_open(self, failure: Failure, exchange: Exchange, identity: Identity, person: str) -> bool:
        """A further reason that cannot be recorded closes nothing: the first one is on record."""
        failure.trap(AccessUnknownError)
        grant = self.grant(identity, person)
        if grant is None:
            failure.raiseException()
        return self.use(exchange, grant)

    def _refused(self, identity: Identity) -> None:
        self._count("refused")
        if self._refusals.due((identity.kind, identity.issuer, identity.user)):
            self._tell("break_glass_refused", "", "", "role_missing", "warn")

    def _must_have_room(self, place: Place) -> None:
        """Whoever reads one person after the other is no emergency. Raises `GlassLimitError`."""
        left = self._grants.seconds_left(place)
        taken = {*left, *[each for each in self._opening if each[:3] == place[:3]]}
        if place in taken or len(taken) < self._terms.most:
            return
        self._count("too_many")
        if self._refusals.due(("too_many", *place[:3])):
            self._tell("break_glass_refused", "", "", "too_many", "alert")
        raise GlassLimitError(retry_after=ceil(min(left.values(), default=1.0)))

    def _count(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    # Recording

    async def _record(
        self, identity: Identity, place: Place, reason: str, digest: str, route: str, request_id: str
    ) -> Grant:
        if not self._terms.durable:
            self._count("not_recorded")
            self.log.warn("the glass cannot be broken: the store keeps nothing through a restart")
            raise AccessUnknownError("not_recorded", retry_after=60)
        self._must_have_room(place)
        id_ = self._new_id().decode("ascii")
        now = self._wall()
        ends = now + self._terms.lasts
        record = Record(
            id=id_,
            time=now,
            ends=ends,
            caller=identity.user,
            kind=identity.kind,
            issuer=identity.issuer,
            roles=tuple(sorted(identity.roles)),
            person=place.person,
            reason=reason,
            route=route,
            request_id=request_id,
            gateway=self._terms.gateway,
        )
        self._opening.append(place)
        try:
            await self._records.write(record)
            before = self._grants.find(place)
            reasons = (digest,) if before is None else (*before.opened.reasons, digest)
            alert = self._alerts.due(place)
            opened = Opened(id=id_, place=place, lasts=self._terms.lasts, ends=ends, reasons=reasons, alerted=alert)
            # Once it is recorded somebody must hear of it, whatever becomes of the window.
            self._tell("break_glass", "", id_, "opened" if before is None else "again", "alert" if alert else "warn")
            grant = await self._grants.write(opened)
        except self._failures:
            self._count("not_recorded")
            raise AccessUnknownError("not_recorded", retry_after=1) from None
        finally:
            self._opening.remove(place)
        self._count("recorded")
        return grant

    def _heard(self, opened: Opened) -> None:
        if opened.alerted:
            self._alerts.said(opened.place)

    def _write_uses(self) -> None:
        if self._writing is None and self._unwritten:
            self._writing = Deferred.fromCoroutine(self._write_all())
            self._writing.addBoth(self._written)

    async def _write_all(self) -> None:
        """What the store does not take is written later; it counts up meanwhile."""
        for key, grant in list(self._unwritten.items()):
            count = grant.uses.count
            await self._records.write_uses(grant.opened.id, key, grant.uses)
            if grant.uses.count == count:
                self._unwritten.pop(key, None)

    def _written(self, result: object) -> None:
        self._writing = None
        if isinstance(result, Failure) and not result.check(CancelledError, self._failures):
            self.log.failure("uses of break-glass could not be written down", failure=result)

    # Telling

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        reasons = CounterMetricFamily("ttagw_break_glass", "Reasons that were given.", labels=["outcome"])
        for outcome, count in self.outcomes.items():
            reasons.add_metric([outcome], count)
        uses = CounterMetricFamily("ttagw_break_glass_uses", "Requests let through because the glass was broken.")
        uses.add_metric([], self.uses)
        windows = GaugeMetricFamily("ttagw_break_glass_open", "Callers and persons between whom it is broken.")
        windows.add_metric([], self._grants.open)
        yield from (reasons, uses, windows)


def reasons_in(exchange: Exchange) -> list[bytes]:
    """Every value of the header."""
    credentials = exchange.credentials
    return [] if credentials is None else [value for name, value in credentials if name == HEADER]


def _place(identity: Identity, person: str) -> Place:
    return Place(identity.kind, identity.issuer, identity.user, person)
