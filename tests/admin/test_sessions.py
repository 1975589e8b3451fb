"""`/sessions/ID/class`: marking a session."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_twisted
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from tests.admin.served import Admin, MemoryKeys
from tests.twisted_hygiene import reactor, until
from ttagw.admin.callers import Callers
from ttagw.admin.sessions import SessionPages
from ttagw.admin.site import Readiness, admin_site
from ttagw.auth.keys import Caller
from ttagw.core.classes import TrafficClass
from ttagw.core.marks import Mark
from ttagw.errors import NotStoredError
from ttagw.testing import Clock

KEYS = {
    "admin": Caller("ops", ("admin",)),
    "game": Caller("core-gameplay", ("service",), ("mark_sessions",)),
    "other": Caller("other", ("service",), ("register:other",)),
}
WALL = 1_800_000_000.0


class MemoryMarks:
    """Keeps marks in a dict; `away`: the store is."""

    def __init__(self) -> None:
        self.marks: dict[str, Mark] = {}
        self.away = False

    def find(self, session: str) -> Mark | None:
        return self.marks.get(session)

    async def put(self, session: str, mark: Mark) -> bool:
        self.marks[session] = mark
        return not self.away

    async def remove(self, session: str) -> bool:
        if self.away:
            raise NotStoredError
        return self.marks.pop(session, None) is not None


class Served:
    def __init__(self, admin: Admin, marks: MemoryMarks) -> None:
        self.admin, self.marks = admin, marks

    async def ask(self, method: str, path: str = "/sessions/s-1/class", document: Any = None, key: str = "game") -> Any:
        return await self.admin.ask(method, path, document, key=key or None)

    async def mark(self, id_: str = "s-1", **document: Any) -> Any:
        return await self.ask("PUT", f"/sessions/{id_}/class", document or {"class": "crisis", "for": "1h"})


@asynccontextmanager
async def serving() -> AsyncIterator[Served]:
    marks = MemoryMarks()
    page = SessionPages(marks, Callers(MemoryKeys(**KEYS), Clock()), Clock(WALL))
    site = admin_site("g", lambda: Readiness(True, 1, False, {}), None, pages={b"sessions": page}, reactor=reactor)
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    admin = Admin(site, port.getHost().port)
    try:
        yield Served(admin, marks)
    finally:
        for raw in admin.raws:
            raw.socket.close()
        stopped = port.stopListening()
        if stopped is not None:
            await stopped
        await until(lambda: not site.channels)


@pytest_twisted.ensureDeferred
async def test_a_session_is_marked_looked_at_and_lifted() -> None:
    async with serving() as served:
        assert (await served.ask("GET")).json == {"class": None}
        answer = await served.mark()
        assert answer.status == 200
        until_ = "2027-01-15T09:00:00.000Z"
        assert answer.json == {"class": "crisis", "until": until_, "stored": True}
        assert served.marks.marks == {"s-1": Mark(TrafficClass.CRISIS, WALL + 3600.0)}
        assert (await served.ask("GET")).json == {"class": "crisis", "until": until_}
        assert (await served.ask("DELETE")).json == {"class": None, "lifted": True}
        assert (await served.ask("DELETE")).json == {"class": None, "lifted": False}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest_twisted.ensureDeferred
async def test_only_admins_and_those_with_the_permission_may(method: str) -> None:
    async with serving() as served:
        document = {"class": "high", "for": "1m"} if method == "PUT" else None
        for key, status in (("admin", 200), ("game", 200), ("other", 403), ("nobody", 401), ("", 401)):
            answer = await served.ask(method, document=document, key=key)
            assert answer.status == status
        assert "mark_sessions" in (await served.ask(method, document=document, key="other")).json["detail"]


@pytest.mark.parametrize(
    ("path", "id_"), [("a%2Fb", "a/b"), ("%25", "%"), ("a;b", "a;b"), ("%3Fa", "?a"), ("~" * 255, "~" * 255)]
)
@pytest_twisted.ensureDeferred
async def test_an_id_can_be_anything_that_a_token_can_say(path: str, id_: str) -> None:
    async with serving() as served:
        assert (await served.mark(path)).status == 200
        assert list(served.marks.marks) == [id_]


@pytest.mark.parametrize("path", ["%20", "a%0Ab", "%C3%BC", "~" * 256, ""])
@pytest_twisted.ensureDeferred
async def test_what_no_token_can_say_is_refused(path: str) -> None:
    async with serving() as served:
        answer = await served.mark(path)
        assert answer.status == 400
        assert [each["field"] for each in answer.json["errors"]] == ["id"]


@pytest.mark.parametrize(
    ("document", "fields"),
    [
        ({"class": "crisis"}, ["for"]),
        ({"for": "1h"}, ["class"]),
        ({"class": "highest", "for": "1h"}, ["class"]),
        ({"class": "crisis", "for": "0s"}, ["for"]),
        ({"class": "crisis", "for": "25h"}, ["for"]),
        ({"class": "crisis", "for": 3600}, ["for"]),
        ({"class": "crisis", "for": "1h", "why": "x"}, ["why"]),
        ({"traffic_class": "crisis", "for_": "1h"}, ["class", "for", "for_", "traffic_class"]),
        ([], [""]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_document_with_faults_is_refused_with_all_of_them(document: Any, fields: list[str]) -> None:
    async with serving() as served:
        answer = await served.ask("PUT", document=document)
        assert answer.status == 400
        assert sorted(each["field"] for each in answer.json["errors"]) == fields
        assert served.marks.marks == {}


@pytest_twisted.ensureDeferred
async def test_it_says_what_is_not_stored_yet_and_what_could_not_be_lifted() -> None:
    async with serving() as served:
        served.marks.away = True
        answer = await served.mark()
        assert (answer.status, answer.json["stored"]) == (200, False)
        answer = await served.ask("DELETE")
        assert (answer.status, answer.json["code"]) == (503, "not_stored")


@pytest.mark.parametrize(
    "path", ["/sessions", "/sessions/", "/sessions/s-1", "/sessions/s-1/class/x", "/sessions/s-1/x"]
)
@pytest_twisted.ensureDeferred
async def test_elsewhere_there_is_nothing(path: str) -> None:
    async with serving() as served:
        assert (await served.ask("GET", path)).status == 404


@pytest_twisted.ensureDeferred
async def test_other_methods_are_refused() -> None:
    async with serving() as served:
        answer = await served.ask("POST", document={})
        assert (answer.status, answer.fields["allow"]) == (405, "DELETE, GET, HEAD, PUT")


@pytest_twisted.ensureDeferred
async def test_the_id_is_in_no_log_and_in_no_answer() -> None:
    said: list[LogEvent] = []
    globalLogPublisher.addObserver(said.append)
    try:
        async with serving() as served:
            answers = [
                await served.mark("zebra-1"),
                await served.ask("GET", "/sessions/zebra-1/class"),
                await served.ask("PUT", "/sessions/zebra-1/class", {}),
                await served.ask("DELETE", "/sessions/zebra-1/class"),
            ]
    finally:
        globalLogPublisher.removeObserver(said.append)
    lines = [formatEvent(each) for each in said]
    assert any("core-gameplay has marked one session as crisis for 3600 s" in each for each in lines)
    assert any("has lifted the mark" in each for each in lines)
    assert "zebra" not in "".join(lines) + json.dumps([str(each) for each in said])
    assert b"zebra" not in b"".join([each.body for each in answers])
