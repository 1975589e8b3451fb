"""Revocations on a store of which the test knows everything, in a time that goes forward when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from ttagw.auth.revocations import MOST, Revocations, Terms
from ttagw.core.identity import Identity
from ttagw.errors import GatewayError
from ttagw.store.base import StoreAwayError, StoreError
from ttagw.store.memory import MemoryStore

DAY = 86400.0
TERMS = Terms(30 * DAY, 30.0, 1000)


class Shared(MemoryStore):
    """A store that several gateways share, which can be away, lose what it has, and keep word of changes to itself.

    `fails` is what the next operations raise; with `does` a swap is done all the same. `slow`: each scan waits.
    """

    shared = True

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, clock.seconds)
        self.fails: StoreError | None = None
        self.does = False
        self.mute = False
        self.slow: Deferred[None] | None = None
        self.scans: list[str] = []
        tell = self._watchers.tell
        self._watchers.tell = lambda key, value: None if self.mute else tell(key, value)  # type: ignore[method-assign]

    def _check(self) -> None:
        super()._check()
        if self.fails is not None:
            raise self.fails

    async def scan(self, prefix: str) -> Mapping[str, bytes]:
        self.scans.append(prefix)
        if self.slow is not None:
            await self.slow
        return await super().scan(prefix)

    async def swap(self, key: str, expected: bytes | None, value: bytes, ttl: float | None = None) -> bool:
        if self.does:
            error, self.fails = self.fails, None
            done = await super().swap(key, expected, value, ttl)
            if error is not None:
                raise error
            return done
        return await super().swap(key, expected, value, ttl)

    def away(self, reason: str = "connection_lost") -> None:
        """It cannot be asked any more."""
        self._standing.down(reason)

    def back(self) -> None:
        """It can."""
        self._standing.up()

    def lose(self) -> None:
        """Everything that it has."""
        self._kept.clear()

    def values(self) -> list[bytes]:
        """Everything that it has."""
        return [kept.value for kept in self._kept.values()]


class Remembered:
    """What of identities is remembered."""

    def __init__(self, *identities: Identity) -> None:
        self.identities = list(identities)
        self.asked = 0

    def forget(self, forbidden: Callable[[Identity], bool]) -> int:
        self.asked += 1
        before = len(self.identities)
        self.identities = [each for each in self.identities if not forbidden(each)]
        return before - len(self.identities)


class Gateway:
    """One gateway's revocations; `wall` is Unix time at the beginning."""

    def __init__(self, store: Any, clock: Clock, *remembered: Identity, wall: float = 1e9, most: int = MOST) -> None:
        self.clock = clock
        self.store = store
        self.skew = wall - clock.seconds()
        self.remembered = Remembered(*remembered)
        failures = (StoreError, StoreAwayError)
        self.revocations = Revocations(store, TERMS, clock, self.wall, failures, self.remembered.forget, most)

    def wall(self) -> float:
        return self.clock.seconds() + self.skew

    def refused(self, identity: Identity) -> str:
        """Why this identity is refused; "" if it is not."""
        try:
            self.revocations.check(identity)
        except GatewayError as error:
            return error.reason
        return ""

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What comes of it, which takes a few turns at the most."""
        results: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(results.append)
        for _ in range(3):
            self.clock.advance(0.0)
        (result,) = results
        if hasattr(result, "raiseException"):
            result.raiseException()
        return result

    def revoke(self, kind: str, id_: str, **more: Any) -> Any:
        return self.run(self.revocations.revoke(kind, id_, **more))

    def lift(self, kind: str, id_: str) -> Any:
        return self.run(self.revocations.lift(kind, id_))


def start(store: MemoryStore) -> None:
    """The store is there."""
    Deferred.fromCoroutine(store.start())


class World:
    """A store, and gateways on it."""

    def __init__(self, count: int = 2) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.store = Shared(self.clock)
        start(self.store)
        self.gateways = [Gateway(self.store, self.clock) for _ in range(count)]
        for each in self.gateways:
            each.revocations.start()

    def pass_(self, seconds: float) -> None:
        self.clock.pump([0.5] * int(seconds * 2))

    def end(self) -> None:
        for each in self.gateways:
            each.run(each.revocations.stop())
        self.gateways[0].run(self.store.stop())
        assert self.clock.getDelayedCalls() == []


def token(user: str = "u", jti: str = "j", issued: float = 1e9 - 60) -> Identity:
    return Identity("token", user, (), (), token_id=jti, issued=issued, ends=1e9 + 1800)


def key(name: str = "ci", kind: str = "key") -> Identity:
    return Identity(kind, name, (), ())


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(1000.0)
    return clock


@pytest.fixture
def store(clock: Clock) -> Shared:
    store = Shared(clock)
    start(store)
    return store


@pytest.fixture
def one(store: Shared, clock: Clock) -> Iterator[Gateway]:
    gateway = Gateway(store, clock)
    gateway.revocations.start()
    yield gateway
    gateway.run(gateway.revocations.stop())
    gateway.run(store.stop())
    assert clock.getDelayedCalls() == []
