from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.logger import LogEvent, globalLogPublisher

from tests.admin.served import KEYS, MemoryDirectory, MemoryKeys, serving
from ttagw.admin import callers as module
from ttagw.admin.callers import MOST_REFUSALS, Callers, _network
from ttagw.auth.keys import Caller
from ttagw.errors import CredentialsRefusedError, TooManyRefusalsError
from ttagw.testing import Clock


class Asking:
    """A request with a key, from an address."""

    def __init__(self, key: bytes, address: Any) -> None:
        self._key = key
        self._address = address

    def getHeader(self, name: bytes) -> bytes | None:
        return self._key if name == b"x-api-key" else None

    def getClientAddress(self) -> Any:
        return self._address


def ask(callers: Callers, key: bytes, address: Any = None) -> Caller:
    """Who it is; nothing here waits."""
    asking: Any = Asking(key, IPv4Address("TCP", address or "192.0.2.1", 1) if isinstance(address, str) else address)
    coroutine = callers.caller(asking)
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    caller: Caller = done.value.value
    return caller


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("local", "local"),
    ],
)
def test_what_counts_as_one_address(host: str, network: str) -> None:
    assert _network(host) == network


def test_those_who_come_over_a_unix_socket_are_one() -> None:
    callers = Callers(MemoryKeys(**KEYS), Clock())
    for _ in range(MOST_REFUSALS):
        with pytest.raises(CredentialsRefusedError):
            ask(callers, b"x", UNIXAddress(None))
    with pytest.raises(TooManyRefusalsError):
        ask(callers, b"players", UNIXAddress(b"/a"))
    assert ask(callers, b"players", "192.0.2.1") == KEYS["players"]


def test_only_so_many_addresses_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ADDRESSES", 3)
    callers = Callers(MemoryKeys(**KEYS), Clock())
    for last in (1, 2, 1, 3, 1, 4):
        ask(callers, b"players", f"192.0.2.{last}")
    assert list(callers._refused) == ["192.0.2.3", "192.0.2.1", "192.0.2.4"]


@pytest_twisted.ensureDeferred
async def test_no_log_has_a_key_or_a_body() -> None:
    said: list[str] = []

    def hear(event: LogEvent) -> None:
        said.append(repr(event))

    globalLogPublisher.addObserver(hear)
    try:
        async with serving(MemoryDirectory("players"), MemoryKeys(**KEYS)) as admin:
            for number in range(MOST_REFUSALS + 2):
                document = {"url": "http://body-of-somebody", "number": number}
                await admin.ask("PUT", "/services/players/instances/a", document, key="key-of-somebody")
            await admin.ask("PUT", "/services/players/instances/a", {"url": "body-of-somebody"}, key="players")
    finally:
        globalLogPublisher.removeObserver(hear)
    text = "".join(said)
    assert text.count("too many keys that are not known") == 1
    assert "of-somebody" not in text
