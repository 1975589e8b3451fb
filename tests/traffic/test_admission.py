"""Admission put together from a configuration."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.testing import MemoryReactorClock

from tests.twisted_hygiene import Failures, _frozen_garbage, failures
from ttagw.config import load as read
from ttagw.core.classes import TrafficClass
from ttagw.model import Exchange
from ttagw.pipeline import Pipeline
from ttagw.registry.events import Event, Events
from ttagw.surroundings import Surroundings
from ttagw.testing import exchange, route
from ttagw.traffic import load
from ttagw.traffic.admission import TICK, Admission
from ttagw.web.render import render

__all__ = ["_frozen_garbage", "failures"]

CONFIGURATION = """
[services.one]
instances = ["http://127.0.0.1:1"]
[services.two]
instances = ["http://127.0.0.1:2"]
[[routes]]
name = "first"
path = "/first/*"
service = "one"
auth = "none"
[[routes]]
name = "both"
path = "/both/*"
split = { two = 1, one = 1 }
auth = "none"
"""


class Made:
    """A gateway's admission, and what it tells."""

    def __init__(self, folder: Path, more: str = "") -> None:
        file = folder / "ttagw.toml"
        file.write_text(CONFIGURATION + more)
        self.reactor = MemoryReactorClock()
        self.told: list[Event] = []
        events = Events(lambda: 0.0)
        events.listen(self.told.append)
        nowhere: Any = None
        self.services: dict[str, Any] = {}
        around = Surroundings(
            self.reactor, nowhere, events, self.services, self.reactor.seconds, self.reactor.seconds, lambda: 0.5
        )
        self.part = Admission(read(file, environ={}), around)
        (self.layer,) = self.part.layers()

    def ask(self, name: str, rank: TrafficClass = TrafficClass.NORMAL) -> Exchange:
        made = exchange(on=route(name=name).bind([self.layer]))
        made.rank = rank
        Pipeline(render).run(made)
        return made

    def sample(self, name: str, **labels: str) -> float:
        found = [each for family in self.part.metrics() for each in family.samples if each.name == name]
        return sum([each.value for each in found if labels.items() <= each.labels.items()])


def test_each_service_has_a_gate_and_a_split_the_one_of_its_first(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.ask("first")
    made.ask("both")
    made.ask("both")
    awaited = {name: gate["awaited"]["normal"] for name, gate in made.part.view()["services"].items()}
    assert awaited == {"one": 1, "two": 2}
    assert made.sample("ttagw_admission_in_flight") == 3
    made.ask("both")
    assert made.sample("ttagw_admission_limit", service="two") == 1000


def test_shares_are_those_of_the_configuration(tmp_path: Path) -> None:
    made = Made(
        tmp_path,
        "[admission]\nin_flight = 50\n[classes.crisis]\nreserved = 0.2\nceiling = 0.4\n[classes.low]\nceiling = 0.1\n",
    )
    view = made.part.view()
    assert view["reserved"] == {"crisis": 10, "therapeutic": 0, "high": 0, "normal": 0, "low": 0}
    assert view["ceilings"] == {"crisis": 20, "therapeutic": 50, "high": 50, "normal": 50, "low": 5}


def test_a_reserve_larger_than_the_default_ceiling_is_the_ceiling(tmp_path: Path) -> None:
    made = Made(tmp_path, "[admission]\nin_flight = 10\n[classes.crisis]\nreserved = 0.8\n")
    assert made.part.view()["ceilings"]["crisis"] == 8


def test_a_bound_that_stays(tmp_path: Path) -> None:
    made = Made(tmp_path, "[admission]\nin_flight = 4\nadaptive = false\nqueue = 0\n")
    assert [made.ask("first").status for _ in range(5)] == [0, 0, 0, 0, 503]
    assert made.part.view()["services"]["one"]["usual_seconds"] is None
    assert made.sample("ttagw_admission_shed_total", reason="overloaded", **{"class": "normal"}) == 1


def test_what_the_page_shows_is_json(tmp_path: Path) -> None:
    made = Made(tmp_path)
    view: dict[str, Any] = made.part.view()
    assert json.loads(json.dumps(view))["pressure"] == {"memory": 0.0, "files": 0.0, "lowest_class": "low"}
    assert set(made.part.pages(None)) == {b"admission"}  # type: ignore[arg-type]


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What is in use, as parts of what there is."""
    shares = {"memory": 0.1, "files": 0.1}
    monkeypatch.setattr(load, "memory_share", lambda used, limits: shares["memory"])
    monkeypatch.setattr(load, "files_share", lambda *given: shares["files"])
    return shares


def tick(made: Made) -> None:
    made.reactor.advance(TICK)


@pytest.mark.parametrize("what", ["memory", "files"])
def test_a_shortage_is_told_and_so_is_its_end(tmp_path: Path, used: dict[str, float], what: str) -> None:
    made = Made(tmp_path)
    made.part.start()
    tick(made)
    assert made.ask("first", TrafficClass.LOW).status == 0
    for share in (0.86, 0.87):
        used[what] = share
        tick(made)
    refused = made.ask("first", TrafficClass.LOW)
    assert (refused.status, refused.reason) == (503, what)
    assert made.ask("first").status == 0
    assert made.sample(f"ttagw_{what}_share") == 0.87
    used[what] = 0.5
    tick(made)
    assert made.ask("first", TrafficClass.LOW).status == 0
    assert [(event.kind, event.severity) for event in made.told] == [
        (f"{what}_short", "alert"),
        (f"{what}_short_over", "info"),
    ]


def test_what_holds_everybody_up_to_give_memory_back_is_done_seldom(
    tmp_path: Path, used: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []
    takes = [0.0, 0.1, 0.1]

    def give_back() -> None:
        made.reactor.rightNow += takes[len(given)]  # type: ignore[attr-defined]
        given.append(made.reactor.seconds())

    monkeypatch.setattr(load, "giver_back", lambda: give_back)
    made = Made(tmp_path)
    made.part.start()
    tick(made)
    assert given == []
    for turn in range(4 * 27):
        # Short again and again: that is no reason to do it more often.
        used["memory"] = 0.9 if turn % 2 else 0.5
        tick(made)
    first, second, third = given
    assert second - first == pytest.approx(5.1, abs=2 * TICK)
    assert third - second == pytest.approx(20.1, abs=2 * TICK)


def test_a_gate_is_not_wider_than_there_are_connections(tmp_path: Path) -> None:
    made = Made(tmp_path, "[upstream]\nmax_connections = 20\n")
    made.services["one"] = SimpleNamespace(instances=[SimpleNamespace(pool=SimpleNamespace(idle=0))] * 2)
    made.part.start()
    assert made.sample("ttagw_admission_limit", service="one") == 40
    made.ask("both")
    assert made.sample("ttagw_admission_limit", service="two") == 1000
    made.services["one"].instances = made.services["one"].instances * 2
    made.ask("first")
    tick(made)
    assert made.sample("ttagw_admission_limit", service="one") == 80


def test_who_waits_is_sent_away_too(tmp_path: Path, used: dict[str, float]) -> None:
    made = Made(tmp_path, '[admission]\nin_flight = 1\nqueue_time = "60s"\n')
    made.part.start()
    made.ask("first", TrafficClass.HIGH)
    waiting = made.ask("first", TrafficClass.NORMAL)
    assert made.sample("ttagw_admission_waiting", service="one", **{"class": "normal"}) == 1
    used["memory"] = 0.91
    tick(made)
    assert (waiting.status, waiting.reason) == (503, "memory")
    assert made.sample("ttagw_admission_waiting") == 0


def test_what_cannot_be_looked_at_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, used: dict[str, float], failures: Failures
) -> None:
    made = Made(tmp_path)
    made.part.start()

    def broken() -> tuple[int, int]:
        raise OSError

    with monkeypatch.context() as context:
        context.setattr(load, "memory_used", broken)
        tick(made)
    assert failures.take(OSError)
    used["files"] = 0.99
    tick(made)
    assert made.ask("first").reason == "files"


@pytest_twisted.ensureDeferred
async def test_the_end(tmp_path: Path) -> None:
    made = Made(tmp_path, "[admission]\nin_flight = 1\n")
    await made.part.stop()
    made.part.start()
    made.ask("first")
    waiting = made.ask("first")
    await made.part.stop()
    assert waiting.status == 503
    assert made.reactor.getDelayedCalls() == []
