"""`/services`: what there is, and what changes there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twisted.logger import Logger
from twisted.web.resource import Resource

from ttagw.admin.answers import Api, answer, body_of
from ttagw.admin.callers import Callers, must_be_admin, must_be_for
from ttagw.admin.channel import AdminRequest
from ttagw.admin.directory import Directory
from ttagw.admin.documents import INSTANCE_ID, BreakerDocument, InstanceDocument, read
from ttagw.auth.keys import Caller
from ttagw.errors import InstanceNotFoundError, InvalidDocumentError, ServiceNotFoundError

_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_INSTANCE = re.compile(INSTANCE_ID)


log = Logger()


@dataclass(frozen=True, slots=True)
class Around:
    """What every address here needs."""

    directory: Directory
    callers: Callers

    def service(self, name: str) -> Mapping[str, Any]:
        """Raises `ServiceNotFoundError`."""
        found = self.directory.service(name)
        if found is None:
            raise ServiceNotFoundError
        return found


class Services(Api):
    """`/services`."""

    def __init__(self, around: Around) -> None:
        super().__init__()
        self._around = around
        self.offers = {b"GET": self._get}

    def getChild(self, path: bytes, request: Any) -> Resource:
        """One service."""
        name = path.decode("latin-1")
        return _Service(self._around, name) if _SERVICE.fullmatch(name) else super().getChild(path, request)

    async def _get(self, request: AdminRequest) -> None:
        answer(request, 200, {"services": self._around.directory.services()})


class _Service(Api):
    """`/services/NAME`."""

    def __init__(self, around: Around, name: str) -> None:
        super().__init__()
        self._around = around
        self._name = name
        self.offers = {b"GET": self._get}
        self.putChild(b"instances", _Instances(around, name))
        self.putChild(b"breaker", _Breaker(around, name, None))

    async def _get(self, request: AdminRequest) -> None:
        answer(request, 200, self._around.service(self._name))


class _Instances(Api):
    """`/services/NAME/instances`."""

    def __init__(self, around: Around, name: str) -> None:
        super().__init__()
        self._around = around
        self._name = name
        self.offers = {b"GET": self._get}

    def getChild(self, path: bytes, request: Any) -> Resource:
        """One instance."""
        return _Instance(self._around, self._name, path.decode("latin-1")) if path else super().getChild(path, request)

    async def _get(self, request: AdminRequest) -> None:
        answer(request, 200, {"instances": self._around.service(self._name)["instances"]})


class _Instance(Api):
    """`/services/NAME/instances/ID`."""

    def __init__(self, around: Around, service: str, id: str) -> None:  # noqa: A002 - the word of the API
        super().__init__()
        self._around = around
        self._service = service
        self._id = id
        self.offers = {b"GET": self._get, b"PUT": self._put, b"DELETE": self._delete}
        self.putChild(b"heartbeat", _Heartbeat(around, service, id))
        self.putChild(b"breaker", _Breaker(around, service, id))

    async def _get(self, request: AdminRequest) -> None:
        for each in self._around.service(self._service)["instances"]:
            if each["id"] == self._id:
                answer(request, 200, each)
                return
        raise InstanceNotFoundError

    async def _put(self, request: AdminRequest) -> None:
        caller = await self._around.callers.caller(request)
        must_be_for(self._service, caller)
        if not _INSTANCE.fullmatch(self._id):
            sentence = 'expected up to 128 letters, digits, ".", "_", ":" and "-" in the path'
            raise InvalidDocumentError(errors=[("id", sentence)])
        document = read(InstanceDocument, body_of(request))
        new = await self._around.directory.register(document.record(self._service, self._id))
        if new:
            _note(caller, "has registered", self._service, self._id)
        answer(request, 201 if new else 200, {"service": self._service, "id": self._id, "lease": document.ttl})

    async def _delete(self, request: AdminRequest) -> None:
        caller = await self._around.callers.caller(request)
        must_be_for(self._service, caller)
        await self._around.directory.deregister(self._service, self._id)
        _note(caller, "has removed", self._service, self._id)
        answer(request, 202, {"service": self._service, "id": self._id})


class _Heartbeat(Api):
    """`/services/NAME/instances/ID/heartbeat`."""

    def __init__(self, around: Around, service: str, id: str) -> None:  # noqa: A002
        super().__init__()
        self._around = around
        self._service = service
        self._id = id
        self.offers = {b"POST": self._post}

    async def _post(self, request: AdminRequest) -> None:
        must_be_for(self._service, await self._around.callers.caller(request))
        answer(request, 200, {"lease": await self._around.directory.renew(self._service, self._id)})


class _Breaker(Api):
    """`/services/NAME/breaker` and `/services/NAME/instances/ID/breaker`."""

    def __init__(self, around: Around, service: str, id: str | None) -> None:  # noqa: A002
        super().__init__()
        self._around = around
        self._service = service
        self._id = id
        self.offers = {b"PUT": self._put}

    async def _put(self, request: AdminRequest) -> None:
        caller = await self._around.callers.caller(request)
        must_be_admin(caller)
        document = read(BreakerDocument, body_of(request))
        self._around.directory.force(self._service, self._id, document.state)
        _note(caller, f"has set to {document.state} the breaker of", self._service, self._id or "")
        answer(request, 200, {"service": self._service, "id": self._id, "state": document.state})


def _note(caller: Caller, did: str, service: str, instance: str) -> None:
    """Who has changed something, once it is done: all of these are names that have a form."""
    log.info("{caller} {did} {service} {instance}", caller=caller.name, did=did, service=service, instance=instance)
