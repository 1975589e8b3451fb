"""`[gateway]`, `[http]` and `[upstream]`."""

from __future__ import annotations

import socket
from typing import Annotated

from pydantic import Field

from ttagw.config.base import Endpoint, Listing, Matches, Name, Network, NotEmpty, OptionalEndpoint, Section
from ttagw.config.units import Duration, DurationOrNone, Size, SizeOrNone

MANY = 1_000_000
"""More than this of anything that is counted is a slip of the pen."""

Store = Annotated[
    str,
    Matches(
        r"sqlite:.+|memory:|rediss?://.+|redis\+sentinel://.+/.+",
        '"sqlite:PATH", "memory:", "redis://…", "rediss://…" or "redis+sentinel://…/NAME"',
        secret=True,
    ),
]


class Gateway(Section):
    """Who this gateway is and where it listens."""

    name: Name = Field(default_factory=socket.gethostname)
    """What this gateway calls itself; default: the host's name."""
    listen: Annotated[Listing[Endpoint], NotEmpty] = ("tcp:8000:interface=127.0.0.1",)
    """Endpoints for clients: `tcp:`, `tcp6:`, `ssl:` for TLS, `unix:`, `systemd:` for a socket that is passed in.
    Paths in them are relative to the folder in which the daemon is started."""
    admin: OptionalEndpoint = "tcp:8001:interface=127.0.0.1"
    """Endpoint of the admin side: health and metrics. Never public; "" turns it off."""
    store: Store = "sqlite:ttagw.db"
    """Where state is kept: `sqlite:PATH`, `memory:`, `redis://…`, `rediss://…` or `redis+sentinel://h:p,h:p/NAME`.
    A relative path begins at the folder in which the daemon is started."""
    workers: int = Field(default=1, ge=1, le=256)
    """Processes that serve; more than one needs a Redis store."""
    trusted_proxies: Listing[Network] = ()
    """Networks whose `X-Forwarded-*`, `Forwarded` and `X-Request-ID` are believed."""
    proxy_protocol: bool = False
    """Whether connections begin with a PROXY header."""
    drain: DurationOrNone = 30.0
    """On SIGTERM: how long what runs may take to finish."""


class Http(Section):
    """What clients may send, and how slowly."""

    max_connections: int = Field(default=10000, ge=1, le=MANY)
    """Client connections at once; beyond it 503 and a close."""
    max_uri: Size = 8 * 1024
    """Bytes of a request target; beyond it 414."""
    max_headers: int = Field(default=100, ge=1, le=MANY)
    """Header fields of a request; beyond it 431."""
    max_header_bytes: Size = 16 * 1024
    """Bytes of all header fields together; beyond it 431."""
    max_body: SizeOrNone = 10 * 1024 * 1024
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
    max_connections: int = Field(default=256, ge=1, le=MANY)
    """Connections to one instance; more requests wait."""
    queue_timeout: DurationOrNone = 1.0
    """How long a request waits for a connection."""
    keepalive: DurationOrNone = 60.0
    """How long a connection without work is kept."""
    retries: int = Field(default=2, ge=0, le=10)
    """Further tries after a failure, where that is safe."""
    retry_budget: float = Field(default=0.2, ge=0, le=1)
    """Share of requests that may be retries."""
    retry_statuses: Listing[Annotated[int, Field(ge=500, le=599)]] = ()
    """Answers, such as 502 or 503, that are as good as none, where trying again is safe."""
