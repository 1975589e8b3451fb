"""Which Redis to use: one that was named, or the one that Sentinels say is the master at the moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ttagw.store.base import StoreAwayError, StoreError
from ttagw.store.redis_url import Address, RedisSettings
from ttagw.store.redis_wire import Wire

PATIENCE = 0.5
"""Seconds for a Sentinel to connect, and to answer. Another one is asked after that."""


class Whereabouts(Protocol):
    """Knows where the Redis is."""

    changes: bool
    """Whether it may move: then it must say that it is the master, and is looked for now and then."""

    async def address(self) -> Address:
        """Where it is now. Raises `StoreError`."""


class Named:
    """Always in one place."""

    changes = False

    def __init__(self, address: Address) -> None:
        self._address = address

    async def address(self) -> Address:
        """Where it is."""
        return self._address


class Sentinels:
    """Asks one Sentinel after the other, the last that knew an answer first."""

    changes = True

    def __init__(self, settings: RedisSettings, wire: Callable[[], Wire]) -> None:
        """`wire` makes a connection that is not connected yet."""
        self._settings = settings
        self._order = list(settings.addresses)
        self._wire = wire

    async def address(self) -> Address:
        """Where the master is, says the first Sentinel that knows. Raises the last one's `StoreError`."""
        last: StoreError = StoreAwayError("sentinels_away")
        for sentinel in list(self._order):
            wire = self._wire()
            try:
                await wire.connect(sentinel, tls=False, within=PATIENCE)
                found = _read(await self._ask(wire))
            except StoreError as error:
                last = error
                continue
            finally:
                wire.drop("done")
            self._order.remove(sentinel)
            self._order.insert(0, sentinel)
            return found
        if last.reason == "unknown_master":
            raise last
        raise StoreAwayError("sentinels_away", last.reason)

    async def _ask(self, wire: Wire) -> Any:
        question = ("SENTINEL", "get-master-addr-by-name", self._settings.master)
        try:
            return await wire.ask(*question, within=PATIENCE)
        except StoreAwayError as error:
            # Sentinels have passwords of their own, most have none: ours is shown to those only who want one.
            if error.reason != "no_password" or self._settings.password is None:
                raise
        await sign_on(wire, self._settings, within=PATIENCE)
        return await wire.ask(*question, within=PATIENCE)


def _read(answer: Any) -> Address:
    if answer is None:
        raise StoreAwayError("unknown_master")
    try:
        host, port = answer
        return Address(host.decode("ascii"), int(port))
    except (AttributeError, TypeError, ValueError):
        raise StoreAwayError("garbage") from None


async def sign_on(wire: Wire, settings: RedisSettings, within: float) -> None:
    """Say who we are, where the URL does. Raises `StoreError`."""
    if settings.password is not None:
        who = [settings.user] if settings.user else []
        await wire.ask("AUTH", *who, settings.password, within=within)
