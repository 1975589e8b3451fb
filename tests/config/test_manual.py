"""The page about the configuration says what the model says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ttagw.config.manual import render
from ttagw.config.model import Config
from ttagw.config.schema import fields, models

PAGE = Path(__file__).parents[2] / "docs" / "configuration.rst"
MANUAL = render()


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == MANUAL, "write it anew: python -m ttagw.config.manual > docs/configuration.rst"


def test_it_can_be_written_from_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ttagw.config.manual"],
        capture_output=True,
        check=True,
        env={"PYTHONIOENCODING": "utf-8"},
    )
    assert done.stdout.decode() == MANUAL


def test_every_key_has_an_entry() -> None:
    keys = {name for model in models(Config) if model is not Config for name, _ in fields(model)}
    headings = "".join(re.findall(r"^\[\[?[^\]]+", MANUAL, re.MULTILINE))
    assert {name for name in keys if f"``{name}`` (" not in MANUAL and f".{name}" not in headings} == set()


@pytest.mark.parametrize(
    "heading",
    ["[gateway]", "[services.NAME]", "[services.NAME.breaker]", "[[routes]]", "[limits.NAME]", "[classes.NAME]"],
)
def test_every_section_has_a_heading(heading: str) -> None:
    lines = MANUAL.splitlines()
    place = lines.index(heading)
    assert set(lines[place + 1]) in ({"="}, {"-"})
    assert len(lines[place + 1]) == len(heading)


@pytest.mark.parametrize(
    "line",
    [
        '``drain`` (duration, or ``0s``, default ``"30s"``)',
        '``max_uri`` (size, default ``"8KiB"``)',
        '``threshold`` (rate, default ``"200/min"``)',
        "``instances`` (list of tables, must be given)",
        "``path`` (text, must be given)",
        "``headers`` (table of texts, default ``{}``)",
        "``timeout`` (duration)",
        '``auth`` (one of ``"required"``, ``"optional"``, ``"none"``, default ``"required"``)',
    ],
)
def test_an_entry_says_what_is_taken_and_what_holds_without_it(line: str) -> None:
    assert line in MANUAL.splitlines()


def test_what_is_not_available_is_marked() -> None:
    lines = MANUAL.splitlines()
    workers = lines[lines.index("``workers`` (whole number, default ``1``)") + 1]
    assert workers.endswith("*Not available yet; it may only say* ``1``.")
    assert "*Not available yet.*" in lines[lines.index("[tracing]") : lines.index("[dashboard]")]
    for begin, end in (("[http]", "[upstream]"), ("[limits.NAME]", "[auth]")):
        assert not any("Not available" in line for line in lines[lines.index(begin) : lines.index(end)])
