"""How often one address may try keys that are not known: each of them costs tens of milliseconds of a processor.

What is refused without such a check costs nothing and is not counted: a program that goes on sending one wrong key does
not take the turns of its neighbours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import IPv6Address, ip_address
from typing import TypeVar

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from ttagw.core.window import Window
from ttagw.errors import CheckingBusyError, CredentialsRefusedError, TooManyRefusalsError

MOST_REFUSALS = 20
PER_SECONDS = 60.0
"""So many unknown keys in so many seconds, by one address."""
MOST_ADDRESSES = 10_000
"""Addresses that are remembered; the one that has tried nothing for longest is the first to go."""

T = TypeVar("T")


class _Tries:
    """What one address has tried lately."""

    __slots__ = ("under_way", "window")

    def __init__(self, now: float) -> None:
        self.window = Window(PER_SECONDS, 1, now)
        self.under_way = 0


class Refusals:
    """Counts refusals by address, and lets those with too many wait."""

    log = Logger()

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._tries: dict[str, _Tries] = {}

    async def guarded(self, host: str, check: Callable[[], Awaitable[T]]) -> T:
        """What `check` finds, on behalf of `host`, unless that has been refused too often.

        Raises what `check` raises, `TooManyRefusalsError`, or `CheckingBusyError` while so many checks for the address
        are under way that it might be. A check that was not waited for counts as refused: it has cost as much.
        """
        address = network(host)
        tries = self._of(address)
        refused = tries.window.totals[0]
        if refused >= MOST_REFUSALS:
            raise TooManyRefusalsError(retry_after=int(PER_SECONDS))
        if refused + tries.under_way >= MOST_REFUSALS:
            raise CheckingBusyError("checking_for_address", retry_after=1)
        tries.under_way += 1
        try:
            return await check()
        except (CredentialsRefusedError, CancelledError):
            self._count(address)
            raise
        finally:
            tries.under_way -= 1

    def _count(self, address: str) -> None:
        window = self._of(address).window
        window.count(0)
        if window.totals[0] == MOST_REFUSALS:
            self.log.warn("{address}: too many keys that are not known", address=address)

    def _of(self, address: str) -> _Tries:
        now = self._monotonic()
        tries = self._tries.pop(address, None) or _Tries(now)
        tries.window.move(now)
        # The one that was used last is the last to go.
        self._tries[address] = tries
        if len(self._tries) > MOST_ADDRESSES:
            del self._tries[next(iter(self._tries))]
        return tries


def network(host: str) -> str:
    """One address, or with IPv6 the network that one customer has."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or f"{IPv6Address(int(address) >> 64 << 64)}/64")
    return host
