from __future__ import annotations

import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import msgspec
import pytest
import pytest_twisted
from twisted.logger import LogEvent, globalLogPublisher

from tests.admin.served import KEYS, Admin, Answer, MemoryKeys
from tests.admin.test_services import problem
from tests.twisted_hygiene import reactor, until
from ttagw.admin.callers import Callers
from ttagw.admin.revocation_documents import LONGEST, MOST_TOKEN
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
SECRET = b"s" * 32


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


def token(user: str = "u", jti: str = "j", issued: float | None = None) -> Identity:
    return Identity("token", user, (), (), token_id=jti, issued=time.time() - 60 if issued is None else issued)


def key(name: str) -> Identity:
    return Identity("key", name, (), ())


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def at(seconds: float) -> str:
    """RFC 3339 of so many seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


# Revoking, looking, lifting


@pytest.mark.parametrize(
    ("kind", "id_", "identity"), [("jti", "j", token()), ("user", "u", token()), ("key", "ci", key("ci"))]
)
@pytest_twisted.ensureDeferred
async def test_each_kind_comes_and_goes(kind: str, id_: str, identity: Identity) -> None:
    async with serving() as served:
        found = await served.ask("GET", query=f"?kind={kind}&id={id_}")
        assert (found.status, found.json) == (200, {"kind": kind, "revoked": False, "state": "current"})
        done = await served.ask("POST", {kind: id_})
        assert done.status == 201
        assert done.json["kind"] == kind
        assert served.refused(identity)
        found = await served.ask("GET", query=f"?kind={kind}&id={id_}")
        assert (found.status, found.json) == (200, {"revoked": True, "state": "current", **done.json})
        counts = (await served.ask("GET")).json
        assert counts["revocations"] == {"jti": 0, "user": 0, "key": 0, kind: 1}
        gone = await served.ask("DELETE", {kind: id_})
        assert (gone.status, gone.json) == (200, {"kind": kind, "lifted": True})
        assert not served.refused(identity)
        assert problem(await served.ask("DELETE", {kind: id_})) == (404, "revocation_not_found")


@pytest_twisted.ensureDeferred
async def test_it_is_said_how_long_it_stays() -> None:
    async with serving() as served:
        now = time.time()
        assert (await served.ask("POST", {"key": "ci"})).json == {"kind": "key", "end": None}
        by_user = (await served.ask("POST", {"user": "u"})).json
        assert now - 0.1 <= moment(by_user["before"]) <= time.time()
        assert moment(by_user["end"]) == pytest.approx(moment(by_user["before"]) + 30 * DAY + 30, abs=0.01)
        assert by_user["end"].endswith("Z")
        by_id = (await served.ask("POST", {"jti": "a"})).json
        assert now + 30 * DAY <= moment(by_id["end"]) - 29 <= time.time() + 30 * DAY + 2
        for expires in (int(now + 600), now + 600.5, at(600), at(600).replace("+00:00", "z").replace("T", "t")):
            answer = await served.ask("POST", {"jti": f"t{expires}", "expires": expires})
            assert answer.status == 201
            assert moment(answer.json["end"]) == pytest.approx(time.time() + 630, abs=20)


@pytest_twisted.ensureDeferred
async def test_a_user_is_revoked_until_a_moment() -> None:
    async with serving() as served:
        answer = await served.ask("POST", {"user": "u", "before": at(-100)})
        assert answer.status == 201
        assert served.refused(token(issued=time.time() - 101))
        assert not served.refused(token(issued=time.time() - 90))


@pytest_twisted.ensureDeferred
async def test_a_token_itself_is_as_good_as_its_id() -> None:
    seen: list[LogEvent] = []
    globalLogPublisher.addObserver(seen.append)
    ends = int(time.time()) + 600
    text = jwt.encode({"jti": "of-token", "exp": ends, "sub": "somebody"}, SECRET)
    async with serving() as served:
        answer = await served.ask("POST", {"token": f"{text}\n"})
        assert (answer.status, answer.json["kind"]) == (201, "jti")
        assert moment(answer.json["end"]) == ends + 30
        assert served.refused(token("other", "of-token"))
        assert (await served.ask("DELETE", {"token": text})).status == 200
        assert not served.refused(token("other", "of-token"))
        for exp in (None, "soon", True, 1e300):
            claims = {"jti": f"of-{exp}", **({} if exp is None else {"exp": exp})}
            made = await served.ask("POST", {"token": unsigned(claims)})
            assert made.status == 201
    globalLogPublisher.removeObserver(seen.append)
    said = repr(seen)
    assert "has revoked one" in said
    assert "of-token" not in said
    assert text not in said
    assert "somebody" not in said


def unsigned(claims: object) -> str:
    body = urlsafe_b64encode(msgspec.json.encode(claims)).rstrip(b"=").decode()
    return f"e30.{body}.x"


# What is refused


@pytest.mark.parametrize(
    ("document", "fields"),
    [
        ({}, [""]),
        ([], [""]),
        ({"jti": "a", "user": "b"}, ["user"]),
        ({"jti": "a", "key": "b", "token": unsigned({"jti": "c"})}, ["key", "token"]),
        ({"jti": "a", "more": 1}, ["more"]),
        ({"jti": ""}, ["jti"]),
        ({"jti": 7}, ["jti"]),
        ({"jti": "a" * 256}, ["jti"]),
        ({"jti": "a\nb"}, ["jti"]),
        ({"user": "a b"}, ["user"]),
        ({"user": "é"}, ["user"]),
        ({"key": "a b"}, ["key"]),
        ({"user": "u", "expires": 2e9}, ["expires"]),
        ({"key": "u", "expires": 2e9, "before": "2020-01-01T00:00:00Z"}, ["expires", "before"]),
        ({"jti": "a", "before": "2020-01-01T00:00:00Z"}, ["before"]),
        ({"token": unsigned({"jti": "c"}), "expires": 2e9}, ["expires"]),
        ({"jti": "a", "expires": "tomorrow"}, ["expires"]),
        ({"jti": "a", "expires": "2027-13-01T00:00:00Z"}, ["expires"]),
        ({"jti": "a", "expires": "2027-01-01T00:00:00"}, ["expires"]),
        ({"jti": "a", "expires": True}, ["expires"]),
        ({"jti": "a", "expires": -5}, ["expires"]),
        ({"jti": "a", "expires": time.time() - 31}, ["expires"]),
        ({"jti": "a", "expires": time.time() + LONGEST + 60}, ["expires"]),
        ({"jti": "a", "expires": 10**400}, ["expires"]),
        ({"user": "u", "before": 1e9}, ["before"]),
        ({"user": "u", "before": at(60)}, ["before"]),
        ({"user": "u", "before": at(-31 * DAY)}, ["before"]),
        ({"token": "nonsense"}, ["token"]),
        ({"token": "a.b.c"}, ["token"]),
        ({"token": "a.!.c"}, ["token"]),
        ({"token": unsigned([1])}, ["token"]),
        ({"token": unsigned({"sub": "u"})}, ["token"]),
        ({"token": unsigned({"jti": 7})}, ["token"]),
        ({"token": unsigned({"jti": ""})}, ["token"]),
        ({"token": unsigned({"jti": "c", "exp": 1000})}, ["token"]),
        ({"token": "x" * (MOST_TOKEN + 1)}, ["token"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_used_names_the_field(document: object, fields: list[str]) -> None:
    async with serving() as served:
        answer = await served.ask("POST", document)
        assert problem(answer) == (400, "invalid_document")
        assert [each["field"] for each in answer.json["errors"]] == fields
        assert served.revocations.counts() == {"jti": 0, "user": 0, "key": 0}


@pytest_twisted.ensureDeferred
async def test_what_is_no_document_is_refused() -> None:
    async with serving() as served:
        assert problem(await served.ask("POST", body=b"{")) == (400, "invalid_document")
        as_text = {"content-type": "text/plain"}
        assert problem(await served.ask("POST", {"jti": "a"}, fields=as_text)) == (415, "unsupported_media_type")
        assert problem(await served.ask("POST", body=b"x" * 70_000)) == (413, "body_too_large")
        assert problem(await served.ask("PUT", {"jti": "a"})) == (405, "method_not_allowed")
        fields = [each["field"] for each in (await served.ask("DELETE", {"jti": "a", "expires": 1})).json["errors"]]
        assert fields == ["expires"]
        assert problem(await served.ask("DELETE", {"jti": "a", "user": "b"})) == (400, "invalid_document")


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("?kind=user", ["id"]),
        ("?id=u", ["kind"]),
        ("?kind=user&kind=user&id=u", ["kind"]),
        ("?kind=token&id=u", ["kind"]),
        ("?kind=user&id=a%20b", ["id"]),
        ("?kind=user&id=", ["id"]),
        ("?kind=user&id=u&more=1", ["more"]),
        ("?more=", ["more", "kind", "id"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_question_that_cannot_be_answered_names_the_field(query: str, fields: list[str]) -> None:
    async with serving() as served:
        answer = await served.ask("GET", query=query)
        assert problem(answer) == (400, "invalid_document")
        assert [each["field"] for each in answer.json["errors"]] == fields


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest_twisted.ensureDeferred
async def test_only_admins_may(method: str) -> None:
    async with serving() as served:
        document = None if method == "GET" else {"jti": "j"}
        for name, found in (
            (None, (401, "credentials_required")),
            ("nobody", (401, "credentials_refused")),
            ("players", (403, "not_allowed")),
            ("deploy", (403, "not_allowed")),
        ):
            assert problem(await served.ask(method, document, key=name)) == found
        assert (await served.ask("POST", {"key": "ops"})).status == 201
        assert problem(await served.ask(method, document)) == (401, "credentials_refused")
        assert not served.refused(token())


# Without a store, and without room


@pytest_twisted.ensureDeferred
async def test_without_a_store_nothing_is_done_and_that_is_said() -> None:
    async with serving(up=False) as served:
        about = (await served.ask("GET")).json
        assert about["state"] == "unknown"
        found = await served.ask("GET", query="?kind=jti&id=j")
        assert found.json == {"kind": "jti", "revoked": None, "state": "unknown"}
        for method in ("POST", "DELETE"):
            answer = await served.ask(method, {"jti": "j"})
            assert problem(answer) == (503, "not_stored")
            assert "nothing was changed" in answer.json["detail"]
            assert answer.fields["retry-after"] == "5"
        before = time.time()
        await served.store.start()
        await until(lambda: served.revocations.knowledge.value == "current")
        about = (await served.ask("GET")).json
        assert about["state"] == "current"
        assert moment(about["since"]) >= before - 0.01
        assert not served.refused(token())


@pytest_twisted.ensureDeferred
async def test_without_room_it_is_said() -> None:
    async with serving(most=1) as served:
        assert (await served.ask("POST", {"jti": "a"})).status == 201
        assert problem(await served.ask("POST", {"jti": "b"})) == (503, "revocations_full")
