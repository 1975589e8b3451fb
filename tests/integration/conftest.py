"""Fixtures that every integration test may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.kit.certs import Authority
from tests.integration.kit.origin import Origin


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Issues the certificates of this run."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for a module's own gateway."""
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    """A service for a module's own gateway."""
    with Origin() as running:
        yield running


@pytest.fixture
def service_here() -> Iterator[Origin]:
    """A service for one test."""
    with Origin() as running:
        yield running
