"""`[[routes]]`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ttagw.config.auth import Word
from ttagw.config.base import (
    FieldName,
    FieldTable,
    Host,
    Listing,
    Matches,
    Method,
    Name,
    NotEmpty,
    OptionalName,
    Origin,
    Section,
    Texts,
)
from ttagw.config.units import Duration, DurationOrNone, SizeOrNone, seconds

Weight = Annotated[int, Field(ge=1, le=1_000_000)]


def _duration_or_nothing(value: str) -> str:
    if value:
        seconds(value, zero=False)
    return value


DurationText = Annotated[str, AfterValidator(_duration_or_nothing)]
"""A duration, or nothing."""


class Cors(Section):
    """Which other origins' pages may use a route."""

    origins: Annotated[Listing[Origin], NotEmpty]
    """Origins such as `https://play.tta.example`."""
    credentials: bool = False
    """Whether with cookies and credentials."""
    max_age: DurationOrNone = 3600.0
    """How long a browser may remember."""


class Route(Section):
    """Which requests go to which service, and on what terms."""

    name: Name
    """Unique; the label in logs and metrics."""
    path: str
    """Literals and `{param}` segments; a final `/*` is this path and all below it."""
    hosts: Listing[Host] = ()
    """Empty: any. `*.tta.example` matches one label."""
    methods: Listing[Method] = ()
    """Empty: any. GET answers HEAD as well."""
    headers: FieldTable = Field(default_factory=dict)
    """Fields that must have exactly this value; picks between equal paths."""
    service: OptionalName = ""
    """The service that answers."""
    split: dict[Name, Weight] = Field(default_factory=dict)
    """Or several, by weight; sticky."""
    mirror: OptionalName = ""
    """A service that gets a copy; its answers are ignored."""
    rewrite: str = ""
    """The path for the service; `*` and `{param}` are carried over. Default: unchanged."""
    auth: Literal["required", "optional", "none"] = "required"
    """`required`, `optional` or `none`."""
    roles: Texts = ()
    """Any of these."""
    permissions: Listing[Word] = ()
    """All of these."""
    mfa: bool = False
    """Whether a second factor must have been verified."""
    owner: str = ""
    """The `{param}` that must be the caller, or one whom the caller cares for."""
    dry_run: bool = False
    """Decide who may, log it, and let everybody through."""
    login: Annotated[str, Matches(r"(?:[A-Za-z_][A-Za-z0-9_.-]{0,63})?", 'the name of a field, such as "username"')] = (
        ""
    )
    """Marks a login: the field of the JSON or form body that names the account, such as "username". Failures are
    counted, see `[auth.lockout]`, and all of them look the same."""
    traffic_class: Literal["crisis", "therapeutic", "high", "normal", "low"] = Field(default="normal", alias="class")
    """`crisis`, `therapeutic`, `high`, `normal` or `low`."""
    limits: Texts = ()
    """Names of `[limits]`."""
    cost: int = Field(default=1, ge=0, le=1_000_000)
    """As how many requests one counts where they are limited."""
    timeout: Duration | None = None
    """For the whole exchange; also for the headers of the answer if longer than `upstream.response_timeout`."""
    max_body: SizeOrNone | None = None
    """Bytes of a request body; default: `http.max_body`."""
    websocket: bool = False
    """Upgrade only."""
    screen: Listing[Literal["request", "response"]] = ()
    """What the safety screen reads: `request`, `response`."""
    validate_: str = Field(default="", alias="validate")
    """JSON Schema file for request bodies."""
    cache: DurationText = ""
    """How long answers to GET are shared, such as "60s"; "" is not at all."""
    cors: Cors | None = None
    """Cross-origin use."""
    set_request_headers: FieldTable = Field(default_factory=dict)
    """Fields that the service gets, instead of those of the same name; `via` is added to."""
    set_response_headers: FieldTable = Field(default_factory=dict)
    """Fields that the client gets, instead of those of the same name; `via` is added to."""
    remove_response_headers: Listing[FieldName] = ()
    """Fields of the service that the client does not get."""
    compress: bool = False
    """Whether answers are compressed here."""
    hedge: DurationText = ""
    """A second try of a GET after this long, such as "100ms"; "" is never."""
