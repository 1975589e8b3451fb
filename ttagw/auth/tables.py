"""The text of a TOML file, table by table, so that a change leaves everything else as people have written it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

Lines = list[str]
"""What stands between the line feeds of a text; with line ends as on Windows, each ends with its carriage return."""


def span(lines: Lines, names: Sequence[str]) -> tuple[int, int] | None:
    """Where the table of this name begins, and the line after its last key; None unless it is there just once.

    Comments after the last key belong to what follows.
    """
    wanted: dict[str, Any] = {}
    for name in reversed(names):
        wanted = {name: wanted}
    begins = [number for number, line in enumerate(lines) if _header(line) is not None]
    starts = [number for number in begins if _header(lines[number]) == wanted]
    if len(starts) != 1:
        return None
    start = starts[0]
    end = next((number for number in begins if number > start), len(lines))
    while end - 1 > start and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    return start, end


def without(lines: Lines, place: tuple[int, int]) -> Lines:
    """The lines without a table, and without the empty line that set it off."""
    start, end = place
    if start and not lines[start - 1].strip():
        start -= 1
    while not start and end < len(lines) - 1 and not lines[end].strip():
        end += 1
    return [*lines[:start], *lines[end:]]


def assigned(line: str) -> dict[str, Any]:
    """What a line that is a whole assignment says; {} for other lines."""
    return (_parsed(line) or {}) if not line.lstrip().startswith("[") else {}


def _header(line: str) -> dict[str, Any] | None:
    """What a line that begins a table says; None for other lines."""
    return _parsed(line) if line.lstrip().startswith("[") else None


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(line.rstrip("\r"))
    except ValueError:
        return None


# Values as they are written


def quoted(name: str) -> str:
    """A key of a table."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else text(name)


def text(value: str) -> str:
    """A string. Nothing that is written here holds what would need to be escaped."""
    return f'"{value}"'


def listed(values: Sequence[str]) -> str:
    """A list of strings."""
    return f"[{', '.join(map(text, values))}]"
