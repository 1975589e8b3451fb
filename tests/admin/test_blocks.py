"""`/blocks`, served, with a store in memory."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from ipaddress import ip_network
from typing import Any

import pytest
import pytest_twisted
from twisted.logger import LogEvent, globalLogPublisher

from tests.abuse.kit import RULES, Told
from tests.admin.served import KEYS, Admin, Answer, MemoryKeys
from tests.admin.test_services import problem
from tests.twisted_hygiene import reactor, until
from ttagw.abuse.blocks import Blocks
from ttagw.abuse.entries import PREFIX, decode
from ttagw.abuse.table import Table
from ttagw.admin.blocks import BlockPages
from ttagw.admin.callers import Callers
from ttagw.admin.site import Readiness, admin_site
from ttagw.core.networks import Places
from ttagw.store.base import StoreError
from ttagw.store.memory import MemoryStore
from ttagw.store.mirror import Mirror
from ttagw.testing import Clock

PLACES = Places([ip_network("10.0.0.0/16")], [ip_network("203.0.113.0/24")], [ip_network("2001:db8::/48")])


class Served:
    def __init__(self, admin: Admin, blocks: Blocks) -> None:
        self.blocks = blocks
        self._admin = admin

    async def ask(
        self, method: str, document: object = None, query: str = "", key: str | None = "admin", **more: Any
    ) -> Answer:
        return await self._admin.ask(method, f"/blocks{query}", document, key=key, **more)

    async def faults(self, method: str, document: object = None, query: str = "") -> dict[str, str]:
        answer = await self.ask(method, document, query)
        assert problem(answer) == (400, "invalid_document")
        return {each["field"]: each["message"] for each in answer.json["errors"]}


@asynccontextmanager
async def serving(*, up: bool = True, most: int = 1000) -> AsyncIterator[Served]:
    store = MemoryStore(reactor, time.monotonic)
    table = Table(time.time)
    blocks = Blocks(
        lambda changed: Mirror(store, PREFIX, decode, lambda block: block.gone, reactor, time.time, changed),
        RULES,
        table,
        reactor,
        time.time,
        StoreError,
        Told(),
        most,
    )
    blocks.start()
    if up:
        await store.start()
    callers = Callers(MemoryKeys(**KEYS), Clock())
    pages = {b"blocks": BlockPages(blocks, PLACES, callers, time.time)}
    site = admin_site(
        "gw-1", lambda: Readiness(True, 1, False, {}), None, callers=callers, pages=pages, reactor=reactor
    )
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    admin = Admin(site, port.getHost().port)
    try:
        yield Served(admin, blocks)
    finally:
        for raw in admin.raws:
            raw.socket.close()
        await port.stopListening()
        await until(lambda: not site.channels)
        await blocks.stop()
        await store.stop()


@pytest_twisted.ensureDeferred
async def test_blocks_come_are_listed_and_go() -> None:
    async with serving() as served:
        made = await served.ask("POST", {"address": "192.0.2.0/24", "for": "2h", "reason": "scraping"})
        assert made.status == 201
        since, end = [datetime.fromisoformat(made.json[name]).timestamp() for name in ("since", "end")]
        assert end - since == pytest.approx(7200, abs=0.01)
        rest = {name: value for name, value in made.json.items() if name not in ("since", "end")}
        assert rest == {"address": "192.0.2.0/24", "by": "operator", "reason": "scraping", "offences": 0}
        user = await served.ask("POST", {"user": "mira"})
        assert (user.status, user.json["user"], user.json["end"]) == (201, "mira", None)
        listed = (await served.ask("GET")).json
        assert listed == {"blocks": [made.json, user.json], "total": 2, "after": None}
        assert (await served.ask("DELETE", {"user": "mira"})).json == {"user": "mira", "lifted": True}
        assert problem(await served.ask("DELETE", {"user": "mira"})) == (404, "block_not_found")
        assert problem(await served.ask("DELETE", {"address": "192.0.2.1"})) == (404, "block_not_found")
        assert (await served.ask("DELETE", {"address": "192.0.2.0/24"})).status == 200
        assert (await served.ask("GET")).json["blocks"] == []


@pytest_twisted.ensureDeferred
async def test_one_address_or_user_is_asked_about() -> None:
    async with serving() as served:
        made = (await served.ask("POST", {"address": "192.0.2.0/24"})).json
        user = (await served.ask("POST", {"user": "a b".replace(" ", "|")})).json
        for query, blocks, listed in (
            ("192.0.2.7", [made], None),
            ("192.0.2.0/24", [made], None),
            ("192.0.3.7", [], None),
            ("10.0.0.1", [], "allow"),
            ("203.0.113.1", [], "deny"),
            ("2001:db8::1", [], "allow"),
        ):
            answer = await served.ask("GET", query=f"?address={query}")
            assert (answer.status, answer.json) == (200, {"blocks": blocks, "listed": listed})
        assert (await served.ask("GET", query="?user=a%7Cb")).json == {"blocks": [user]}
        assert (await served.ask("GET", query="?user=c")).json == {"blocks": []}


@pytest_twisted.ensureDeferred
async def test_pages_have_all_of_them_once() -> None:
    async with serving() as served:
        for number in range(25):
            served.blocks.offend("address", f"192.0.2.{number}")
        found: list[str] = []
        after: str | None = ""
        sizes = []
        while after is not None:
            page = (await served.ask("GET", query=f"?limit=10{'&after=' + after if after else ''}")).json
            assert page["total"] == 25
            sizes.append(len(page["blocks"]))
            found += [each["address"] for each in page["blocks"]]
            after = page["after"]
        assert sizes == [10, 10, 5]
        assert sorted(found) == sorted(f"192.0.2.{number}" for number in range(25))


@pytest_twisted.ensureDeferred
async def test_an_automatic_block_of_a_network_is_lifted_by_any_of_its_addresses() -> None:
    async with serving() as served:
        served.blocks.offend("address", "2001:db9::/64")
        answer = await served.ask("DELETE", {"address": "2001:db9::17"})
        assert (answer.status, answer.json["address"]) == (200, "2001:db9::/64")


# What is not taken


@pytest_twisted.ensureDeferred
async def test_whoever_must_not_be_blocked_is_not() -> None:
    async with serving() as served:
        for address, named in (
            ("10.0.3.4", "10.0.0.0/16 of abuse.allow"),
            ("10.0.0.0/8", "10.0.0.0/16 of abuse.allow"),
            ("2001:db8::/64", "2001:db8::/48 of gateway.trusted_proxies"),
        ):
            faults = await served.faults("POST", {"address": address})
            assert faults == {"address": f"this overlaps {named}, which is never blocked; change that first"}


@pytest.mark.parametrize(
    ("document", "field", "message"),
    [
        ({}, "", "expected exactly one of address and user"),
        ({"address": "192.0.2.1", "user": "u"}, "user", "expected exactly one of address and user"),
        ({"address": "somewhere"}, "address", "expected an address or a network"),
        ({"address": "192.0.2.1/24"}, "address", "(its host bits are set)"),
        ({"address": "0.0.0.0/0"}, "address", "this is everybody"),
        ({"user": "two words"}, "user", "1 to 255 characters"),
        ({"user": "u", "for": "0s"}, "for", "expected a time of up to a year"),
        ({"user": "u", "for": "2y"}, "for", "expected a time of up to a year"),
        ({"user": "u", "for": 60}, "for", "expected a duration"),
        ({"user": "u", "reason": "Because I can"}, "reason", "expected a word"),
        ({"user": "u", "lasts": "1h"}, "lasts", "there is no such field"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_used_is_said(document: object, field: str, message: str) -> None:
    async with serving() as served:
        [(name, text)] = (await served.faults("POST", document)).items()
        assert name == field
        assert message in text
        assert served.blocks.table.listed() == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?limit=0", "limit"),
        ("?limit=201", "limit"),
        ("?limit=%C2%B2", "limit"),
        ("?limit=1&limit=2", "limit"),
        ("?colour=red", "colour"),
        ("?address=nowhere", "address"),
        ("?user=two%20words", "user"),
        ("?user=u&address=192.0.2.1", ""),
        ("?user=u&limit=1", ""),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_asked_is_said(query: str, field: str) -> None:
    async with serving() as served:
        assert list(await served.faults("GET", query=query)) == [field]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest_twisted.ensureDeferred
async def test_only_admins_may(method: str) -> None:
    async with serving() as served:
        document = None if method == "GET" else {"address": "192.0.2.1"}
        for name, found in (
            (None, (401, "credentials_required")),
            ("nobody", (401, "credentials_refused")),
            ("players", (403, "not_allowed")),
        ):
            assert problem(await served.ask(method, document, key=name)) == found
        assert served.blocks.table.listed() == []


@pytest_twisted.ensureDeferred
async def test_while_the_store_is_away_nothing_is_done() -> None:
    async with serving(up=False) as served:
        answer = await served.ask("POST", {"address": "192.0.2.1"})
        assert problem(answer) == (503, "not_stored")
        assert answer.fields["retry-after"] == "5"
        assert served.blocks.table.listed() == []


@pytest_twisted.ensureDeferred
async def test_there_is_an_end_of_room() -> None:
    async with serving(most=1) as served:
        assert (await served.ask("POST", {"address": "192.0.2.1"})).status == 201
        assert problem(await served.ask("POST", {"address": "192.0.2.2"})) == (503, "blocks_full")


@pytest_twisted.ensureDeferred
async def test_the_log_names_who_did_it_and_no_user() -> None:
    seen: list[LogEvent] = []
    globalLogPublisher.addObserver(seen.append)
    async with serving() as served:
        await served.ask("POST", {"user": "mira"})
        await served.ask("GET", query="?user=mira")
        await served.ask("DELETE", {"user": "mira"})
        await served.ask("POST", {"address": "192.0.2.1"})
    globalLogPublisher.removeObserver(seen.append)
    said = [each["log_format"].format(**each) for each in seen if each.get("log_namespace") == "ttagw.admin.blocks"]
    assert said == [
        "ops has blocked one user: operator",
        "ops has looked at blocks",
        "ops has lifted the block of one user",
        "ops has blocked 192.0.2.1: operator",
    ]
    assert "mira" not in repr(seen)
