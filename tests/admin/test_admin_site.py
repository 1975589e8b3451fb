from __future__ import annotations

import json
from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.testing import MemoryReactorClock

from ttagw.admin.site import Readiness, admin_site
from ttagw.metrics import Metrics
from ttagw.testing import MemoryTransport

READY = Readiness(True, 2, False, {"players": 1})


def ask(
    path: str, state: Readiness = READY, metrics: Metrics | None = None, method: str = "GET"
) -> tuple[int, bytes, bytes]:
    """Status, head and body of what the admin side answers."""
    clock = MemoryReactorClock()
    site = admin_site("gw-1", lambda: state, metrics, reactor=clock)
    protocol = site.buildProtocol(None)
    transport = MemoryTransport()
    transport.connect(protocol)
    protocol.dataReceived(f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    clock.pump([0.0] * 20)
    head, _, body = transport.take().partition(b"\r\n\r\n")
    transport.lose()
    return int(head[9:12]), head.lower(), body


def test_it_is_alive() -> None:
    status, head, body = ask("/health/live")
    assert (status, json.loads(body)) == (200, {"live": True, "name": "gw-1"})
    assert b"cache-control: no-store" in head
    assert b"content-type: application/json" in head


def test_it_is_ready_and_says_what_for() -> None:
    status, _, body = ask("/health/ready")
    assert (status, json.loads(body)) == (
        200,
        {"ready": True, "listeners": 2, "draining": False, "services": {"players": 1}},
    )


def test_what_is_not_ready_is_503() -> None:
    status, _, body = ask("/health/ready", replace(READY, ready=False, draining=True))
    assert (status, json.loads(body)["draining"]) == (503, True)


def test_a_head_request_has_no_body() -> None:
    status, _, body = ask("/health/live", method="HEAD")
    assert (status, body) == (200, b"")


def test_metrics_are_what_prometheus_reads() -> None:
    metrics = Metrics()
    metrics.route("players").tries = 3
    status, head, body = ask("/metrics", metrics=metrics)
    assert status == 200
    assert b"content-type: text/plain; version=0.0.4" in head
    assert "ttagw_upstream_tries" in {family.name for family in text_string_to_metric_families(body.decode())}


def test_without_metrics_there_is_nothing_there() -> None:
    assert ask("/metrics")[0] == 404
    assert ask("/")[0] == 404
    assert ask("/health/other")[0] == 404


def test_nothing_can_be_changed_here() -> None:
    assert ask("/health/live", method="POST")[0] == 405
