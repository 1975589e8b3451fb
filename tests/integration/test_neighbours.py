"""Who shares something with a flooder (a limit, an address, a proxy, the room that there is) does not pay for it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.kit.blocking import SECTION, THRESHOLD, refused, status
from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import Client, get, post
from tests.integration.kit.revoking import People
from tests.integration.kit.waiting import until

VICTIM, FLOODER, PROXY = "127.0.3.1", "127.0.3.2", "127.0.9.1"
CRISIS: dict[str, Any] = {"class": "crisis"}


@pytest.fixture(scope="module")
def people(folder: Path) -> People:
    return People.in_folder(folder)


@pytest.mark.parametrize("key", [[], ["route"], ["service"], ["role"]])
def test_nobody_is_blocked_because_others_have_used_up_what_all_share(
    tmp_path: Path, origin: Origin, key: list[str]
) -> None:
    limits = {"all": {"rate": "2/h", "key": key}}
    routes = [route("/shared", name="shared", limits=["all"]), route("/own", name="own")]
    with Gateway(tmp_path, {"s": service(origin.port)}, routes, abuse=SECTION, limits=limits) as gateway:
        assert refused(gateway.port, FLOODER, get("/shared"), 3) == [200, 200, 429]
        assert refused(gateway.port, VICTIM, get("/shared")) == [429] * (THRESHOLD + 1)
        assert status(gateway.port, VICTIM, get("/own")) == 200
        assert gateway.failures() == []


def test_a_user_is_not_blocked_for_what_others_at_the_same_address_have_used_up(
    tmp_path: Path, origin: Origin, people: People
) -> None:
    limits = {"per-ip": {"rate": "2/h"}, "per-user": {"rate": "30/h", "key": ["user"]}}
    routes = [
        route("/shared", name="shared", auth="required", limits=["per-ip"]),
        route("/own", name="own", auth="required", limits=["per-user"]),
    ]
    with Gateway(
        tmp_path,
        {"s": service(origin.port)},
        routes,
        abuse={**SECTION, "allow": [f"{VICTIM}/32"]},
        limits=limits,
        auth={"issuers": [people.issuer.section]},
    ) as gateway:

        def as_user(path: str, user: str) -> bytes:
            return get(path, f"Authorization: Bearer {people.token(user)}")

        assert refused(gateway.port, VICTIM, as_user("/shared", "flooder"), 2) == [200, 200]
        assert refused(gateway.port, VICTIM, as_user("/shared", "mira")) == [429] * (THRESHOLD + 1)
        assert status(gateway.port, FLOODER, as_user("/own", "mira")) == 200
        # What one has used up alone counts, here as before.
        codes = refused(gateway.port, VICTIM, as_user("/own", "greedy"), 30 + THRESHOLD + 2)
        assert codes == [200] * 30 + [429] * (THRESHOLD + 1) + [403]
        assert gateway.failures() == []


def test_nobody_in_a_crisis_is_blocked_because_others_have_taken_the_room(tmp_path: Path, origin: Origin) -> None:
    origin.on(b"/hold", lambda talk, request: (origin.held.wait(20), talk.reply(b"late"))[0])
    admission = {"in_flight": 2, "queue": 0, "adaptive": False}
    routes = [route(**CRISIS)]
    with Gateway(tmp_path, {"s": service(origin.port)}, routes, abuse=SECTION, admission=admission) as gateway:
        with Client(gateway.port, source=FLOODER) as first, Client(gateway.port, source=FLOODER) as second:
            first.send(get("/hold"))
            second.send(get("/hold"))
            until(lambda: gateway.metric("ttagw_admission_in_flight") >= 1, "there is no room left")
            assert refused(gateway.port, VICTIM, get("/")) == [503] * (THRESHOLD + 1)
            assert status(gateway.port, VICTIM, get("/")) == 503
            origin.held.set()
        until(lambda: status(gateway.port, VICTIM, get("/")) == 200, "there is room again")
        assert gateway.failures() == []


def test_nobody_waits_behind_a_proxy_for_what_another_client_of_it_has_done(tmp_path: Path, origin: Origin) -> None:
    routes = [route("/crisis", name="crisis", **CRISIS), route("/own", name="own")]
    with (
        Gateway(
            tmp_path,
            {"s": service(origin.port)},
            routes,
            classes={"crisis": {"rate": "1/h"}},
            gateway={"trusted_proxies": ["127.0.9.0/24"]},
        ) as gateway,
        Client(gateway.port, source=PROXY) as proxy,
    ):
        flood = get("/crisis", "X-Forwarded-For: 203.0.113.7")
        assert proxy.ask(flood).status == 200
        began = time.monotonic()
        for _ in range(4):
            assert proxy.ask(flood).reason == b"crisis_ceiling"
            assert proxy.ask(get("/own", "X-Forwarded-For: 203.0.113.8")).status == 200
        # Each respite would have been a second.
        assert time.monotonic() - began < 3.0
        assert gateway.failures() == []


@pytest.mark.parametrize("in_flight", [8, 100])
def test_one_address_cannot_have_all_that_there_is_for_those_in_a_crisis(
    tmp_path: Path, origin: Origin, in_flight: int
) -> None:
    with (
        Gateway(
            tmp_path,
            {"s": service(origin.port)},
            [route(**CRISIS)],
            admission={"in_flight": in_flight, "queue_time": "100ms"},
        ) as gateway,
        ExitStack() as clients,
    ):
        asking = [clients.enter_context(Client(gateway.port, source=FLOODER)) for _ in range(in_flight + 10)]
        for each in asking:
            # Of a body that hardly comes, a byte now and then is enough.
            each.send(post("/", b"x" * 1000)[:-999])
        until(
            lambda: gateway.metric("ttagw_admission_shed_total", **{"class": "crisis"}) >= 10, "it has all that it gets"
        )
        assert [status(gateway.port, f"127.0.3.{number}") for number in (1, 3, 4)] == [200, 200, 200]
        assert gateway.failures() == []
