"""What the parts that decide about traffic have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.metrics_core import Metric
from twisted.web.resource import Resource

from ttagw.admin.callers import Callers
from ttagw.pipeline import Layer


class Part:
    """One concern: its layers, and its life. Whoever needs more than this says so."""

    def layers(self) -> Sequence[Layer]:
        """What requests pass."""
        return ()

    def start(self) -> None:
        """Begin. The store is started by somebody else."""

    async def stop(self) -> None:
        """End what is under way."""

    def pages(self, callers: Callers) -> Mapping[bytes, Resource]:  # noqa: ARG002 - what others need
        """What the admin side shows of it, by the first segment of the path; `callers` says who may."""
        return {}

    def metrics(self) -> Iterable[Metric]:
        """What there is to tell Prometheus."""
        return ()
