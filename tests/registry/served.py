"""Services that do what a test wants, checked by real probes in a time that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from tests.sockets import listening
from tests.twisted_hygiene import reactor, until
from ttagw.config.services import Health
from ttagw.registry.checks import Verdict
from ttagw.registry.probes import Means, make_probe
from ttagw.wire.deadlines import TICK, Deadlines

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Entropy:
    """Bytes that differ each time, and are the same in each run."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, size: int) -> bytes:
        self.count += 1
        return bytes([(self.count * 31 + place) % 256 for place in range(size)])


class Talking(Protocol):
    """The service's end of one connection."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.data = b""
        self.ended = False

    def connectionMade(self) -> None:
        self.service.talks.append(self)

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if self.service.act is not None and b"\r\n\r\n" in self.data:
            self.service.act(self)

    def connectionLost(self, reason: Any = None) -> None:
        self.ended = True


class Service(Factory):
    """Does `act` whenever something has come on a connection, once its request is complete."""

    noisy = False

    def __init__(self, act: Callable[[Any], None] | None = None) -> None:
        self.act = act
        self.talks: list[Talking] = []

    def buildProtocol(self, addr: Any) -> Talking:
        return Talking(self)

    @property
    def all_ended(self) -> bool:
        return all(each.ended for each in self.talks)


def sending(*pieces: bytes, close: bool = False) -> Service:
    """One that answers with these bytes."""

    def act(talk: Any) -> None:
        for piece in pieces:
            talk.transport.write(piece)
        if close:
            talk.transport.loseConnection()

    return Service(act)


class Checking:
    """Makes checks, and time pass for them."""

    def __init__(self, endpoint_for: Callable[[str], Any] | None = None) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock, self.clock.seconds)
        self.deadlines.start()
        self.asked: list[str] = []
        make = endpoint_for or self._by_name
        self.means = Means(reactor, self.clock.seconds, self.deadlines, Entropy(), make)

    def _by_name(self, url: str) -> Any:
        self.asked.append(url)
        host, _, port = url.partition("://")[2].rpartition(":")
        return HostnameEndpoint(reactor, host, int(port), attemptDelay=0.001)

    def begin(self, url: str, **health: Any) -> tuple[Deferred[Verdict], list[Verdict]]:
        """Start a check; its verdict will be in the list."""
        probe = make_probe(url, Health(**health), self.means)
        assert probe is not None
        found: list[Verdict] = []
        checking = probe.check()
        checking.addCallback(found.append)
        return checking, found  # type: ignore[return-value]

    async def reason(self, url: str, **health: Any) -> str:
        """What a check finds, without any time passing."""
        _, found = self.begin(url, **health)
        await until(lambda: found)
        assert not self.deadlines._watched
        assert found[0].good == (found[0].reason == "")
        return found[0].reason

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.clock.advance(TICK)


@contextmanager
def serving(service: Any) -> Iterator[str]:
    """The URL of a service, whose connections must all have ended when the test is over."""
    with listening(service) as port:
        yield f"http://127.0.0.1:{port}"


async def checked(service: Service, **health: Any) -> str:
    """What one check of this service finds; nothing is left of it."""
    with serving(service) as url:
        reason = await Checking().reason(url, **health)
        await until(lambda: service.all_ended)
    return reason
