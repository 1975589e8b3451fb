from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.logger import LogEvent, globalLogPublisher

from tests.admin.served import KEYS, MemoryDirectory, MemoryKeys, serving
from ttagw.admin.callers import Callers
from ttagw.auth.keys import Caller
from ttagw.auth.refusals import MOST_REFUSALS
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


def test_those_who_come_over_a_unix_socket_are_one() -> None:
    callers = Callers(MemoryKeys(**KEYS), Clock())
    for _ in range(MOST_REFUSALS):
        with pytest.raises(CredentialsRefusedError):
            ask(callers, b"x", UNIXAddress(None))
    with pytest.raises(TooManyRefusalsError):
        ask(callers, b"players", UNIXAddress(b"/a"))
    assert ask(callers, b"players", "192.0.2.1") == KEYS["players"]


class Revoked:
    """Lets nobody through whose name is in it."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __call__(self, caller: Caller) -> None:
        if caller.name in self.names:
            raise CredentialsRefusedError("revoked")


def test_a_caller_who_was_revoked_is_refused_whether_the_key_is_remembered_or_not() -> None:
    keys, revoked = MemoryKeys(**KEYS), Revoked()
    callers = Callers(keys, Clock(), revoked)
    assert ask(callers, b"players", "192.0.2.1") == KEYS["players"]
    revoked.names.add(KEYS["players"].name)
    for remembered in (set(), {b"players"}):
        keys.remembered = remembered
        with pytest.raises(CredentialsRefusedError, match="revoked"):
            ask(callers, b"players", "192.0.2.1")
    revoked.names.clear()
    assert ask(callers, b"players", "192.0.2.1") == KEYS["players"]


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
