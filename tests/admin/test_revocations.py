from __future__ import annotations

import time
from datetime import datetime

import jwt
import pytest
import pytest_twisted
from twisted.logger import LogEvent, globalLogPublisher

from tests.admin.revoking import at, serving, unsigned
from tests.admin.test_services import problem
from tests.twisted_hygiene import until
from ttagw.auth.revocations import Terms
from ttagw.core.identity import Identity

DAY = 86400.0
TERMS = Terms(30 * DAY, 30.0, 1000)
SECRET = b"s" * 32


def token(user: str = "u", jti: str = "j", issued: float | None = None) -> Identity:
    return Identity("token", user, (), (), token_id=jti, issued=time.time() - 60 if issued is None else issued)


def key(name: str) -> Identity:
    return Identity("key", name, (), ())


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


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


# Who may


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
