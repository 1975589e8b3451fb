from collections.abc import Iterator

import pytest
from twisted.logger import LogEvent, globalLogPublisher

from tests.twisted_hygiene import _frozen_garbage, failures

__all__ = ["_frozen_garbage", "failures", "said"]


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What was logged about who is asking."""
    texts: list[str] = []

    def hear(event: LogEvent) -> None:
        if event.get("log_namespace", "").startswith("ttagw.auth"):
            texts.append(str(event["log_format"]).format(**event))

    globalLogPublisher.addObserver(hear)
    yield texts
    globalLogPublisher.removeObserver(hear)
