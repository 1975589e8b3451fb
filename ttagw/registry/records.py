"""What is known about an instance before anybody has talked to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ttagw.config.services import Health

LEASE = 15.0
"""Seconds for which a registration counts when it does not say otherwise."""


class Origin(Enum):
    """Where a record comes from; the values are what the admin side says."""

    CONFIG = "config"
    FILE = "file"
    DNS = "dns"
    SELF = "self"
    """It registered itself, and must renew its lease."""


@dataclass(frozen=True, slots=True)
class Record:
    """One instance as it was declared. Equal records ask for the same thing."""

    service: str
    id: str
    """In logs and metrics. Unique within its service; where it registered itself, within all."""
    url: str
    """`http://HOST[:PORT]` or `https://HOST[:PORT]`."""
    weight: int = 1
    zone: str = ""
    tags: tuple[str, ...] = ()
    version: str = ""
    dependencies: tuple[str, ...] = ()
    health: Health | None = None
    """How it is checked; None: as its service says."""
    origin: Origin = Origin.CONFIG
    ttl: float = 0.0
    """Seconds of its lease; 0: it needs none."""
