"""The limits of one route: what happens on the way in and on the way out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from ttagw.core.blocking import counted_apart, note_earned
from ttagw.core.classes import TrafficClass
from ttagw.errors import (
    BandwidthExceededError,
    GatewayError,
    LimitUnknownError,
    OverloadedError,
    RateLimitedError,
    TooManyAtOnceError,
)
from ttagw.layers.limit.held import Held, Metered
from ttagw.layers.limit.keys import Key
from ttagw.layers.limit.note import NOTE, Note, items, keep
from ttagw.layers.limit.offer import Line, Multiples, Offer, seconds_to_wait
from ttagw.limits.base import Buckets, Verdict, Want
from ttagw.limits.live import ALLOWED, BYPASSED, DRY_RUN, REFUSED, UNKNOWN, LiveLimit
from ttagw.model import Exchange, Reply

CRISIS = TrafficClass.CRISIS
NO_ROLES: frozenset[str] = frozenset()
MOST_OFFERS = 1000
"""Sets of roles, for each class, for which an offer is kept."""
SHED = (b"ttagw-reason", OverloadedError.code.encode("ascii"))
"""What answers have to those who had to go for want of room: they do not pay."""

_new = tuple.__new__

Part = tuple[LiveLimit, Key, Multiples]


class OnRoute:
    """The limits of one route."""

    def __init__(
        self,
        parts: Sequence[Part],
        cost: int,
        buckets: Buckets,
        metered: Metered,
        look: Callable[[Sequence[Want]], Verdict | None],
    ) -> None:
        self._parts = parts
        self._cost = cost
        self._buckets = buckets
        self._metered = metered
        self._look = look
        self._by_role = any(multiples.by_role for _, _, multiples in parts)
        self._offers: tuple[dict[frozenset[str], Offer], ...] = tuple([{} for _ in TrafficClass])

    def forget(self, live: LiveLimit) -> None:
        """A limit is another now."""
        if any(each is live for each, _, _ in self._parts):
            for offers in self._offers:
                offers.clear()

    # In

    def enter(self, exchange: Exchange) -> Deferred[Reply | None] | None:
        """All of it is charged, or nothing. Raises `GatewayError`."""
        rank = exchange.rank
        if rank == CRISIS:
            self._pass_by(exchange)
            return None
        identity = exchange.identity
        roles = NO_ROLES if identity is None or not self._by_role else identity.roles
        offer = self._offers[rank].get(roles) or self._offer(roles, rank)
        if not offer.plain:
            return self._enter_held(exchange, offer)
        wants: list[Want] = []
        for terms, key, cost in offer.rates:
            wants.append(_new(Want, (terms, key(exchange), cost)))
        verdict = self._buckets.take(wants)
        if not isinstance(verdict, Verdict):
            return Deferred.fromCoroutine(self._later(exchange, offer, wants, None, verdict))
        if not verdict.allowed or verdict.dry is not None or verdict.unknown:
            self._judge(exchange, offer, wants, None, verdict)
            return None
        for live in offer.lives:
            live.outcomes[ALLOWED] += 1
        note = _new(Note, (offer, wants, verdict.states, True, False, None, None))
        if exchange.notes is None:
            exchange.notes = {NOTE: note}
        else:
            exchange.notes[NOTE] = note
        return None

    def _offer(self, roles: frozenset[str], rank: TrafficClass) -> Offer:
        offers = self._offers[rank]
        if len(offers) >= MOST_OFFERS:
            offers.clear()
        lines = [Line(live, key, self._cost, multiples.of(roles, rank)) for live, key, multiples in self._parts]
        offer = offers[roles] = Offer(lines)
        return offer

    def _pass_by(self, exchange: Exchange) -> None:
        """Never refused, and charged nothing; what would have refused it is told."""
        identity = exchange.identity
        roles = NO_ROLES if identity is None or not self._by_role else identity.roles
        offer = self._offers[CRISIS].get(roles) or self._offer(roles, CRISIS)
        keys = [line.key(exchange) for line in offer.lines]
        found = [line.live for line, key in zip(offer.lines, keys, strict=True) if self._spent(line, key) is not None]
        verdict = self._look(self._wants(offer, keys))
        if verdict is not None and verdict.refused is not None:
            found += [live for live in offer.lives if live.name == verdict.refused.name]
        real = [live for live in found if not live.limit.dry_run]
        for live in real:
            live.outcomes[BYPASSED] += 1
        if real and NOTE not in exchange.bypass.split(","):
            exchange.bypass = f"{exchange.bypass},{NOTE}" if exchange.bypass else NOTE

    def _wants(self, offer: Offer, keys: Sequence[str]) -> list[Want]:
        return [
            Want(line.live.rate, key, line.cost) for line, key in zip(offer.lines, keys, strict=True) if line.has_rate
        ]

    def _spent(self, line: Line, key: str) -> GatewayError | None:
        """Why nothing more may begin, apart from rates."""
        name = line.live.name
        if line.has_bandwidth:
            wait, _ = self._metered.buckets.debt(line.live.bandwidth, key)
            if wait > 0.0:
                return BandwidthExceededError(retry_after=seconds_to_wait(wait), more={"limit": name})
        if line.concurrent and line.live.under_way.get(key, 0) >= line.concurrent:
            return TooManyAtOnceError(retry_after=1, more={"limit": name})
        return None

    def _enter_held(self, exchange: Exchange, offer: Offer) -> Deferred[Reply | None] | None:
        keys = [line.key(exchange) for line in offer.lines]
        wants = self._wants(offer, keys)
        held = Held(exchange, offer.lines, keys, self._metered)
        worst: tuple[int, LiveLimit, GatewayError] | None = None
        for line, key in zip(offer.lines, keys, strict=True):
            error = self._spent(line, key)
            if error is None:
                continue
            if line.live.limit.dry_run:
                held.dry.append(line.live)
                line.live.outcomes[DRY_RUN] += 1
                exchange.dry_run = exchange.dry_run or error.reason
            elif worst is None or (error.retry_after or 0) > worst[0]:
                worst = (error.retry_after or 0, line.live, error)
        if worst is not None:
            self._refuse(exchange, offer, wants, held, *worst[1:])
        held.begin()
        if not wants:
            self._judge(exchange, offer, wants, held, Verdict(True, ()))
            return None
        verdict = self._buckets.take(wants)
        if isinstance(verdict, Verdict):
            self._judge(exchange, offer, wants, held, verdict)
            return None
        return Deferred.fromCoroutine(self._later(exchange, offer, wants, held, verdict))

    def _refuse(
        self,
        exchange: Exchange,
        offer: Offer,
        wants: Sequence[Want],
        held: Held,
        live: LiveLimit,
        error: GatewayError,
    ) -> None:
        live.outcomes[REFUSED] += 1
        found = self._look(wants)
        states = () if found is None else found.states
        kind = "bandwidth" if isinstance(error, BandwidthExceededError) else "concurrent"
        spent = (f"{live.name}:{kind}", error.retry_after if kind == "bandwidth" else None)
        keep(exchange, Note(offer, wants, states, charged=False, held=held, spent=spent))
        note_earned(exchange, *counted_apart(live.limit.key))
        raise error

    async def _later(
        self,
        exchange: Exchange,
        offer: Offer,
        wants: Sequence[Want],
        held: Held | None,
        waiting: Deferred[Verdict],
    ) -> Reply | None:
        # Until it is known, only what may be used is told, not what is left.
        keep(exchange, Note(offer, wants, (), charged=False, held=held))
        try:
            verdict = await waiting
        except BaseException:
            if held is not None:
                held.release()
            raise
        self._judge(exchange, offer, wants, held, verdict)
        return None

    def _judge(
        self, exchange: Exchange, offer: Offer, wants: Sequence[Want], held: Held | None, verdict: Verdict
    ) -> None:
        """What follows from a verdict. Raises `GatewayError`."""
        dry = None if verdict.dry is None else verdict.dry.name
        refused = None if verdict.refused is None else verdict.refused.name
        allowed = verdict.allowed and not verdict.unknown
        for live in offer.lives:
            if held is not None and live in held.dry:
                continue
            if live.name == dry:
                live.outcomes[DRY_RUN] += 1
            elif allowed:
                live.outcomes[ALLOWED] += 1
            elif verdict.unknown and refused in (None, live.name):
                live.outcomes[UNKNOWN] += 1
            elif live.name == refused:
                live.outcomes[REFUSED] += 1
        if allowed:
            if dry is not None:
                exchange.dry_run = exchange.dry_run or RateLimitedError.code
            keep(exchange, Note(offer, wants, verdict.states, dry=dry is not None, held=held))
            return
        if held is not None:
            held.release()
        if verdict.unknown:
            keep(exchange, Note(offer, wants, (), charged=False, held=held))
            raise LimitUnknownError(retry_after=1)
        name = refused or offer.lives[0].name
        wait = seconds_to_wait(verdict.wait)
        keep(exchange, Note(offer, wants, verdict.states, charged=False, held=held, spent=(name, wait)))
        note_earned(exchange, *counted_apart(next(live for live in offer.lives if live.name == name).limit.key))
        raise RateLimitedError(retry_after=wait, more={"limit": name})

    # Out

    def leave(self, exchange: Exchange, reply: Reply) -> None:
        """The fields of every answer; what services say of their own limits is not what counts here."""
        for name, _ in reply.fields:
            if len(name) in (9, 16) and name.lower() in (b"ratelimit", b"ratelimit-policy"):
                reply.fields = [each for each in reply.fields if each[0].lower() not in _FIELDS]
                break
        notes = exchange.notes
        note: Note | None = None if notes is None else notes.get(NOTE)
        if note is None:
            return
        offer, wants, states, charged, dry, held, spent = note
        if exchange.reason and charged and wants and SHED in reply.fields:
            wants = [want for want in wants if not (dry and want.terms.dry_run)]
            self._buckets.give_back(wants)
            look = self._look(note.wants)
            states = states if look is None else look.states
        fields = reply.fields
        if offer.policy:
            fields.append((b"ratelimit-policy", offer.policy))
        if held is None and spent is None:
            if states and offer.shown:
                fields.append((b"ratelimit", offer.usual(states)))
        else:
            found = items(note._replace(states=states), self._metered.buckets)
            if found:
                fields.append((b"ratelimit", b", ".join(found)))


_FIELDS: frozenset[bytes] = frozenset((b"ratelimit", b"ratelimit-policy"))
