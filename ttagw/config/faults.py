"""What can be wrong with a configuration, and how it is said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

Key = tuple[str | int, ...]
"""Where a value stands: names of tables and keys, and places in lists."""

Finding = tuple[Key, str]
"""A key and a sentence about it."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_SHOWN = 80


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong, and where."""

    line: int
    """From 1; 0 when it is about the whole file."""
    key: str
    message: str
    file: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class ConfigError(Exception):
    """A configuration that cannot be used, with everything that is wrong with it, by line."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join([str(fault) for fault in self.faults]))


def name_of(key: Key) -> str:
    """A key as people write it: `routes[2].path`, `services."a.b"`."""
    name = ""
    for part in key:
        if isinstance(part, int):
            name += f"[{part}]"
        else:
            text = part if _BARE.fullmatch(part) else json.dumps(part)
            name += f".{text}" if name else text
    return name


def shown(value: object) -> str:
    """A value as it stands in the file, for a sentence about it: not longer than is good for a line."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def one_line(text: str) -> str:
    """The text with everything that does not print written as an escape."""
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else char.encode("unicode_escape").decode() for char in text])
