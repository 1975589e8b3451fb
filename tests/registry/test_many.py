"""With thousands of instances nothing may be done for all of them each time that something happens to one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.registry.fleets import Fleet, record
from ttagw.registry import group as module
from ttagw.registry.records import Origin

MANY = 300


@pytest.fixture
def decisions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many instances there were, each time that it was decided anew who is asked."""
    made: list[int] = []
    decide: Callable[..., Any] = module.decide

    def counted(standings: Any) -> Any:
        made.append(len(standings))
        return decide(standings)

    monkeypatch.setattr(module, "decide", counted)
    return made


def filled(origin: Origin = Origin.SELF, ttl: float = 15.0) -> Fleet:
    fleet = Fleet()
    with fleet.registry.at_once():
        for number in range(MANY):
            fleet.put(f"i{number}", origin=origin, ttl=ttl, lease=ttl)
    return fleet


def test_a_heartbeat_that_is_heard_of_decides_nothing(decisions: list[int]) -> None:
    fleet = filled()
    decisions.clear()
    for number in range(MANY):
        fleet.registry.put(record(f"i{number}", ttl=15.0), slowly=True, lease=15.0, heard=True)
    assert decisions == []
    fleet.pass_time(14.75)
    assert len(fleet.registry.groups["a"].members) == MANY


def test_leases_that_end_together_are_one_decision(decisions: list[int]) -> None:
    fleet = filled()
    decisions.clear()
    fleet.pass_time(15.0)
    assert decisions == [0]
    assert fleet.state() == "down"


def test_all_that_a_source_takes_back_is_one_decision(decisions: list[int]) -> None:
    fleet = filled(Origin.FILE, 0.0)
    decisions.clear()
    fleet.registry.replace("a", Origin.FILE, [], slowly=True)
    assert decisions == [0]
    assert not fleet.registry.groups["a"].members


def test_drains_that_end_together_are_one_decision(decisions: list[int]) -> None:
    fleet = filled(Origin.FILE, 0.0)
    for each in fleet.registry.groups["a"].members.values():
        each.instance.in_flight = 1
    fleet.registry.replace("a", Origin.FILE, [], slowly=True)
    for each in fleet.registry.groups["a"].members.values():
        each.instance.in_flight = 0
    decisions.clear()
    fleet.pass_time(0.25)
    assert decisions == [0]
