"""How many connections one address may have, and how many of them may read slowly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.kit.blocking import shut_out
from tests.integration.kit.gateway import Gateway, service
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import Client, CutOffError, get
from tests.integration.kit.waiting import until

CONNECTIONS, SLOW = 4, 2
SIZE = 256 * 1024
"""More than a client takes that does not read."""


@pytest.fixture(scope="module")
def gateway(folder: Path, origin: Origin) -> Iterator[Gateway]:
    origin.on(b"/much", lambda talk, request: talk.reply(b"m" * SIZE))
    abuse = {"connections": CONNECTIONS, "slow_readers": SLOW, "allow": ["127.0.5.0/24"]}
    with Gateway(
        folder,
        {"s": service(origin.port)},
        abuse=abuse,
        gateway={"trusted_proxies": ["127.0.9.1/32"]},
        upstream={"max_connections": 64, "idle_timeout": "60s", "response_timeout": "30s"},
    ) as running:
        yield running
        assert running.failures() == []


def test_one_address_has_so_many_connections_and_others_have_theirs(gateway: Gateway) -> None:
    with ExitStack() as opened:
        mine = [opened.enter_context(Client(gateway.port, source="127.0.2.1")) for _ in range(CONNECTIONS)]
        assert [each.ask(get("/")).status for each in mine] == [200] * CONNECTIONS
        assert shut_out(gateway.port, "127.0.2.1")
        for source in ("127.0.2.2", "127.0.5.1", "127.0.9.1"):
            others = [opened.enter_context(Client(gateway.port, source=source)) for _ in range(CONNECTIONS)]
            assert [each.ask(get("/")).status for each in others] == [200] * CONNECTIONS
        assert not shut_out(gateway.port, "127.0.5.1")
        assert not shut_out(gateway.port, "127.0.9.1")
        mine[0].close()
        until(lambda: not shut_out(gateway.port, "127.0.2.1"), "there is room for another one")
    assert gateway.metric("ttagw_blocked_connections_total", reason="too_many") >= 1


def test_slow_readers_are_cut_where_they_are_too_many_and_nobody_else(gateway: Gateway) -> None:
    with ExitStack() as opened:

        def client(source: str) -> Client:
            return opened.enter_context(Client(gateway.port, source=source, buffer=4096, timeout=60))

        slow = [client("127.0.3.1") for _ in range(SLOW + 1)]
        few = [client("127.0.3.2") for _ in range(SLOW)]
        free = [client("127.0.5.3") for _ in range(SLOW + 1)]
        proxied = [client("127.0.9.1") for _ in range(SLOW + 1)]
        for each in (*slow, *few, *free, *proxied):
            each.send(get("/much"))
            assert each.head().status == 200
        until(lambda: gateway.metric("ttagw_blocked_connections_total", reason="slow_reader") == 1, "one is cut")
        quick = client("127.0.3.1")
        assert quick.ask(get("/")).status == 200
        whole = [taken(each) == SIZE for each in slow]
        assert sorted(whole) == [False] + [True] * SLOW
        assert [taken(each) for each in (*few, *free, *proxied)] == [SIZE] * (3 * SLOW + 2)
    assert gateway.metric("ttagw_blocked_connections_total", reason="slow_reader") == 1


def taken(client: Client) -> int:
    """How much of an answer a client gets that has waited with reading."""
    try:
        return len(client.exactly(SIZE))
    except CutOffError:
        return 0
