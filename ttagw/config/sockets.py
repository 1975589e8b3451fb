"""`[websocket]`, `[safety]`, `[fallbacks.*]`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ttagw.config.base import Listing, Matches, Name, OptionalName, Origin, Section, Texts, WebUrl
from ttagw.config.gateway import MANY
from ttagw.config.units import Duration, DurationOrNone, Rate, RateValue, Size

Level = Literal["", "caution", "warning", "danger", "critical"]


class Idle(Section):
    """How long a socket may be silent, by traffic class."""

    normal: Duration = 900.0
    """Ordinary sockets."""
    therapeutic: Duration = 1800.0
    """Therapeutic ones."""
    crisis: Duration = 3600.0
    """Crisis ones."""


class Session(Section):
    """How long a session should last."""

    target: Duration = 1800.0
    """What is aimed for."""
    maximum: Duration = 3600.0
    """What ends it."""
    remind_every: Duration = 900.0
    """Between two reminders of a break."""


class WebSocket(Section):
    """WebSocket sessions."""

    max_connections: int = Field(default=10000, ge=1, le=MANY)
    """Sockets at once."""
    per_user: int = Field(default=5, ge=1, le=MANY)
    """Sockets of one user; beyond it close 1013."""
    max_message: Size = 64 * 1024
    """Bytes of a message; beyond it close 1009."""
    rate: Rate = RateValue(10, 2.0)
    """Messages of one socket; beyond it a NACK."""
    ping: Duration = 25.0
    """Between two pings."""
    ping_timeout: Duration = 20.0
    """How long a pong may take."""
    idle: Idle = Idle()
    """How long a socket may be silent."""
    origins: Listing[Origin] = ()
    """Origins that browsers must come from; empty: the same host only."""
    resume: DurationOrNone = 300.0
    """How long a lost session waits for its return."""
    resume_messages: int = Field(default=1000, ge=0, le=MANY)
    """Messages that are kept for it."""
    session: Session = Session()
    """How long a session should last."""


class Deadlines(Section):
    """By when an alert must be acknowledged."""

    critical: Duration = 300.0
    """Critical alerts."""
    danger: Duration = 900.0
    """Alerts of danger."""
    warning: Duration = 3600.0
    """Warnings."""


class Alerts(Section):
    """Who is told."""

    webhooks: Listing[WebUrl] = ()
    """URLs; signed with HMAC-SHA-256 where there is a secret, retried until acknowledged."""
    secret_file: str = ""
    """The secret that `X-TTA-Signature` is made with, 32 bytes or more; "" signs nothing."""
    acknowledge_within: Deadlines = Deadlines()
    """By when a person must have answered."""


class Safety(Section):
    """The safety screen."""

    lexicon: str = ""
    """TOML file of weighted phrases; default: the one that is shipped."""
    fields: Texts = ("text", "message", "content", "description", "notes")
    """JSON fields that people write in."""
    service: OptionalName = ""
    """A service that is asked as well."""
    budget: Duration = 0.2
    """How long it may take."""
    on_failure: Literal["lexicon", "flag", "refuse"] = "lexicon"
    """What happens when it fails: `lexicon`, `flag` or `refuse`."""
    refuse_at: Level = ""
    """The level from which on requests are refused; "" is never."""
    escalate_at: Level = "danger"
    """The level from which on people are told."""
    alerts: Alerts = Alerts()
    """Who is told."""


class Region(Section):
    """Help in one region."""

    text: str
    """What a person reads."""
    hotline: str = ""
    """The number to call."""


def _regions(value: dict[str, Region]) -> dict[str, Region]:
    if not value:
        raise ValueError("expected at least one region")
    return value


def _with_content(value: int) -> int:
    if value in (204, 205, 304):
        raise ValueError(f"expected a status whose answer has content, got {value}")
    return value


class Fallback(Section):
    """A safe answer when nothing else answers."""

    status: Annotated[int, AfterValidator(_with_content)] = Field(default=503, ge=200, le=599)
    """Its status; one that an answer with text can have."""
    region_header: Annotated[str, Matches(r"[!#$%&'*+.^`|~0-9A-Za-z-]*", "the name of a header field")] = ""
    """The header with the caller's region."""
    default_region: Name = "US"
    """The region without one."""
    regions: Annotated[dict[Name, Region], AfterValidator(_regions)]
    """Help, by region."""
