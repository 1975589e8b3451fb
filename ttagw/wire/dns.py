"""Questions to name servers (RFC 1035).

Messages are those of twisted.names. Its client is not used: it waits for a server whose port is closed, asks no other
one when the first says SERVFAIL, may wait half a minute for a connection over TCP, and cannot be cancelled.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from twisted.internet import defer
from twisted.internet.abstract import isIPv6Address
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import CannotListenError, ConnectError, ConnectingCancelledError, ConnectionLost
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import DatagramProtocol
from twisted.names import dns
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure

from ttagw.wire.once import connect_quietly
from ttagw.wire.resolv import Resolv, Server

TRY = 2.0
"""Seconds for one server to answer once."""
TOTAL = 5.0
"""Seconds for a whole question, whatever has to be tried."""
GRACE = 0.5
"""Seconds that other kinds of records still get when one kind has been found: some servers never answer AAAA."""
LONGEST_TTL = 3600

_ROUNDS = 2
_LONGEST_NAME = 253
_LONGEST_LABEL = 63
_ANSWERS_AT = 6
"""Where a header says how many answers there are."""


class Outcome(Enum):
    """What came of a question."""

    FOUND = "found"
    NOTHING = "nothing"
    """There is no such name, or no record of this kind."""
    FAILED = "failed"
    """No server has said."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Records of one kind."""

    outcome: Outcome
    records: tuple[Any, ...] = ()
    """`twisted.names.dns.Record_…`, in the order in which they came."""
    ttl: float = 0.0
    """Seconds for which all of them may be used, from 1 to `LONGEST_TTL`."""
    reason: str = ""
    """Why it has failed: `timeout`, `unreachable`, or what the last server said, such as `servfail`."""


class BadNameError(ValueError):
    """A text that cannot be a name in DNS."""


class Dns:
    """Asks the servers of `settings`, in their order. It remembers nothing; `queries` counts what was sent."""

    def __init__(self, reactor: Any, settings: Callable[[], Resolv], clock: IReactorTime | None = None) -> None:
        self._reactor = reactor
        self._settings = settings
        self._clock: IReactorTime = reactor if clock is None else clock
        self.queries = 0

    async def look_up(self, name: str, *kinds: int) -> list[Answer]:
        """The records of each kind that the name has, by itself or in one of the search domains.

        Raises `BadNameError`. When a server fails, no further domain is tried: the name there might be another one's.
        """
        settings = self._settings()
        deadline = self._clock.seconds() + TOTAL
        answers: list[Answer] = []
        for candidate in candidates(name, settings):
            answers = await self._all(candidate, kinds, settings.servers, deadline)
            if any(each.outcome is not Outcome.NOTHING for each in answers):
                break
        return answers

    async def _all(self, name: bytes, kinds: Sequence[int], servers: Sequence[Server], deadline: float) -> list[Answer]:
        asked = [Deferred.fromCoroutine(self._one(name, kind, servers, deadline)) for kind in kinds]
        grace: list[IDelayedCall] = []

        def come(answer: Answer) -> Answer:
            if answer.outcome is Outcome.FOUND and not grace:
                grace.append(self._clock.callLater(GRACE, _cancel, asked))
            return answer

        for each in asked:
            each.addCallback(come)
        results = await DeferredList(asked, consumeErrors=True)
        if grace and grace[0].active():
            grace[0].cancel()
        return [each if good else _late(each, grace) for good, each in results]

    async def _one(self, name: bytes, kind: int, servers: Sequence[Server], deadline: float) -> Answer:
        reason = "unreachable"
        for server in [*servers] * _ROUNDS:
            left = deadline - self._clock.seconds()
            if left <= 0:
                break
            try:
                message = await self._ask(server, name, kind, min(TRY, left))
            except defer.TimeoutError:
                reason = "timeout"
            except (OSError, ConnectError, ConnectionLost, CannotListenError):
                reason = "unreachable"
            else:
                if message.rCode in (dns.OK, dns.ENAME):
                    return _answer(message, name, kind)
                reason = _CODES.get(message.rCode, f"code {message.rCode}")
        return Answer(Outcome.FAILED, reason=reason)

    async def _ask(self, server: Server, name: bytes, kind: int, patience: float) -> dns.Message:
        """One server, once; over TCP when the answer is too long for a datagram."""
        end = self._clock.seconds() + patience
        query = dns.Message(dns.randomSource(), recDes=1)
        query.addQuery(name, kind)
        message = await self._datagram(server, query, patience)
        if message.trunc:
            message = await self._stream(server, query, max(0.0, end - self._clock.seconds()))
        return message

    async def _datagram(self, server: Server, query: dns.Message, patience: float) -> dns.Message:
        protocol = _Datagram(query)
        # A port of its own for each question is half of what a forger would have to guess.
        port = self._reactor.listenUDP(0, protocol, "::" if isIPv6Address(server[0]) else "", 65535)
        try:
            port.connect(*server)
            self.queries += 1
            port.write(query.toStr())
            return await protocol.done.addTimeout(patience, self._clock)
        finally:
            protocol.over = True
            port.stopListening()

    async def _stream(self, server: Server, query: dns.Message, patience: float) -> dns.Message:
        kind = TCP6ClientEndpoint if isIPv6Address(server[0]) else TCP4ClientEndpoint
        protocol = _Stream(query)
        end = self._clock.seconds() + patience
        try:
            await connect_quietly(kind(self._reactor, *server), protocol).addTimeout(patience, self._clock)
        except ConnectingCancelledError:
            raise (defer.TimeoutError if self._clock.seconds() >= end else CancelledError)() from None
        try:
            self.queries += 1
            return await protocol.done.addTimeout(max(0.0, end - self._clock.seconds()), self._clock)
        finally:
            protocol.transport.abortConnection()


_CODES = {dns.EFORMAT: "formerr", dns.ESERVER: "servfail", dns.ENOTIMP: "notimp", dns.EREFUSED: "refused"}


def _cancel(asked: Sequence[Deferred[Answer]]) -> None:
    for each in asked:
        each.cancel()


def _late(failure: Any, grace: Sequence[IDelayedCall]) -> Answer:
    """What is made of a question that was given up because another one has its answer; raises everything else."""
    if not (grace and failure.check(CancelledError)):
        failure.raiseException()
    return Answer(Outcome.FAILED, reason="timeout")


class _Datagram(DatagramProtocol):
    """A question over UDP. The kernel lets only datagrams of the server through."""

    noisy = False

    def __init__(self, query: dns.Message) -> None:
        self._query = query
        self.done: Deferred[dns.Message] = Deferred()
        self.over = False

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:  # noqa: ARG002
        message = reply_to(self._query, datagram)
        if message is not None and not self.done.called:
            self.done.callback(message)

    def connectionRefused(self) -> None:
        if not self.over and not self.done.called:
            self.done.errback(ConnectError())

    def stopProtocol(self) -> None:
        # What epoll reports for a closed port makes Twisted close ours, without connectionRefused.
        self.connectionRefused()


class _Stream(Int16StringReceiver):
    """A question over TCP."""

    transport: Any

    def __init__(self, query: dns.Message) -> None:
        self._query = query
        self.done: Deferred[dns.Message] = Deferred()

    def connectionMade(self) -> None:
        self.sendString(self._query.toStr())

    def stringReceived(self, string: bytes) -> None:
        message = reply_to(self._query, string)
        if message is not None and not self.done.called:
            self.done.callback(message)

    def connectionLost(self, reason: Failure = Failure(ConnectionLost())) -> None:  # noqa: ARG002, B008
        if not self.done.called:
            self.done.errback(ConnectionLost())


def reply_to(query: dns.Message, data: bytes) -> dns.Message | None:
    """The message, if it is a whole answer to this question; None for everything else that a network brings."""
    message = dns.Message()
    try:
        message.fromStr(data)
    except Exception:  # of whatever kind: the bytes are anybody's
        return None
    (count,) = struct.unpack_from("!H", data, _ANSWERS_AT)
    same = [(each.name, each.type, each.cls) for each in message.queries] == [
        (each.name, each.type, each.cls) for each in query.queries
    ]
    whole = len(message.answers) == count or message.trunc
    return message if message.answer and message.id == query.id and same and whole else None


def _answer(message: dns.Message, name: bytes, kind: int) -> Answer:
    """The records at the end of the chain of aliases that begins at `name`."""
    rows = [row for row in message.answers if row.cls == dns.IN]
    aliases = {row.name.name.lower(): row for row in rows if row.type == dns.CNAME}
    owner = name.lower()
    ttl = LONGEST_TTL
    for _ in range(len(aliases) + 1):
        found = [row for row in rows if row.type == kind and row.name.name.lower() == owner]
        if found:
            ttl = min([ttl, *[row.ttl for row in found]])
            return Answer(Outcome.FOUND, tuple([row.payload for row in found]), float(max(ttl, 1)))
        if owner not in aliases:
            break
        ttl = min(ttl, aliases[owner].ttl)
        target: Any = aliases[owner].payload
        owner = target.name.name.lower()
    return Answer(Outcome.NOTHING)


def candidates(name: str, settings: Resolv) -> list[bytes]:
    """The names to ask for, in order (resolv.conf(5), `search` and `ndots`). Raises `BadNameError`."""
    plain = name.rstrip(".")
    if name.endswith(".") or not settings.search:
        return [encoded(plain)]
    longer = [encoded(f"{plain}.{domain}") for domain in settings.search if len(plain) + len(domain) < _LONGEST_NAME]
    return [encoded(plain), *longer] if plain.count(".") >= settings.ndots else [*longer, encoded(plain)]


def encoded(name: str) -> bytes:
    """A name as DNS has it. Raises `BadNameError`."""
    try:
        raw = name.encode("ascii" if name.isascii() else "idna")
    except UnicodeError:
        raise BadNameError(name) from None
    if len(raw) > _LONGEST_NAME or not all(0 < len(label) <= _LONGEST_LABEL for label in raw.split(b".")):
        raise BadNameError(name)
    return raw
