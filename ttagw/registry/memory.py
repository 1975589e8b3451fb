"""What is known about instances' health, for the next start and for the other gateways.

Each gateway believes its own checks. What another has found out is a reason to look at once, and then one result is
enough.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ttagw.registry.member import Member
from ttagw.registry.registry import Registry

PREFIX = "health/"
KEPT = 86_400.0
"""Seconds for which it is known that an instance was down."""

_DOWN, _UP = b"down", b"up"


class Values(Protocol):
    """What is needed of a store; see `ttagw.store.base.Store`."""

    async def scan(self, prefix: str) -> Any: ...
    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None: ...
    def watch(self, prefix: str, notice: Callable[[str, bytes | None], None]) -> Callable[[], None]: ...
    def on_state(self, told: Callable[[Any], None]) -> Callable[[], None]: ...


class HealthMemory:
    """Writes down who goes down and comes up."""

    log = Logger()

    def __init__(
        self, store: Values, registry: Registry, gateway: str, failures: type[Exception], hurry: Callable[[Any], None]
    ) -> None:
        """`gateway`: its name, which is the same after a start; `hurry` has an instance checked now."""
        self._store = store
        self._registry = registry
        self._own = f"{PREFIX}{gateway}/"
        self._failures = failures
        self._hurry = hurry
        self._unwritten: dict[str, bytes] = {}
        self._writing = False
        self._waiting: list[Deferred[None]] = []
        """Those who wait for the writing to end."""
        self._ends: list[Callable[[], None]] = []
        self._stopped = False
        self._read = False
        self._were_down: set[tuple[str, str]] = set()
        """Service and id of those that were down and have not joined yet."""

    async def start(self) -> None:
        """Those who were down when we stopped are down until a check says otherwise."""
        self._registry.health_changed = self._changed
        self._registry.joined = self._joined
        self._ends = [self._store.watch(PREFIX, self._noticed), self._store.on_state(self._state_changed)]
        await self._read_all()

    async def _read_all(self) -> None:
        try:
            known = await self._store.scan(self._own)
        except self._failures as error:
            self.log.debug("nothing is known yet of how instances were: {why}", why=str(error))
            return
        if self._read:
            return
        self._read = True
        for key, value in known.items():
            service, _, id_ = key.removeprefix(self._own).partition("/")
            if value == _DOWN and key not in self._unwritten and not self._registry.remember_down(service, id_):
                self._were_down.add((service, id_))

    def _state_changed(self, state: Any) -> None:
        if not state.up or self._stopped:
            return
        if not self._read:
            reading = Deferred.fromCoroutine(self._read_all())
            reading.addErrback(lambda why: self.log.failure("how instances were could not be read", failure=why))
        self._write()

    def _joined(self, service: str, id_: str) -> None:
        if (service, id_) in self._were_down:
            self._were_down.discard((service, id_))
            self._registry.remember_down(service, id_)

    async def stop(self) -> None:
        """What is not written yet is tried for once more."""
        for end in self._ends:
            end()
        self._stopped = True
        if self._writing:
            self._waiting.append(Deferred())
            await self._waiting[-1]
        await self._write_all()

    def _changed(self, member: Member) -> None:
        key = f"{self._own}{member.record.service}/{member.record.id}"
        self._were_down.discard((member.record.service, member.record.id))
        self._unwritten[key] = _UP if member.health.up else _DOWN
        self._write()

    def _write(self) -> None:
        if not self._writing and self._unwritten and not self._stopped:
            writing = Deferred.fromCoroutine(self._write_all())
            writing.addErrback(lambda why: self.log.failure("health could not be written down", failure=why))

    async def _write_all(self) -> None:
        self._writing = True
        try:
            while self._unwritten:
                key, value = next(iter(self._unwritten.items()))
                await self._store.put(key, value, KEPT)
                if self._unwritten.get(key) == value:
                    del self._unwritten[key]
        except self._failures as error:
            self.log.debug("health waits to be written down: {why}", why=str(error))
        finally:
            self._writing = False
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.callback(None)

    def _noticed(self, key: str, value: bytes | None) -> None:
        """Another gateway has found something out."""
        if value is None or key.startswith(self._own):
            return
        _, _, place = key.removeprefix(PREFIX).partition("/")
        service, _, id_ = place.partition("/")
        if self._registry.suspect(service, id_, up=value == _UP):
            self._hurry((service, id_))
