"""What can be wrong with a configuration, and how it is said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Finding = tuple[tuple[str | int, ...], str]
"""A key and a sentence about it."""


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong, and where."""

    line: int
    key: str
    message: str
    file: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class ConfigError(Exception):
    """A configuration that cannot be used, with everything that is wrong with it, by line."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults))
        super().__init__("\n".join([str(fault) for fault in self.faults]))


def name_of(path: tuple[str | int, ...]) -> str:
    """A key as people write it: `routes[2].path`."""
    name = ""
    for part in path:
        if isinstance(part, int):
            name += f"[{part}]"
        else:
            name += f".{part}" if name else part
    return name
