"""`[gateway]`, `[http]` and `[upstream]`."""

from __future__ import annotations

import re
import socket
from typing import Annotated

from pydantic import AfterValidator, Field

from ttagw.config.base import Networks, Section, Texts, endpoint
from ttagw.config.units import Duration, Size

_STORE = re.compile(r"sqlite:.+|memory:|rediss?://.+|redis\+sentinel://.+/.+")


def _endpoints(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise ValueError("expected at least one endpoint")
    return tuple([endpoint(value) for value in values])


def _optional_endpoint(value: str) -> str:
    return value and endpoint(value)


def _store(value: str) -> str:
    if not _STORE.fullmatch(value):
        raise ValueError('expected "sqlite:PATH", "memory:", "redis://…", "rediss://…" or "redis+sentinel://…/NAME"')
    return value


class Gateway(Section):
    """Who this gateway is and where it listens."""

    name: str = Field(default_factory=socket.gethostname)
    """What this gateway calls itself; default: the host's name."""
    listen: Annotated[Texts, AfterValidator(_endpoints)] = ("tcp:8000:interface=127.0.0.1",)
    """Endpoints for clients: `tcp:`, `ssl:` for TLS, `unix:`, `systemd:` for a socket that is passed in."""
    admin: Annotated[str, AfterValidator(_optional_endpoint)] = "tcp:8001:interface=127.0.0.1"
    """Endpoint of the admin side: health and metrics. Never public; "" turns it off."""
    store: Annotated[str, AfterValidator(_store)] = "sqlite:ttagw.db"
    """Where state is kept: `sqlite:PATH`, `memory:`, `redis://…`, `rediss://…` or `redis+sentinel://h:p,h:p/NAME`."""
    workers: int = Field(1, ge=1, le=256)
    """Processes that serve; more than one needs a Redis store."""
    trusted_proxies: Networks = ()
    """Networks whose `X-Forwarded-*`, `Forwarded` and `X-Request-ID` are believed."""
    proxy_protocol: bool = False
    """Whether connections begin with a PROXY header."""
    drain: Duration = 30.0
    """On SIGTERM: how long what runs may take to finish."""


class Http(Section):
    """What clients may send, and how slowly."""

    max_connections: int = Field(10000, ge=1)
    """Client connections at once; beyond it 503 and a close."""
    max_uri: Size = 8 * 1024
    """Bytes of a request target; beyond it 414."""
    max_headers: int = Field(100, ge=1)
    """Header fields of a request; beyond it 431."""
    max_header_bytes: Size = 16 * 1024
    """Bytes of all header fields together; beyond it 431."""
    max_body: Size = 10 * 1024 * 1024
    """Bytes of a request body, unless the route says otherwise; beyond it 413."""
    header_timeout: Duration = 10.0
    """First byte of a request to the end of its headers; beyond it 408."""
    body_timeout: Duration = 30.0
    """Longest silence inside a request body; beyond it 408."""
    keepalive_timeout: Duration = 75.0
    """How long a connection may wait for its next request."""


class Upstream(Section):
    """Defaults for the connections to every service."""

    connect_timeout: Duration = 3.0
    """To have a connection, TLS included."""
    response_timeout: Duration = 30.0
    """Request sent to the headers of the answer."""
    idle_timeout: Duration = 60.0
    """Longest silence inside the body of an answer."""
    max_connections: int = Field(256, ge=1)
    """Connections to one instance; more requests wait."""
    queue_timeout: Duration = 1.0
    """How long a request waits for a connection."""
    keepalive: Duration = 60.0
    """How long a connection without work is kept."""
    retries: int = Field(2, ge=0, le=10)
    """Further tries after a failure, where that is safe."""
    retry_budget: float = Field(0.2, ge=0, le=1)
    """Share of requests that may be retries."""
