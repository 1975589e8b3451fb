"""What is recorded of crisis requests."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from ttagw.model import Exchange
from ttagw.registry.events import Event, Events
from ttagw.testing import exchange, route
from ttagw.traffic.crisis import EVERY, CrisisRecord


class Kept:
    """A record, and what it has told."""

    def __init__(self) -> None:
        self.clock = Clock()
        events = Events(lambda: 0.0)
        self.events: list[Event] = []
        events.listen(self.events.append)
        self.record = CrisisRecord(events, self.clock)

    def over(
        self, bypass: str = "", reason: str = "", *, helped: bool = False, name: str = "r", times: int = 1
    ) -> None:
        for _ in range(times):
            made: Exchange = exchange(on=route(name=name))
            made.bypass, made.reason, made.helped = bypass, reason, helped
            self.record.ended(made)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def lines() -> object:
    seen: list[str] = []

    def take(event: LogEvent) -> None:
        if event.get("log_namespace") == "ttagw.traffic.crisis.CrisisRecord":
            seen.append(formatEvent(event))

    globalLogPublisher.addObserver(take)
    yield seen
    globalLogPublisher.removeObserver(take)


def test_everything_is_counted_by_names_and_reasons(kept: Kept) -> None:
    kept.over(times=2)
    kept.over("breaker,health", name="s")
    kept.over("breaker", "connection_refused", helped=True)
    kept.over(reason="token_expired")
    assert kept.record.requests == {"r": 4, "s": 1}
    assert kept.record.bypasses == {("s", "breaker"): 1, ("s", "health"): 1, ("r", "breaker"): 1}
    assert kept.record.fallbacks == {"connection_refused": 1}


def test_each_reason_is_told_at_once_and_then_at_most_every_ten_seconds(kept: Kept, lines: list[str]) -> None:
    kept.record.start()
    kept.over("breaker", times=500)
    kept.over("health,breaker")
    assert lines == ["1 crisis requests were let past: breaker", "1 crisis requests were let past: health"]
    kept.clock.advance(EVERY)
    assert lines[2:] == ["500 crisis requests were let past: breaker"]
    kept.over("breaker", times=3)
    assert len(lines) == 3
    kept.clock.advance(EVERY)
    assert lines[3:] == ["3 crisis requests were let past: breaker"]
    kept.clock.advance(10 * EVERY)
    assert len(lines) == 4
    kept.over("breaker")
    assert lines[4:] == ["1 crisis requests were let past: breaker"]
    assert [(each.kind, each.reason, each.severity) for each in kept.events] == [
        ("crisis_bypass", reason, "warn") for reason in ("breaker", "health", "breaker", "breaker", "breaker")
    ]
    kept.record.stop()


def test_what_has_not_been_told_is_told_at_the_end(kept: Kept, lines: list[str]) -> None:
    kept.record.start()
    kept.over("breaker", times=3)
    kept.record.stop()
    assert lines == ["1 crisis requests were let past: breaker", "2 crisis requests were let past: breaker"]
    assert kept.clock.getDelayedCalls() == []
