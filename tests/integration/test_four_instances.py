"""One of four instances fails in every way that there is, and clients hardly notice."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.kit import worker
from tests.integration.kit.gateway import Gateway, route
from tests.integration.kit.process import Child, free_port
from tests.integration.kit.stream import Stream
from tests.integration.kit.waiting import until

AT_FIRST = 5 + 7
"""Five failures in a row open a breaker, and each of the other clients may have begun something meanwhile."""


class Place:
    """One instance: a process at a port that stays the same."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.port = free_port()
        self.id = f"127.0.0.1:{self.port}"
        self._mode = folder / "mode"
        self._counted = folder / "counted"
        self._counted.touch()
        self.behave("ok")
        self.start()

    def start(self) -> None:
        self.child = Child(
            [sys.executable, "-P", worker.__file__, str(self.port), self._mode, self._counted], self._folder
        )

    def behave(self, mode: str) -> None:
        fresh = self._mode.with_name("mode.new")
        fresh.write_text(mode)
        fresh.replace(self._mode)

    @property
    def requests(self) -> list[str]:
        """`METHOD path` of each request that it has got, whole or not."""
        return self._counted.read_text().splitlines()


@pytest.fixture
def places(tmp_path: Path) -> Iterator[list[Place]]:
    made = [Place(tmp_path / f"place{number}") for number in range(4)]
    yield made
    for each in made:
        each.child.signal(signal.SIGCONT)
        each.child.stop()


@pytest.fixture
def gateway(tmp_path: Path, places: list[Place]) -> Iterator[Gateway]:
    services: dict[str, Any] = {
        "s": {
            "instances": [f"http://{each.id}" for each in places],
            "health": {"interval": "2s", "timeout": "1s"},
            "slow_start": "0s",
        }
    }
    # Nobody waits for as long as that: whoever is found to be down is left.
    with Gateway(tmp_path, services, [route()], upstream={"response_timeout": "60s"}) as running:
        until(lambda: states(running) == {"up": 4}, "all are up")
        yield running
        assert running.failures() == []


def states(gateway: Gateway) -> dict[str, int]:
    """How many instances are in each state."""
    found = json.loads(gateway.admin("/services/s")[1])["instances"]
    return dict(Counter(each["state"] for each in found))


def in_use(places: list[Place]) -> bool:
    """Whether every instance gets requests."""
    before = [len(each.requests) for each in places]
    until(lambda: all(len(each.requests) > 5 + was for each, was in zip(places, before, strict=True)), "all are asked")
    return True


def kill(place: Place) -> None:
    place.child.signal(signal.SIGKILL)
    place.child.ended()


FAULTS: dict[str, tuple[Callable[[Place], None], Callable[[Place], None]]] = {
    "killed": (kill, Place.start),
    "stalled": (lambda place: place.child.signal(signal.SIGSTOP), lambda place: place.child.signal(signal.SIGCONT)),
    "500": (lambda place: place.behave("500"), lambda place: place.behave("ok")),
    "reset": (lambda place: place.behave("reset"), lambda place: place.behave("ok")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_one_of_four_costs_next_to_nothing(gateway: Gateway, places: list[Place], fault: str) -> None:
    begin, end = FAULTS[fault]
    bad = places[1]
    with Stream(gateway.port) as stream:
        until(lambda: len(stream.seen()) > 100, "requests flow")
        began = time.monotonic()
        begin(bad)
        until(lambda: {"down", "ejected"} & states(gateway).keys(), "it is out of rotation")
        outside = time.monotonic()
        until(lambda: len(stream.seen(outside)) > 300, "the others carry on")
        end(bad)
        mended = time.monotonic()
        until(lambda: states(gateway) == {"up": 4}, "it is back", within=15.0)
        assert in_use(places)
        assert time.monotonic() - mended < 15.0
    got = stream.statuses("GET", began)
    lost = {status: count for status, count in got.items() if status != 200}
    # Answers that had begun cannot be taken back; and what was under way at the moment of a kill or a stall waits once.
    if fault == "reset":
        assert set(lost) <= {-1}
    elif fault == "500":
        assert lost.get(500, 0) <= AT_FIRST
        assert set(lost) <= {500}
    else:
        assert lost == {}
    assert sum(got.values()) > 300
    assert max(each.took for each in stream.seen() if each.method == "GET") < 15.0
    if fault == "killed":
        # What was under way when it died was not sent to somebody dead; what is refused was.
        tries = [each for line in gateway.lines() for each in line["failed"] if each["instance"] == bad.id]
        assert len([each for each in tries if each["reason"] == "connection_refused"]) <= AT_FIRST
    posts = Counter(line for each in places for line in each.requests if line.startswith("POST"))
    assert {line: count for line, count in posts.items() if count > 1} == {}
    assert [each for each in stream.seen(outside) if each.status != 200 and each.began < mended] == []
