"""A file of keys, and `Keys` of which every other part is in the hands of a test."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from ttagw.auth.keyfile import add, new_key
from ttagw.auth.keys import Caller, Keys
from ttagw.errors import GatewayError
from ttagw.testing import Clock

HASH = "$argon2id$v=19$m=19456,t=2,p=1$lyrbupMPiMTJcoGSpGjx3g$Z48zWCl2KTPFTKv978HFDVFUDvSgnxHyqHD88Sn116{}"
GOOD = new_key("a", b"a" * 32).encode()
OTHER = new_key("b", b"b" * 32).encode()
WRONG = new_key("a", b"c" * 32).encode()
NOBODY = new_key("nobody", b"a" * 32).encode()


class Threads:
    """Checks that end when the test says so. A key matches the hash that ends with its name."""

    def __init__(self) -> None:
        self.checks: list[tuple[Callable[[], int], Deferred[int]]] = []
        self.asked: list[tuple[bytes, str]] = []

    def __call__(self, check: Callable[[], int]) -> Deferred[int]:
        self.checks.append((check, Deferred()))
        return self.checks[-1][1]

    def matches(self, key: bytes, phc: str) -> bool:
        self.asked.append((key, phc))
        return (key, phc[-1]) in ((GOOD, "A"), (WRONG, "B"), (OTHER, "Q"))

    def finish(self, error: Exception | None = None) -> None:
        """Let those that are under way end."""
        checks, self.checks = self.checks, []
        for check, done in checks:
            if error is None:
                done.callback(check())
            else:
                done.errback(Failure(error))


class Place:
    """A file of keys, and `Keys` of which every other part is in our hands."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.clock, self.wall, self.threads = Clock(), Clock(), Threads()
        add(file, "a", HASH.format("A"), ("service",), ("p",))
        self.keys = Keys(str(file), self.threads, monotonic=self.clock, wall=self.wall, matches=self.threads.matches)

    def ask(self, key: bytes) -> Deferred[Caller]:
        return asked(self.keys.check(key))

    def answer(self, key: bytes) -> Caller | str:
        """What comes of it; the reason when it is refused."""
        asking = self.ask(key)
        self.threads.finish()
        return result(asking)


def asked(coroutine: Coroutine[Any, Any, Caller]) -> Deferred[Caller]:
    return Deferred.fromCoroutine(coroutine)


def result(asking: Deferred[Caller]) -> Caller | str:
    found: list[Caller | str] = []
    asking.addCallbacks(found.append, lambda failure: found.append(reason(failure)))
    return found[0]


def reason(failure: Failure) -> str:
    failure.trap(GatewayError, CancelledError)
    return getattr(failure.value, "reason", "cancelled")
