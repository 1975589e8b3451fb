"""A store in Redis, shared by all gateways that use it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from twisted.internet.defer import Deferred

from ttagw.store.base import LONGEST_SCAN, Notice, StoreAwayError, StoreRefusedError, StoreState
from ttagw.store.redis_link import Link
from ttagw.store.redis_scripts import CHANGED, DELETE, PUT, SWAP, Script
from ttagw.store.redis_url import RedisSettings
from ttagw.store.redis_wire import ANSWER, Wire
from ttagw.store.sentinel import Named, Sentinels, Whereabouts
from ttagw.store.telling import Standing, Watchers

PREFIX = "ttagw:"
"""What all our keys and channels begin with."""

COUNT = 1000
"""Keys that Redis looks at in one step of a scan."""

BATCH = 200
"""Values that are read at once."""


class RedisStore:
    """A `Store` in Redis. A change and the word of it are one script, so that no change is without its word."""

    kind = "redis"
    shared = True
    durable = True

    def __init__(
        self,
        settings: RedisSettings,
        reactor: Any,
        monotonic: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._monotonic = monotonic
        self._watchers = Watchers()
        self._standing = Standing(self.kind, monotonic)
        self._channels = f"{PREFIX}{settings.db}:"
        self._prefixes: dict[bytes, str] = {}
        """What is watched, by the pattern that is subscribed to."""
        self._subscribing: set[Deferred[None]] = set()
        where: Whereabouts = Named(settings.addresses[0])
        if settings.master:
            where = Sentinels(settings, lambda: Wire(reactor))
        self._link = Link(
            settings,
            where,
            self._standing,
            reactor,
            monotonic,
            random,
            self._channels,
            lambda: list(self._prefixes),
            self._pushed,
        )
        self.on_state = self._standing.listen
        self.stop = self._link.stop

    @property
    def state(self) -> StoreState:
        """How it is doing now."""
        return self._standing.state

    async def start(self) -> None:
        """As in `Store`."""
        self._link.start()

    async def get(self, key: str) -> bytes | None:
        """As in `Store`."""
        return self._value(await self._ask(self._until(), "GET", PREFIX + key))

    async def scan(self, prefix: str) -> Mapping[str, bytes]:
        """As in `Store`. A key that comes or goes meanwhile may be there or not."""
        over = self._monotonic() + LONGEST_SCAN
        pattern = _literal(PREFIX + prefix) + b"*"
        found: dict[str, bytes] = {}
        cursor: bytes = b"0"
        while True:
            answer = await self._ask(min(self._until(), over), "SCAN", cursor, "MATCH", pattern, "COUNT", COUNT)
            if not (isinstance(answer, list) and len(answer) == 2 and isinstance(answer[0], bytes)):
                raise self._link.garbage()
            cursor, keys = answer
            for some in _batches(self._list(keys)):
                values = self._list(await self._ask(min(self._until(), over), "MGET", *some))
                if len(values) != len(some):
                    raise self._link.garbage()
                for key, value in zip(some, values, strict=True):
                    if value is not None:  # it has gone in between
                        found[key.decode("ascii", "replace").removeprefix(PREFIX)] = value
            if cursor == b"0":
                return found

    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """As in `Store`."""
        await self._run(PUT, key, value, _milliseconds(ttl))

    async def delete(self, key: str) -> bool:
        """As in `Store`."""
        return await self._run(DELETE, key)

    async def swap(self, key: str, expected: bytes | None, value: bytes, ttl: float | None = None) -> bool:
        """As in `Store`."""
        return await self._run(SWAP, key, value, _milliseconds(ttl), b"" if expected is None else b"=" + expected)

    def watch(self, prefix: str, notice: Notice) -> Callable[[], None]:
        """As in `Store`. What is asked after this is answered when the subscription is there, not before."""
        pattern = _literal(self._channels + prefix) + b"*"
        end_one = self._watchers.add(prefix, notice)
        if pattern not in self._prefixes:
            self._prefixes[pattern] = prefix
            self._subscribe("PSUBSCRIBE", pattern)

        def end() -> None:
            end_one()
            if prefix not in self._watchers.prefixes() and self._prefixes.pop(pattern, None) is not None:
                self._subscribe("PUNSUBSCRIBE", pattern)

        return end

    def _subscribe(self, command: str, pattern: bytes) -> None:
        subscribing = Deferred.fromCoroutine(self._link.tell_me(command, pattern))
        if not subscribing.called:
            self._subscribing.add(subscribing)

            subscribing.addBoth(lambda _: self._subscribing.discard(subscribing))

    def _pushed(self, pattern: bytes, channel: bytes, said: bytes) -> None:
        prefix = self._prefixes.get(pattern)
        key = channel.decode("ascii", "replace").removeprefix(self._channels)
        if prefix is not None and key:
            self._watchers.tell_one(prefix, key, said[1:] if said[:1] == CHANGED else None)

    def _until(self) -> float:
        return self._monotonic() + ANSWER

    async def _ask(self, until: float, *command: bytes | str | int) -> Any:
        """Ask, with what is left of the time."""
        for subscribing in list(self._subscribing):
            # Chained, not awaited: whoever gives up here does not end it for others.
            waiting: Deferred[None] = Deferred()
            subscribing.addBoth(_passing(waiting))
            await waiting
        left = until - self._monotonic()
        if left <= 0:
            raise StoreAwayError("timeout")
        return await self._link.ask(*command, within=left)

    async def _run(self, script: Script, key: str, *values: bytes) -> bool:
        until = self._until()
        rest: tuple[bytes | str | int, ...] = (1, PREFIX + key, self._channels + key, *values)
        try:
            answer = await self._ask(until, "EVALSHA", script.sha, *rest)
        except StoreRefusedError as error:
            if error.reason != "no_script":
                raise
            # It has restarted, or was told to forget; this makes it know again.
            answer = await self._ask(until, "EVAL", script.text, *rest)
        if answer not in (0, 1):
            raise self._link.garbage()
        return bool(answer)

    def _value(self, answer: Any) -> bytes | None:
        if answer is None or isinstance(answer, bytes):
            return answer
        raise self._link.garbage()

    def _list(self, answer: Any) -> list[Any]:
        if isinstance(answer, list) and all(each is None or isinstance(each, bytes) for each in answer):
            return answer
        raise self._link.garbage()


def _passing(waiting: Deferred[None]) -> Callable[[Any], Any]:
    def over(result: Any) -> Any:
        if not waiting.called:
            waiting.callback(None)
        return result

    return over


def _batches(keys: list[Any]) -> Iterator[list[Any]]:
    for first in range(0, len(keys), BATCH):
        yield keys[first : first + BATCH]


def _milliseconds(ttl: float | None) -> bytes:
    return b"" if ttl is None else b"%d" % max(1, round(ttl * 1000))


def _literal(text: str) -> bytes:
    """A pattern that matches this text only."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", text).encode("ascii")
