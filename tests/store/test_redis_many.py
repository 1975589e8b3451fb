"""Several gateways, several databases, many keys."""

from __future__ import annotations

import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from tests.store.kit import Redis, opened, refusal, until
from ttagw.store.base import DEADLINE


@pytest_twisted.ensureDeferred
async def test_what_one_gateway_changes_another_sees_and_is_told(redis: Redis) -> None:
    async with opened(redis.url) as one, opened(redis.url) as two:
        heard: list[tuple[str, bytes | None]] = []
        two.watch("s/", lambda key, value: heard.append((key, value)))
        await two.get("s/")  # the subscription is there
        await one.put("s/a", b"1", ttl=60.0)
        assert await two.get("s/a") == b"1"
        assert await two.swap("s/a", b"1", b"2")
        assert not await one.swap("s/a", b"1", b"3")
        assert await one.delete("s/a")
        await until(lambda: len(heard) == 3, "it is told")
        assert heard == [("s/a", b"1"), ("s/a", b"2"), ("s/a", None)]


@pytest_twisted.ensureDeferred
async def test_databases_do_not_see_each_other(redis: Redis) -> None:
    async with opened(f"{redis.url}/1") as one, opened(f"{redis.url}/2") as two, opened(f"{redis.url}/1") as three:
        heard: list[str] = []
        two.watch("", lambda key, _: heard.append(key))
        await two.get("a")
        await one.put("a", b"1")
        await two.put("b", b"2")
        assert await three.scan("") == {"a": b"1"}
        await until(lambda: heard, "it is told")
        assert heard == ["b"]


@pytest_twisted.ensureDeferred
async def test_what_others_keep_there_is_not_ours(redis: Redis) -> None:
    redis.command("SET", "a", "theirs")
    redis.command("SET", "other:a", "theirs")
    async with opened(redis.url) as store:
        await store.put("a", b"ours")
        assert await store.scan("") == {"a": b"ours"}
    assert redis.command("GET", "a") == b"theirs"
    assert redis.command("GET", "ttagw:a") == b"ours"


@pytest_twisted.ensureDeferred
async def test_a_key_of_another_kind_is_refused_and_not_found(redis: Redis) -> None:
    redis.command("RPUSH", "ttagw:a", "1")
    async with opened(redis.url) as store:
        assert (await refusal(store.get("a"))).reason == "wrong_type"
        assert await store.scan("") == {}
        assert store.state.up


@pytest_twisted.ensureDeferred
async def test_a_scan_finds_all_of_many_while_others_come_and_go(redis: Redis) -> None:
    fill = "for i = 1, ARGV[2] do redis.call('SET', ARGV[1] .. i, i) end"
    redis.command("EVAL", fill, 0, "ttagw:stay/", 5000)
    redis.command("EVAL", fill, 0, "other/", 5000)
    async with opened(redis.url) as store:
        going = [Deferred.fromCoroutine(store.put(f"go/{number}", b"", ttl=0.02)) for number in range(200)]
        found = await store.scan("stay/")
        assert found == {f"stay/{number}": b"%d" % number for number in range(1, 5001)}
        await gatherResults(going)
        assert set(await store.scan("go/")) <= {f"go/{number}" for number in range(200)}
        assert store.operations["scan", "ok"] == 2


@pytest_twisted.ensureDeferred
async def test_a_scan_takes_as_long_as_there_is_more_and_redis_answers(redis: Redis) -> None:
    fill = "for i = 1, ARGV[2] do redis.call('SET', ARGV[1] .. i, i) end"
    redis.command("EVAL", fill, 0, "ttagw:stay/", 5000)
    async with opened(redis.url, hurry=DEADLINE / 10) as store:
        assert len(await store.scan("stay/")) == 5000
        assert store.state.up


@pytest_twisted.ensureDeferred
async def test_values_that_look_like_messages_are_values(redis: Redis) -> None:
    async with opened(redis.url) as store:
        for key, value in zip("abcd", (b"pmessage", b"x", b"y", b"z"), strict=True):
            await store.put(key, value)
        assert len(await store.scan("")) == 4
        heard: list[bytes | None] = []
        store.watch("e", lambda key, value: heard.append(value))
        await store.put("e", b"pmessage")
        await until(lambda: heard, "it is told")
        assert heard == [b"pmessage"]
