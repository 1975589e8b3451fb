"""One line of an explanation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

LONGEST = 200
"""Characters of a value that somebody else has chosen."""
WIDEST = 44
"""Characters of a column; what is longer stands out of it."""


@dataclass(frozen=True, slots=True)
class Step:
    """A fact on the way to the decision."""

    part: str
    """What it is about: `route`, `token`, `key`, `identity`, `requirement`, `service`."""
    name: str
    value: str
    note: str = ""
    """Where it comes from, or what it is measured by."""
    met: bool | None = None
    """Whether what is asked for is there; None for what is asked by nobody."""


def shown(value: object) -> str:
    """What somebody else has chosen, as one line that no terminal takes for a command."""
    text = value if isinstance(value, str) else repr(value)
    plain = "".join([each if each.isprintable() else "?" for each in text])
    return plain if len(plain) <= LONGEST else plain[:LONGEST] + "…"


def columns(steps: Iterable[Step]) -> Iterator[str]:
    """The steps as lines, with parts, names and values one below the other."""
    rows = [(each.part, each.name, each.value, _said(each)) for each in steps]
    widths = [
        min(max((len(row[place]) for row in rows if any(row[place + 1 :])), default=0), WIDEST) for place in range(3)
    ]
    before = ""
    for part, name, value, note in rows:
        cells = ("" if part == before else part).ljust(widths[0]), name.ljust(widths[1]), value.ljust(widths[2]), note
        before = part
        yield "  ".join(cells).rstrip()


def _said(step: Step) -> str:
    verdict = "" if step.met is None else "met" if step.met else "missing"
    return "; ".join([text for text in (verdict, step.note) if text])


def document(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """The steps for programs."""
    return [asdict(each) for each in steps]
