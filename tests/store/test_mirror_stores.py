"""A table that is kept in the store and is the same on every gateway: on stores that are real."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_twisted

from tests.store.kit import BACK, NOTICED, Redis, opened, until
from tests.store.test_contract import KINDS, url_of
from tests.twisted_hygiene import reactor
from ttagw.store.base import Store, StoreError
from ttagw.store.mirror import RECONCILE, Mirror


def decode(raw: bytes) -> tuple[str, float]:
    word, _, end = raw.decode("ascii").partition(":")
    return word, float(end) if end else float("inf")


@asynccontextmanager
async def mirrored(store: Store, prefix: str = "table/") -> AsyncIterator[Mirror[tuple[str, float]]]:
    mirror = Mirror(store, prefix, decode, lambda entry: entry[1], reactor, time.time)
    mirror.start()
    try:
        yield mirror
    finally:
        await mirror.stop()


@pytest.mark.parametrize("kind", KINDS)
@pytest_twisted.ensureDeferred
async def test_entries_come_change_end_and_go(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    async with opened(url_of(kind, tmp_path, request)) as store, mirrored(store) as here, mirrored(store) as there:
        await here.put("a", b"one")
        await here.put("b", b"two:%d" % (time.time() + 1))
        await until(lambda: set(there.entries) == {"a", "b"}, "both are there", NOTICED)
        await there.put("a", b"three")
        await until(lambda: here.entries.get("a") == ("three", float("inf")), "the change is there", NOTICED)
        await until(lambda: "b" not in here.entries and "b" not in there.entries, "what is over is gone", 4.0)
        assert await here.remove("a") is True
        assert await here.remove("a") is False
        await until(lambda: not there.entries, "what was taken out is gone", NOTICED)


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
@pytest_twisted.ensureDeferred
async def test_a_start_finds_what_there_was(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = url_of(kind, tmp_path, request)
    async with opened(url) as store, mirrored(store) as mirror:
        await mirror.put("a", b"one")
        await mirror.put("b", b"two")
        await mirror.remove("b")
    async with opened(url) as store, mirrored(store) as mirror:
        await until(lambda: mirror.current, "it was compared")
        assert mirror.entries == {"a": ("one", float("inf"))}


@pytest_twisted.ensureDeferred
async def test_a_redis_that_stands_still_and_goes_on(redis: Redis) -> None:
    async with opened(redis.url) as one, opened(redis.url) as two, mirrored(one) as here, mirrored(two) as there:
        await here.put("a", b"one")
        await until(lambda: "a" in there.entries, "it is there", NOTICED)
        redis.stop()
        try:
            with pytest.raises(StoreError):
                await here.put("b", b"two")
            here.put_here("b", b"two")
            assert set(here.entries) == {"a", "b"}
            assert set(there.entries) == {"a"}
        finally:
            redis.go_on()
        await until(lambda: set(there.entries) == {"a", "b"}, "what was owed is there", BACK + RECONCILE)


@pytest_twisted.ensureDeferred
async def test_a_redis_that_was_killed_and_one_that_has_lost_everything(redis: Redis) -> None:
    async with opened(redis.url) as one, opened(redis.url) as two, mirrored(one) as here, mirrored(two) as there:
        await here.put("a", b"one")
        await here.put("b", b"two")
        await until(lambda: set(there.entries) == {"a", "b"}, "both are there", NOTICED)
        redis.kill()
        await until(lambda: not one.state.up and not two.state.up, "it is away", BACK)
        assert set(here.entries) == set(there.entries) == {"a", "b"}
        redis.start()
        await until(lambda: one.state.up and two.state.up, "it is back", BACK)
        await here.remove("b")
        redis.command("FLUSHALL")
        await until(
            lambda: redis.command("DBSIZE") == 2 and set(here.entries) == set(there.entries) == {"a"},
            "what there was is there again, and what was taken out is not",
            2 * RECONCILE + 2.0,
        )
        async with opened(redis.url) as three, mirrored(three) as late:
            await until(lambda: late.current, "it was compared")
            assert set(late.entries) == {"a"}
