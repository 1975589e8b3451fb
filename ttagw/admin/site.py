"""The admin site: `/health`, `/metrics`, `/services`, `/events`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
from twisted.internet.task import deferLater
from twisted.web.resource import Resource

from ttagw.admin.answers import Api, Folder, Given, finish
from ttagw.admin.callers import Callers
from ttagw.admin.channel import AdminRequest, AdminSite
from ttagw.admin.directory import Directory
from ttagw.admin.services import Around, Services
from ttagw.admin.stream import EventStream
from ttagw.metrics import Metrics, exposition
from ttagw.registry.events import Events


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this gateway should get traffic, and if not, why."""

    ready: bool
    listeners: int
    draining: bool
    services: dict[str, int]
    """Instances to try, for each service that a route leads to."""
    limits: str = ""
    """`shared` while limits are counted with other gateways, `alone` while they should be and are not; "" where there
    is nobody to share them with. It makes no gateway unready: what a limit does then is its own choice.
    """


def admin_site(
    name: str,
    ready: Callable[[], Readiness],
    metrics: Metrics | None,
    *,
    directory: Directory | None = None,
    events: Events | None = None,
    callers: Callers | None = None,
    pages: Mapping[bytes, Resource] | None = None,
    reactor: Any = None,
) -> AdminSite:
    """The site for the admin port.

    Without `metrics` there is no `/metrics`, without `directory` no `/services`, without `events` no `/events`; without
    `callers` nothing can be changed. `pages`: what else there is, by the first segment of its path. `reactor` counts
    deadlines; None: the one that runs.
    """

    def readiness() -> tuple[int, bytes, bytes]:
        state = ready()
        shown = asdict(state)
        if not state.limits:
            del shown["limits"]
        return _json(shown, 200 if state.ready else 503)

    root = Folder()
    health = Folder()
    health.putChild(b"live", Given(lambda: _json({"live": True, "name": name})))
    health.putChild(b"ready", Given(readiness))
    root.putChild(b"health", health)
    if metrics is not None:
        root.putChild(b"metrics", Scrape(metrics))
    if directory is not None:
        root.putChild(b"services", Services(Around(directory, callers or Callers(None, time.monotonic))))
    for path, page in (pages or {}).items():
        root.putChild(path, page)
    site = AdminSite(root, reactor)
    if events is not None:
        stream = EventStream(events, site.reactor)
        root.putChild(b"events", stream)
        site.at_end = stream.stop
    return site


class Scrape(Api):
    """Answers GET with all metrics, made a family at a time: requests go on in between."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self._metrics = metrics
        self.offers = {b"GET": self._get}

    async def _get(self, request: AdminRequest) -> None:
        parts: list[bytes] = []
        for family in self._metrics.collect():
            parts.append(exposition(family))
            await deferLater(request.site.reactor, 0)
        finish(request, 200, b"text/plain; version=0.0.4; charset=utf-8", b"".join(parts))


def _json(value: object, status: int = 200) -> tuple[int, bytes, bytes]:
    return status, b"application/json", msgspec.json.encode(value) + b"\n"
