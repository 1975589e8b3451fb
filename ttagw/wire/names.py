"""Names of services: resolved once for all who ask, kept for as long as DNS allows, and beyond that while it fails.

Twisted asks the system in a thread for each connection, and remembers nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from twisted.internet.abstract import isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHostnameResolver,
    IHostResolution,
    IReactorTime,
    IResolutionReceiver,
)
from twisted.logger import Logger
from twisted.names import dns
from zope.interface import implementer

from ttagw.core.backoff import full_jitter
from ttagw.wire.dns import Answer, BadNameError, Dns, Outcome
from ttagw.wire.resolv import HOSTS, RESOLV, Addresses, Followed, is_address, parse_hosts, parse_resolv
from ttagw.wire.system_names import SystemNames

MOST = 1000
"""Names that are remembered."""
IDLE = 3600.0
"""A name that nobody has asked for in so many seconds is not kept fresh any more."""
UNKNOWN = 1.0
"""Seconds for which a name that does not resolve, and never did, is not asked for again."""
SYSTEM_TTL = 30.0
"""Seconds for which what the system says is used: it does not say how long."""
RETRY, LATEST_RETRY = 1.0, 10.0
"""Seconds between tries while a name fails: at least the first, and chance up to about the second."""


class Asked(Protocol):
    """Who is asked for records."""

    async def look_up(self, name: str, *kinds: int) -> list[Answer]:
        """The records of each kind. Raises `BadNameError`."""


class System(Protocol):
    """Who may know names that DNS does not."""

    async def look_up(self, name: str) -> Addresses:
        """The addresses; none when it does not know or takes too long."""


class Known:
    """What is known about a name."""

    __slots__ = ("addresses", "asking", "call", "failing", "from_dns", "tries", "until", "used", "waiting")

    def __init__(self) -> None:
        self.addresses: Addresses = ()
        """The last good ones."""
        self.until = 0.0
        """Nothing needs to be asked before this time."""
        self.used = 0.0
        self.failing = False
        self.tries = 0
        self.from_dns = True
        self.asking: Deferred[None] | None = None
        self.waiting: list[Callable[[Addresses], None]] = []
        self.call: IDelayedCall | None = None


@implementer(IHostResolution)
class Resolution:
    """One question; `cancel` only means that nobody wants the answer any more."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


@implementer(IHostnameResolver)
class Names:
    """Resolves names for the reactor: addresses at once, then the hosts file, then DNS, then the system.

    A name in use is asked for again when its time is over, so nobody waits for an answer but the first. When that
    fails, the last good addresses are kept, and it is tried again. Of several addresses each question gets another
    order; IPv4 comes before IPv6.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        asked: Asked,
        system: System,
        hosts: Callable[[], Mapping[str, Addresses]],
        random: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._asked = asked
        self._system = system
        self._hosts = hosts
        self._random = random
        self._known: dict[str, Known] = {}
        self.queries = 0
        """Names that were asked for, each time."""
        self.failures = 0
        """Of those, the ones of which nothing came."""
        self.stale = 0
        """Answers whose time was over, given because nothing newer came."""

    def stop(self) -> None:
        """Forget everything; who waits is told that there is nothing."""
        known, self._known = self._known, {}
        for each in known.values():
            if each.call is not None:
                each.call.cancel()
            if each.asking is not None:
                each.asking.cancel()

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,  # noqa: N803
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        addressTypes: Sequence[type[IAddress]] | None = None,  # noqa: N803
        transportSemantics: str = "TCP",  # noqa: N803
    ) -> IHostResolution:
        resolution = Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)

        def tell(addresses: Addresses) -> None:
            if resolution.cancelled:
                return
            for each in sorted(addresses, key=self._order):
                kind: Any = IPv6Address if isIPv6Address(each) else IPv4Address
                if addressTypes is None or kind in addressTypes:
                    resolutionReceiver.addressResolved(kind(transportSemantics, each, portNumber))
            resolutionReceiver.resolutionComplete()

        self.look_up(hostName, tell)
        return resolution

    def _order(self, address: str) -> tuple[bool, float]:
        return bool(isIPv6Address(address)), self._random()

    def look_up(self, name: str, tell: Callable[[Addresses], None]) -> None:
        """Call `tell` with the addresses, now if they are known; with none when the name does not resolve."""
        if is_address(name):
            return tell((name,))
        name = name.lower()
        local = self._hosts().get(name.rstrip("."))
        if local is not None:
            return tell(local)
        now = self._clock.seconds()
        known = self._of(name)
        slept = now - known.used > IDLE and now >= known.until
        known.used = now
        if known.addresses and not slept:
            self.stale += now >= known.until or known.failing
            return tell(known.addresses)
        if known.asking is None and now < known.until:
            return tell(())
        known.waiting.append(tell)
        self._ask(name, known)
        return None

    def _of(self, name: str) -> Known:
        """What is known about it, which is then what was used last."""
        known = self._known.pop(name, None) or Known()
        self._known[name] = known
        if len(self._known) > MOST:
            oldest = self._known.pop(next(iter(self._known)))
            if oldest.call is not None:
                oldest.call.cancel()
                oldest.call = None
        return known

    # Asking

    def _ask(self, name: str, known: Known) -> None:
        if known.asking is not None:
            return
        if known.call is not None:
            known.call.cancel()
            known.call = None
        self.queries += 1
        asking = Deferred.fromCoroutine(self._refresh(name, known))
        if not asking.called:
            known.asking = asking

    async def _refresh(self, name: str, known: Known) -> None:
        reason = "error"
        addresses: Addresses = ()
        try:
            addresses, ttl, reason = await self._find(name, known)
        except CancelledError:
            pass  # stopped
        except Exception:
            self.log.failure("{name} could not be looked up", name=name)
        known.asking = None
        if addresses:
            self._good(name, known, addresses, ttl)
        else:
            self._bad(name, known, reason)
        waiting, known.waiting = known.waiting, []
        self.stale += len(waiting) if known.failing and known.addresses else 0
        for tell in waiting:
            try:
                tell(known.addresses)
            except Exception:
                self.log.failure("addresses of {name} could not be handed on", name=name)

    async def _find(self, name: str, known: Known) -> tuple[Addresses, float, str]:
        """Addresses, the seconds for which they may be used, and why there are none."""
        try:
            answers = await self._asked.look_up(name, dns.A, dns.AAAA)
        except BadNameError:
            return (), 0.0, "bad_name"
        found = [each for each in answers if each.outcome is Outcome.FOUND]
        if found:
            addresses = tuple([_address(record) for each in found for record in each.records])
            known.from_dns = True
            return addresses, min([each.ttl for each in found]), ""
        failed = [each.reason for each in answers if each.outcome is Outcome.FAILED]
        # It would only ask the same servers for what they have told us before.
        if not (failed and known.addresses and known.from_dns):
            addresses = await self._system.look_up(name)
            if addresses:
                known.from_dns = False
                return addresses, SYSTEM_TTL, ""
        return (), 0.0, failed[0] if failed else "not_found"

    def _good(self, name: str, known: Known, addresses: Addresses, ttl: float) -> None:
        addresses = tuple(sorted(set(addresses)))
        if known.failing:
            self.log.info("{name} resolves again: {addresses}", name=name, addresses=" ".join(addresses))
        elif known.addresses and known.addresses != addresses:
            self.log.info("{name} has moved to {addresses}", name=name, addresses=" ".join(addresses))
        known.addresses, known.failing, known.tries = addresses, False, 0
        known.until = self._clock.seconds() + ttl
        self._again(name, known, ttl)

    def _bad(self, name: str, known: Known, reason: str) -> None:
        if self._known.get(name) is not known:
            return
        self.failures += 1
        if not known.failing:
            kept = " ".join(known.addresses) or "nothing"
            self.log.warn("{name} does not resolve ({reason}); using {kept}", name=name, reason=reason, kept=kept)
        known.failing = True
        known.tries += 1
        if known.addresses:
            wait = RETRY + full_jitter(known.tries, RETRY, LATEST_RETRY - RETRY, self._random)
            self._again(name, known, wait)
        else:
            known.until = self._clock.seconds() + UNKNOWN

    def _again(self, name: str, known: Known, wait: float) -> None:
        if self._known.get(name) is known:
            known.call = self._clock.callLater(wait, self._due, name, known)

    def _due(self, name: str, known: Known) -> None:
        known.call = None
        if self._clock.seconds() - known.used <= IDLE:
            self._ask(name, known)


def _address(record: Any) -> str:
    if isinstance(record, dns.Record_A):
        return str(record.dottedQuad())
    return socket.inet_ntop(socket.AF_INET6, record.address)


def names_of_machine(reactor: Any, random: Callable[[], float]) -> tuple[Names, Dns]:
    """What resolves names as this machine is told to, and what it asks."""
    asked = Dns(reactor, Followed(RESOLV, parse_resolv))
    return Names(reactor, asked, SystemNames(reactor), Followed(HOSTS, parse_hosts), random), asked
