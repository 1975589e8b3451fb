from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.classes import TrafficClass
from ttagw.logs.access import MOST_LINES, AccessLog
from ttagw.model import Exchange
from ttagw.pipeline import Route
from ttagw.testing import RecordingLines, exchange, nothing

NOON = 1_700_000_000.25


def finished(**changes: object) -> Exchange:
    made = exchange(b"POST", length=5)
    made.body.feed(b"12345")
    made.route = Route("players", "/players/{id}", nothing, max_body=0)
    made.path = b"/players/secret-7"
    made.query = b"token=secret"
    made.status, made.bytes_out, made.instance, made.tries, made.reason = 201, 42, b"up:80", 2, "a_reason"
    made.upstream_seconds = 0.0125
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def written(style: str, made: Exchange, seconds: float = 0.5, now: float = NOON) -> bytes:
    lines = RecordingLines()
    log = AccessLog(lines, style, lambda: now)
    log.record(made, seconds)
    log.flush()
    return b"".join(lines.batches)


def test_a_line_is_json_and_says_what_became_of_it() -> None:
    line = written("json", finished())
    assert line.endswith(b"}\n")
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250Z",
        "request_id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "client": "192.0.2.7",
        "route": "players",
        "method": "POST",
        "path": "/players/{id}",
        "class": "normal",
        "status": 201,
        "bytes_in": 5,
        "bytes_out": 42,
        "ms": 500.0,
        "upstream_ms": 12.5,
        "instance": "up:80",
        "tries": 2,
        "failed": [],
        "reason": "a_reason",
    }


def test_the_combined_form_is_the_usual_one() -> None:
    line = written("combined", finished()).decode()
    assert re.fullmatch(
        r'192\.0\.2\.7 - - \[14/Nov/2023:22:13:20 \+0000\] "POST /players/\{id\} HTTP/1\.1" 201 42 "-" "-"\n', line
    )


@pytest.mark.parametrize("style", ["json", "combined"])
def test_neither_ids_nor_query_values_are_in_a_line(style: str) -> None:
    assert b"secret" not in written(style, finished())


def test_a_request_without_a_body_has_none() -> None:
    made = finished()
    made.body = exchange().body
    assert json.loads(written("json", made))["bytes_in"] == 0


@given(st.text(max_size=20), st.text(max_size=20), st.floats(0, 1e6), st.floats(0, 4e9))
def test_whatever_the_route_is_called_the_line_is_one_line_of_json(
    name: str, path: str, seconds: float, now: float
) -> None:
    line = written("json", finished(route=Route(name, path, nothing, max_body=0)), seconds, now)
    assert line.count(b"\n") == 1
    found = json.loads(line)
    assert (found["route"], found["path"]) == (name, path)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found["time"])


def test_lines_are_handed_on_at_once_when_there_are_many() -> None:
    lines = RecordingLines()
    log = AccessLog(lines, "json", lambda: NOON)
    for _ in range(MOST_LINES - 1):
        log.record(finished(), 0.1)
    assert lines.batches == []
    log.record(finished(), 0.1)
    assert [batch.count(b"\n") for batch in lines.batches] == [MOST_LINES]
    log.flush()
    assert len(lines.batches) == 1


@pytest.mark.parametrize(
    ("access", "members"),
    [
        (None, {}),
        (("care", ""), {"access": "care"}),
        (("break_glass", "01a2-7"), {"access": "break_glass", "record": "01a2-7"}),
    ],
)
def test_how_somebody_else_was_reached_is_said(access: tuple[str, str] | None, members: dict[str, str]) -> None:
    lines = RecordingLines()
    log = AccessLog(lines, "json", lambda: NOON)
    log.record(finished(access=access, dry_run="a_reason"), 0.1)
    log.flush()
    line = json.loads(lines.batches[0])
    assert {name: line[name] for name in ("access", "record") if name in line} == members
    assert line["dry_run"] == "a_reason"


def test_a_usual_line_is_what_the_long_way_writes() -> None:
    usual = finished(tries=1, reason="")
    line = json.loads(written("json", usual))
    assert (line["tries"], line["failed"], line["reason"]) == (1, [], "")
    for name, value in (("dry_run", "x"), ("access", ("care", "")), ("bypass", "limit"), ("reason", "r"), ("tries", 0)):
        other = json.loads(written("json", finished(**{"tries": 1, "reason": "", name: value})))
        assert {**line, **other} == other
        assert other != line


def test_lines_of_other_routes_methods_and_classes_are_not_mixed_up() -> None:
    lines = RecordingLines()
    log = AccessLog(lines, "json", lambda: NOON)
    asked = [
        (Route(name, path, nothing, max_body=0), method, rank)
        for name, path in (("a", "/a"), ("b", "/b"))
        for method in (b"GET", b"-")
        for rank in (TrafficClass.NORMAL, TrafficClass.CRISIS)
    ]
    for route, method, rank in asked * 2:
        log.record(finished(route=route, method=method, rank=rank), 0.1)
    log.flush()
    seen = [json.loads(each) for each in b"".join(lines.batches).splitlines()]
    expected = [(route.name, method.decode(), rank.text) for route, method, rank in asked * 2]
    assert [(each["route"], each["method"], each["class"]) for each in seen] == expected
