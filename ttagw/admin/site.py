"""The admin site: `/health/live`, `/health/ready`, `/metrics`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import msgspec
from twisted.web.http import Request
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import Site

from ttagw.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this gateway should get traffic, and if not, why."""

    ready: bool
    listeners: int
    draining: bool
    services: dict[str, int]
    """Instances to try, for each service that a route leads to."""


class _Text(Resource):
    """Answers GET and HEAD with what a function returns."""

    isLeaf = True

    def __init__(self, give: Callable[[IRequest], bytes]) -> None:
        super().__init__()
        self._give = give

    def render_GET(self, request: IRequest) -> bytes:
        """What the function returns."""
        request.setHeader(b"cache-control", b"no-store")
        return self._give(request)


class _QuietSite(Site):
    """Without an access log of its own."""

    noisy = False

    def log(self, request: Request) -> None:
        """The access log is for what clients ask."""


def admin_site(name: str, ready: Callable[[], Readiness], metrics: Metrics | None) -> Site:
    """The site for the admin port; without `metrics` there is no `/metrics`."""

    def live(request: IRequest) -> bytes:
        return _json(request, {"live": True, "name": name})

    def readiness(request: IRequest) -> bytes:
        state = ready()
        if not state.ready:
            request.setResponseCode(503)
        return _json(request, asdict(state))

    def exposition(request: IRequest) -> bytes:
        request.setHeader(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
        return b"" if metrics is None else metrics.text()

    root = Resource()
    health = Resource()
    health.putChild(b"live", _Text(live))
    health.putChild(b"ready", _Text(readiness))
    root.putChild(b"health", health)
    if metrics is not None:
        root.putChild(b"metrics", _Text(exposition))
    return _QuietSite(root, timeout=60)


def _json(request: IRequest, value: object) -> bytes:
    request.setHeader(b"content-type", b"application/json")
    return msgspec.json.encode(value) + b"\n"
