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
        self._writing: Deferred[None] | None = None
        self._ends: list[Callable[[], None]] = []
        self._stopped = False

    async def start(self) -> None:
        """Those who were down when we stopped are down until a check says otherwise."""
        self._ends = [
            self._store.watch(PREFIX, self._noticed),
            self._store.on_state(lambda state: self._write() if state.up else None),
        ]
        try:
            known = await self._store.scan(self._own)
        except self._failures as error:
            self.log.debug("nothing is known of how instances were: {why}", why=str(error))
            known = {}
        for key, value in known.items():
            service, _, id_ = key.removeprefix(self._own).partition("/")
            if value == _DOWN:
                self._registry.remember_down(service, id_)
        self._registry.health_changed = self._changed

    async def stop(self) -> None:
        """What is not written yet is tried for once more."""
        for end in self._ends:
            end()
        self._stopped = True
        if self._writing is not None:
            await self._writing

    def _changed(self, member: Member) -> None:
        key = f"{self._own}{member.record.service}/{member.record.id}"
        self._unwritten[key] = _UP if member.health.up else _DOWN
        self._write()

    def _write(self) -> None:
        if self._writing is None and self._unwritten and not self._stopped:
            self._writing = writing = Deferred.fromCoroutine(self._write_all())
            writing.addErrback(lambda why: self.log.failure("health could not be written down", failure=why))
            # Only now: with a store that is away it may be over already.
            writing.addCallback(self._written)

    def _written(self, _: object) -> None:
        self._writing = None

    async def _write_all(self) -> None:
        try:
            while self._unwritten:
                key, value = next(iter(self._unwritten.items()))
                await self._store.put(key, value, KEPT)
                if self._unwritten.get(key) == value:
                    del self._unwritten[key]
        except self._failures as error:
            self.log.debug("health waits to be written down: {why}", why=str(error))

    def _noticed(self, key: str, value: bytes | None) -> None:
        """Another gateway has found something out."""
        if value is None or key.startswith(self._own):
            return
        _, _, place = key.removeprefix(PREFIX).partition("/")
        service, _, id_ = place.partition("/")
        if self._registry.suspect(service, id_, up=value == _UP):
            self._hurry((service, id_))
