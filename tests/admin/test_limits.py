"""The pages of limits, served, with a store in memory."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_twisted

from tests.admin.served import KEYS, Admin, Answer, MemoryKeys
from tests.admin.test_services import problem
from tests.twisted_hygiene import reactor, until
from ttagw.admin.callers import Callers
from ttagw.admin.site import Readiness, admin_site
from ttagw.config import Config
from ttagw.limits.base import Want
from ttagw.registry.events import Events
from ttagw.store.memory import MemoryStore
from ttagw.surroundings import Surroundings
from ttagw.testing import Clock
from ttagw.traffic.limits import Limits

CONFIG = {
    "services": {"s": {"instances": ["http://127.0.0.1:1"]}},
    "routes": [{"name": "r", "path": "/*", "service": "s", "limits": ["u", "ip", "many"], "cost": 2}],
    "limits": {
        "u": {"rate": "100/min", "burst": 200, "key": ["user"], "roles": {"admin": 3.0}},
        "ip": {"rate": "50/s", "concurrent": 5, "bandwidth": "10MiB/s"},
        "many": {"rate": "50/s", "key": ["route", "header:X-Tenant", "ip"]},
        "all": {"rate": "5/s", "key": []},
    },
}
U = {
    "rate": "100/min",
    "burst": 200,
    "concurrent": None,
    "bandwidth": None,
    "key": ["user"],
    "roles": {"admin": 3.0},
    "classes": {},
    "on_store_failure": "local",
    "dry_run": False,
}


class Served:
    def __init__(self, admin: Admin, limits: Limits, events: Events, store: MemoryStore) -> None:
        self.limits = limits
        self.events = events
        self.store = store
        self._admin = admin

    async def ask(
        self, method: str, path: str = "", document: object = None, key: str | None = "admin", **more: Any
    ) -> Answer:
        return await self._admin.ask(method, f"/limits{path}", document, key=key, **more)

    def use(self, name: str, key: str, cost: float) -> bool:
        live = self.limits.limits.by_name[name]
        verdict = self.limits.buckets.take((Want(live.rate, key, cost),))
        return verdict.allowed  # type: ignore[union-attr]


@asynccontextmanager
async def serving(store: MemoryStore | None = None, up: bool = True) -> AsyncIterator[Served]:
    kept = store or MemoryStore(reactor, time.monotonic)
    if up and store is None:
        await kept.start()
    events = Events(time.time)
    around = Surroundings(reactor, kept, events, {}, Clock())
    limits = Limits(Config.model_validate(CONFIG, context={"file": True}), around)
    limits.start()
    callers = Callers(MemoryKeys(**KEYS), Clock())
    ready = Readiness(True, 1, False, {})
    site = admin_site("gw-1", lambda: ready, None, callers=callers, pages=limits.pages(callers), reactor=reactor)
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    admin = Admin(site, port.getHost().port)
    try:
        yield Served(admin, limits, events, kept)
    finally:
        for raw in admin.raws:
            raw.socket.close()
        await port.stopListening()
        await until(lambda: not site.channels)
        await limits.stop()
        if store is None:
            await kept.stop()


def errors(answer: Answer) -> list[tuple[str, str]]:
    assert problem(answer) == (400, "invalid_document")
    return [(each["field"], each["message"]) for each in answer.json["errors"]]


@pytest_twisted.ensureDeferred
async def test_what_there_is() -> None:
    async with serving() as served:
        found = (await served.ask("GET")).json["limits"]
        assert [each["name"] for each in found] == ["all", "ip", "many", "u"]
        shown = {"name": "u", "configured": U, "current": U, "changed_by": None, "keys": 0, "under_way": 0}
        assert found[3] == (await served.ask("GET", "/u")).json == shown
        assert served.use("u", "7", 1.0)
        assert (await served.ask("GET", "/u")).json["keys"] == 1
        assert (await served.ask("GET", "/ip")).json["current"]["bandwidth"] == "10MiB/s"
        assert problem(await served.ask("GET", "/nothing")) == (404, "limit_not_found")
        assert problem(await served.ask("GET", "/u/x")) == (404, "route_not_found")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("GET", "/u"), ("PUT", "/u"), ("DELETE", "/u"), ("POST", "/u/reset")]
)
@pytest_twisted.ensureDeferred
async def test_only_admins(method: str, path: str) -> None:
    async with serving() as served:
        assert problem(await served.ask(method, path, {}, key=None)) == (401, "credentials_required")
        assert problem(await served.ask(method, path, {}, key="deploy")) == (403, "not_allowed")


@pytest_twisted.ensureDeferred
async def test_a_change_counts_at_once_and_forgets_nothing() -> None:
    async with serving() as served:
        assert served.use("u", "7", 150.0)
        answer = await served.ask("PUT", "/u", {"rate": "200/min", "burst": 400, "dry_run": False})
        assert answer.status == 200
        assert answer.json["current"] == {**U, "rate": "200/min", "burst": 400}
        assert (answer.json["configured"], answer.json["changed_by"]) == (U, "ops")
        assert [served.use("u", "7", 250.0), served.use("u", "7", 1.0)] == [True, False]
        # A document says all that is to be another than configured.
        answer = await served.ask("PUT", "/u", {"dry_run": True})
        assert answer.json["current"] == {**U, "dry_run": True}
        answer = await served.ask("DELETE", "/u")
        assert (answer.status, answer.json["current"], answer.json["changed_by"]) == (200, U, None)
        assert (await served.ask("DELETE", "/u")).status == 200
        assert not served.use("u", "7", 1.0)
        told = [(each.kind, each.service, each.instance, each.reason) for each in served.events.after(0)]
        assert told == [("limit_changed", "", "u", reason) for reason in ("changed", "changed", "restored")]


@pytest_twisted.ensureDeferred
async def test_something_can_be_added_and_taken_away() -> None:
    async with serving() as served:
        answer = await served.ask("PUT", "/u", {"rate": None, "burst": None, "concurrent": 3, "bandwidth": "1KiB/s"})
        current = answer.json["current"]
        assert [current[key] for key in ("rate", "burst", "concurrent", "bandwidth")] == [None, None, 3, "1KiB/s"]
        answer = await served.ask("PUT", "/ip", {"rate": "60/min", "on_store_failure": "deny"})
        assert (answer.json["current"]["burst"], answer.json["current"]["concurrent"]) == (60, 5)
        terms = served.limits.limits.by_name["ip"].rate
        assert (terms.count, terms.window, terms.burst, terms.on_store_failure) == (60, 60.0, 60.0, "deny")


@pytest.mark.parametrize(
    ("document", "faults"),
    [
        (
            {"rate": "fast", "burst": 0},
            {
                "rate": 'expected a rate such as "10/s", "100/min" or "1000/h", got "fast"',
                "burst": "expected a number of 1 or more, got 0",
            },
        ),
        ({"rates": "1/s"}, {"rates": "there is no such field"}),
        ({"rate": [1, 60]}, {"rate": 'expected a rate such as "10/s", "100/min" or "1000/h", got a list'}),
        ({"bandwidth": 5}, {"bandwidth": 'expected a rate of bytes such as "64KiB/s" or "10MiB/s", got 5'}),
        ({"rate": None, "concurrent": 3}, {"": "burst is how much of a rate may come at once, and there is no rate"}),
        (
            {"rate": None, "burst": None},
            {"": "expected at least one of rate, concurrent and bandwidth"},
        ),
        ({"burst": 1}, {"burst": 'expected 2 or more: a request of the route "r" counts as 2'}),
        ([], {"": "expected an object, got a list"}),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_does_not_fit_is_said_and_changes_nothing(document: object, faults: dict[str, str]) -> None:
    async with serving() as served:
        assert dict(errors(await served.ask("PUT", "/u", document))) == faults
        assert (await served.ask("GET", "/u")).json["current"] == U
        assert served.events.after(0) == []


@pytest_twisted.ensureDeferred
async def test_no_store_no_change() -> None:
    async with serving(up=False) as served:
        assert problem(await served.ask("PUT", "/u", {"burst": 5})) == (503, "not_stored")
        assert (await served.ask("GET", "/u")).json["current"] == U


@pytest_twisted.ensureDeferred
async def test_it_is_the_same_elsewhere_and_after_a_restart() -> None:
    async with serving() as one:
        assert (await one.ask("PUT", "/u", {"burst": 5})).status == 200
        async with serving(one.store) as other:
            live = other.limits.limits.by_name["u"]
            await until(lambda: live.limit.burst == 5)
            assert (await other.ask("PUT", "/u", {"burst": 6})).status == 200
            await until(lambda: one.limits.limits.by_name["u"].limit.burst == 6)
            assert (await one.ask("DELETE", "/u")).status == 200
            await until(lambda: live.limit.burst == 200)


@pytest.mark.parametrize("stored", [b"{}", b"no", b'{"terms":{"rate":"fast"},"by":"x"}'])
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_read_changes_nothing(stored: bytes) -> None:
    async with serving() as served:
        await served.store.put("limits/u", stored)
        await served.store.put("limits/other", b'{"terms":{"burst":5},"by":"x"}')
        await served.store.put("limits/all", b'{"terms":{"burst":5},"by":"x"}')
        await until(lambda: served.limits.limits.by_name["all"].limit.burst == 5)
        assert (await served.ask("GET", "/u")).json["current"] == U
        # A change that does not fit a configuration that is newer.
        await served.store.put("limits/all", b'{"terms":{"rate":null},"by":"x"}')
        await until(lambda: served.limits.limits.by_name["all"].limit.burst is None)


@pytest.mark.parametrize(
    ("name", "key", "document"),
    [
        ("u", "7", {"user": "7"}),
        ("u", "7", {"key": ["7"]}),
        ("u", " 2001:db8::/64", {"ip": "2001:db8::5"}),
        ("ip", "192.0.2.7", {"ip": "192.0.2.7"}),
        ("ip", "2001:db8::/64", {"key": ["2001:db8::5"]}),
        ("many", "r\n=t\n192.0.2.7", {"key": ["r", "t", "192.0.2.7"]}),
        ("many", "r\n-\n192.0.2.7", {"key": ["r", None, "192.0.2.7"]}),
        ("all", "*", {"key": []}),
    ],
)
@pytest_twisted.ensureDeferred
async def test_an_operator_forgives_one_and_nobody_else(name: str, key: str, document: object) -> None:
    async with serving() as served:
        most = served.limits.limits.by_name[name].rate.burst
        for each in (key, "another"):
            assert [served.use(name, each, most), served.use(name, each, 1.0)] == [True, False]
        answer = await served.ask("POST", f"/{name}/reset", document)
        assert (answer.status, answer.json) == (200, {"name": name, "reset": True})
        assert (served.use(name, key, 1.0), served.use(name, "another", 1.0)) == (True, False)


@pytest.mark.parametrize(
    ("name", "document", "field", "message"),
    [
        ("u", {}, "", "expected exactly one of user, ip and key"),
        ("u", {"user": "7", "ip": "192.0.2.7"}, "", "expected exactly one of user, ip and key"),
        ("u", {"ip": "somewhere"}, "ip", "expected an address such as 192.0.2.7 or 2001:db8::1"),
        ("ip", {"user": "7"}, "user", "expected key: this limit counts by ip"),
        ("ip", {"key": ["x"]}, "key", "expected an address such as 192.0.2.7 or 2001:db8::1"),
        ("all", {"ip": "192.0.2.7"}, "ip", "expected key: this limit counts by nothing"),
        (
            "many",
            {"key": ["r"]},
            "key",
            "expected a value for each part: this limit counts by route, header:X-Tenant, ip",
        ),
    ],
)
@pytest_twisted.ensureDeferred
async def test_whom_to_forgive_must_be_clear(name: str, document: object, field: str, message: str) -> None:
    async with serving() as served:
        assert errors(await served.ask("POST", f"/{name}/reset", document)) == [(field, message)]


@pytest_twisted.ensureDeferred
async def test_metrics() -> None:
    async with serving() as served:
        assert served.use("u", "7", 1.0)
        served.limits.limits.by_name["ip"].begin("a")
        samples = {
            (sample.name, *sample.labels.values()): sample.value
            for family in served.limits.metrics()
            for sample in family.samples
        }
        assert samples["ttagw_limit_keys", "u"] == 1
        assert samples["ttagw_limit_under_way", "ip"] == 1
        assert samples["ttagw_limit_dropped_keys_total", "u"] == 0
        assert samples["ttagw_limit_checks_total", "u", "allowed"] == 0
        assert len(samples) == 4 * (5 + 3)
