"""Checks of instances by asking them: over HTTP, over TCP, over WebSocket.

Each check opens a connection of its own, as HAProxy's do: one that is kept goes on working when nothing accepts new
ones any more. To an address it goes over a bare socket, since there may be hundreds of checks a second; over TLS, and
now and then to a name, through an endpoint.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint

from ttagw import __version__
from ttagw.config.services import Health
from ttagw.registry.checks import Probe, Verdict
from ttagw.registry.probes.check import Check, Link
from ttagw.registry.probes.direct import Direct
from ttagw.registry.probes.named import Named
from ttagw.registry.probes.talks import HttpTalk, Talk, TcpTalk, get
from ttagw.registry.probes.through import Through
from ttagw.registry.probes.websocket import WebSocketTalk
from ttagw.wire.deadlines import Deadlines

AGENT = f"ttagw-health/{__version__}"


@dataclass(frozen=True, slots=True)
class Means:
    """What checks need from outside."""

    reactor: Any
    """An `IReactorFDSet`."""
    monotonic: Callable[[], float]
    deadlines: Deadlines
    entropy: Callable[[int], bytes]
    """So many bytes that nobody can guess, such as `os.urandom`."""
    endpoint_for: Callable[[str], IStreamClientEndpoint]
    """How to connect to an instance's URL; over TLS if it is `https`. Asked once for each probe."""


class AskingProbe:
    """A `Probe` that has one kind of talk, over the links that `link` makes; it is told the time."""

    def __init__(self, talk: Callable[[], Talk], link: Callable[[float], Link], timeout: float, means: Means) -> None:
        self._talk = talk
        self._link = link
        self._timeout = timeout
        self._means = means

    def check(self) -> Deferred[Verdict]:
        """Check now. Never fails."""
        means = self._means
        link = self._link(means.monotonic())
        return Check(self._talk(), link, self._timeout, means.deadlines, means.monotonic).run()

    def close(self) -> None:
        """Nothing is kept."""


class NamedProbe(AskingProbe):
    """One that asks under a name: what has failed there may be somewhere else the next time."""

    def __init__(self, talk: Callable[[], Talk], named: Named, timeout: float, means: Means) -> None:
        super().__init__(talk, named.link, timeout, means)
        self._named = named

    def check(self) -> Deferred[Verdict]:
        """Check now. Never fails."""
        return super().check().addCallback(self._learn)

    def _learn(self, verdict: Verdict) -> Verdict:
        if not verdict.good:
            self._named.forget()
        return verdict


def make_probe(url: str, health: Health, means: Means) -> Probe | None:
    """What checks the instance at `url`; None where it is not to be checked.

    `tcp` asks for no TLS, whatever the URL says: whether somebody is there is all it wants to know. Raises what
    `endpoint_for` raises.
    """
    if health.type == "none":
        return None
    parts = urlsplit(url)
    talk = _talk(parts, health, means)
    host = parts.hostname or ""
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    tls = secure and health.type != "tcp"
    family = socket.AF_INET if isIPAddress(host) else socket.AF_INET6 if isIPv6Address(host) else None
    if family is not None and not tls:
        return AskingProbe(talk, lambda _: Direct(means.reactor, family, (host, port)), health.timeout, means)
    authority = f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"
    endpoint = means.endpoint_for(f"{'https' if tls else 'http'}://{authority}")
    if tls:
        return AskingProbe(talk, lambda _: Through(endpoint, tls=True), health.timeout, means)
    return NamedProbe(talk, Named(means.reactor, endpoint), health.timeout, means)


def _talk(parts: SplitResult, health: Health, means: Means) -> Callable[[], Talk]:
    if health.type == "tcp":
        return TcpTalk
    if health.type == "websocket":
        return lambda: WebSocketTalk(health.path, parts.netloc, AGENT, means.entropy)
    opening = get(health.path, parts.netloc, AGENT)
    expected = frozenset(health.expect)
    return lambda: HttpTalk(opening, expected)
