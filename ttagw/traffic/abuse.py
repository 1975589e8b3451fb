"""Who is not let in for a while: put together, started and stopped as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.metrics_core import Metric
from twisted.web.resource import Resource

from ttagw.abuse.alerts import Alerts
from ttagw.abuse.blocks import MOST, Blocks, Changed
from ttagw.abuse.blocks import Mirror as BlockMirror
from ttagw.abuse.counting import Counting
from ttagw.abuse.entries import PREFIX, Block, decode
from ttagw.abuse.gate import Gate
from ttagw.abuse.table import Table
from ttagw.admin.blocks import BlockPages
from ttagw.admin.callers import Callers
from ttagw.config import Config
from ttagw.core.blocking import Rules
from ttagw.core.networks import Places
from ttagw.layers.guard import Guard, GuardUsers
from ttagw.pipeline import Layer
from ttagw.store.base import StoreError
from ttagw.store.mirror import Mirror
from ttagw.surroundings import Surroundings
from ttagw.traffic.part import Part


class Abuse(Part):
    """Nobody is blocked automatically unless there is a section `[abuse]`; its lists and what operators block hold
    always.
    """

    def __init__(self, config: Config, around: Surroundings) -> None:
        abuse = config.abuse
        rules = Rules(abuse.threshold.count, abuse.threshold.seconds, abuse.block_for, abuse.longest)
        self._wall = around.wall
        self.places = Places(abuse.allow, abuse.deny, config.gateway.trusted_proxies)
        self.table = Table(around.wall)

        def mirror(changed: Changed) -> BlockMirror:
            return Mirror(around.store, PREFIX, decode, _gone, around.reactor, around.wall, changed, 2 * MOST)

        alerts = Alerts(around.events, around.monotonic)
        self.blocks = Blocks(mirror, rules, self.table, around.reactor, around.wall, StoreError, alerts)
        self.gate = Gate(
            self.places, self.table, around.reactor, around.monotonic, abuse.connections, abuse.slow_readers
        )
        self.blocks.began = self.gate.began
        self.counting = Counting(rules, self.places, self.table, self.blocks, around.monotonic)
        self._automatic = "abuse" in config.model_fields_set
        self._rising = frozenset([each.name for each in config.routes if each.auth != "none"])
        self._logins = frozenset([each.name for each in config.routes if each.login])

    def layers(self) -> Sequence[Layer]:
        """What requests pass before anything is known but their address."""
        count = self.counting.count if self._automatic else None
        return [Guard(self.places, self.table, self._wall, self._rising, self._logins, count)]

    def of_users(self) -> Sequence[Layer]:
        """What requests pass when it is known who is asking."""
        return [GuardUsers(self.places, self.table, self._wall, self._rising)]

    def start(self) -> None:
        """Begin. The store is started by somebody else."""
        self.blocks.start()
        self.gate.start()

    async def stop(self) -> None:
        """Write what is left."""
        self.gate.stop()
        await self.blocks.stop()

    def pages(self, callers: Callers) -> Mapping[bytes, Resource]:
        """What the admin side shows of it, by the first segment of the path; `callers` says who may."""
        return {b"blocks": BlockPages(self.blocks, self.places, callers, self._wall)}

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        yield from self.blocks.metrics()
        yield from self.gate.metrics()
        yield from self.counting.metrics()


def _gone(block: Block) -> float:
    return block.gone
