"""`[[routes]]`."""

from __future__ import annotations

from pydantic import Field

from ttagw.config.base import Section, Texts, word
from ttagw.config.units import Duration, Size


class Cors(Section):
    """Which other origins' pages may use a route."""

    origins: Texts
    """Origins such as `https://play.tta.example`."""
    credentials: bool = False
    """Whether with cookies and credentials."""
    max_age: Duration = 3600.0
    """How long a browser may remember."""


class Route(Section):
    """Which requests go to which service, and on what terms."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """Unique; the label in logs and metrics."""
    path: str
    """Literals and `{param}` segments; a final `/*` is this path and all below it."""
    hosts: Texts = ()
    """Empty: any. `*.tta.example` matches one label."""
    methods: Texts = ()
    """Empty: any. GET answers HEAD as well."""
    headers: dict[str, str] = {}
    """Fields that must have exactly this value; picks between equal paths."""
    service: str = ""
    """The service that answers."""
    split: dict[str, int] = {}
    """Or several, by weight; sticky."""
    mirror: str = ""
    """A service that gets a copy; its answers are ignored."""
    rewrite: str = ""
    """The path for the service; `*` and `{param}` are carried over. Default: unchanged."""
    auth: word("required", "optional", "none") = "required"  # type: ignore[valid-type]
    """`required`, `optional` or `none`."""
    roles: Texts = ()
    """Any of these."""
    permissions: Texts = ()
    """All of these."""
    mfa: bool = False
    """Whether a second factor must have been verified."""
    owner: str = ""
    """The `{param}` that must be the caller, or one whom the caller cares for."""
    traffic_class: word("crisis", "therapeutic", "high", "normal", "low") = Field("normal", alias="class")  # type: ignore[valid-type]
    """`crisis`, `therapeutic`, `high`, `normal` or `low`."""
    limits: Texts = ()
    """Names of `[limits]`."""
    timeout: Duration | None = None
    """For the whole exchange; also for the headers of the answer if longer than `upstream.response_timeout`."""
    max_body: Size | None = None
    """Bytes of a request body; default: `http.max_body`."""
    websocket: bool = False
    """Upgrade only."""
    screen: Texts = ()
    """What the safety screen reads: `request`, `response`."""
    validate_: str = Field("", alias="validate")
    """JSON Schema file for request bodies."""
    cache: str = ""
    """How long answers to GET are shared, such as "60s"; "" is not at all."""
    cors: Cors | None = None
    """Cross-origin use."""
    set_request_headers: dict[str, str] = {}
    """Fields that the service gets, instead of those of the same name; `via` is added to."""
    set_response_headers: dict[str, str] = {}
    """Fields that the client gets, instead of those of the same name; `via` is added to."""
    remove_response_headers: Texts = ()
    """Fields of the service that the client does not get."""
    compress: bool = False
    """Whether answers are compressed here."""
    hedge: str = ""
    """A second try of a GET after this long, such as "100ms"; "" is never."""
