"""What it costs to check many instances, and how late the checks are: `python -m benchmarks.poller`.

A child process serves on 20 ports of this machine. Everything else is as in the gateway: its poller, its probes, the
reactor polled as the gateway polls it. CPU is that of this process, kernel included.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import random
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha1
from typing import Any
from urllib.parse import urlsplit

import trustme
from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, PrivateCertificate, optionsForClientTLS, trustRootFromCertificates

from ttagw.config.services import Health
from ttagw.registry.checks import Verdict
from ttagw.registry.poller import Poller
from ttagw.registry.probes import AGENT, AskingProbe, Means, make_probe
from ttagw.registry.probes.talks import HttpTalk, get
from ttagw.registry.probes.through import Through
from ttagw.wire.clock import use_monotonic
from ttagw.wire.deadlines import Deadlines
from ttagw.wire.poll import quicken

reactor: Any = _reactor
PORTS = 20
KINDS = {
    "http": ("http", "http://127.0.0.1:{}"),
    "tcp": ("tcp", "http://127.0.0.1:{}"),
    "websocket": ("websocket", "http://127.0.0.1:{}"),
    "endpoint": ("http", "http://127.0.0.1:{}"),
    "name": ("http", "http://localhost:{}"),
    "https": ("http", "https://127.0.0.1:{}"),
    "https name": ("http", "https://localhost:{}"),
}


class Answers(Protocol):
    """A service: answers a request, a handshake, a ping."""

    def dataReceived(self, data: bytes) -> None:
        if data.startswith(b"GET") and b"sec-websocket-key: " in data:
            key = data.partition(b"sec-websocket-key: ")[2].partition(b"\r\n")[0]
            accept = b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            head = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            self.transport.write(head + b"sec-websocket-accept: %b\r\n\r\n" % accept)
        elif data.startswith(b"GET"):
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok")
            self.transport.loseConnection()
        elif data[0] == 0x89:
            mask, payload = data[2:6], data[6:]
            self.transport.write(bytes((0x8A, len(payload), *(b ^ mask[i % 4] for i, b in enumerate(payload)))))


def serve() -> None:
    """Print the ports and the authority, and serve for ever."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    issued = authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA).private_key_and_cert_chain_pem.bytes()
    options = PrivateCertificate.loadPEM(issued).options()
    factory = Factory.forProtocol(Answers)
    factory.noisy = False
    for _ in range(PORTS):
        plain = reactor.listenTCP(0, factory, interface="127.0.0.1", backlog=512)
        secure = reactor.listenSSL(0, factory, options, interface="127.0.0.1", backlog=512)
        print(plain.getHost().port, secure.getHost().port)
    print(authority.cert_pem.bytes().decode(), flush=True)
    reactor.run()


class Endpoints:
    """As the gateway makes them."""

    def __init__(self, pem: bytes) -> None:
        self._trust = trustRootFromCertificates([Certificate.loadPEM(pem)])

    def __call__(self, url: str) -> Any:
        parts = urlsplit(url)
        kind = TCP4ClientEndpoint if parts.hostname == "127.0.0.1" else HostnameEndpoint
        endpoint = kind(reactor, parts.hostname, parts.port)
        if parts.scheme == "http":
            return endpoint
        return wrapClientTLS(optionsForClientTLS("localhost", trustRoot=self._trust), endpoint)


class Endpoint(AskingProbe):
    """What a check would cost through an endpoint."""

    def __init__(self, url: str, means: Means) -> None:
        endpoint = means.endpoint_for(url)
        opening = get("/health", url, AGENT)
        expected = frozenset((200,))
        super().__init__(lambda: HttpTalk(opening, expected), lambda _: Through(endpoint, tls=False), 2.0, means)


def measure(kind: str, options: argparse.Namespace, ports: list[tuple[int, int]], pem: bytes) -> None:
    """Poll for a while, and print what it took."""
    deadlines = Deadlines(reactor, time.monotonic)
    deadlines.start()
    poller = Poller(reactor, random.random)
    means = Means(reactor, time.monotonic, deadlines, os.urandom, Endpoints(pem))
    way, url = KINDS[kind]
    health = Health(type=way)
    told: list[Verdict] = []

    def tell(verdict: Verdict) -> bool:
        told.append(verdict)
        return False

    for number in range(options.instances):
        where = url.format(ports[number % PORTS][url.startswith("https")])
        probe = Endpoint(where, means) if kind == "endpoint" else make_probe(where, health, means)
        assert probe is not None
        poller.watch(number, probe, options.interval, tell)
    pause(options.instances / 500 + 1.0)
    poller._lateness._worst = poller._lateness._before = 0.0
    told.clear()
    profile = cProfile.Profile() if options.profile else None
    if profile is not None:
        profile.enable()
    cpu, system, began = time.process_time(), os.times().system, time.monotonic()
    late = 0.0
    for _ in range(round(options.seconds)):
        pause(1.0)
        late = max(late, poller.lateness)
    cpu, spent = time.process_time() - cpu, time.monotonic() - began
    system = os.times().system - system
    if profile is not None:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    report(kind, told, cpu, system, spent, late)
    over: list[None] = []
    poller.stop().addCallback(over.append)
    while not over:
        reactor.iterate(0.01)
    deadlines.stop()


def report(kind: str, told: list[Verdict], cpu: float, system: float, spent: float, late: float) -> None:
    """One line."""
    bad = sorted({verdict.reason for verdict in told if not verdict.good})
    slow = sorted(verdict.seconds for verdict in told)[int(len(told) * 0.99)]
    print(
        f"{kind:10}{len(told) / spent:8.0f}/s {cpu / len(told) * 1e6:8.0f} us/check"
        f" ({system / len(told) * 1e6:.0f} kernel)"
        f" {100 * cpu / spent:7.2f} % of a core"
        f" {late * 1e3:8.1f} ms latest {slow * 1e3:8.1f} ms p99 {' '.join(bad)}",
        flush=True,
    )


def pause(seconds: float) -> None:
    """Let the reactor run."""
    over: list[None] = []
    reactor.callLater(seconds, over.append, None)
    iterate: Callable[[float | None], None] = reactor.doIteration
    while not over:
        reactor.runUntilCurrent()
        iterate(reactor.timeout())


def main() -> None:
    """Read the command line, and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.poller", description=__doc__)
    parser.add_argument("--instances", type=int, default=2000)
    parser.add_argument("--interval", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--serve", action="store_true", help="be the child")
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    use_monotonic(reactor)
    quicken(reactor)
    reactor.startRunning()
    command = [sys.executable, "-m", "benchmarks.poller", "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline().split() for _ in range(PORTS)]
        ports = [(int(plain), int(secure)) for plain, secure in lines]
        pem = b"".join(iter(child.stdout.readline, b"\n"))
        for kind in options.kinds.split(","):
            measure(kind, options, ports, pem)
        child.terminate()
    reactor.fireSystemEvent("shutdown")


if __name__ == "__main__":
    main()
