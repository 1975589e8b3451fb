"""`[limits.*]`, `[classes.*]`, `[admission]`, `[abuse]`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ttagw.config.base import Listing, Matches, Network, Section
from ttagw.config.gateway import MANY
from ttagw.config.units import Duration, Rate, RateValue

LimitKey = Annotated[
    str,
    Matches(
        r"user|ip|role|route|service|header:[!#$%&'*+.^`|~0-9A-Za-z-]+", "user, ip, role, route, service or header:NAME"
    ),
]
ClassName = Literal["crisis", "therapeutic", "high", "normal", "low"]
Multiple = Annotated[float, Field(gt=0, le=1000)]


class Limit(Section):
    """A rate that something must stay under."""

    rate: Rate
    """How many in how long."""
    burst: int = Field(default=1, ge=1, le=MANY)
    """How many at once."""
    key: Listing[LimitKey] = ("ip",)
    """What is counted apart: `user`, `ip`, `role`, `route`, `service`, `header:NAME`; empty: everything together."""
    roles: dict[str, Multiple] = Field(default_factory=dict)
    """Multiples for roles."""
    classes: dict[ClassName, Multiple] = Field(default_factory=dict)
    """Multiples for traffic classes."""
    on_store_failure: Literal["local", "deny", "allow"] = "local"
    """What happens while the store is away: `local`, `deny` or `allow`."""
    dry_run: bool = False
    """Count, but refuse nothing."""


class TrafficClass(Section):
    """What is kept for a traffic class."""

    reserved: float = Field(default=0.0, ge=0, le=1)
    """Share of `admission.in_flight` for this class alone."""
    rate: Rate | None = None
    """A ceiling of its own, by address; above it the fallback answers."""


class Admission(Section):
    """How much is under way at once."""

    in_flight: int = Field(default=1000, ge=1, le=MANY)
    """Requests under way; beyond it the lowest classes are shed first."""
    adaptive: bool = True
    """Whether it is lowered when latency grows."""


class Abuse(Section):
    """Automatic blocking of addresses."""

    threshold: Rate = RateValue(200, 60.0)
    """Refusals by one address above which it is blocked."""
    block_for: Duration = 900.0
    """For how long."""
    allow: Listing[Network] = ()
    """Never blocked."""
    deny: Listing[Network] = ()
    """Always refused."""
