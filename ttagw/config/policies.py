"""`[limits.*]`, `[classes.*]`, `[admission]`, `[abuse]`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from ttagw.config.base import Networks, Section, Texts, word
from ttagw.config.units import Duration, Rate

_KEY = re.compile(r"user|ip|role|route|service|header:[!#$%&'*+.^`|~0-9A-Za-z_-]+")


def _keys(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not _KEY.fullmatch(value):
            raise ValueError(f'expected user, ip, role, route, service or header:NAME, got "{value}"')
    return values


Keys = Annotated[Texts, AfterValidator(_keys)]


class Limit(Section):
    """A rate that something must stay under."""

    rate: Rate
    """How many in how long."""
    burst: int = Field(1, ge=1)
    """How many at once."""
    key: Keys = ("ip",)
    """What is counted apart: `user`, `ip`, `role`, `route`, `service`, `header:NAME`; empty: everything together."""
    roles: dict[str, float] = {}
    """Multiples for roles."""
    classes: dict[str, float] = {}
    """Multiples for traffic classes."""
    on_store_failure: word("local", "deny", "allow") = "local"  # type: ignore[valid-type]
    """What happens while the store is away: `local`, `deny` or `allow`."""
    dry_run: bool = False
    """Count, but refuse nothing."""


class TrafficClass(Section):
    """What is kept for a traffic class."""

    reserved: float = Field(0.0, ge=0, le=1)
    """Share of `admission.in_flight` for this class alone."""
    rate: Rate | None = None
    """A ceiling of its own, by address; above it the fallback answers."""


class Admission(Section):
    """How much is under way at once."""

    in_flight: int = Field(1000, ge=1)
    """Requests under way; beyond it the lowest classes are shed first."""
    adaptive: bool = True
    """Whether it is lowered when latency grows."""


class Abuse(Section):
    """Automatic blocking of addresses."""

    threshold: Rate = Field("200/min", validate_default=True)  # type: ignore[assignment]
    """Refusals by one address above which it is blocked."""
    block_for: Duration = 900.0
    """For how long."""
    allow: Networks = ()
    """Never blocked."""
    deny: Networks = ()
    """Always refused."""
