"""On what terms the glass can be broken, and who hears of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Tell(Protocol):
    """Says that something has happened; see `ttagw.registry.events.Events`."""

    def __call__(self, kind: str, service: str, instance: str = "", reason: str = "", severity: str = "info") -> object:
        """Nothing that is said is about a person."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms the glass can be broken."""

    roles: frozenset[str]
    """Who may: any of these."""
    lasts: float
    """Seconds for which it is open then."""
    most: int
    """People that one caller may reach at the same time."""
    gateway: str
    durable: bool
    """Whether what is stored outlives this process. Where it does not, nobody can."""
