"""The admin site: `/health`, `/metrics`, `/services`, `/events`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from ttagw.admin.answers import Folder, Given
from ttagw.admin.callers import Callers, Keys
from ttagw.admin.channel import AdminSite
from ttagw.admin.directory import Directory
from ttagw.admin.services import Around, Services
from ttagw.admin.stream import EventStream
from ttagw.metrics import Metrics
from ttagw.registry.events import Events


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this gateway should get traffic, and if not, why."""

    ready: bool
    listeners: int
    draining: bool
    services: dict[str, int]
    """Instances to try, for each service that a route leads to."""


def admin_site(
    name: str,
    ready: Callable[[], Readiness],
    metrics: Metrics | None,
    *,
    directory: Directory | None = None,
    events: Events | None = None,
    keys: Keys | None = None,
    reactor: Any = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> AdminSite:
    """The site for the admin port.

    Without `metrics` there is no `/metrics`, without `directory` no `/services`, without `events` no `/events`; without
    `keys` nothing can be changed. `reactor` counts deadlines; None: the one that runs.
    """

    def readiness() -> tuple[int, bytes, bytes]:
        state = ready()
        return _json(asdict(state), 200 if state.ready else 503)

    def exposition() -> tuple[int, bytes, bytes]:
        return 200, b"text/plain; version=0.0.4; charset=utf-8", b"" if metrics is None else metrics.text()

    root = Folder()
    health = Folder()
    health.putChild(b"live", Given(lambda: _json({"live": True, "name": name})))
    health.putChild(b"ready", Given(readiness))
    root.putChild(b"health", health)
    if metrics is not None:
        root.putChild(b"metrics", Given(exposition))
    if directory is not None:
        root.putChild(b"services", Services(Around(directory, Callers(keys, monotonic))))
    site = AdminSite(root, reactor)
    if events is not None:
        stream = EventStream(events, site.reactor)
        root.putChild(b"events", stream)
        site.at_end = stream.stop
    return site


def _json(value: object, status: int = 200) -> tuple[int, bytes, bytes]:
    return status, b"application/json", msgspec.json.encode(value) + b"\n"
