"""What breaking the glass needs, in the test's hands; several gateways on one store."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tests.registry.fleets import Port, SharedData
from ttagw.auth.glass import Glass
from ttagw.auth.glass_records import Record, Records, Uses
from ttagw.auth.glass_terms import Terms
from ttagw.auth.grants import Grants
from ttagw.core.identity import Identity
from ttagw.core.ids import UUID7
from ttagw.model import Exchange
from ttagw.registry.events import Event, Events
from ttagw.store.base import StoreError
from ttagw.testing import exchange

REASON = b"Not heard of since Tuesday."
WALL = 1_795_000_000.0


class SharedPort(Port):
    """As the rest of the gateway sees a store: `state` says whether it is up."""

    @property
    def state(self) -> Port:
        return self


class World:
    """Several gateways in one time, with clocks of their own."""

    def __init__(self, count: int = 1, *, lasts: float = 900.0, durable: bool = True, most: int = 20) -> None:
        self.now = 0.0
        self.most = most
        self.revoked: dict[str, float] = {}
        """Unix times until which nothing of these users counts."""
        self.data = SharedData(lambda: self.now)
        self.gateways = [Ward(f"g{number}", self, lasts, durable) for number in range(count)]

    def pass_time(self, seconds: float, step: float = 1.0) -> None:
        while seconds > 0:
            self.now += min(step, seconds)
            for each in self.gateways:
                each.clock.advance(min(step, seconds))
            seconds -= step

    def deliver(self) -> None:
        for each in self.gateways:
            while each.port.notices:
                each.port.deliver()


class Ward:
    """One gateway."""

    def __init__(self, name: str, world: World, lasts: float = 900.0, durable: bool = True) -> None:
        self.name, self.world, self.lasts, self.durable = name, world, lasts, durable
        self.port = SharedPort(world.data)
        self.off = 0.0
        """By how many seconds its wall clock is wrong."""
        self.start()

    def start(self) -> None:
        """Also anew, with nothing but the store."""
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.events = Events(self.wall)
        self.told: list[Event] = []
        self.events.listen(self.told.append)
        ids = UUID7(lambda: int(self.wall() * 1000), lambda size: bytes(range(256)) * (size // 256 + 1))
        self.records = Records(self.port)
        one = f"{self.name}-{len(self.world.data.kept)}"
        seconds = self.clock.seconds
        self.grants = Grants(self.port, self.clock, StoreError, one=one, monotonic=seconds, wall=self.wall)
        self.glass = Glass(
            Terms(frozenset(("therapist",)), self.lasts, self.world.most, self.name, self.durable),
            self.records,
            self.grants,
            self.events.tell,
            self.clock,
            StoreError,
            monotonic=seconds,
            wall=self.wall,
            new_id=ids.next,
            revoked=lambda user, moment: moment <= self.world.revoked.get(user, 0.0),
        )
        self.glass.start()

    def stop(self) -> None:
        assert result(Deferred.fromCoroutine(self.glass.stop())) is None

    def wall(self) -> float:
        return WALL + self.world.now + self.off

    def open(self, *reasons: bytes, who: Identity | None = None, person: str = "perry") -> Any:
        """What becomes of an attempt: True, False, an error, or None while nothing has."""
        self.exchange = asking(*reasons)
        try:
            found = self.glass.open(self.exchange, who or therapist(), person, list(reasons))
        except Exception as error:
            return error
        return result(found) if isinstance(found, Deferred) else found

    def begin(self, *reasons: bytes, who: Identity | None = None, person: str = "perry") -> Deferred[bool]:
        """An attempt that is not over."""
        found = self.glass.open(asking(*reasons), who or therapist(), person, list(reasons))
        assert isinstance(found, Deferred)
        return found

    def lets_in(self, who: Identity | None = None, person: str = "perry") -> bool:
        return self.glass.grant(who or therapist(), person) is not None

    def page(self, limit: int = 200, after: str = "") -> list[tuple[Record, Uses]]:
        """What a reviewer sees."""
        page: Any = result(Deferred.fromCoroutine(self.records.page(limit, after)))
        found: list[tuple[Record, Uses]] = page[0]
        return found

    def kinds(self) -> list[tuple[str, str, str]]:
        """Kind, reason and severity of what was told."""
        return [(each.kind, each.reason, each.severity) for each in self.told]


def therapist(user: str = "thea", **more: Any) -> Identity:
    return Identity("token", user, ("therapist",), (), **{"mfa": True, "issuer": "https://i", **more})


def asking(*reasons: bytes) -> Exchange:
    """A request with these reasons."""
    made = exchange()
    made.credentials = [(b"x-break-glass-reason", each) for each in reasons] or None
    return made


def result(deferred: Deferred[Any]) -> Any:
    """What it has fired with, or the error; None while it has not."""
    if not deferred.called:
        return None
    found: list[Any] = []
    deferred.addBoth(found.append)
    return found[0].value if isinstance(found[0], Failure) else found[0]
