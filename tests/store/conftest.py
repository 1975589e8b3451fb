from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.kit.certs import Authority
from tests.store.kit import Redis
from tests.twisted_hygiene import _frozen_garbage, failures

__all__ = ["_frozen_garbage", "failures"]


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A Redis for tests that do it no harm."""
    with Redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis for one test."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with Redis(folder) as redis:
        yield redis


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Issues the certificates of this run."""
    return Authority(tmp_path_factory.mktemp("authority"))
