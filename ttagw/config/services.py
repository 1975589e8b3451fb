"""`[services.*]`."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from ttagw.config.base import Numbers, Section, Texts, word
from ttagw.config.units import Duration

_HASH_KEY = re.compile(r"session|user|ip|(header|cookie):[!#$%&'*+.^`|~0-9A-Za-z_-]+")


def _url(value: str) -> str:
    wrong = f'expected an address such as "http://127.0.0.1:8082", got "{value}"'
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and value.isascii()
    except ValueError:
        raise ValueError(wrong) from None
    if not good or parts.path or parts.query or parts.fragment or "@" in parts.netloc or re.search(r"[\s#?]", value):
        raise ValueError(wrong)
    return value


class Instance(Section):
    """One place where a service runs."""

    url: Annotated[str, AfterValidator(_url)]
    """`http://HOST[:PORT]` or `https://HOST[:PORT]`."""
    weight: int = Field(1, ge=1, le=1000)
    """Its share of the requests."""
    zone: str = ""
    """Where it is; other zones are used when this one has nothing left."""


def _instances(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    if not value:
        raise ValueError("expected at least one instance")
    return tuple([{"url": each} if isinstance(each, str) else each for each in value])


def _hash_key(value: str) -> str:
    if not _HASH_KEY.fullmatch(value):
        raise ValueError(f'expected session, user, ip, header:NAME or cookie:NAME, got "{value}"')
    return value


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

    type: word("http", "tcp", "websocket", "none") = "http"  # type: ignore[valid-type]
    """`http`, `tcp`, `websocket` or `none`."""
    path: str = Field("/health", pattern="^/")
    """What is asked for."""
    interval: Duration = 10.0
    """Between two checks, ±10 %."""
    timeout: Duration = 2.0
    """For one check."""
    unhealthy_after: int = Field(3, ge=1)
    """Failures in a row that take an instance out."""
    healthy_after: int = Field(2, ge=1)
    """Successes in a row that bring it back."""
    expect: Numbers = (200,)
    """Statuses that are a success."""


class Breaker(Section):
    """When a service is left alone for a while."""

    consecutive_failures: int = Field(5, ge=1)
    """So many in a row open it."""
    failure_ratio: float = Field(0.5, gt=0, le=1)
    """Or this share of the calls in the window."""
    minimum_calls: int = Field(10, ge=1)
    """Calls in the window below which the share says nothing."""
    window: Duration = 30.0
    """What is looked back on."""
    slow_call: Duration = 10.0
    """A call that takes longer is slow."""
    slow_ratio: float = Field(1.0, gt=0, le=1)
    """Share of slow calls that opens it."""
    open_for: Duration = 60.0
    """How long it stays open at first."""
    half_open_calls: int = Field(3, ge=1)
    """Probes at once while it is half open."""


class Service(Section):
    """A service and its instances."""

    instances: Annotated[tuple[Instance, ...], BeforeValidator(_instances)]
    """URLs, or tables of `url`, `weight` and `zone`."""
    balance: word("p2c", "round_robin", "least_conn", "hash") = "p2c"  # type: ignore[valid-type]
    """`p2c` (peak EWMA), `round_robin`, `least_conn` or `hash`."""
    hash_key: Annotated[str, AfterValidator(_hash_key)] = "session"
    """For `hash`: `session`, `user`, `ip`, `header:NAME` or `cookie:NAME`."""
    dependencies: Texts = ()
    """Services without which this one is degraded."""
    fallback: str = ""
    """The safe answer of `[fallbacks]` when nothing else answers."""
    slow_start: Duration = 30.0
    """How long an instance that comes back takes to reach its full share."""
    tls: Tls | None = None
    """For instances at `https://`."""
    health: Health = Health()
    """Active checks."""
    breaker: Breaker = Breaker()
    """The circuit breaker."""
