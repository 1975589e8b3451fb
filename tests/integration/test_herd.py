"""Row 34: when a service comes back after an outage, all those who waited do not bring it down again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from tests.integration.kit.gateway import Gateway, service
from tests.integration.kit.health import OFTEN, Switch
from tests.integration.kit.operated import Operator, View
from tests.integration.kit.origin import Origin, Request, Talk
from tests.integration.kit.pace import Pace
from tests.integration.kit.waiting import until

MEMORY = {"store": "memory:"}
CLIENTS = 20
EVERY = 0.1
"""Each of them asks ten times a second: 200 requests a second together."""


@contextmanager
def herd(gateway: Gateway) -> Iterator[list[Pace]]:
    """All the clients; none may be left without an answer."""
    with ExitStack() as running:
        clients = [running.enter_context(Pace(gateway.port, every=EVERY)) for _ in range(CLIENTS)]
        yield clients
    assert sum([each.lost for each in clients]) == 0


def test_an_instance_that_comes_back_gets_its_share_bit_by_bit(tmp_path: Path) -> None:
    with Origin() as steady, Origin() as returning:
        Switch(steady)
        switch = Switch(returning)
        services = {
            "s": service(steady.port, returning.port, balance="round_robin", health=OFTEN, slow_start="5s"),
        }
        for each in (steady, returning):
            each.on(b"/", lambda talk, request: talk.reply(b"ok"))

        def counts() -> tuple[int, int]:
            return len(steady.requests), len(returning.requests) - switch.asked

        def share(then: tuple[int, int]) -> float:
            """Of the requests since then, those that went to the one that has come back."""
            one, two = (now - before for now, before in zip(counts(), then, strict=True))
            return two / max(1, one + two)

        with Gateway(tmp_path, services, gateway=MEMORY) as gateway, herd(gateway) as clients:
            operator = Operator(gateway, "")

            def instance() -> View:
                found: View = operator.service()["instances"][1]
                return found

            until(lambda: min(counts()) > 50, "both are asked")
            switch.good = False
            until(lambda: instance()["state"] == "down", "it is out")
            switch.good = True
            until(lambda: instance()["state"] == "up", "it is back", every=0.002)
            back = counts()
            weight = until(lambda: instance()["share"] > 0.35 and instance()["share"], "its share grows")
            # Its weight was never more than that, beside one of 1.
            assert share(back) < weight / (1 + weight)
            assert counts()[1] > back[1]
            until(lambda: instance()["share"] == 1, "it has all of its share")
            all_of_it = counts()
            until(lambda: sum(counts()) > sum(all_of_it) + 300, "requests go on")
            assert 0.4 < share(all_of_it) < 0.6
            assert {status for each in clients for status in each.statuses} == {200}
            assert gateway.failures() == []


class Fragile:
    """A service that is down, and later breaks if more come at once than it can bear while it warms up."""

    def __init__(self, origin: Origin, bearable: int) -> None:
        self.down = True
        self.overrun = 0
        self.warmed = 0
        self._now = 0
        self._bearable = bearable
        self._lock = Lock()
        origin.on(b"/", self._answer)

    def _answer(self, talk: Talk, request: Request) -> None:
        with self._lock:
            self._now += 1
            cold = self.warmed < self._bearable
            broken = self.down or (cold and self._now > self._bearable)
            self.overrun += broken and not self.down
        if not broken:
            talk.gone.wait(0.3 if cold else 0.01)
        with self._lock:
            self._now -= 1
            self.warmed += not broken
        talk.reply(b"", status=b"500 Broken" if broken else b"200 OK")


def test_a_service_alone_is_tried_by_a_few_before_everybody_comes(tmp_path: Path) -> None:
    most = 3
    breaker: dict[str, Any] = {
        "consecutive_failures": 5,
        "minimum_calls": 20,
        "open_for": "1s",
        "half_open_calls": most,
    }
    with Origin() as origin:
        fragile = Fragile(origin, most)
        services = {"s": service(origin.port, breaker=breaker)}
        with Gateway(tmp_path, services, gateway=MEMORY) as gateway, herd(gateway) as clients:
            operator = Operator(gateway, "")

            def refused() -> int:
                return sum([each.statuses.count(503) for each in clients])

            def events(kind: str) -> float:
                return gateway.metric("ttagw_events_total", kind=kind, service="s")

            until(lambda: refused() > 100, "it is left alone")
            until(lambda: operator.service()["breaker"]["wait"] > 0.5, "it has to wait for a while")
            asked, opened = len(origin.requests), events("circuit_open")
            fragile.down = False
            until(lambda: events("circuit_closed") == 1, "all is well")
            assert events("circuit_open") == opened
            passed = len(clients[0].statuses)
            until(lambda: len(clients[0].statuses) > passed + 15, "everybody comes")
            assert fragile.overrun == 0
            assert fragile.warmed > most
            assert events("circuit_open") == opened
            assert len(origin.requests) > asked + 100
            assert {status for each in clients for status in each.statuses[-5:]} == {200}
            assert {status for each in clients for status in each.statuses} == {200, 500, 503}
            assert gateway.failures() == []
