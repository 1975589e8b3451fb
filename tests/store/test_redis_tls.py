"""`rediss://`: who answers must prove to be who was named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted

from tests.integration.kit.certs import Authority
from tests.store.kit import BACK, Redis, free_port, opened, refusal, until


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system trusts our authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))


def tls_redis(folder: Path, authority: Authority, name: str) -> tuple[Redis, int]:
    cert, key = authority.issue(name)
    port = free_port()
    options = ["--tls-port", str(port), "--tls-cert-file", str(cert), "--tls-key-file", str(key)]
    return Redis(folder, *options, "--tls-ca-cert-file", str(authority.path), "--tls-auth-clients", "no"), port


@pytest.fixture
def tls(tmp_path: Path, authority: Authority) -> Iterator[int]:
    """The TLS port of a Redis that is `localhost`."""
    redis, port = tls_redis(tmp_path, authority, "localhost")
    with redis:
        yield port


@pytest_twisted.ensureDeferred
async def test_a_redis_that_proves_its_name_is_used(tls: int, trusted: None) -> None:
    async with opened(f"rediss://localhost:{tls}") as store:
        heard: list[str] = []
        store.watch("a", lambda key, _: heard.append(key))
        await store.put("a", bytes(200_000))
        assert await store.get("a") == bytes(200_000)
        await until(lambda: heard, "it is told")


@pytest_twisted.ensureDeferred
async def test_one_that_is_not_trusted_is_not_used(tls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(folder).path))
    async with opened(f"rediss://:pw@localhost:{tls}", up=False) as store:
        await until(lambda: store.state.reason == "tls_failed", "it is said")
        assert (await refusal(store.get("a"))).reason == "tls_failed"


@pytest_twisted.ensureDeferred
async def test_one_that_proves_another_name_is_not_used(tls: int, trusted: None) -> None:
    async with opened(f"rediss://127.0.0.1:{tls}", up=False) as store:
        await until(lambda: store.state.reason == "tls_failed", "it is said")


@pytest_twisted.ensureDeferred
async def test_an_address_can_be_proved_too(tmp_path: Path, authority: Authority, trusted: None) -> None:
    redis, port = tls_redis(tmp_path, authority, "127.0.0.1")
    with redis:
        async with opened(f"rediss://127.0.0.1:{port}") as store:
            await store.put("a", b"1")


@pytest_twisted.ensureDeferred
async def test_one_that_speaks_no_tls_is_away_until_it_does(redis: Redis, trusted: None) -> None:
    async with opened(f"rediss://localhost:{redis.port}", up=False) as store:
        await until(lambda: store.state.reason in ("tls_failed", "connection_lost", "timeout"), "it is said")


@pytest_twisted.ensureDeferred
async def test_silence_is_noticed_and_its_end_too(tmp_path: Path, authority: Authority, trusted: None) -> None:
    redis, port = tls_redis(tmp_path, authority, "localhost")
    with redis:
        async with opened(f"rediss://localhost:{port}") as store:
            redis.stop()
            await until(lambda: store.state.reason == "timeout", "it is noticed", within=2.6)
            redis.go_on()
            await until(lambda: store.state.up, "it is back", within=BACK)
