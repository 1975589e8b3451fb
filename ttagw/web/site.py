"""The public site: makes a channel for each connection and hands each request to the Resource tree."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from twisted.internet.interfaces import IAddress, ISSLTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Site

from ttagw.config import Http
from ttagw.core.forwarded import Peer, Trust
from ttagw.core.ids import UUID7
from ttagw.model import Exchange
from ttagw.pipeline import Pipeline, Route, Support
from ttagw.tree import Tree
from ttagw.web.channel import Channel
from ttagw.web.turned_away import TurnedAway
from ttagw.wire.authorities import certificate_of, refused
from ttagw.wire.deadlines import Deadlines

SILENCE = 10.0
"""Seconds in which it is said once that certificates do not verify."""


class Gate(Protocol):
    """Says who is let in; see `ttagw.abuse.gate`."""

    def refuses(self, host: str) -> bool:
        """Whether a new connection from this address is closed at once."""

    def opened(self, connection: Any) -> None:
        """A connection has begun."""

    def closed(self, connection: Any) -> None:
        """A connection is gone."""


class GatewaySite(Site):
    """A `Site` whose connections are ours: parsed by llhttp, streamed, bounded. The root resource is the route tree."""

    noisy = False
    logger = Logger()

    def __init__(
        self,
        tree: Tree,
        pipeline: Pipeline,
        unread: Route,
        http: Http,
        trust: Trust,
        ids: UUID7,
        deadlines: Deadlines,
        monotonic: Callable[[], float],
    ) -> None:
        super().__init__(tree)
        self.tree = tree
        self.pipeline = pipeline
        self.http = http
        self.trust = trust
        self.monotonic = monotonic
        self.draining = False
        self.asks_certificates = False
        """Whether clients are asked for certificates where they come over TLS."""
        self.certificates_refused = 0
        self._said = float("-inf")
        self.gate: Gate | None = None
        """Who is let in; None: everybody."""
        self.support: Support | None = None
        """Help that is offered to those who are turned away: nobody knows yet what they need."""
        self.channels: set[Channel] = set()
        self.accepted = 0
        self.turned_away = 0
        self._away: set[TurnedAway] = set()
        self._unread = unread
        self._ids = ids
        self._deadlines = deadlines

    def startFactory(self) -> None:
        """Nothing of `HTTPFactory`'s own: no log file, no clock that ticks each second."""

    def stopFactory(self) -> None:
        """See `startFactory`."""

    def acceptableProtocols(self) -> list[bytes]:
        """What is offered in the TLS handshake (ALPN)."""
        return [b"http/1.1"]

    def refuses(self, addr: IAddress | None) -> bool:
        """Whether a connection from this address is closed before anything is read or said."""
        return self.gate is not None and self.gate.refuses(getattr(addr, "host", ""))

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A channel; while there are too many, somebody who says so and closes; nothing for whom is not let in."""
        if self.refuses(addr):
            return None
        if len(self.channels) >= self.http.max_connections:
            return TurnedAway(self, self._ids.next, self.support)
        return Channel(self)

    def peer_of(self, transport: Any) -> Peer:
        """Who is at the other end, and over what."""
        scheme = b"https" if ISSLTransport.providedBy(transport) else b"http"
        host = transport.getHost()
        peer = Peer(getattr(transport.getPeer(), "host", ""), self.trust, scheme, getattr(host, "port", 0))
        if self.asks_certificates and scheme == b"https":
            peer.certificate = partial(certificate_of, transport)
        return peer

    def opened(self, channel: Channel) -> None:
        """A connection has begun."""
        self.accepted += 1
        self.channels.add(channel)
        if self.gate is not None:
            self.gate.opened(channel)
        self._deadlines.watch(channel)

    def closed(self, channel: Channel, reason: Failure) -> None:
        """A connection is gone."""
        if self.asks_certificates and refused(reason.value):
            self.certificates_refused += 1
            now = self.monotonic()
            if now - self._said >= SILENCE:
                self._said = now
                host = channel.transport.getPeer().host
                self.logger.warn("{host}: refused, its certificate does not verify", host=host)
        self.channels.discard(channel)
        if self.gate is not None:
            self.gate.closed(channel)
        self._deadlines.forget(channel)

    def away(self, rejected: TurnedAway, *, gone: bool) -> bool:
        """A connection over the limit comes or goes. False: there are too many even of those."""
        if gone:
            self._away.discard(rejected)
            self._deadlines.forget(rejected)
            return True
        self.turned_away += 1
        if len(self._away) >= self.http.max_connections:
            return False
        self._away.add(rejected)
        self._deadlines.watch(rejected)
        return True

    def dispatch(self, exchange: Exchange) -> None:
        """Find who answers, and start."""
        if not exchange.id:
            exchange.id = self._ids.next()
        if exchange.refusal is not None:
            exchange.route = self._unread
        else:
            self.tree.locate(exchange)
        self.pipeline.run(exchange)

    def drain(self) -> None:
        """Every answer from now on is the last of its connection; connections without work end now."""
        self.draining = True
        for channel in list(self.channels):
            channel.close_if_idle()

    def cut(self) -> None:
        """End every connection now."""
        for channel in list(self.channels):
            channel.give_up("shutdown")
