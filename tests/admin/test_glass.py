from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_twisted
from twisted.logger import LogEvent, globalLogPublisher

from tests.admin.served import Admin, MemoryKeys
from tests.twisted_hygiene import reactor, until
from ttagw.admin.callers import Callers
from ttagw.admin.glass import MOST, USUAL, BreakGlass
from ttagw.admin.site import Readiness, admin_site
from ttagw.auth.glass_records import Record, Records, Uses
from ttagw.auth.keys import Caller
from ttagw.store.base import StoreAwayError, StoreError
from ttagw.store.memory import MemoryStore
from ttagw.testing import Clock

KEYS = {
    "admin": Caller("ops", ("admin",)),
    "review": Caller("reviewer", (), ("access_audit_logs",)),
    "game": Caller("game", ("service",), ("register:game",)),
}


def id_of(number: int) -> str:
    return f"01a21700-{number:04x}-7000-8000-000000000000"


def record(number: int) -> Record:
    return Record(
        id=id_of(number),
        time=1000.0 + number,
        ends=1900.0 + number,
        caller="thea",
        kind="token",
        issuer="https://i",
        roles=("therapist",),
        person="perry",
        reason="Zebra-like reasons, <b>all</b> of them.",
        route="players",
        request_id=f"r{number}",
        gateway="g",
    )


class Served:
    """The page, served, on a store with some records."""

    def __init__(self, admin: Admin, store: MemoryStore, records: Records) -> None:
        self.admin, self.store, self.records = admin, store, records

    async def write(self, count: int) -> None:
        for number in range(count):
            await self.records.write(record(number))

    async def ask(self, query: str = "", key: str = "admin", method: str = "GET") -> Any:
        return await self.admin.ask(method, f"/break-glass{query}", key=key)


@asynccontextmanager
async def serving() -> AsyncIterator[Served]:
    store = MemoryStore(reactor, Clock())
    await store.start()
    records = Records(store)
    page = BreakGlass(records, Callers(MemoryKeys(**KEYS), Clock()), StoreError)
    site = admin_site("g", lambda: Readiness(True, 1, False, {}), None, pages={b"break-glass": page}, reactor=reactor)
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    admin = Admin(site, port.getHost().port)
    try:
        yield Served(admin, store, records)
    finally:
        for raw in admin.raws:
            raw.socket.close()
        stopped = port.stopListening()
        if stopped is not None:
            await stopped
        await until(lambda: not site.channels)
        await store.stop()


@pytest_twisted.ensureDeferred
async def test_a_page_shows_everything_about_each_record() -> None:
    async with serving() as served:
        await served.write(2)
        await served.records.write_uses(id_of(0), "a-1", Uses(count=2, last=1500.0, routes={"players": 2}))
        answer = await served.ask()
        assert answer.status == 200
        assert answer.json == {"records": [shown(1), {**shown(0), **used(2, 1500.0)}], "after": None}
        assert answer.fields["cache-control"] == "no-store"
        assert (await served.ask(method="HEAD")).body == b""


def shown(number: int) -> dict[str, Any]:
    return {
        "id": id_of(number),
        "time": 1000.0 + number,
        "ends": 1900.0 + number,
        "caller": "thea",
        "kind": "token",
        "issuer": "https://i",
        "roles": ["therapist"],
        "person": "perry",
        "reason": "Zebra-like reasons, <b>all</b> of them.",
        "route": "players",
        "request_id": f"r{number}",
        "gateway": "g",
        "uses": 0,
        "last_use": None,
        "routes": {},
    }


def used(count: int, last: float) -> dict[str, Any]:
    return {"uses": count, "last_use": last, "routes": {"players": count}}


@pytest_twisted.ensureDeferred
async def test_pages_follow_one_another() -> None:
    async with serving() as served:
        await served.write(USUAL + 3)
        first = (await served.ask()).json
        assert [each["id"] for each in first["records"]] == [id_of(USUAL + 2 - n) for n in range(USUAL)]
        second = (await served.ask(f"?after={first['after']}")).json
        assert ([each["id"] for each in second["records"]], second["after"]) == ([id_of(2), id_of(1), id_of(0)], None)
        assert len((await served.ask(f"?limit={MOST}")).json["records"]) == USUAL + 3


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("limit=0", ["limit"]),
        (f"limit={MOST + 1}", ["limit"]),
        ("limit=-1", ["limit"]),
        ("limit=1&limit=1", ["limit"]),
        ("after=x", ["after"]),
        (f"after={id_of(1)}&after={id_of(2)}", ["after"]),
        ("after=%00&limit=%D9%A1", ["limit", "after"]),
        ("zebra=1", ["zebra"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_asked_is_told_where(query: str, fields: list[str]) -> None:
    async with serving() as served:
        answer = await served.ask(f"?{query}")
        assert (answer.status, answer.json["code"]) == (400, "invalid_document")
        assert [each["field"] for each in answer.json["errors"]] == fields


@pytest_twisted.ensureDeferred
async def test_only_reviewers_see_it() -> None:
    async with serving() as served:
        await served.write(1)
        statuses = {key: (await served.ask(key=key)).status for key in ("admin", "review", "game", "other")}
        assert statuses == {"admin": 200, "review": 200, "game": 403, "other": 401}
        nobody = await served.admin.ask("GET", "/break-glass")
        assert nobody.status == 401
        assert b"Zebra" not in nobody.body
        for method in ("PUT", "DELETE", "POST"):
            assert (await served.ask(method=method)).status == 405
        assert (await served.admin.ask("GET", f"/break-glass/{id_of(0)}", key="admin")).status == 404


@pytest_twisted.ensureDeferred
async def test_who_has_read_it_is_logged_and_not_what() -> None:
    heard: list[LogEvent] = []
    async with serving() as served:
        await served.write(3)
        globalLogPublisher.addObserver(heard.append)
        try:
            await served.ask("?limit=2", key="review")
            await served.ask(key="game")
        finally:
            globalLogPublisher.removeObserver(heard.append)
    (line,) = [each for each in heard if "break-glass" in (each["log_format"] or "")]
    assert (line["caller"], line["count"]) == ("reviewer", 2)
    assert "Zebra" not in str(heard)
    assert "perry" not in str(heard)


@pytest_twisted.ensureDeferred
async def test_while_the_store_is_away_it_says_to_come_again() -> None:
    async with serving() as served:

        async def away(prefix: str) -> Any:
            raise StoreAwayError("away")

        served.store.scan = away  # type: ignore[method-assign]
        answer = await served.ask()
        assert (answer.status, answer.json["code"], answer.fields["retry-after"]) == (503, "not_in_time", "5")
