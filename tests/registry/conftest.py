"""What the tests of sources have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from tests.twisted_hygiene import _frozen_garbage, failures
from ttagw.registry.records import Record

__all__ = ["_frozen_garbage", "failures"]


class Follower:
    """Who is told what a source has to say."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.updates: list[Sequence[Record]] = []
        self.told: list[tuple[str, str, str, str]] = []
        """Kind, service, reason and severity of each event."""
        self.said: list[str] = []
        """What was logged."""

    def update(self, records: Sequence[Record]) -> None:
        self.updates.append(records)

    def tell(self, kind: str, service: str, instance: str = "", reason: str = "", severity: str = "info") -> None:
        assert instance == ""
        self.told.append((kind, service, reason, severity))

    @property
    def urls(self) -> list[str]:
        """The latest."""
        return [each.url for each in self.updates[-1]]

    def log(self, event: LogEvent) -> None:
        if str(event.get("log_namespace")).startswith("ttagw.registry"):
            self.said.append(event["log_format"].format(**event))


@pytest.fixture
def follower() -> Iterator[Follower]:
    follower: Any = Follower()
    globalLogPublisher.addObserver(follower.log)
    yield follower
    globalLogPublisher.removeObserver(follower.log)
