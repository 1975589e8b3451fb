"""Who we are to a Redis; and that nobody else learns it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_twisted
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from tests.store.kit import BACK, NOTICED, SLACK, Redis, opened, refusal, until

SECRET = "s3cr3t/with:all@of?them#%"


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        lines.append(f"{formatEvent(event)} {event}")

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Redis]:
    """A Redis that wants a password."""
    with Redis(tmp_path) as redis:
        redis.command("CONFIG", "SET", "requirepass", SECRET)
        redis.password = SECRET
        yield redis


def url(redis: Redis, who: str) -> str:
    return f"redis://{who}@127.0.0.1:{redis.port}"


@pytest.mark.parametrize("who", [f":{quote(SECRET, safe='')}", quote(SECRET, safe=""), f"default:{quote(SECRET, '')}"])
@pytest_twisted.ensureDeferred
async def test_with_the_password_it_is_up_and_changes_are_told(guarded: Redis, who: str) -> None:
    async with opened(url(guarded, who)) as store:
        heard: list[str] = []
        store.watch("a", lambda key, _: heard.append(key))
        await store.put("a", b"1")
        await until(lambda: heard, "it is told")


@pytest.mark.parametrize(
    ("who", "reason"), [(":wr0ng", "wrong_password"), ("nobody:x", "wrong_password"), ("", "no_password")]
)
@pytest_twisted.ensureDeferred
async def test_without_it_the_state_says_why_and_it_is_tried_on(
    guarded: Redis, who: str, reason: str, logged: list[str]
) -> None:
    address = url(guarded, who) if who else guarded.url
    async with opened(address, up=False) as store:
        await until(lambda: store.state.reason == reason, "it is said why")
        assert str(await refusal(store.get("a"))) == reason
        guarded.command("CONFIG", "SET", "requirepass", "")
        guarded.password = ""
        if reason == "no_password":
            await until(lambda: store.state.up, "it is up without anybody's help", within=BACK)
        elif who.startswith(":"):
            await until(lambda: store.state.reason == "password_not_expected", "it is said why", within=BACK)
    assert not [line for line in logged if "wr0ng" in line]


@pytest_twisted.ensureDeferred
async def test_a_password_that_is_changed_and_changed_back(guarded: Redis, logged: list[str]) -> None:
    async with opened(url(guarded, quote(f":{SECRET}", safe=":"))) as store:
        with guarded.connection() as admin:
            admin("CONFIG", "SET", "requirepass", "another")
            admin("CLIENT", "KILL", "TYPE", "normal")
            await until(lambda: store.state.reason == "wrong_password", "it is noticed", within=NOTICED + SLACK)
            admin("CONFIG", "SET", "requirepass", SECRET)
        await until(lambda: store.state.up, "it is back", within=BACK)
    assert logged
    assert not [line for line in logged if SECRET in line or quote(SECRET) in line]


@pytest_twisted.ensureDeferred
async def test_a_redis_that_repeats_what_it_was_sent_makes_nobody_repeat_it(logged: list[str], tmp_path: Path) -> None:
    with Redis(tmp_path, "--rename-command", "AUTH", "") as redis:
        async with opened(url(redis, ":pa55word"), up=False) as store:
            await until(lambda: store.state.reason == "error", "it is said")
            assert "pa55word" not in str(await refusal(store.get("a")))
    assert not [line for line in logged if "pa55word" in line]


@pytest_twisted.ensureDeferred
async def test_a_user_may_do_what_it_needs_and_no_more(redis: Redis) -> None:
    rights = ["~ttagw:*", "allchannels", "+get", "+mget", "+set", "+del", "+scan", "+eval", "+evalsha", "+publish"]
    redis.command("ACL", "SETUSER", "gw", "on", ">pw", *rights, "+psubscribe", "+punsubscribe", "+ping", "+select")
    async with opened(f"redis://gw:pw@127.0.0.1:{redis.port}/1") as store:
        heard: list[str] = []
        store.watch("a", lambda key, _: heard.append(key))
        await store.put("a", b"1")
        assert await store.swap("a", b"1", b"2")
        assert await store.scan("") == {"a": b"2"}
        assert await store.delete("a")
        await until(lambda: len(heard) == 3, "it is told")
        redis.command("ACL", "SETUSER", "gw", "-get")
        assert (await refusal(store.get("a"))).reason == "no_permission"
        assert store.state.up


@pytest.mark.parametrize("missing", ["-publish", "-psubscribe", "-ping"])
@pytest_twisted.ensureDeferred
async def test_a_user_that_may_not_tell_of_changes_makes_none(redis: Redis, missing: str) -> None:
    redis.command("ACL", "SETUSER", "gw", "on", ">pw", "~*", "allchannels", "+@all", missing)
    async with opened(f"redis://gw:pw@127.0.0.1:{redis.port}", up=False) as store:
        store.watch("a", lambda key, value: None)
        if missing == "-ping":
            await until(lambda: store.state.up, "what refuses is there")
            return
        await until(lambda: store.state.reason == "no_permission", "it is said")
        await refusal(store.put("a", b"1"))
        assert redis.command("GET", "ttagw:a") is None


@pytest_twisted.ensureDeferred
async def test_a_database_that_does_not_exist_is_said(redis: Redis) -> None:
    async with opened(f"{redis.url}/99", up=False) as store:
        await until(lambda: store.state.reason == "no_such_db", "it is said")
