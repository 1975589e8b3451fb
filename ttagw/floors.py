"""Versions of libraries below which a known hole is open; looked at again whenever the daemon starts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version

FLOORS: Mapping[str, tuple[int, ...]] = {
    "twisted": (26, 10),
    "h2": (4, 3),
    "autobahn": (26, 10, 2),
    "pyjwt": (2, 15),
    "pyopenssl": (26,),
    "cryptography": (50,),
}
"""The same floors as in pyproject.toml."""


def below(floors: Mapping[str, tuple[int, ...]] = FLOORS, installed: Callable[[str], str] = version) -> list[str]:
    """A sentence for each library that is too old or missing."""
    faults: list[str] = []
    for name, floor in floors.items():
        wanted = ".".join(map(str, floor))
        try:
            found = installed(name)
        except PackageNotFoundError:
            faults.append(f"{name} is not installed; {wanted} or newer is needed")
            continue
        if tuple(map(int, re.findall(r"\d+", found)))[: len(floor)] < floor:
            faults.append(f"{name} {found} has known holes; {wanted} or newer is needed")
    return faults
