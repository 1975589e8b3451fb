"""Failed logins: what counts them, keeps them, and answers; put together, started and stopped as one."""

from __future__ import annotations

import os
from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from ttagw.auth.lockout_ledger import LockoutLedger
from ttagw.auth.lockout_table import Table
from ttagw.auth.lockouts import Lockouts
from ttagw.config import Config
from ttagw.core.lockout import Rules
from ttagw.layers.login import Grid, Login
from ttagw.store.base import StoreError
from ttagw.surroundings import Surroundings


class Logins:
    """Does nothing, and is told to nobody, without a route that has `login`."""

    def __init__(self, config: Config, around: Surroundings) -> None:
        marked = {each.name: each.login for each in config.routes if each.login}
        self._any = bool(marked)
        lockout = config.auth.lockout
        rules = Rules(lockout.failures, lockout.window, lockout.lasts)
        self.lockouts = Lockouts(
            rules,
            Table(rules, os.urandom(32)),
            around.reactor,
            around.monotonic,
            lambda: os.urandom(6).hex(),
            lambda by: around.events.tell("login_paused", "", reason=by, severity="warn"),
        )
        self._ledger = LockoutLedger(
            around.store, self.lockouts, around.reactor, around.monotonic, around.wall, StoreError
        )
        self.layer = Login(marked, self.lockouts, Grid(around.monotonic, around.reactor.callLater))

    def start(self) -> None:
        """Begin to keep them."""
        if self._any:
            self._ledger.start()

    async def stop(self) -> None:
        """Write down what is left."""
        if self._any:
            await self._ledger.stop()

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        if self._any:
            yield from self.lockouts.metrics()
            yield from self._ledger.metrics()
