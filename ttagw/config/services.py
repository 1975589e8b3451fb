"""`[services.*]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address, ip_address
from os.path import normpath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, ValidationInfo, field_validator
from pydantic_core import CoreSchema

from ttagw.config.base import Listing, Matches, Name, NotEmpty, OptionalName, Section
from ttagw.config.faults import shown
from ttagw.config.gateway import MANY
from ttagw.config.units import Duration, DurationOrNone

_URL = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{1,5}))?")
_SRV = re.compile(r"srv\+https?://(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})\.)+[A-Za-z0-9-]{1,63}\.?")
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - the token of RFC 9110
_PORTS = {"http": 80, "https": 443}


def url_of_address(value: str) -> str:
    """`http://HOST[:PORT]` or `https://HOST[:PORT]`. Raises `ValueError`; never says what is before an `@`."""
    return _address(value, 'expected an address such as "http://127.0.0.1:8082"')


def _address(value: str, expected: str) -> str:
    if "@" in value:
        raise ValueError("expected an address without a user and password")
    match = _URL.fullmatch(value)
    try:
        good = match is not None and 0 < int(match[2] or 80) <= 65535 and IPv6Address(match[1] or "::1") is not None
    except AddressValueError:
        good = False
    if not good:
        raise ValueError(f"{expected}, got {shown(value)}")
    return value


def url_of_instance(value: str) -> str:
    """An address, or where addresses are found: `srv+http://NAME`, `srv+https://NAME`, `file:PATH`.

    Raises `ValueError`; never says what is before an `@`.
    """
    if value.startswith("file:"):
        if value == "file:" or value.startswith("file://"):
            raise ValueError(f'expected a path such as "file:instances.toml", got {shown(value)}')
        return value
    if value.startswith("srv+") and "@" not in value:
        if _SRV.fullmatch(value) is None:
            example = 'expected a name with SRV records, without a port, such as "srv+http://_game._tcp.internal"'
            raise ValueError(f"{example}, got {shown(value)}")
        return value
    example = '"http://127.0.0.1:8082", "srv+http://_game._tcp.internal" or "file:instances.toml"'
    return _address(value, f"expected an address such as {example}")


def place_of(url: str) -> tuple[str | int | None, ...]:
    """What is equal for two ways of writing one URL of an instance: `http://h` and `http://H:80` are one place."""
    if url.startswith("file:"):
        return ("file", normpath(url[len("file:") :]))
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        host = str(ip_address(host))
    except ValueError:
        host = host.rstrip(".")
    return (parts.scheme, host, parts.port or _PORTS.get(parts.scheme))


class Instance(Section):
    """One place where a service runs, or where to find out about such places."""

    url: Annotated[str, AfterValidator(url_of_instance)]
    """`http://HOST[:PORT]` or `https://HOST[:PORT]`; `srv+http://NAME` or `srv+https://NAME`: what the SRV records of
    the name say, the best priority only; `file:PATH`: what the `[[instances]]` of that TOML file say.
    """
    weight: int = Field(default=1, ge=1, le=1000)
    """Its share of the requests; not for `srv+` and `file:`, which have weights of their own."""
    zone: OptionalName = ""
    """Where it is; other zones are used when this one has nothing left."""

    @field_validator("weight", mode="after")
    @classmethod
    def _of_one(cls, value: int, info: ValidationInfo) -> int:
        url = info.data.get("url", "")
        if url.startswith("srv+"):
            raise ValueError("has no meaning here: the SRV records have weights")
        if url.startswith("file:"):
            raise ValueError("has no meaning here: the instances in the file have weights")
        return value

    @property
    def source(self) -> Literal["", "srv", "file"]:
        """Where addresses are found; "" if `url` is one."""
        return "srv" if self.url.startswith("srv+") else "file" if self.url.startswith("file:") else ""

    @property
    def path(self) -> str:
        """The file of `file:`; "" for everything else."""
        return self.url[len("file:") :] if self.source == "file" else ""

    @property
    def may_be_secure(self) -> bool:
        """Whether TLS is spoken there, as far as that can be known."""
        return self.url.startswith(("https:", "srv+https:", "file:"))


def _table(value: Any) -> Any:
    if not isinstance(value, str | dict | Instance):
        raise ValueError(f"expected an address or a table with url, got {shown(value)}")
    return {"url": value} if isinstance(value, str) else value


@dataclass(frozen=True)
class _OrText:
    """The JSON Schema of a table that can be written as a text too."""

    example: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, inner: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "examples": [self.example]}, inner(schema)]}


AnyInstance = Annotated[Instance, BeforeValidator(_table), _OrText("http://127.0.0.1:8082")]


class Tls(Section):
    """How services are spoken to over `https://`."""

    ca: str = ""
    """PEM file of the authorities to trust; default: the system's."""
    cert: str = ""
    """PEM file of the certificate to show."""
    key: str = ""
    """PEM file of its key."""
    server_name: str = ""
    """The name that the service must prove; default: the host in the instance's URL."""


class Health(Section):
    """How instances are checked."""

    type: Literal["http", "tcp", "websocket", "none"] = "http"
    """`http`, `tcp`, `websocket` or `none`."""
    path: Annotated[str, Matches(r"/[\x21-\x7e]*", 'a path such as "/health"')] = "/health"
    """What is asked for."""
    interval: Duration = 10.0
    """Between two checks, ±10 %."""
    timeout: Duration = 2.0
    """For one check."""
    unhealthy_after: int = Field(default=3, ge=1, le=MANY)
    """Failures in a row that take an instance out."""
    healthy_after: int = Field(default=2, ge=1, le=MANY)
    """Successes in a row that bring it back."""
    expect: Annotated[Listing[Annotated[int, Field(ge=100, le=599)]], NotEmpty] = (200,)
    """Statuses that are a success."""


class Breaker(Section):
    """When a service is left alone for a while."""

    consecutive_failures: int = Field(default=5, ge=1, le=MANY)
    """So many in a row open it."""
    failure_ratio: float = Field(default=0.5, gt=0, le=1)
    """Or this share of the calls in the window."""
    minimum_calls: int = Field(default=10, ge=1, le=MANY)
    """Calls in the window below which the share says nothing."""
    window: Duration = 30.0
    """What is looked back on."""
    slow_call: Duration = 10.0
    """A call that takes longer is slow."""
    slow_ratio: float = Field(default=1.0, gt=0, le=1)
    """Share of slow calls that opens it."""
    open_for: Duration = 60.0
    """How long it stays open at first."""
    half_open_calls: int = Field(default=3, ge=1, le=MANY)
    """Probes at once while it is half open."""


HashKey = Annotated[
    str, Matches(rf"session|user|ip|(?:header|cookie):{_TOKEN}", "session, user, ip, header:NAME or cookie:NAME")
]


class Service(Section):
    """A service and its instances."""

    instances: Listing[AnyInstance]
    """URLs, or tables of `url`, `weight` and `zone`; empty when instances only register themselves."""
    balance: Literal["p2c", "round_robin", "least_conn", "hash"] = "p2c"
    """`p2c` (peak EWMA), `round_robin`, `least_conn` or `hash`."""
    hash_key: HashKey = "session"
    """For `hash`: `session`, `user`, `ip`, `header:NAME` or `cookie:NAME`. The first two need identities."""
    dependencies: Listing[Name] = ()
    """Services without which this one is degraded."""
    require_dependencies: bool = False
    """Whether its instances are asked nothing while one of those is down."""
    fallback: OptionalName = ""
    """The safe answer of `[fallbacks]` when nothing else answers."""
    slow_start: DurationOrNone = 30.0
    """How long an instance that comes back takes to reach its full share."""
    tls: Tls | None = None
    """For instances at `https://`."""
    health: Health = Health()
    """Active checks."""
    breaker: Breaker = Breaker()
    """The circuit breaker."""
