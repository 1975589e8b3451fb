"""The composition root: a configuration becomes a running gateway. The order of layers is one visible list here."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from random import random
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ttagw import __version__
from ttagw.admin.callers import Callers
from ttagw.admin.site import Readiness, admin_site
from ttagw.attempt import Service, forward_to, split
from ttagw.auth.keys import Keys, keys_from
from ttagw.config import Config
from ttagw.config import Route as RouteConfig
from ttagw.config.units import seconds
from ttagw.core.classes import CLASSES
from ttagw.core.forwarded import Trust
from ttagw.core.ids import UUID7
from ttagw.core.rewrite import compile as compile_rewrite
from ttagw.core.routing import Pattern, Table
from ttagw.fleet import Fleet
from ttagw.fleet_metrics import names_metrics
from ttagw.identities import Identities, asked, terms
from ttagw.layers.authenticate import Authenticate
from ttagw.layers.authorise import Authorise
from ttagw.layers.bounds import Bounds
from ttagw.layers.fields import ChangeFields, FieldChanges
from ttagw.layers.observe import Observe
from ttagw.layers.vouch import Vouch
from ttagw.listen import Listeners
from ttagw.logs.access import AccessLog
from ttagw.logs.file import LogFile
from ttagw.metrics import Metrics
from ttagw.model import HELD, Exchange, Reply
from ttagw.pipeline import Layer, Pipeline, Route
from ttagw.store.make import check_store, located
from ttagw.surroundings import Surroundings
from ttagw.traffic import Traffic
from ttagw.tree import SERVER_METHODS, Tree, refuse
from ttagw.upstream.build import Surroundings as UpstreamSurroundings
from ttagw.upstream.build import build_service, pool_metrics
from ttagw.upstream.pool import kept_of
from ttagw.web.fallback import BUILT_IN, Fallback
from ttagw.web.render import render
from ttagw.web.site import GatewaySite
from ttagw.wire.accepting import Accepting
from ttagw.wire.clock import use_monotonic
from ttagw.wire.deadlines import Deadlines
from ttagw.wire.door import before_tls
from ttagw.wire.names import names_of_machine

FLUSH = 0.2
"""Seconds between two hand-overs of access-log lines."""

FEW_FILES = 4
"""Open files that are left for what is neither a client nor a service: logs, mainly."""


def layers(
    config: Config, metrics: Metrics, access: AccessLog, identities: Identities, traffic: Traffic
) -> list[Layer]:
    """The layers of every route, outermost first.

    Who is too much is refused before there is any work for them, and who is asking is known before it is said how much
    they may: limits and fairness are about people, and a claim can make a request one that is never refused.
    """
    changes = {
        route.name: FieldChanges(route.set_request_headers, route.set_response_headers, route.remove_response_headers)
        for route in config.routes
    }
    return [
        *outermost(metrics, access, traffic),
        Authenticate(asked(config), identities.authenticator),
        *traffic.classes.layers(),
        *traffic.abuse.of_users(),
        Authorise(terms(config), identities.access),
        *traffic.limits.layers(),
        *traffic.admission.layers(),
        Vouch(config.auth.forward_token, config.auth.query_token, identities.assertion),
        Bounds(),
        identities.logins.layer,
        ChangeFields(changes),
    ]


def outermost(metrics: Metrics, access: AccessLog, traffic: Traffic) -> list[Layer]:
    """What requests pass that no route answers, too."""
    return [Observe(metrics, access, time.monotonic, traffic.classes.ended), *traffic.abuse.layers()]


class Gateway(MultiService):
    """The whole gateway as one service. Nothing is opened before it starts; stopping it finishes what is under way."""

    log = Logger()

    def __init__(self, reactor: Any, config: Config) -> None:
        """Raises `TlsFileError` or `OSError` when a file that is named cannot be used."""
        super().__init__()
        self._reactor = reactor
        self._config = config
        # Where it is now: until it starts, the daemon may go to another folder.
        self._store_url = located(config.gateway.store)
        self.draining = False
        use_monotonic(reactor)
        self.deadlines = Deadlines(reactor, time.monotonic)
        self.names, self.dns = names_of_machine(reactor, random)
        self._names_before: Any = None
        self.access_file = LogFile(config.log.access, self._complain)
        self.access = AccessLog(self.access_file, config.log.format, time.time)
        self.metrics = Metrics()
        self._around = UpstreamSurroundings(reactor, time.monotonic, random, self.deadlines)
        self.upstreams = self._services()
        self.fallbacks = {name: Fallback(each) for name, each in config.fallbacks.items()}
        self.fleet = Fleet(config, self.upstreams, self._around, self.dns)
        keys = self._keys()
        around = Surroundings(reactor, self.fleet.store, self.fleet.events, self.upstreams)
        self.identities = Identities(config, keys, around)
        self.traffic = Traffic(config, around)
        self.pipeline = Pipeline(render)
        self.site = self._site()
        self.metrics.add(self._own_metrics)
        self.metrics.add(lambda: pool_metrics(self.upstreams))
        self.metrics.add(self.fleet.metrics)
        self.metrics.add(self.identities.metrics)
        self.metrics.add(self.traffic.metrics)
        self.metrics.add(lambda: names_metrics(self.names))
        wanted: list[tuple[str, Any]] = [(text, self.site) for text in config.gateway.listen]
        if config.gateway.admin:
            metrics = self.metrics if config.metrics.enabled else None
            callers = Callers(keys, time.monotonic, self.identities.check_caller)
            admin = admin_site(
                config.gateway.name,
                self.readiness,
                metrics,
                directory=self.fleet.directory,
                events=self.fleet.events,
                callers=callers,
                pages={**self.identities.pages(callers), **self.traffic.pages(callers)},
                reactor=reactor,
            )
            wanted.append((config.gateway.admin, admin))
        self.accepting = Accepting(reactor)
        self.site.asks_certificates = bool(config.auth.certificates.ca)
        self.listeners = Listeners(reactor, wanted, self._guard, {self.site: config.auth.certificates.ca})
        self.listeners.setServiceParent(self)
        self._flushing = LoopingCall(self._flush)
        self._flushing.clock = reactor
        self._drained: Deferred[None] | None = None

    def _services(self) -> dict[str, Service]:
        config = self._config
        return {
            name: build_service(name, each, config.upstream, self._around) for name, each in config.services.items()
        }

    def _site(self) -> GatewaySite:
        config = self._config
        stack = layers(config, self.metrics, self.access, self.identities, self.traffic)
        first = outermost(self.metrics, self.access, self.traffic)
        most = config.http.max_body
        routes = [(_pattern(each), self._route(each).bind(stack)) for each in config.routes]
        nowhere = Route("-", "-", refuse, max_body=most).bind(first)
        asterisk = Route("*", "*", _answer_options, max_body=0).bind(first)
        tree = Tree(Table(routes), nowhere, asterisk, conditional=any(each.headers for each in config.routes))
        ids = UUID7(lambda: time.time_ns() // 1_000_000, os.urandom)
        trust = Trust(config.gateway.trusted_proxies)
        site = GatewaySite(tree, self.pipeline, nowhere, config.http, trust, ids, self.deadlines, time.monotonic)
        site.gate = self.traffic.abuse.gate
        if any(each.traffic_class == "crisis" for each in config.routes):
            site.support = next(iter(self.fallbacks.values()), BUILT_IN).usual()
        return site

    def _route(self, config: RouteConfig) -> Route:
        if config.split:
            pick = split([(self.upstreams[name], weight) for name, weight in config.split.items()], config.name)
        else:
            service = self.upstreams[config.service]
            pick = lambda exchange: service  # noqa: E731, ARG005
        hedge = seconds(config.hedge) if config.hedge else 0.0
        forward = forward_to(pick, compile_rewrite(config.path, config.rewrite), hedge)
        most = self._config.http.max_body if config.max_body is None else config.max_body
        if config.login:
            # All of it is read before it goes on.
            most = min(most, HELD)
        route = Route(config.name, config.path, forward, max_body=most, timeout=config.timeout or 0.0)
        route.rank = CLASSES[config.traffic_class]
        services = [self._config.services[name] for name in (config.split or (config.service,))]
        route.fallback = next((self.fallbacks[each.fallback] for each in services if each.fallback), None)
        # Whatever somebody in a crisis asks for, they are not left with an error.
        route.crisis = route.fallback or next(iter(self.fallbacks.values()), None)
        if config.login:
            # Who cannot sign in can reach nothing else here, whatever service would have helped.
            route.help = route.crisis
        return route

    def _keys(self) -> Keys | None:
        path = self._config.auth.api_keys.file
        return keys_from(self._reactor, path) if path else None

    def _guard(self, port: Any, served: Any) -> None:
        most = self._config.upstream.max_connections
        places = sum([len(each.instances) for each in self.upstreams.values()]) * (most + kept_of(most))
        # The admin side must be seen when clients have to wait.
        self.accepting.guard(port, FEW_FILES + places if served is self.site else FEW_FILES)
        if served is self.site:
            before_tls(port, self.site.refuses)

    # Life

    def privilegedStartService(self) -> None:
        """Open what must be had before anything is promised. Raises `ListenError`, `StoreFileError`."""
        check_store(self._store_url)
        super().privilegedStartService()

    def startService(self) -> None:
        """Begin to serve; the sockets are open already."""
        self._names_before = self._reactor.installNameResolver(self.names)
        self.deadlines.start()
        self.access_file.start()
        self._flushing.start(FLUSH, now=False)
        self.fleet.start()
        self.identities.start()
        self.traffic.start()
        super().startService()
        self.log.info(
            "ttagw {version} serves {routes} routes of {services} services",
            version=__version__,
            routes=len(self._config.routes),
            services=len(self.upstreams),
        )

    async def _stop(self) -> None:
        self.draining = True
        await self.listeners.close(self.site)
        self.site.drain()
        if self.site.channels:
            self.log.info("finishing {count} connections", count=len(self.site.channels))
            await self._until_drained()
        await self.traffic.stop()
        await self.identities.stop()
        await self.fleet.stop()
        for service in self.upstreams.values():
            for instance in service.instances:
                instance.pool.abort()
        # The admin side answers until the end, so that people can watch.
        await self.listeners.stopService()
        if self._flushing.running:
            self._flushing.stop()
        self.deadlines.stop()
        self._flush()
        self.access_file.stop()
        if self._names_before is not None:
            self._reactor.installNameResolver(self._names_before)
        self.names.stop()

    def stopService(self) -> Deferred[None]:
        """Accept no more, finish what runs, and after `drain` cut what is left."""
        self.running = False
        return Deferred.fromCoroutine(self._stop())

    async def _until_drained(self) -> None:
        done: Deferred[None] = Deferred()
        self._drained = done
        watching = LoopingCall(self._look)
        watching.clock = self._reactor
        watching.start(0.05)
        late = self._reactor.callLater(self._config.gateway.drain, self.cut)
        try:
            await done
        finally:
            watching.stop()
            if late.active():
                late.cancel()

    def _look(self) -> None:
        if not self.site.channels and self._drained is not None:
            done, self._drained = self._drained, None
            done.callback(None)

    def cut(self) -> None:
        """Finish at once: cut every connection that is still there."""
        self.log.warn("cutting {count} connections", count=len(self.site.channels))
        self.site.cut()

    def reopen_logs(self) -> None:
        """The log files may have been moved away."""
        self._flush()
        self.access_file.reopen()
        self.log.info("log files opened again")

    # What others ask

    def readiness(self) -> Readiness:
        """Whether traffic should come here."""
        instances = {name: len(self.upstreams[name].rotation) for name in sorted(self._wanted_services())}
        listening = self.listeners.count
        ready = listening == len(self._config.gateway.listen) + bool(self._config.gateway.admin)
        ready = ready and self.fleet.loaded and self.identities.loaded
        shared = self.traffic.limits.shared
        limits = "" if shared is None else "shared" if shared.there else "alone"
        return Readiness(ready and not self.draining, listening, self.draining, instances, limits)

    def _wanted_services(self) -> set[str]:
        return {name for route in self._config.routes for name in (route.split or (route.service,))}

    def _own_metrics(self) -> Sequence[Any]:
        connections = GaugeMetricFamily("ttagw_connections", "Client connections that are open.")
        connections.add_metric([], len(self.site.channels))
        accepted = CounterMetricFamily("ttagw_connections_accepted", "Client connections accepted.")
        accepted.add_metric([], self.site.accepted)
        away = CounterMetricFamily("ttagw_connections_turned_away", "Client connections over the limit.")
        away.add_metric([], self.site.turned_away)
        paused = GaugeMetricFamily("ttagw_accepting_paused", "1 while new connections wait because files are short.")
        paused.add_metric([], self.accepting.paused)
        dropped = CounterMetricFamily("ttagw_access_log_dropped", "Access-log lines lost.")
        dropped.add_metric([], self.access_file.dropped)
        refused = CounterMetricFamily("ttagw_client_certificates_refused", "Certificates of clients not verified.")
        refused.add_metric([], self.site.certificates_refused)
        about = GaugeMetricFamily("ttagw_build_info", "Always 1.", labels=["version"])
        about.add_metric([__version__], 1)
        return (connections, accepted, away, paused, dropped, refused, about)

    def _flush(self) -> None:
        try:
            self.access.flush()
        except Exception:
            self.log.failure("the access log could not be handed on")

    def _complain(self, sentence: str) -> None:
        self._reactor.callFromThread(self.log.warn, "{sentence}", sentence=sentence)


def _pattern(config: RouteConfig) -> Pattern:
    return Pattern(config.path, config.hosts, config.methods, config.headers)


def _answer_options(pipeline: Pipeline, exchange: Exchange) -> None:
    """`OPTIONS *`: what this server can do at all (RFC 9110 §9.3.7)."""
    pipeline.answer(exchange, Reply(204, [(b"allow", SERVER_METHODS)], b""))
