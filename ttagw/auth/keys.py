"""Who a key belongs to.

Checking costs tens of milliseconds of a processor on purpose, so it happens in threads, little of it at once, and what
is known is remembered: by a keyed hash whose secret lives and dies with this process, never by the key.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from ttagw.auth import argon2, keyfile
from ttagw.auth.keyfile import LONGEST_KEY, Entry, name_in
from ttagw.auth.watched import signature
from ttagw.config.faults import ConfigError
from ttagw.errors import CheckingBusyError, CredentialsRefusedError

AT_ONCE = 2
MOST_WAITING = 16
"""Checks under way, and checks that wait for their turn."""

MOST_KNOWN = 10_000
"""Keys that are remembered as those of somebody, in time or not."""
MOST_UNKNOWN = 1000
UNKNOWN_FOR = 10.0
"""Keys that are remembered as not known, and for how many seconds."""

LOOK_EVERY = 1.0
"""Seconds between two looks at the file, at the least."""

InThread = Callable[[Callable[[], int]], "Deferred[int]"]
Matches = Callable[[bytes, str], bool]


@dataclass(frozen=True, slots=True)
class Caller:
    """A program that has shown its key."""

    name: str
    roles: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    ends: float = float("inf")
    """When (Unix seconds) the key that was shown is over."""


class _Check(NamedTuple):
    """A check that waits for its turn."""

    place: tuple[int, bytes]
    key: bytes
    hashes: tuple[str, ...]


class _Known(NamedTuple):
    """Whose a key is: that of this name which has this hash."""

    name: str
    hash: str


class Keys:
    """The keys of a file, which is read again when it has changed."""

    log = Logger()

    def __init__(
        self,
        path: str,
        in_thread: InThread,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        randbytes: Callable[[int], bytes] = os.urandom,
        matches: Matches = argon2.matches,
    ) -> None:
        """Raises `ConfigError` for a file that cannot be used."""
        self._path = path
        self._in_thread = in_thread
        self._monotonic = monotonic
        self._wall = wall
        self._randbytes = randbytes
        self._matches = matches
        self._secret = randbytes(32)
        self._seen = signature(path)
        self._looked = monotonic()
        self._generation = 0
        self._waiting: dict[tuple[int, bytes], list[Deferred[int]]] = {}
        self._line: list[_Check] = []
        self._running = 0
        self._known: dict[bytes, _Known] = {}
        self._use(keyfile.load(path))

    def _use(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries
        self._generation += 1
        self._unknown: dict[bytes, float] = {}
        # A key whose hash is still there need not be checked again: only it has that hash.
        self._known = {digest: each for digest, each in self._known.items() if each.hash in self._hashes(each.name)}
        every = [self._hashes(name) for name in entries]
        kinds = Counter([each.rpartition("$")[0].rpartition("$")[0] for hashes in every for each in hashes])
        usual = kinds.most_common(1)[0][0] if kinds else f"$argon2id$v=19$m={argon2.MEMORY},t={argon2.PASSES},p=1"
        # A name that is not known takes as long as one that is, and all names take as long as the one with most keys.
        most = max(map(len, every), default=1)
        self._nobody = tuple([argon2.like(f"{usual}${'A' * 22}${'A' * 43}", self._randbytes) for _ in range(most)])

    def _hashes(self, name: str) -> tuple[str, ...]:
        """The hashes of the keys of this name, the one that counts first."""
        entry = self._entries.get(name)
        if entry is None:
            return ()
        return (entry.hash,) if entry.previous is None else (entry.hash, entry.previous.hash)

    def _look(self) -> None:
        """Read the file again if it has changed. One that cannot be used changes nothing, and is said once."""
        now = self._monotonic()
        if now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        seen = signature(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._use(keyfile.load(self._path))
        except ConfigError as error:
            faults = "; ".join([str(fault) for fault in error.faults[:5]])
            self.log.error("the keys stay as they were, because their file cannot be used: {faults}", faults=faults)
        else:
            self.log.info("{path}: read again, {count} keys", path=self._path, count=len(self._entries))

    # Who it is

    def known(self, key: bytes) -> Caller | None:
        """Who this is, if that is remembered; costs next to nothing.

        Raises `CredentialsRefusedError` for what is no key, and for one that is remembered as refused.
        """
        self._look()
        digest = self._digest(key)
        known = self._known.get(digest)
        if known is None:
            if not (len(key) <= LONGEST_KEY and name_in(key)):
                raise CredentialsRefusedError("key_form")
            if self._monotonic() < self._unknown.get(digest, 0.0):
                raise CredentialsRefusedError("key_unknown")
            return None
        caller = self._caller(known)
        if caller is None:
            raise CredentialsRefusedError("key_expired")
        return caller

    async def check(self, key: bytes) -> Caller:
        """Who this is. Raises `CredentialsRefusedError` or `CheckingBusyError`."""
        digest = self._digest(key)
        while True:
            caller = self.known(key)
            if caller is not None:
                return caller
            name = name_in(key)
            generation = self._generation
            hashes = self._hashes(name)
            place = await self._checked(key, digest, (*hashes, *self._nobody[len(hashes) :]))
            if generation == self._generation:
                break
        if not 0 <= place < len(hashes):
            self._remember_unknown(digest)
            raise CredentialsRefusedError("key_unknown")
        if len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        known = self._known[digest] = _Known(name, hashes[place])
        caller = self._caller(known)
        if caller is None:
            raise CredentialsRefusedError("key_expired")
        return caller

    def _caller(self, known: _Known) -> Caller | None:
        """Who has a key, if its time is not over."""
        entry = self._entries.get(known.name)
        if entry is None:
            return None
        if known.hash == entry.hash:
            expires = entry.expires
        elif entry.previous is not None and known.hash == entry.previous.hash:
            expires = entry.previous.expires
        else:
            return None
        ends = float("inf") if expires is None else expires.timestamp()
        return Caller(known.name, entry.roles, entry.permissions, ends) if self._wall() < ends else None

    def _remember_unknown(self, digest: bytes) -> None:
        if len(self._unknown) >= MOST_UNKNOWN:
            del self._unknown[next(iter(self._unknown))]
        self._unknown[digest] = self._monotonic() + UNKNOWN_FOR

    def _digest(self, key: bytes) -> bytes:
        return hashlib.blake2b(key, key=self._secret, digest_size=32).digest()

    # In threads

    def _checked(self, key: bytes, digest: bytes, hashes: tuple[str, ...]) -> Deferred[int]:
        """Which of these hashes the key has, by its place; -1 for none.

        Who asks the same while it is found out waits for the same answer.
        """
        place = (self._generation, digest)
        waiting = self._waiting.get(place)
        if waiting is None:
            if self._running >= AT_ONCE and len(self._line) >= MOST_WAITING:
                raise CheckingBusyError(retry_after=1)
            waiting = self._waiting[place] = []
            self._line.append(_Check(place, key, hashes))
        answer: Deferred[int] = Deferred(waiting.remove)
        waiting.append(answer)
        self._go_on()
        return answer

    def _go_on(self) -> None:
        while self._line and self._running < AT_ONCE:
            check = self._line.pop(0)
            if not self._waiting[check.place]:
                del self._waiting[check.place]  # nobody waits for it any more
                continue
            self._running += 1
            self._in_thread(partial(_place, self._matches, check.key, check.hashes)).addBoth(self._found, check)

    def _found(self, result: int | Failure, check: _Check) -> None:
        self._running -= 1
        if isinstance(result, Failure):
            self.log.failure("a key could not be checked", failure=result)
        waiting = self._waiting.pop(check.place)
        self._go_on()
        while waiting:
            answer = waiting.pop(0)
            if isinstance(result, Failure):
                answer.errback(CheckingBusyError("check_failed", retry_after=1))
            else:
                answer.callback(result)


def keys_from(reactor: Any, path: str) -> Keys:
    """The keys of a file, checked in the reactor's threads. Raises `ConfigError`."""
    return Keys(path, lambda check: deferToThreadPool(reactor, reactor.getThreadPool(), check))


def _place(matches: Matches, key: bytes, hashes: tuple[str, ...]) -> int:
    return next((place for place, phc in enumerate(hashes) if matches(key, phc)), -1)
