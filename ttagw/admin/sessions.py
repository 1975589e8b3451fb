"""`/sessions/ID/class`: of which traffic class whoever has this session is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, Field
from twisted.logger import Logger
from twisted.web.resource import Resource

from ttagw.admin.answers import Api, Ask, Nothing, answer, body_of
from ttagw.admin.callers import ADMIN, Callers
from ttagw.admin.channel import AdminRequest
from ttagw.admin.documents import read
from ttagw.admin.revocation_documents import written
from ttagw.auth.keys import Caller
from ttagw.config.base import Section
from ttagw.config.units import Duration
from ttagw.core.classes import CLASSES
from ttagw.core.identity import USER
from ttagw.core.marks import Mark
from ttagw.errors import InvalidDocumentError, NotAllowedError

MARK = "mark_sessions"
"""The permission."""
LONGEST = 86400.0
"""Seconds that a mark lasts, at the most; it can be set anew before it ends."""


class Marks(Protocol):
    """Where marks are kept; see `ttagw.traffic.marks`."""

    def find(self, session: str) -> Mark | None: ...
    async def put(self, session: str, mark: Mark) -> bool: ...
    async def remove(self, session: str) -> bool: ...


def _not_for_ever(value: float) -> float:
    if value > LONGEST:
        raise ValueError('expected "1d" at the most: a mark can be set anew before it ends')
    return value


class MarkDocument(Section):
    """Of which class, and for how long."""

    traffic_class: Literal["crisis", "therapeutic", "high", "normal", "low"] = Field(alias="class")
    for_: Annotated[Duration, AfterValidator(_not_for_ever)] = Field(alias="for")


class SessionPages(Api):
    """`/sessions`: nothing can be listed, since nobody keeps the ids."""

    offers: Mapping[bytes, Ask] = {}

    def __init__(self, marks: Marks, callers: Callers, wall: Callable[[], float]) -> None:
        super().__init__()
        self._page = (marks, callers, wall)

    def _refusal(self) -> Any:
        return Nothing()._refusal()

    def getChild(self, path: bytes, request: Any) -> Resource:  # noqa: ARG002 - Twisted's signature
        """One session."""
        return _Session(path, *self._page)


class _Session(Nothing):
    def __init__(self, id_: bytes, marks: Marks, callers: Callers, wall: Callable[[], float]) -> None:
        super().__init__()
        self.putChild(b"class", _Class(id_, marks, callers, wall))


class _Class(Api):
    """Look, mark, lift; the id is in no log and in no answer."""

    log = Logger()

    def __init__(self, id_: bytes, marks: Marks, callers: Callers, wall: Callable[[], float]) -> None:
        super().__init__()
        self._id = id_.decode("latin-1")
        self._marks = marks
        self._callers = callers
        self._wall = wall
        self.offers = {b"GET": self._get, b"PUT": self._put, b"DELETE": self._delete}

    async def _marker(self, request: AdminRequest) -> Caller:
        caller = await self._callers.caller(request)
        if ADMIN not in caller.roles and MARK not in caller.permissions:
            raise NotAllowedError(detail=f"This needs a key with the role admin or the permission {MARK}.")
        if not USER.fullmatch(self._id):
            raise InvalidDocumentError(errors=[("id", "expected 1 to 255 characters of ASCII without spaces")])
        return caller

    async def _get(self, request: AdminRequest) -> None:
        await self._marker(request)
        answer(request, 200, _shown(self._marks.find(self._id)))

    async def _put(self, request: AdminRequest) -> None:
        caller = await self._marker(request)
        document = read(MarkDocument, body_of(request))
        mark = Mark(CLASSES[document.traffic_class], round(self._wall() + document.for_, 3))
        stored = await self._marks.put(self._id, mark)
        self.log.info(
            "{caller} has marked one session as {rank} for {seconds} s",
            caller=caller.name,
            rank=mark.rank.text,
            seconds=round(document.for_),
        )
        answer(request, 200, {**_shown(mark), "stored": stored})

    async def _delete(self, request: AdminRequest) -> None:
        caller = await self._marker(request)
        lifted = await self._marks.remove(self._id)
        if lifted:
            self.log.info("{caller} has lifted the mark of one session", caller=caller.name)
        answer(request, 200, {"class": None, "lifted": lifted})


def _shown(mark: Mark | None) -> dict[str, Any]:
    return {"class": None} if mark is None else {"class": mark.rank.text, "until": written(mark.until)}
