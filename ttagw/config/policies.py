"""`[limits.*]`, `[classes.*]`, `[admission]`, `[abuse]`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ttagw.config.base import Listing, Matches, Network, Section, Texts
from ttagw.config.gateway import MANY
from ttagw.config.units import BytesRate, Duration, DurationOrNone, Rate, RateValue, SizeOrNone

LimitKey = Annotated[
    str,
    Matches(
        r"user|ip|role|route|service|header:[!#$%&'*+.^`|~0-9A-Za-z-]+", "user, ip, role, route, service or header:NAME"
    ),
]
ClassName = Literal["crisis", "therapeutic", "high", "normal", "low"]
Multiple = Annotated[float, Field(gt=0, le=1000)]


class Limit(Section):
    """What somebody may use: at least one of `rate`, `concurrent` and `bandwidth`."""

    rate: Rate | None = None
    """Requests in a time; a request counts as many as its route's `cost`."""
    burst: int | None = Field(default=None, ge=1, le=MANY)
    """How many of them at once; default: as many as `rate` says."""
    concurrent: int | None = Field(default=None, ge=1, le=MANY)
    """Requests under way at once, counted by each gateway for itself."""
    bandwidth: BytesRate | None = None
    """Bytes of bodies, both ways, in a time, such as "10MiB/s"; counted by each gateway for itself. Whoever has used
    more waits until that is made up for."""
    key: Listing[LimitKey] = ("ip",)
    """What is counted apart: `user`, `ip`, `role`, `route`, `service`, `header:NAME`; empty: everything together."""
    roles: dict[str, Multiple] = Field(default_factory=dict)
    """Multiples for roles; the largest that the caller has counts."""
    classes: dict[ClassName, Multiple] = Field(default_factory=dict)
    """Multiples for traffic classes."""
    on_store_failure: Literal["local", "deny", "allow"] = "local"
    """What happens while a shared store is away: `local` (this gateway's share), `deny` or `allow`."""
    dry_run: bool = False
    """Count, but refuse nothing."""

    @model_validator(mode="after")
    def _something(self) -> Limit:
        if self.rate is None and self.concurrent is None and self.bandwidth is None:
            raise ValueError("expected at least one of rate, concurrent and bandwidth")
        if self.burst is not None and self.rate is None:
            raise ValueError("burst is how much of a rate may come at once, and there is no rate")
        return self


class TrafficClass(Section):
    """What is kept for a traffic class."""

    reserved: float = Field(default=0.0, ge=0, le=1)
    """Share of `admission.in_flight` for this class alone."""
    rate: Rate | None = None
    """A ceiling of its own, by address; above it `crisis` gets the fallback's answer, others 429."""
    ceiling: float | None = Field(default=None, gt=0, le=1)
    """Share of `admission.in_flight` that this class may take at the most; default: half for `crisis`, so that nobody
    can use it to take the gateway down, and all for the others."""
    claims: dict[str, Texts] = Field(default_factory=dict)
    """Claims of a verified token by which a request is of this class, each with the values that say so."""


class Admission(Section):
    """How much is under way at once."""

    in_flight: int = Field(default=1000, ge=1, le=MANY)
    """Requests under way; beyond it the lowest classes are shed first."""
    adaptive: bool = True
    """Whether it is lowered, for each service by itself, when its latency grows."""
    queue: int = Field(default=100, ge=0, le=MANY)
    """Requests to one service that may wait for others to end."""
    queue_time: DurationOrNone = 0.5
    """How long they may wait at the most."""
    memory: SizeOrNone = 0
    """Bytes of memory for this process, from 85 % of which on requests are shed; 0 is what the system allows."""


class Abuse(Section):
    """Automatic blocking of addresses."""

    threshold: Rate = RateValue(200, 60.0)
    """Refusals (401, 403, 429, malformed) of one address (with IPv6, of its /64), or of one user, above which it is
    blocked."""
    block_for: Duration = 900.0
    """For how long the first time; doubled each time that it happens again, up to `longest`."""
    longest: Duration = 86400.0
    """For how long at the most."""
    allow: Listing[Network] = ()
    """Never blocked, and not counted. Nor are `gateway.trusted_proxies`."""
    deny: Listing[Network] = ()
    """Always refused; of an address in a network of either list the narrower one decides."""
    connections: int = Field(default=0, ge=0, le=MANY)
    """Connections of one address at once, beyond which new ones are closed; 0: no limit of its own."""
    slow_readers: int = Field(default=0, ge=0, le=MANY)
    """Connections of one address that may take their answers slowly, beyond which the slowest are cut; 0: no limit of
    its own."""
