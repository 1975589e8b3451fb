"""What the gateway tells people: problem documents, logs, metrics, health."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.origin import Origin
from tests.integration.kit.process import free_port
from tests.integration.kit.raw import get, once, post
from tests.integration.kit.waiting import until

ROUTES = [route("/players/{id}", name="players"), route("/dead", "dead", "dead")]


@pytest.fixture(scope="module")
def gateway(folder: Path, origin: Origin) -> Iterator[Gateway]:
    with Gateway(folder, {"s": service(origin.port), "dead": service(free_port())}, ROUTES) as running:
        yield running
        assert running.failures() == []


# Errors


@pytest.mark.parametrize("accept", ["", "*/*", "application/*", "application/problem+json", "image/png", "nonsense;;;"])
def test_an_error_is_a_problem_document(gateway: Gateway, accept: str) -> None:
    answer = once(gateway.port, get("/dead", *([f"Accept: {accept}"] if accept else [])))
    assert (answer.status, answer.value(b"content-type")) == (503, b"application/problem+json")
    problem = json.loads(answer.body)
    assert problem["type"].endswith("#upstream_unavailable")
    assert (problem["status"], problem["code"]) == (503, "upstream_unavailable")
    assert problem["request_id"] == answer.id
    assert problem["retry_after"] == int(answer.value(b"retry-after"))
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"]
    assert answer.value(b"cache-control") == b"no-store"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", b"text/html; charset=utf-8"),
        ("text/plain", b"text/plain; charset=utf-8"),
        ("application/json", b"application/json"),
        ("text/plain;q=0.5, text/html;q=0.4", b"text/plain; charset=utf-8"),
    ],
)
def test_an_error_comes_in_the_form_that_is_asked_for(gateway: Gateway, accept: str, kind: bytes) -> None:
    answer = once(gateway.port, get("/dead", f"Accept: {accept}"))
    assert (answer.value(b"content-type"), answer.reason) == (kind, b"upstream_unavailable")
    assert answer.id.encode() in answer.body


def test_an_error_repeats_nothing_that_was_sent(gateway: Gateway) -> None:
    secret = "<script>zebra</script>"
    data = get("/nowhere/zebra?zebra", f"X: {secret}", "Accept: text/html", "Cookie: zebra")
    assert b"zebra" not in once(gateway.port, data).body


def test_an_error_to_head_has_no_body(gateway: Gateway) -> None:
    answer = once(gateway.port, get("/dead", method="HEAD"))
    assert (answer.status, answer.body) == (503, b"")
    assert int(answer.value(b"content-length")) > 0


def test_an_answer_of_a_service_has_no_reason_of_ours(gateway: Gateway, origin: Origin) -> None:
    origin.on(b"/players/gone", lambda talk, request: talk.reply(b"theirs", status=b"503 x"))
    answer = once(gateway.port, get("/players/gone"))
    assert (answer.status, answer.body, answer.reason) == (503, b"theirs", b"")


# The access log


def test_a_line_has_everything_and_nothing_private(gateway: Gateway, origin: Origin) -> None:
    answer = once(gateway.port, post("/players/alice?token=secret", b"hello", "Referer: http://private/"))
    line = gateway.line(answer.id)
    age = datetime.now(UTC) - datetime.fromisoformat(line.pop("time"))
    assert 0 <= age.total_seconds() < 10
    assert 0 < line.pop("upstream_ms") <= line.pop("ms") < 1000
    assert line == {
        "request_id": answer.id,
        "client": "127.0.0.1",
        "route": "players",
        "method": "POST",
        "path": "/players/{id}",
        "class": "normal",
        "status": 200,
        "bytes_in": 5,
        "bytes_out": len(answer.body),
        "instance": f"127.0.0.1:{origin.port}",
        "tries": 1,
        "failed": [],
        "reason": "",
    }
    text = gateway.access.read_text()
    assert not [word for word in ("alice", "secret", "private") if word in text]


def test_combined_lines(tmp_path: Path, service_here: Origin) -> None:
    format_of_log = {"log": {"format": "combined"}}
    with Gateway(tmp_path, {"s": service(service_here.port)}, [route("/p/{id}")], **format_of_log) as gateway:
        size = len(once(gateway.port, get("/p/7?secret")).body)
        line = until(lambda: gateway.access.read_text(), "a line is written")
    pattern = r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET /p/\{id\} HTTP/1\.1" 200 %d "-" "-"\n'
    assert re.fullmatch(pattern % size, line)


# Metrics and health


def test_requests_are_counted_with_bounded_labels(gateway: Gateway, origin: Origin) -> None:
    labels = {"route": "players", "method": "GET", "status": "200"}
    before = gateway.metric("ttagw_requests_total", **labels)
    for number in range(20):
        assert once(gateway.port, get(f"/players/{number}")).status == 200
    until(lambda: gateway.metric("ttagw_requests_total", **labels) == before + 20, "all are counted")
    assert gateway.metric("ttagw_request_seconds_count", route="players") >= 20
    assert gateway.metric("ttagw_upstream_seconds_count", route="players") >= 20
    assert gateway.metric("ttagw_requests_in_flight", route="players") == 0
    instance = f"127.0.0.1:{origin.port}"
    assert gateway.metric("ttagw_pool_connections", service="s", instance=instance) >= 1
    assert gateway.metric("ttagw_instance_in_flight", service="s", instance=instance) == 0
    assert b"players/1" not in gateway.admin("/metrics")[1]


def test_errors_are_counted_by_kind(gateway: Gateway) -> None:
    before = gateway.metric("ttagw_upstream_errors_total", service="dead", kind="connection_refused")
    refusals = gateway.metric("ttagw_refusals_total", route="dead", reason="connection_refused")
    assert once(gateway.port, get("/dead")).status == 503
    assert gateway.metric("ttagw_upstream_errors_total", service="dead", kind="connection_refused") == before + 1
    assert gateway.metric("ttagw_refusals_total", route="dead", reason="connection_refused") == refusals + 1


def test_live_and_ready(gateway: Gateway) -> None:
    status, body = gateway.admin("/health/live")
    assert (status, json.loads(body)["live"]) == (200, True)
    status, body = gateway.admin("/health/ready")
    ready = json.loads(body)
    assert (status, ready["ready"], ready["services"]) == (200, True, {"dead": 1, "s": 1})


def test_the_admin_side_is_not_on_the_public_port(gateway: Gateway) -> None:
    assert {once(gateway.port, get(path)).status for path in ("/metrics", "/health/live", "/health/ready")} == {404}


def test_metrics_can_be_turned_off(tmp_path: Path, service_here: Origin) -> None:
    with Gateway(tmp_path, {"s": service(service_here.port)}, metrics={"enabled": False}) as gateway:
        assert gateway.admin("/metrics")[0] == 404
        assert gateway.admin("/health/ready")[0] == 200
