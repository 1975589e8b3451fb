"""What holds for every store."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred, gatherResults

from tests.store.kit import Redis, new_store, opened, pause, refusal, until
from tests.twisted_hygiene import Failures
from ttagw.store.base import MOST_BYTES, MOST_KEY, Store, StoreRefusedError
from ttagw.store.counted import Counted

KINDS = ("memory", "sqlite", "redis")


def url_of(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    if kind == "redis":
        redis: Redis = request.getfixturevalue("shared_redis")
        redis.command("FLUSHALL")
        return redis.url
    return {"memory": "memory:", "sqlite": f"sqlite:{tmp_path / 'store.db'}"}[kind]


@pytest_twisted.async_yield_fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Counted]:
    async with opened(url_of(request.param, tmp_path, request)) as store:
        yield store


async def gone(store: Counted, key: str) -> None:
    """Until there is nothing under the key."""
    last = time.monotonic() + 5.0
    while await store.get(key) is not None:
        assert time.monotonic() < last
        await pause(0.01)


def typed(store: Counted) -> Store:
    """For the type checker: what is made is a store."""
    return store


@pytest_twisted.ensureDeferred
async def test_it_says_what_it_is(store: Counted) -> None:
    facts = {"memory": (False, False), "sqlite": (False, True), "redis": (True, True)}
    assert (store.shared, store.durable) == facts[store.kind]
    assert (store.state.up, store.state.reason) == (True, "")
    assert store.state.since <= time.monotonic()


@pytest.mark.parametrize("value", [b"", b"007", b"1.5", b"\x00\xff\r\n", b"-", b"+", "ü".encode(), bytes(MOST_BYTES)])
@pytest_twisted.ensureDeferred
async def test_a_value_comes_back_as_it_was(store: Counted, value: bytes) -> None:
    await store.put("a/b", value)
    assert await store.get("a/b") == value
    assert await store.scan("a/") == {"a/b": value}


@pytest_twisted.ensureDeferred
async def test_there_is_nothing_under_a_key_that_was_never_set(store: Counted) -> None:
    assert await store.get("a") is None
    assert await store.delete("a") is False
    assert await store.scan("a") == {}


@pytest_twisted.ensureDeferred
async def test_what_is_put_again_replaces_and_what_is_deleted_is_gone(store: Counted) -> None:
    await store.put("a", b"1")
    await store.put("a", b"2")
    assert await store.get("a") == b"2"
    assert await store.delete("a") is True
    assert await store.delete("a") is False
    assert await store.get("a") is None


@pytest_twisted.ensureDeferred
async def test_a_scan_finds_what_begins_with_the_prefix_and_nothing_else(store: Counted) -> None:
    for key in ("s/a", "s/b", "s/~", "S/a", "s", "t/a", "s*", "s?", "s[a]", "s\\a", "%_"):
        await store.put(key, key.encode())
    assert set(await store.scan("s/")) == {"s/a", "s/b", "s/~"}
    assert set(await store.scan("s*")) == {"s*"}
    assert set(await store.scan("s?")) == {"s?"}
    assert set(await store.scan("s[")) == {"s[a]"}
    assert set(await store.scan("s\\")) == {"s\\a"}
    assert set(await store.scan("%")) == {"%_"}
    assert len(await store.scan("")) == 11


@pytest_twisted.ensureDeferred
async def test_a_swap_is_done_if_the_present_value_is_the_expected_one(store: Counted) -> None:
    assert await store.swap("a", b"1", b"2") is False
    assert await store.get("a") is None
    assert await store.swap("a", None, b"1") is True
    assert await store.swap("a", None, b"2") is False
    assert await store.swap("a", b"", b"2") is False
    assert await store.swap("a", b"1", b"") is True
    assert await store.swap("a", None, b"2") is False
    assert await store.swap("a", b"", b"2") is True
    assert await store.get("a") == b"2"


@pytest_twisted.ensureDeferred
async def test_of_many_swaps_at_once_one_is_done(store: Counted) -> None:
    begun = [Deferred.fromCoroutine(store.swap("a", None, b"%d" % number)) for number in range(20)]
    done = await gatherResults(begun)
    assert done.count(True) == 1
    assert await store.get("a") == b"%d" % done.index(True)


@pytest_twisted.ensureDeferred
async def test_a_value_is_gone_when_its_time_is_over(store: Counted) -> None:
    await store.put("a", b"1", ttl=0.05)
    await store.put("b", b"1", ttl=60.0)
    assert await store.swap("c", None, b"1", ttl=-1.0)
    await gone(store, "a")
    await gone(store, "c")
    assert await store.scan("") == {"b": b"1"}
    assert await store.delete("a") is False
    assert await store.swap("a", None, b"2") is True


@pytest_twisted.ensureDeferred
async def test_a_value_that_is_set_again_without_an_end_stays(store: Counted) -> None:
    await store.put("a", b"1", ttl=0.02)
    await store.put("a", b"2")
    await store.put("b", b"1", ttl=0.02)
    assert await store.swap("b", b"1", b"2") in (True, False)
    await store.put("end", b"", ttl=0.03)
    await gone(store, "end")
    assert await store.get("a") == b"2"


@pytest_twisted.ensureDeferred
async def test_each_change_is_told_to_those_who_watch_the_key(store: Counted) -> None:
    heard: list[tuple[str, bytes | None]] = []
    other: list[tuple[str, bytes | None]] = []
    store.watch("a/", lambda key, value: heard.append((key, value)))
    store.watch("b", lambda key, value: other.append((key, value)))
    await store.put("a/1", b"-")
    await store.swap("a/1", b"-", b"+2", ttl=60.0)
    await store.swap("a/1", b"wrong", b"3")
    await store.delete("a/1")
    await store.delete("a/1")
    await store.put("b", b"")
    await until(lambda: other, "it is told")
    assert heard == [("a/1", b"-"), ("a/1", b"+2"), ("a/1", None)]
    assert other == [("b", b"")]


@pytest_twisted.ensureDeferred
async def test_who_watches_no_more_is_not_told(store: Counted) -> None:
    one: list[str] = []
    two: list[str] = []
    end = store.watch("a", lambda key, _: one.append(key))
    store.watch("a", lambda key, _: two.append(key))
    store.watch("", lambda key, _: two.append(key))
    await store.put("a", b"1")
    await until(lambda: len(two) == 2, "it is told")
    end()
    end()
    await store.put("ab", b"1")
    await until(lambda: len(two) == 4, "it is told")
    assert one == ["a"]


@pytest_twisted.ensureDeferred
async def test_a_watch_that_was_ended_can_be_begun_again(store: Counted) -> None:
    heard: list[bytes | None] = []
    for number in range(3):
        end = store.watch("a", lambda key, value: heard.append(value))
        await store.put("a", b"%d" % number)
        await until(lambda number=number: len(heard) == number + 1, "it is told")
        end()
    await store.put("a", b"unheard")
    assert heard == [b"0", b"1", b"2"]


@pytest_twisted.ensureDeferred
async def test_one_who_fails_to_listen_is_logged_and_stops_nobody(store: Counted, failures: Failures) -> None:
    heard: list[str] = []

    def bad(key: str, value: bytes | None) -> None:
        raise ZeroDivisionError

    store.watch("a", bad)
    store.watch("a", lambda key, _: heard.append(key))
    await store.put("a", b"1")
    await until(lambda: heard, "it is told")
    assert len(failures.take(ZeroDivisionError)) == 1
    assert await store.get("a") == b"1"


@pytest.mark.parametrize("key", ["", "ä", "a b", "a\n", "x" * (MOST_KEY + 1)])
@pytest_twisted.ensureDeferred
async def test_a_key_that_is_none_is_refused(store: Counted, key: str) -> None:
    for work in (store.get(key), store.put(key, b""), store.delete(key), store.swap(key, None, b"")):
        error = await refusal(work)
        assert isinstance(error, StoreRefusedError)
        assert error.reason == "bad_key"
    if key:
        assert (await refusal(store.scan(key))).reason == "bad_key"
        with pytest.raises(StoreRefusedError):
            store.watch(key, lambda key, value: None)


@pytest_twisted.ensureDeferred
async def test_a_value_that_is_too_large_is_refused(store: Counted) -> None:
    for work in (store.put("a", bytes(MOST_BYTES + 1)), store.swap("a", None, bytes(MOST_BYTES + 1))):
        error = await refusal(work)
        assert isinstance(error, StoreRefusedError)
        assert error.reason == "too_large"
    assert await store.get("a") is None


@pytest_twisted.ensureDeferred
async def test_who_gives_up_gets_nothing_and_harms_nobody(store: Counted) -> None:
    await store.put("a", b"1")
    await store.put("b", b"2")
    given_up: list[Any] = []
    first = Deferred.fromCoroutine(store.get("a"))
    second = Deferred.fromCoroutine(store.get("b"))
    first.addBoth(given_up.append)
    first.cancel()
    assert await second == b"2"
    if store.kind != "memory":
        assert given_up[0].check(CancelledError)
        assert store.operations["get", "cut"] == 1
    assert store.state.up


@pytest.mark.parametrize("kind", KINDS)
@pytest_twisted.ensureDeferred
async def test_before_the_start_and_after_the_end_it_is_away(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = new_store(url_of(kind, tmp_path, request))
    told: list[tuple[bool, str]] = []
    store.on_state(lambda state: told.append((state.up, state.reason)))
    end = store.on_state(lambda state: pytest.fail("it was ended"))
    end()
    assert (await refusal(store.get("a"))).reason == "starting"
    await store.start()
    await until(lambda: store.state.up, "it is up")
    await store.put("a", b"1")
    await store.stop()
    await store.stop()
    for work in (store.get("a"), store.scan(""), store.put("a", b""), store.delete("a"), store.swap("a", None, b"")):
        assert (await refusal(work)).reason == "stopped"
    assert told == [(True, ""), (False, "stopped")]


@pytest.mark.parametrize("kind", KINDS)
@pytest_twisted.ensureDeferred
async def test_one_that_never_started_can_be_stopped(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    store = new_store(url_of(kind, tmp_path, request))
    await store.stop()
    assert store.state.up is False


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
@pytest_twisted.ensureDeferred
async def test_what_is_durable_is_there_after_a_new_start(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = url_of(kind, tmp_path, request)
    async with opened(url) as store:
        await store.put("a", b"1")
        await store.put("b", b"2", ttl=60.0)
        await store.put("c", b"3", ttl=0.001)
    async with opened(url) as store:
        assert await store.scan("") == {"a": b"1", "b": b"2"}


@pytest_twisted.ensureDeferred
async def test_what_was_done_is_counted(store: Counted) -> None:
    await store.put("a", b"1")
    await store.get("a")
    await store.get("b")
    await refusal(store.put("", b""))
    assert store.operations == {("put", "ok"): 1, ("get", "ok"): 2}
    up, operations, seconds = list(store.collect())
    assert [(sample.labels, sample.value) for sample in up.samples] == [({"store": store.kind}, 1.0)]
    assert {(s.labels["operation"], s.labels["outcome"], s.value) for s in operations.samples} == {
        ("put", "ok", 1.0),
        ("get", "ok", 2.0),
    }
    counts = {s.labels["operation"]: s.value for s in seconds.samples if s.name.endswith("_count")}
    assert counts == {"put": 1.0, "get": 2.0}
    await store.stop()
    await refusal(store.get("a"))
    assert store.operations["get", "away"] == 1
    assert next(iter(store.collect())).samples[0].value == 0.0
