"""A gateway follows the names of its services, and does without a name server for as long as it must (fault 13)."""

from __future__ import annotations

import time
from pathlib import Path

from tests.integration.kit.dns import NameServer
from tests.integration.kit.gateway import Gateway, service
from tests.integration.kit.namespace import NAME_SERVER, isolated, resolv_conf
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import get, once
from tests.integration.kit.waiting import until

ALWAYS_ANEW = {"keepalive": "0s"}
"""No connection is used twice, so each request shows where the name leads."""


def asks(gateway: Gateway, origin: Origin) -> bool:
    """Send a request that must be answered; whether this service got it."""
    before = len(origin.requests)
    assert once(gateway.port, get("/x")).status == 200
    return len(origin.requests) > before


def says(gateway: Gateway, *words: str) -> int:
    """How often the log has all these words."""
    return sum([all(word in str(line) for word in words) for line in gateway.said()])


@isolated
def test_a_new_address_is_used_within_its_time_and_the_last_one_is_kept_without_a_name_server(folder: Path) -> None:
    with (
        NameServer(NAME_SERVER, 53) as server,
        Origin() as first,
        Origin(host="127.0.0.2", port=first.port) as second,
    ):
        server.set("up.test", "127.0.0.1", ttl=2)
        with Gateway(folder, {"s": service(first.port, host="up.test")}, upstream=ALWAYS_ANEW) as gateway:
            assert asks(gateway, first)
            server.set("up.test", "127.0.0.2", ttl=1)
            changed = time.monotonic()
            until(lambda: asks(gateway, second), "the new address is used")
            assert time.monotonic() - changed < 3
            assert not any(asks(gateway, first) for _ in range(5))

            server.stop()
            until(lambda: says(gateway, "up.test does not resolve", "using 127.0.0.2"), "the failure is logged")
            tries = 20
            assert all(asks(gateway, second) for _ in range(tries))
            assert says(gateway, "does not resolve") == 1

            with NameServer(NAME_SERVER, 53) as again:
                again.set("up.test", "127.0.0.1", ttl=1)
                until(lambda: asks(gateway, first), "it comes back", within=30)
                until(lambda: says(gateway, "up.test resolves again"), "it is logged")
            assert gateway.failures() == []


@isolated
def test_a_name_that_is_not_there_is_refused_at_once_and_used_once_it_is(folder: Path) -> None:
    with (
        NameServer(NAME_SERVER, 53) as server,
        Origin() as origin,
        Gateway(folder, {"s": service(origin.port, host="up.test")}, upstream=ALWAYS_ANEW) as gateway,
    ):
        began = time.monotonic()
        assert once(gateway.port, get("/x")).status == 503
        assert time.monotonic() - began < 1
        asked = server.times("up.test")
        for _ in range(20):
            assert once(gateway.port, get("/x")).status == 503
        assert server.times("up.test") <= asked + 4  # ours and the system's, once more if it took a second
        server.set("up.test", "127.0.0.1", ttl=60)
        until(lambda: once(gateway.port, get("/x")).status == 200, "the name is there")
        assert asks(gateway, origin)
        assert gateway.failures() == []


@isolated
def test_another_name_server_is_asked_once_resolv_conf_says_so(folder: Path) -> None:
    with NameServer(NAME_SERVER, 53) as server, NameServer("127.0.0.54", 53) as other, Origin() as origin:
        server.set("up.test", "127.0.0.3", ttl=1)
        other.set("up.inner.test", "127.0.0.1", ttl=60)
        with Gateway(folder, {"s": service(origin.port, host="up")}, upstream=ALWAYS_ANEW) as gateway:
            assert once(gateway.port, get("/x")).status == 503
            resolv_conf().write_text("search inner.test\nnameserver 127.0.0.54\n")
            until(lambda: once(gateway.port, get("/x")).status == 200, "the other one is asked")
            assert gateway.failures() == []
