from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from ttagw.logs.application import LEVELS, JsonObserver, line_of
from ttagw.testing import RecordingLines


def test_an_event_is_one_line_of_json() -> None:
    line = line_of(
        {
            "log_time": 1_700_000_000.5,
            "log_level": LogLevel.warn,
            "log_namespace": "ttagw.x",
            "log_format": "{what}\nhappened",
            "what": "it",
        }
    )
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.500Z",
        "level": "warn",
        "namespace": "ttagw.x",
        "message": "it\nhappened",
    }


def test_a_failure_brings_its_traceback() -> None:
    found = json.loads(line_of({"log_format": "oh", "log_failure": Failure(ZeroDivisionError("by nothing"))}))
    assert "by nothing" in found["failure"]
    assert (found["level"], found["namespace"]) == ("info", "-")


def test_a_very_long_message_is_cut() -> None:
    assert len(json.loads(line_of({"log_format": "x" * 100_000}))["message"]) == 16 * 1024


def test_an_event_that_cannot_be_formatted_is_a_line_all_the_same() -> None:
    assert json.loads(line_of({"log_format": "{missing}"}))["message"]


def test_characters_that_are_no_text_are_a_line_all_the_same() -> None:
    assert json.loads(line_of({"log_format": "{what}", "what": "a\udcffb"}))["message"]


@pytest.mark.parametrize("least", LEVELS)
def test_what_is_below_the_level_is_not_written(least: str) -> None:
    lines = RecordingLines()
    observer: Any = JsonObserver(lines, least)
    log = Logger(observer=observer)
    for level in LEVELS:
        log.emit(LogLevel.levelWithName(level), "said")
    assert [json.loads(line)["level"] for line in lines.batches] == list(LEVELS[LEVELS.index(least) :])


def test_an_event_without_a_level_counts_as_information() -> None:
    lines = RecordingLines()
    JsonObserver(lines, "info")({"log_format": "x"})
    JsonObserver(lines, "warn")({"log_format": "x"})
    assert len(lines.batches) == 1


def test_that_files_have_run_out_is_said_loudly_and_without_addresses() -> None:
    lines = RecordingLines()
    observe = JsonObserver(lines, "warn")
    observe({"log_level": LogLevel.info, "log_format": "EMFILE encountered; releasing reserved file descriptor."})
    observe({"log_level": LogLevel.info, "log_format": "EMFILE recovery: Closed socket from {address}", "address": 1})
    (line,) = lines.batches
    assert json.loads(line)["level"] == "error"
