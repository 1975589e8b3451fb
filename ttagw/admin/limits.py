"""`/limits`: what each may use, as it is configured and as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from twisted.logger import Logger
from twisted.web.resource import Resource

from ttagw.admin.answers import Api, answer, body_of
from ttagw.admin.callers import Callers, must_be_admin
from ttagw.admin.channel import AdminRequest
from ttagw.admin.documents import read
from ttagw.admin.limit_documents import ForgivenDocument, LimitDocument
from ttagw.auth.keys import Caller
from ttagw.errors import LimitNotFoundError

log = Logger()


class Changeable(Protocol):
    """The limits; see `ttagw.traffic.limit_changes`."""

    def names(self) -> list[str]:
        """Of all there are."""

    def shown(self, name: str) -> Mapping[str, Any]:
        """One of them."""

    async def change(self, name: str, document: LimitDocument, written: object, by: str) -> None:
        """From now on it is what is configured, but for this. Raises `InvalidDocumentError`, `NotStoredError`."""

    async def restore(self, name: str) -> bool:
        """From now on it is what is configured; whether it was something else. Raises `NotStoredError`."""

    def forgive(self, name: str, whose: ForgivenDocument) -> None:
        """Forget what was used under one key. Raises `InvalidDocumentError`."""


class LimitPages(Api):
    """`/limits`."""

    def __init__(self, limits: Changeable, callers: Callers) -> None:
        super().__init__()
        self._limits = limits
        self._callers = callers
        self.offers = {b"GET": self._get}

    def getChild(self, path: bytes, request: Any) -> Resource:
        """One limit."""
        return _Limit(self._limits, self._callers, path.decode("latin-1")) if path else super().getChild(path, request)

    async def _get(self, request: AdminRequest) -> None:
        must_be_admin(await self._callers.caller(request))
        answer(request, 200, {"limits": [self._limits.shown(name) for name in self._limits.names()]})


class _Limit(Api):
    """`/limits/NAME`."""

    def __init__(self, limits: Changeable, callers: Callers, name: str) -> None:
        super().__init__()
        self._limits = limits
        self._callers = callers
        self._name = name
        self.offers = {b"GET": self._get, b"PUT": self._put, b"DELETE": self._delete}

    def getChild(self, path: bytes, request: Any) -> Resource:
        """What can be done with it."""
        return _Reset(self._admin, self._limits, self._name) if path == b"reset" else super().getChild(path, request)

    async def _admin(self, request: AdminRequest) -> Caller:
        caller = await self._callers.caller(request)
        must_be_admin(caller)
        if self._name not in self._limits.names():
            raise LimitNotFoundError
        return caller

    async def _get(self, request: AdminRequest) -> None:
        await self._admin(request)
        answer(request, 200, self._limits.shown(self._name))

    async def _put(self, request: AdminRequest) -> None:
        caller = await self._admin(request)
        body = body_of(request)
        document = read(LimitDocument, body)
        await self._limits.change(self._name, document, msgspec.json.decode(body), caller.name)
        log.info("{caller} has changed the limit {limit}", caller=caller.name, limit=self._name)
        answer(request, 200, self._limits.shown(self._name))

    async def _delete(self, request: AdminRequest) -> None:
        caller = await self._admin(request)
        if await self._limits.restore(self._name):
            log.info("{caller} has taken back the change of the limit {limit}", caller=caller.name, limit=self._name)
        answer(request, 200, self._limits.shown(self._name))


class _Reset(Api):
    """`/limits/NAME/reset`."""

    def __init__(self, admin: Any, limits: Changeable, name: str) -> None:
        super().__init__()
        self._admin = admin
        self._limits = limits
        self._name = name
        self.offers = {b"POST": self._post}

    async def _post(self, request: AdminRequest) -> None:
        caller: Caller = await self._admin(request)
        whose = read(ForgivenDocument, body_of(request))
        whose.one()
        self._limits.forgive(self._name, whose)
        log.info("{caller} has reset one key of the limit {limit}", caller=caller.name, limit=self._name)
        answer(request, 200, {"name": self._name, "reset": True})
