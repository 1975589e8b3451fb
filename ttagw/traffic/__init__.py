"""How much, and who first: put together from the configuration, started and stopped as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.metrics_core import Metric
from twisted.web.resource import Resource

from ttagw.admin.callers import Callers
from ttagw.config import Config
from ttagw.surroundings import Surroundings
from ttagw.traffic.abuse import Abuse
from ttagw.traffic.admission import Admission
from ttagw.traffic.classes import Classes
from ttagw.traffic.limits import Limits
from ttagw.traffic.part import Part

__all__ = ["Traffic"]


class Traffic:
    """Everything that decides how much of what comes is let through."""

    def __init__(self, config: Config, around: Surroundings) -> None:
        self.abuse = Abuse(config, around)
        self.classes = Classes(config, around)
        self.limits = Limits(config, around)
        self.admission = Admission(config, around)
        self._parts: tuple[Part, ...] = (self.abuse, self.classes, self.limits, self.admission)

    def start(self) -> None:
        """Begin. The store is started by somebody else."""
        for part in self._parts:
            part.start()

    async def stop(self) -> None:
        """End what is under way."""
        for part in reversed(self._parts):
            await part.stop()

    def pages(self, callers: Callers) -> Mapping[bytes, Resource]:
        """What the admin side shows of it, by the first segment of the path; `callers` says who may."""
        return {name: page for part in self._parts for name, page in part.pages(callers).items()}

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        for part in self._parts:
            yield from part.metrics()
