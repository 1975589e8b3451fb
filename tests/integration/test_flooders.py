"""Row 32: one address, user or tenant sends a thousand times its share. The others keep theirs; it is limited, then
blocked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from tests.integration.kit.blocking import blocked_soon, shut_out, status
from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.operated import Operator
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import Client, CutOffError, get
from tests.integration.kit.revoking import People

SHARE = 2
FLOOD = 1000 * SHARE
LIMIT = 20
"""Of one address, user or tenant, in an hour."""
THRESHOLD = 30
OTHERS = 25

PROXY = "127.0.9.1"


@pytest.fixture(scope="module")
def people(folder: Path) -> People:
    return People.in_folder(folder)


@pytest.fixture(scope="module")
def gateway(folder: Path, origin: Origin, people: People) -> Iterator[Gateway]:
    rate = {"rate": f"{LIMIT}/h", "burst": LIMIT}
    with Gateway(
        folder,
        {"s": service(origin.port)},
        [
            route("/open", name="open", limits=["address"]),
            route("/mine", name="mine", auth="required", limits=["user"]),
            route("/tenant", name="tenant", limits=["tenant"]),
        ],
        auth={**people.admin.section, "issuers": [people.issuer.section]},
        limits={
            "address": {**rate, "key": ["ip"]},
            "user": {**rate, "key": ["user"]},
            "tenant": {**rate, "key": ["header:X-Tenant"]},
        },
        abuse={"threshold": f"{THRESHOLD}/h", "block_for": "1h"},
        gateway={"trusted_proxies": ["127.0.9.0/24"]},
        http={"max_connections": 200},
    ) as running:
        yield running
        assert running.failures() == []


@pytest.fixture(scope="module")
def operator(gateway: Gateway, people: People) -> Operator:
    return Operator(gateway, people.admin)


class Flood:
    """Asks as often as it can, on connections that it keeps as long as it may."""

    def __init__(self, port: int, source: str, requests: list[bytes]) -> None:
        self.statuses: Counter[int] = Counter()
        """Of all requests; 0 for those without an answer."""
        self._port = port
        self._source = source
        self._requests = requests
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        left = list(reversed(self._requests))
        while left:
            try:
                with Client(self._port, source=self._source) as client:
                    kept = True
                    while left and kept:
                        answer = client.ask(left.pop())
                        self.statuses[answer.status] += 1
                        kept = answer.value(b"connection") != b"close"
            except (CutOffError, OSError):
                self.statuses[0] += 1

    def over(self) -> Counter[int]:
        self._thread.join(120)
        assert not self._thread.is_alive()
        return self.statuses


def shares(gateway: Gateway, asks: list[tuple[str, bytes]]) -> list[int]:
    """What the others get for their share."""
    return [status(gateway.port, source, data) for source, data in asks for _ in range(SHARE)]


def test_an_address(gateway: Gateway, operator: Operator) -> None:
    flood = Flood(gateway.port, "127.0.2.1", [get("/open")] * FLOOD)
    others = shares(gateway, [(f"127.0.3.{number}", get("/open")) for number in range(OTHERS)])
    statuses = flood.over()
    assert others == [200] * SHARE * OTHERS
    assert (statuses[200], statuses[429]) == (LIMIT, THRESHOLD + 1)
    assert statuses[0] == FLOOD - LIMIT - THRESHOLD - 1
    assert shut_out(gateway.port, "127.0.2.1")
    assert blocked_soon(operator, address="127.0.2.1")["by"] == "threshold"


def test_an_address_behind_a_proxy(gateway: Gateway, operator: Operator) -> None:
    def of(client: str) -> bytes:
        return get("/open", f"X-Forwarded-For: {client}")

    flood = Flood(gateway.port, PROXY, [of("203.0.113.1")] * FLOOD)
    others = shares(gateway, [(PROXY, of(f"198.51.100.{number}")) for number in range(OTHERS)])
    statuses = flood.over()
    assert others == [200] * SHARE * OTHERS
    assert statuses == {200: LIMIT, 429: THRESHOLD + 1, 403: FLOOD - LIMIT - THRESHOLD - 1}
    assert blocked_soon(operator, address="203.0.113.1")["by"] == "threshold"


def test_a_user_from_everywhere(gateway: Gateway, operator: Operator, people: People) -> None:
    def of(user: str, client: str, token: str) -> bytes:
        return get("/mine", f"Authorization: Bearer {token}", f"X-Forwarded-For: {client}")

    token = people.token("flooder")
    everywhere = [of("flooder", f"198.18.{number // 250}.{number % 250}", token) for number in range(FLOOD)]
    flood = Flood(gateway.port, PROXY, everywhere)
    names = [f"person-{number}" for number in range(OTHERS)]
    others = shares(gateway, [(PROXY, of(name, "198.51.100.200", people.token(name))) for name in names])
    statuses = flood.over()
    assert others == [200] * SHARE * OTHERS
    assert statuses == {200: LIMIT, 429: THRESHOLD + 1, 403: FLOOD - LIMIT - THRESHOLD - 1}
    assert blocked_soon(operator, user="flooder")["by"] == "threshold"


def test_a_tenant(gateway: Gateway, operator: Operator) -> None:
    flood = Flood(gateway.port, "127.0.4.1", [get("/tenant", "X-Tenant: a")] * FLOOD)
    others = shares(
        gateway, [(f"127.0.5.{number}", get("/tenant", f"X-Tenant: t{number}")) for number in range(OTHERS)]
    )
    statuses = flood.over()
    assert others == [200] * SHARE * OTHERS
    assert (statuses[200], statuses[429]) == (LIMIT, THRESHOLD + 1)
    assert blocked_soon(operator, address="127.0.4.1")["by"] == "threshold"
