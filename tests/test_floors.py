"""Libraries with known holes are not started with."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from ttagw.floors import FLOORS, below


def installed(name: str) -> str:
    if name == "gone":
        raise PackageNotFoundError(name)
    return {"old": "26.4.0", "new": "26.10.0rc1", "newer": "27.1", "short": "50"}[name]


def test_what_is_installed_here_is_new_enough() -> None:
    assert below() == []


def test_what_is_too_old_or_missing_is_said() -> None:
    floors = {"old": (26, 10), "new": (26, 10), "newer": (26, 10, 2), "short": (50,), "gone": (1,)}
    assert below(floors, installed) == [
        "old 26.4.0 has known holes; 26.10 or newer is needed",
        "gone is not installed; 1 or newer is needed",
    ]


def test_the_floors_are_those_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {
        match[1]: match[2]
        for each in project["dependencies"]
        if (match := re.match(r"([a-z0-9-]+)(?:\[.*\])?>=([0-9.]+)", each))
    }
    assert {name: declared[name] for name in FLOORS} == {
        name: ".".join(map(str, floor)) for name, floor in FLOORS.items()
    }
