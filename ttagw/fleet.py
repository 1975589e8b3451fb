"""Everything that keeps the services' instances: put together from the configuration, started and stopped as one."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from prometheus_client.metrics_core import Metric
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as LateError
from twisted.logger import Logger

from ttagw.attempt import Instance, Service
from ttagw.config import Config
from ttagw.config import Instance as InstanceConfig
from ttagw.config import Service as ServiceConfig
from ttagw.fleet_metrics import fleet_metrics
from ttagw.registry.checks import Probe
from ttagw.registry.directory import RegistryDirectory
from ttagw.registry.events import Events
from ttagw.registry.feed import Feed
from ttagw.registry.file import FileSource
from ttagw.registry.ledger import Ledger
from ttagw.registry.memory import HealthMemory
from ttagw.registry.poller import Poller
from ttagw.registry.probes import Means, make_probe
from ttagw.registry.records import Origin, Record
from ttagw.registry.registry import Registry
from ttagw.registry.sources import Source
from ttagw.registry.srv import SrvSource
from ttagw.registry.webhook import Webhooks
from ttagw.store.base import DEADLINE, StoreError, StoreState
from ttagw.store.make import make_store
from ttagw.upstream.build import Surroundings, build_instance, endpoint_for
from ttagw.wire.dns import Dns


class Fleet:
    """The registry and what feeds it."""

    log = Logger()

    def __init__(self, config: Config, services: Mapping[str, Service], around: Surroundings, dns: Dns) -> None:
        """Raises `TlsFileError`, and `ValueError` for a store that cannot be."""
        self._config = config
        self._around = around
        reactor, monotonic = around.reactor, around.monotonic
        self.events = Events(time.time)
        self.store = make_store(config.gateway.store, reactor, monotonic, time.time, around.random)
        self.poller = Poller(reactor, around.random)
        self.registry = Registry(
            {name: (each, services[name]) for name, each in config.services.items()},
            self._make_instance,
            self._make_probe,
            self.poller,
            self.events,
            reactor,
            monotonic,
        )
        # Several gateways may have one name: what they write must be told apart all the same.
        one = f"{config.gateway.name}:{os.urandom(4).hex()}"
        self.ledger = Ledger(self.store, self.registry, one, reactor, time.time, StoreError)
        self.memory = HealthMemory(self.store, self.registry, config.gateway.name, StoreError, self.poller.hurry)
        self.directory = RegistryDirectory(self.registry, self.ledger)
        self.webhooks = Webhooks(
            config.gateway.name, config.safety.alerts.webhooks, self.events, reactor, chance=around.random
        )
        self.loaded = False
        """Whether what the store knows has been taken up."""
        self._starting: Deferred[None] | None = None
        for name, each in config.services.items():
            self.registry.replace(name, Origin.CONFIG, configured(name, each), slowly=False)
        self.feeds = [Feed(name, each, self.registry, self._source, dns) for name, each in config.services.items()]

    def _source(self, service: str, place: InstanceConfig, dns: Dns) -> Source:
        tell, reactor = self.events.tell, self._around.reactor
        if place.source == "file":
            return FileSource(service, place.path, place.zone, tell, reactor)
        return SrvSource(service, place.url, place.zone, tell, dns, reactor, self._around.random)

    def _make_instance(self, record: Record) -> Instance:
        config = self._config.services[record.service]
        return build_instance(
            record.url, record.id, record.weight, record.zone, config, self._config.upstream, self._around
        )

    def _make_probe(self, record: Record, config: ServiceConfig) -> Probe | None:
        around = self._around
        connect = partial(self._endpoint, config)
        means = Means(around.reactor, around.monotonic, around.deadlines, os.urandom, connect)
        return make_probe(record.url, record.health or config.health, means)

    def _endpoint(self, config: ServiceConfig, url: str) -> Any:
        return endpoint_for(url, config.tls, self._around.reactor, self._config.upstream.connect_timeout)

    # Life

    def start(self) -> None:
        """Keep the registry true from now on; what the store knows is taken up as soon as it can be."""
        self.registry.start()
        for feed in self.feeds:
            feed.start()
        self.webhooks.startService()
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addErrback(self._not_started)

    async def _start(self) -> None:
        await self.store.start()
        await self._store_there()
        await self.ledger.start()
        await self.memory.start()
        self.loaded = True

    async def _store_there(self) -> None:
        """Wait for a store that is being connected to: who is ready knows who has registered.

        One that is away is waited for no longer than for any answer, and taken up when it comes.
        """
        there: Deferred[None] = Deferred()

        def told(state: StoreState) -> None:
            if state.up and not there.called:
                there.callback(None)

        end = self.store.on_state(told)
        told(self.store.state)
        there.addTimeout(DEADLINE, self._around.reactor)
        try:
            await there
        except LateError:
            self.log.warn("the store is not there yet; what it knows is taken up when it is")
        finally:
            end()

    def _not_started(self, failure: Any) -> None:
        if failure.check(CancelledError):
            return
        # Whatever can be found out about a store before the daemon runs has been; this is the rest.
        self.log.critical("the store cannot be used: {why}", why=failure.getErrorMessage())
        self._around.reactor.stop()

    async def stop(self) -> None:
        """Look after nothing any more; what is not written yet is tried for once more."""
        if self._starting is not None:
            self._starting.cancel()
        for feed in self.feeds:
            feed.stop()
        await self.poller.stop()
        self.registry.stop()
        await self.webhooks.stopService()
        if self.loaded:
            await self.ledger.stop()
            await self.memory.stop()
        await self.store.stop()

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        yield from self.store.collect()
        yield from fleet_metrics(self.registry, self.events, self.poller, self.ledger)


def configured(service: str, config: ServiceConfig) -> list[Record]:
    """The instances of a service that its configuration names by their addresses."""
    found: Sequence[InstanceConfig] = [each for each in config.instances if not each.source]
    return [Record(service, urlsplit(each.url).netloc, each.url, each.weight, each.zone) for each in found]
