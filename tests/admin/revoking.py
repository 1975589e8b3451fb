"""The pages of revocations, served, with a store in memory."""

from __future__ import annotations

import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tests.admin.served import KEYS, Admin, Answer, MemoryKeys
from tests.twisted_hygiene import reactor, until
from ttagw.admin.callers import Callers
from ttagw.admin.revocations import RevocationPages
from ttagw.admin.site import Readiness, admin_site
from ttagw.auth.revocations import Revocations, Terms
from ttagw.core.identity import Identity
from ttagw.errors import GatewayError
from ttagw.store.base import StoreAwayError, StoreError
from ttagw.store.memory import MemoryStore
from ttagw.testing import Clock

DAY = 86400.0
TERMS = Terms(30 * DAY, 30.0, 1000)


class Served:
    """The pages, and what they change."""

    def __init__(self, admin: Admin, store: MemoryStore, revocations: Revocations) -> None:
        self.store = store
        self.revocations = revocations
        self._admin = admin

    async def ask(
        self, method: str, document: object = None, *, query: str = "", key: str | None = "admin", **more: Any
    ) -> Answer:
        return await self._admin.ask(method, f"/revocations{query}", document, key=key, **more)

    def refused(self, identity: Identity) -> bool:
        try:
            self.revocations.check(identity)
        except GatewayError:
            return True
        return False


@asynccontextmanager
async def serving(*, up: bool = True, most: int = 100) -> AsyncIterator[Served]:
    store = MemoryStore(reactor, time.monotonic)
    revocations = Revocations(store, TERMS, reactor, time.time, (StoreError, StoreAwayError), lambda forbidden: 0, most)
    revocations.start()
    if up:
        await store.start()
        await until(lambda: revocations.tried)
    callers = Callers(MemoryKeys(**KEYS), Clock())
    pages = {b"revocations": RevocationPages(revocations, callers, time.time)}
    ready = Readiness(True, 1, False, {})
    site = admin_site("gw-1", lambda: ready, None, callers=callers, pages=pages, reactor=reactor)
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    admin = Admin(site, port.getHost().port)
    try:
        yield Served(admin, store, revocations)
    finally:
        for raw in admin.raws:
            raw.socket.close()
        await port.stopListening()
        await until(lambda: not site.channels)
        await revocations.stop()
        await store.stop()


def at(seconds: float) -> str:
    """RFC 3339 of so many seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def unsigned(claims: object) -> str:
    body = urlsafe_b64encode(msgspec.json.encode(claims)).rstrip(b"=").decode()
    return f"e30.{body}.x"
