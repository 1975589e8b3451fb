"""Buckets that several gateways have in common. How leases keep to the law: `ttagw.core.lease`.

Most requests for a busy key are decided by a lease, which is filled up in the background; most that are too many by
what is remembered of the last refusal. The others ask the ledger, all their buckets in one question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from prometheus_client.metrics_core import Metric
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ttagw.core.lease import Answer, Item, Lease, lendable
from ttagw.limits.base import State, Terms, Verdict, Want
from ttagw.limits.shared_asking import BATCH, PROBE, Asking, Ledger
from ttagw.limits.shared_away import Away, Local
from ttagw.limits.shared_known import Known, Said, item_of, place_of, state_by, state_of
from ttagw.limits.shared_leases import Leases
from ttagw.limits.shared_metrics import of_shared

MOST_NOTES: Final = 4096
"""Limits of requests that can still be given back, and once more as many."""

ALONE: Final = -1.0
NOTHING: Final = -2.0
"""Instead of the ledger's time: this gateway has charged it by itself; nobody has charged anything."""

_Note = tuple[Want, "Lease | None", float]
"""What was taken, and of what: of a lease after so many reports, or of the ledger at its time."""

_new = tuple.__new__
"""Makes a named tuple of what is known to have the right length, in a third of the time."""


class _Asked:
    """A request that waits for the ledger."""

    __slots__ = ("items", "said", "sent", "waiting", "wants")

    def __init__(self, wants: Sequence[Want], said: Said, items: Sequence[Item], sent: float) -> None:
        self.wants = wants
        self.said = said
        """What was known before."""
        self.items = items
        """Of the places that were open."""
        self.sent = sent
        self.waiting: Deferred[Verdict] | None = None
        """None when nobody waits any more."""

    def wait(self) -> Deferred[Verdict]:
        """What will be said. One who gives up is told nothing, and what was charged is given back."""
        waiting: Deferred[Verdict] = Deferred(self._cancelled)
        self.waiting = waiting
        return waiting

    def _cancelled(self, _: Deferred[Verdict]) -> None:
        self.waiting = None


class SharedBuckets:
    """`Buckets` in a ledger. `give_back` takes the very objects that `take` was given."""

    log = Logger()

    def __init__(
        self,
        ledger: Ledger,
        local: Local,
        reactor: Any,
        monotonic: Callable[[], float],
        tell: Callable[[bool, str], None],
    ) -> None:
        """`local`: decides while the ledger is away. `tell`: it is there, or why not, for those who are alerted."""
        self._ledger = ledger
        self._reactor = reactor
        self._monotonic = monotonic
        self._away = Away(local)
        self._leases = Leases(monotonic, self._away.debts)
        self._held = self._leases.held
        self._asking = Asking(ledger, reactor, monotonic, self._leases.owed, tell)
        self._leases.asking = self._asking
        self._known = Known()
        self._notes: dict[int, _Note] = {}
        self._notes_before: dict[int, _Note] = {}
        """By the identity of the `Want`, which is kept and so stays its own."""
        self._beating: Any = None
        self.decisions = dict.fromkeys(("lease", "asked", "memory", "local", "allow", "deny"), 0)
        """Requests by what decided."""

    def start(self) -> None:
        """Begin."""
        self._ledger.start()
        self._beating = self._reactor.callLater(PROBE, self._beat)

    async def stop(self) -> None:
        """Give back what was lent, and let everything go."""
        if self._beating is not None:
            self._beating.cancel()
            self._beating = None
        await self._leases.end()
        self._asking.stop()
        await self._ledger.stop()

    @property
    def there(self) -> bool:
        """Whether limits are counted together now."""
        return self._asking.there

    @property
    def reason(self) -> str:
        """Why not; "" while they are."""
        return self._ledger.reason or self._asking.reason

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        return of_shared(self._asking, self.decisions, len(self._held), len(self._away.debts))

    # As of `Buckets`

    def take(self, wants: Sequence[Want]) -> Verdict | Deferred[Verdict]:
        """Charge all of it or nothing; a Deferred where the ledger is asked, which fires within its deadline."""
        now = self._monotonic()
        if len(wants) != 1:
            leases = self._leases.all_of(wants, now)
            if leases is not None:
                self.decisions["lease"] += 1
                for want, each in zip(wants, leases, strict=True):
                    self._note(want, each, each.reports)
                return Verdict(True, [state_by(lease, now) for lease in leases])
            return self._decide(wants, now)
        terms, key, cost = want = wants[0]
        lease = self._held.get((terms.name, key))
        if lease is None or lease.left < cost or now >= lease.dies:
            return self._decide(wants, now)
        # The same as above for one, in a third of the time.
        lease.left -= cost
        lease.used += cost
        if lease.left < lease.low and not lease.asking:
            self._leases.top_up((terms.name, key), lease, now)
        self.decisions["lease"] += 1
        notes = self._notes
        notes[id(want)] = want, lease, lease.reports
        if len(notes) >= MOST_NOTES:
            self._notes, self._notes_before = {}, notes
        left = lease.room + (now - lease.at) * lease.rate + lease.left
        left = 0.0 if left < 0.0 else left if left < lease.burst else lease.burst
        state = _new(State, (left, (lease.burst - left) / lease.rate))
        return _new(Verdict, (True, (state,), None, 0.0, None, False))

    def give_back(self, wants: Sequence[Want]) -> None:
        """What was charged was not used after all. Of what is too long ago nothing is given back."""
        for want in wants:
            self._known.forget(place_of(want))
            note = self._notes.pop(id(want), None) or self._notes_before.pop(id(want), None)
            if note is None or note[2] == NOTHING:
                continue
            _, lease, at = note
            if lease is not None:
                # What was reported has leaked since; it is left as it is.
                if lease.reports == at:
                    lease.untake(want.cost)
            elif at == ALONE:
                self._away.give_back(want)
            else:
                self._leases.undo([item_of(want)._replace(cost=0.0, undone=want.cost, since=at)])

    def refresh(self, terms: Terms) -> None:
        """These terms were changed just now."""
        self._leases.renew(terms.name)

    def reset(self, terms: Terms, key: str) -> None:
        """The bucket is as if nothing had been used."""
        self._known.forget((terms.name, key))
        now = self._monotonic()
        self._away.reset(terms, key, now)
        if self._asking.there:
            self._leases.tell(self._leases.owed(BATCH))

    # More than that

    def look(self, wants: Sequence[Want]) -> Verdict | None:
        """What `take` would refuse, as far as that is known without asking; None where it is not."""
        now = self._monotonic()
        said = self._known.look(wants, now)
        if said.refused is None:
            return None
        return Verdict(False, [self._known.state(want, now) for want in wants], said.refused, said.wait, said.dry)

    # Deciding

    def _decide(self, wants: Sequence[Want], now: float) -> Verdict | Deferred[Verdict]:
        said = self._known.look(wants, now)
        if said.refused is not None or not any(wants[place].cost for place in said.open):
            self.decisions["memory"] += 1
            refused = self.look(wants)
            return refused or Verdict(True, [self._known.state(want, now) for want in wants], dry=said.dry)
        if self._asking.there and self._asking.free:
            return self._ask(wants, said, now)
        return self._alone(wants, now)

    def _alone(self, wants: Sequence[Want], now: float) -> Verdict:
        by, verdict = self._away.take(wants, self._asking.gateways, now)
        self.decisions[by] += 1
        for want in wants if verdict.allowed else ():
            self._note(want, None, ALONE if by == "local" else NOTHING)
        return verdict

    def _ask(self, wants: Sequence[Want], said: Said, now: float) -> Deferred[Verdict]:
        # A request that has to wait for one limit gains nothing by a lease of another.
        lends = all(lendable(want.terms.per_second, want.terms.burst) for want in wants)
        items: list[Item] = []
        for want in [wants[place] for place in said.open]:
            place = place_of(want)
            lease = self._leases.find(want, self._known.hot(place, now)) if lends and want.cost else None
            self._known.asks(place, now)
            item = item_of(want)
            items.append(item if lease is None else lease.ask(item.cost, item.kind, now))
        asked = _Asked(wants, said, items, now)
        waiting = asked.wait()
        self._asking.ask(items, lambda answer: self._told(asked, answer), lambda answer: self._late(asked, answer))
        return waiting

    # What was said

    def _told(self, asked: _Asked, answer: Answer | None) -> None:
        waiting, asked.waiting = asked.waiting, None
        now = self._monotonic()
        if answer is None:
            self._leases.missed([place_of(want) for want in asked.wants])
            if waiting is not None:
                waiting.callback(self._alone(asked.wants, now))
            return
        self._learn(asked, answer)
        if waiting is None:
            self._leases.not_used(asked.items, answer)
            return
        self.decisions["asked"] += 1
        if not answer.refused:
            for want in asked.wants:
                self._note(want, None, NOTHING)
            for place, told in zip(asked.said.open, answer.told, strict=True):
                if told.charged:
                    self._note(asked.wants[place], None, answer.now)
        waiting.callback(self._verdict(asked, answer, now))

    def _late(self, asked: _Asked, answer: Answer) -> None:
        # It was decided otherwise meanwhile.
        self._learn(asked, answer)
        self._leases.not_used(asked.items, answer)

    def _learn(self, asked: _Asked, answer: Answer) -> None:
        for open_, item, told in zip(asked.said.open, asked.items, answer.told, strict=True):
            place = place_of(asked.wants[open_])
            self._known.learn(place, item, told, asked.sent)
            if item.want:
                self._leases.granted(place, item, told, asked.sent)

    def _verdict(self, asked: _Asked, answer: Answer, now: float) -> Verdict:
        states = [self._known.state(want, now) for want in asked.wants]
        refused: Terms | None = None
        wait = 0.0
        dry = asked.said.dry
        for place, item, told in zip(asked.said.open, asked.items, answer.told, strict=True):
            want = asked.wants[place]
            lease = self._held.get(place_of(want))
            states[place] = state_by(lease, now) if lease and item.want else state_of(item.rate, item.burst, told.total)
            if told.wait <= 0.0:
                continue
            if want.terms.dry_run:
                dry = dry or want.terms
            elif refused is None or told.wait > wait:
                refused, wait = want.terms, told.wait
        return Verdict(not answer.refused, states, refused, wait, dry)

    def _note(self, want: Want, lease: Lease | None, at: float) -> None:
        self._notes[id(want)] = want, lease, at
        if len(self._notes) >= MOST_NOTES:
            self._notes, self._notes_before = {}, self._notes

    def _beat(self) -> None:
        self._beating = self._reactor.callLater(PROBE, self._beat)
        try:
            self._asking.beat()
            self._leases.beat(self._monotonic())
        except Exception:
            self.log.failure("what is lent could not be looked after")
