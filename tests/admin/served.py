"""An admin site on a real socket, and a directory of which the test knows everything."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred

from tests.sockets import Raw
from tests.twisted_hygiene import reactor, until
from ttagw.admin.callers import Callers
from ttagw.admin.channel import AdminSite
from ttagw.admin.site import Readiness, admin_site
from ttagw.auth.keys import Caller
from ttagw.errors import (
    CredentialsRefusedError,
    GatewayError,
    InstanceConflictError,
    InstanceNotFoundError,
    ServiceNotFoundError,
)
from ttagw.registry.events import Events
from ttagw.registry.records import Record
from ttagw.testing import Clock


class MemoryDirectory:
    """Keeps records in a dict. `fails` is what the next operation raises; `waits` is what it waits for."""

    def __init__(self, *names: str) -> None:
        self.records: dict[str, dict[str, Record]] = {name: {} for name in names}
        self.forced: list[tuple[str, str | None, str]] = []
        self.fails: Exception | None = None
        self.asked = 0
        self.waits: Deferred[None] | None = None

    def services(self) -> Sequence[Mapping[str, Any]]:
        return [self._described(name) for name in self.records]

    def service(self, name: str) -> Mapping[str, Any] | None:
        return self._described(name) if name in self.records else None

    def _described(self, name: str) -> Mapping[str, Any]:
        instances = [{"id": each.id, "url": each.url} for each in self.records[name].values()]
        return {"name": name, "instances": instances}

    async def _begin(self) -> None:
        self.asked += 1
        if self.waits is not None:
            await self.waits
        if self.fails is not None:
            raise self.fails

    async def register(self, record: Record) -> bool:
        await self._begin()
        if record.service not in self.records:
            raise ServiceNotFoundError
        known = self.records[record.service]
        if any(each.url == record.url and each.id != record.id for each in known.values()):
            raise InstanceConflictError
        new = record.id not in known
        known[record.id] = record
        return new

    async def renew(self, service: str, instance: str) -> float:
        await self._begin()
        return self._find(service, instance).ttl

    async def deregister(self, service: str, instance: str) -> None:
        await self._begin()
        del self.records[service][self._find(service, instance).id]

    def force(self, service: str, instance: str | None, state: str) -> None:
        if service not in self.records:
            raise ServiceNotFoundError
        if instance is not None:
            self._find(service, instance)
        self.forced.append((service, instance, state))

    def _find(self, service: str, instance: str) -> Record:
        found = self.records.get(service, {}).get(instance)
        if found is None:
            raise InstanceNotFoundError
        return found


class MemoryKeys:
    """Knows keys; those in `remembered` at once."""

    def __init__(self, **callers: Caller) -> None:
        self.callers = {name.encode(): caller for name, caller in callers.items()}
        self.remembered: set[bytes] = set()
        self.checked = 0
        self.fails: GatewayError | None = None

    def known(self, key: bytes) -> Caller | None:
        return self.callers.get(key) if key in self.remembered else None

    async def check(self, key: bytes) -> Caller:
        self.checked += 1
        if self.fails is not None:
            raise self.fails
        if key not in self.callers:
            raise CredentialsRefusedError
        return self.callers[key]


KEYS = {
    "players": Caller("players", ("service",)),
    "named": Caller("players", ("other",)),
    "deploy": Caller("deploy", (), ("register:players",)),
    "admin": Caller("ops", ("admin",)),
}


class Answer(NamedTuple):
    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def parsed(data: bytes) -> Answer:
    head, _, body = data.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    named = {name.lower(): value for name, _, value in [field.partition(": ") for field in fields]}
    return Answer(int(line.split()[1]), named, body)


class Admin:
    """The admin site, served."""

    def __init__(self, site: AdminSite, port: int) -> None:
        self.site = site
        self.port = port
        self.raws: list[Raw] = []

    def open(self, data: bytes = b"") -> Raw:
        """A connection on which this is sent."""
        raw = Raw(self.port, receive=1 << 16)
        self.raws.append(raw)
        if data:
            raw.socket.setblocking(True)
            raw.socket.sendall(data)
            raw.socket.setblocking(False)
        return raw

    async def ask(
        self,
        method: str,
        path: str,
        document: object = None,
        *,
        key: str | None = None,
        fields: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """One request on a connection of its own."""
        if body is None:
            body = b"" if document is None else json.dumps(document).encode()
        all_fields = {"host": "a", "connection": "close"}
        if body:
            all_fields |= {"content-type": "application/json", "content-length": str(len(body))}
        if key is not None:
            all_fields["authorization"] = f"Bearer {key}"
        all_fields |= fields or {}
        head = "".join([f"{name}: {value}\r\n" for name, value in all_fields.items() if value])
        raw = self.open(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        return parsed(await raw.read_to_end())


@asynccontextmanager
async def serving(
    directory: MemoryDirectory | None = None,
    keys: Any = None,
    events: Events | None = None,
    monotonic: Clock | None = None,
) -> AsyncIterator[Admin]:
    ready = Readiness(True, 1, False, {})
    clock = monotonic or Clock()
    site = admin_site(
        "gw-1", lambda: ready, None, directory=directory, events=events, callers=Callers(keys, clock), reactor=reactor
    )
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    admin = Admin(site, port.getHost().port)
    try:
        yield admin
    finally:
        for raw in admin.raws:
            raw.socket.close()
        stopped = port.stopListening()
        if stopped is not None:
            await stopped
        await until(lambda: not site.channels)
