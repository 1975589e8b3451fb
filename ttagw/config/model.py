"""The whole configuration."""

from __future__ import annotations

from pydantic import Field

from ttagw.config.auth import Auth
from ttagw.config.base import Listing, Name, Section
from ttagw.config.gateway import Gateway, Http, Upstream
from ttagw.config.policies import Abuse, Admission, ClassName, Limit, TrafficClass
from ttagw.config.routes import Route
from ttagw.config.seeing import Audit, Dashboard, Log, MetricsSection, Tracing
from ttagw.config.services import Service
from ttagw.config.sockets import Fallback, Safety, WebSocket


class Config(Section):
    """Everything that `ttagw` reads from its configuration file."""

    gateway: Gateway = Gateway()
    """Who this gateway is and where it listens."""
    http: Http = Http()
    """What clients may send, and how slowly."""
    upstream: Upstream = Upstream()
    """Defaults for the connections to every service."""
    services: dict[Name, Service] = Field(default_factory=dict)
    """The services, by name."""
    routes: Listing[Route] = ()
    """Which requests go where. Of several that match, the most specific wins."""
    limits: dict[Name, Limit] = Field(default_factory=dict)
    """Rates, by name."""
    classes: dict[ClassName, TrafficClass] = Field(default_factory=dict)
    """What is kept for traffic classes."""
    admission: Admission = Admission()
    """How much is under way at once."""
    abuse: Abuse = Abuse()
    """Automatic blocking of addresses and users; without this section nobody is blocked automatically."""
    auth: Auth = Auth()
    """Who is asking."""
    websocket: WebSocket = WebSocket()
    """WebSocket sessions."""
    safety: Safety = Safety()
    """The safety screen."""
    fallbacks: dict[Name, Fallback] = Field(default_factory=dict)
    """Safe answers, by name."""
    audit: Audit = Audit()
    """The audit trail."""
    log: Log = Log()
    """The access log, and how much the daemon says."""
    metrics: MetricsSection = MetricsSection()
    """Prometheus."""
    tracing: Tracing = Tracing()
    """Traces."""
    dashboard: Dashboard = Dashboard()
    """The dashboard."""
