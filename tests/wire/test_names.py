"""Names as the reactor gets them: once, for as long as they are good, and longer when nothing better is known."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from socket import AF_INET, SOCK_STREAM, gaierror
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import DNSLookupError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher
from twisted.names import dns

from tests.integration.kit.dns import NameServer
from tests.twisted_hygiene import Failures, reactor, until
from ttagw.wire import names as module
from ttagw.wire.dns import Answer, BadNameError, Dns, Outcome
from ttagw.wire.names import IDLE, LATEST_RETRY, RETRY, SYSTEM_TTL, UNKNOWN, Names, names_of_machine
from ttagw.wire.resolv import Addresses, Resolv
from ttagw.wire.system_names import SystemNames

NOTHING = [Answer(Outcome.NOTHING)] * 2
SILENCE = [Answer(Outcome.FAILED, reason="timeout")] * 2


def found(*addresses: str, ttl: float = 10.0) -> list[Answer]:
    four = tuple([dns.Record_A(each) for each in addresses if ":" not in each])
    six = tuple([dns.Record_AAAA(each) for each in addresses if ":" in each])
    return [Answer(Outcome.FOUND, each, ttl) if each else Answer(Outcome.NOTHING) for each in (four, six)]


class Asked:
    """DNS whose answers come when a test says so."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.open: list[Deferred[list[Answer]]] = []

    async def look_up(self, name: str, *kinds: int) -> list[Answer]:
        assert kinds == (dns.A, dns.AAAA)
        if ".." in name:
            raise BadNameError(name)
        self.names.append(name)
        self.open.append(Deferred())
        return await self.open[-1]

    def answer(self, answers: list[Answer]) -> None:
        self.open.pop(0).callback(answers)


class System:
    def __init__(self) -> None:
        self.names: list[str] = []
        self.addresses: Addresses = ()

    async def look_up(self, name: str) -> Addresses:
        self.names.append(name)
        return self.addresses


class Receiver:
    """Who wants to know, as the reactor has it."""

    def __init__(self) -> None:
        self.began: Any = None
        self.got: list[Any] = []
        self.complete = False

    def resolutionBegan(self, resolution: Any) -> None:
        self.began = resolution

    def addressResolved(self, address: Any) -> None:
        assert not self.complete
        self.got.append(address)

    def resolutionComplete(self) -> None:
        self.complete = True

    @property
    def hosts(self) -> list[str]:
        assert self.complete
        return [each.host for each in self.got]


class Bench:
    def __init__(self) -> None:
        self.clock = Clock()
        self.asked = Asked()
        self.system = System()
        self.hosts: dict[str, Addresses] = {"localhost": ("127.0.0.1", "::1")}
        self.chance = [0.5]
        self.said: list[str] = []
        self.names = Names(self.clock, self.asked, self.system, lambda: self.hosts, self.random)
        self.clock.advance(1000.0)

    def random(self) -> float:
        self.chance.append(self.chance.pop(0))
        return self.chance[-1]

    def ask(self, name: str = "up.test", **more: Any) -> Receiver:
        receiver: Any = Receiver()
        self.names.resolveHostName(receiver, name, **more)
        return receiver  # type: ignore[no-any-return]

    def know(self, *addresses: str, ttl: float = 10.0) -> None:
        """Let `up.test` be known."""
        self.ask()
        self.asked.answer(found(*addresses, ttl=ttl))

    def log(self, event: LogEvent) -> None:
        if event.get("log_namespace") == "ttagw.wire.names.Names":
            self.said.append(event["log_format"].format(**event))


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    globalLogPublisher.addObserver(bench.log)
    yield bench
    globalLogPublisher.removeObserver(bench.log)


def test_an_address_is_itself(bench: Bench) -> None:
    assert bench.ask("10.0.0.1", portNumber=80).got == [IPv4Address("TCP", "10.0.0.1", 80)]
    assert bench.ask("::1", transportSemantics="UDP").got == [IPv6Address("UDP", "::1", 0)]
    assert bench.asked.names == []


def test_the_hosts_file_comes_first_and_may_change(bench: Bench) -> None:
    assert bench.ask("LocalHost.").hosts == ["127.0.0.1", "::1"]
    bench.know("10.0.0.1")
    bench.hosts = {"up.test": ("10.0.0.9",)}
    assert bench.ask().hosts == ["10.0.0.9"]


def test_many_who_ask_at_once_share_one_question(bench: Bench) -> None:
    asking = [bench.ask(name) for name in ("up.test", "UP.test") * 500]
    assert bench.asked.names == ["up.test"]
    assert not any(each.complete for each in asking)
    bench.asked.answer(found("10.0.0.1"))
    assert all(each.hosts == ["10.0.0.1"] for each in asking)
    assert bench.names.queries == 1


def test_both_families_are_given_and_only_the_wanted_one_when_one_is_wanted(bench: Bench) -> None:
    bench.know("10.0.0.1", "2001:db8::1")
    assert bench.ask().hosts == ["10.0.0.1", "2001:db8::1"]
    assert bench.ask(addressTypes=[IPv6Address]).hosts == ["2001:db8::1"]


def test_the_load_is_spread_over_all_addresses(bench: Bench) -> None:
    bench.know("10.0.0.1", "10.0.0.2", "10.0.0.3", "::1")
    bench.chance = [0.1, 0.9, 0.2, 0.7, 0.3]
    orders = [bench.ask().hosts for _ in range(10)]
    assert {each[0] for each in orders} == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    assert {each[-1] for each in orders} == {"::1"}


def test_nobody_asks_again_while_addresses_are_good(bench: Bench) -> None:
    bench.know("10.0.0.1", ttl=10)
    bench.clock.advance(9.9)
    assert bench.ask().hosts == ["10.0.0.1"]
    assert bench.asked.names == ["up.test"]


def test_new_addresses_are_used_when_the_time_of_the_old_ones_is_over_and_nobody_waits(bench: Bench) -> None:
    bench.know("10.0.0.1", ttl=10)
    bench.clock.advance(10)
    assert bench.asked.names == ["up.test"] * 2
    assert bench.ask().hosts == ["10.0.0.1"]
    assert bench.names.stale == 1
    bench.asked.answer(found("10.0.0.2", ttl=3))
    assert bench.ask().hosts == ["10.0.0.2"]
    bench.clock.advance(3)
    assert bench.asked.names == ["up.test"] * 3
    assert bench.said == ["up.test has moved to 10.0.0.2"]


def test_the_shorter_time_of_both_families_counts(bench: Bench) -> None:
    bench.ask()
    bench.asked.answer([found("10.0.0.1", ttl=60)[0], found("::1", ttl=5)[1]])
    bench.clock.advance(5)
    assert bench.asked.names == ["up.test"] * 2


@pytest.mark.parametrize("answers", [SILENCE, NOTHING])
def test_the_last_good_addresses_are_kept_for_as_long_as_it_fails(bench: Bench, answers: list[Answer]) -> None:
    bench.know("10.0.0.1", ttl=10)
    bench.clock.advance(10)
    for failures in range(1, 50):
        bench.asked.answer(answers)
        assert bench.ask().hosts == ["10.0.0.1"]
        assert bench.names.failures == bench.names.stale == failures
        bench.clock.advance(RETRY - 0.01)
        assert not bench.asked.open
        bench.clock.advance(LATEST_RETRY)
        assert len(bench.asked.open) == 1
    reason = "timeout" if answers is SILENCE else "not_found"
    assert bench.said == [f"up.test does not resolve ({reason}); using 10.0.0.1"]
    bench.asked.answer(found("10.0.0.2"))
    assert bench.ask().hosts == ["10.0.0.2"]
    assert bench.said[1:] == ["up.test resolves again: 10.0.0.2"]


def test_the_system_is_not_asked_for_what_dns_knew_while_dns_is_silent(bench: Bench) -> None:
    bench.know("10.0.0.1", ttl=10)
    bench.clock.advance(10)
    bench.asked.answer(SILENCE)
    assert bench.system.names == []


def test_one_family_is_enough(bench: Bench) -> None:
    bench.ask()
    bench.asked.answer([found("10.0.0.1")[0], SILENCE[1]])
    assert bench.ask().hosts == ["10.0.0.1"]


@pytest.mark.parametrize("answers", [SILENCE, NOTHING])
def test_the_system_may_know_more_and_is_believed_for_a_while(bench: Bench, answers: list[Answer]) -> None:
    bench.system.addresses = ("10.0.0.7",)
    first = bench.ask()
    bench.asked.answer(answers)
    assert first.hosts == ["10.0.0.7"]
    bench.clock.advance(SYSTEM_TTL)
    bench.system.addresses = ("10.0.0.8",)
    bench.asked.answer(answers)
    assert bench.ask().hosts == ["10.0.0.8"]


@pytest.mark.parametrize("answers", [SILENCE, NOTHING])
def test_a_name_that_never_resolved_has_nothing_and_is_asked_for_again_a_little_later(
    bench: Bench, answers: list[Answer]
) -> None:
    first = bench.ask()
    bench.asked.answer(answers)
    assert first.hosts == bench.ask().hosts == []
    bench.clock.advance(UNKNOWN - 0.01)
    assert bench.ask().hosts == []
    assert bench.asked.names == ["up.test"]
    bench.clock.advance(0.01)
    again = bench.ask()
    bench.asked.answer(answers)
    bench.clock.advance(UNKNOWN)
    assert again.hosts == []
    assert len(bench.said) == 1
    later = bench.ask()
    bench.asked.answer(found("10.0.0.1"))
    assert later.hosts == ["10.0.0.1"]
    assert bench.names.stale == 0


def test_what_cannot_be_a_name_has_nothing(bench: Bench) -> None:
    assert bench.ask("a..b").hosts == []
    assert bench.said == ["a..b does not resolve (bad_name); using nothing"]


def test_a_name_that_nobody_uses_is_not_kept_fresh_and_its_old_address_is_not_given_at_once(bench: Bench) -> None:
    bench.know("10.0.0.1", ttl=IDLE * 2)
    bench.clock.advance(IDLE * 2)
    assert bench.asked.names == ["up.test"]
    late = bench.ask()
    assert not late.complete
    bench.asked.answer(found("10.0.0.2"))
    assert late.hosts == ["10.0.0.2"]


def test_it_is_given_when_nothing_newer_can_be_had(bench: Bench) -> None:
    bench.know("10.0.0.1", ttl=IDLE * 2)
    bench.clock.advance(IDLE * 2)
    late = bench.ask()
    bench.asked.answer(SILENCE)
    assert late.hosts == ["10.0.0.1"]
    assert bench.names.stale == 1


def test_who_comes_back_while_it_fails_does_not_wait_for_the_next_try(bench: Bench) -> None:
    bench.know("10.0.0.1", ttl=IDLE - 1)
    bench.clock.advance(IDLE - 1)
    bench.asked.answer(SILENCE)
    bench.clock.advance(1.2)
    late = bench.ask()
    bench.asked.answer(found("10.0.0.2"))
    assert late.hosts == ["10.0.0.2"]


def test_what_is_remembered_has_a_bound(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    bench.ask("asking.test")
    for name in ("a", "b", "c", "d"):
        bench.ask(name)
        bench.asked.open.pop().callback(found("10.0.0.1"))
        bench.ask("a")
    assert len(bench.clock.getDelayedCalls()) == 3
    bench.asked.answer(SILENCE)
    assert bench.names.failures == 0
    asked = len(bench.asked.names)
    bench.ask("a")
    assert len(bench.asked.names) == asked
    bench.ask("b")
    assert len(bench.asked.names) == asked + 1


def test_who_does_not_want_to_know_any_more_is_not_told(bench: Bench) -> None:
    receiver = bench.ask()
    assert receiver.began.name == "up.test"
    receiver.began.cancel()
    bench.asked.answer(found("10.0.0.1"))
    assert not receiver.complete


def test_what_goes_wrong_at_one_place_harms_no_other(bench: Bench, failures: Failures) -> None:
    def broken(addresses: Addresses) -> None:
        raise RuntimeError

    bench.names.look_up("up.test", broken)
    good = bench.ask()
    bench.asked.answer(found("10.0.0.1"))
    assert good.hosts == ["10.0.0.1"]
    bench.clock.advance(10)
    bench.asked.open.pop().errback(KeyError())
    assert bench.ask().hosts == ["10.0.0.1"]
    assert len(failures.take(RuntimeError)) == len(failures.take(KeyError)) == 1


def test_nothing_is_left_when_it_stops(bench: Bench) -> None:
    bench.know("10.0.0.1")
    waiting = bench.ask("other.test")
    bench.names.stop()
    assert bench.asked.open[0].called
    assert waiting.hosts == []
    assert not bench.clock.getDelayedCalls()


# With a name server, and the reactor


@pytest_twisted.ensureDeferred
async def test_connections_go_where_dns_says_and_stay_there_when_it_says_nothing() -> None:
    factory = Factory.forProtocol(Protocol)
    factory.noisy = False
    with NameServer() as server:
        server.set("up.test", "127.0.0.1", ttl=1)
        clock = Clock()
        asked = Dns(reactor, lambda: Resolv((server.place,)), clock)
        names = Names(clock, asked, System(), dict, lambda: 0.5)
        before = reactor.installNameResolver(names)
        ports = [reactor.listenTCP(0, factory, interface="127.0.0.1")]
        number = ports[0].getHost().port
        ports.append(reactor.listenTCP(number, factory, interface="127.0.0.2"))
        try:

            async def reached() -> str:
                client = await HostnameEndpoint(reactor, "up.test", number).connect(factory)
                host: str = client.transport.getPeer().host
                client.transport.abortConnection()
                return host

            assert await reached() == "127.0.0.1"
            server.set("up.test", "127.0.0.2", ttl=1)
            clock.advance(1)
            await until(lambda: server.times("up.test", dns.AAAA) == 2 and not names._known["up.test"].asking)
            assert await reached() == "127.0.0.2"
            server.stop()
            clock.advance(1)
            await until(lambda: names.failures)
            assert await reached() == "127.0.0.2"
            with pytest.raises(DNSLookupError):
                await HostnameEndpoint(reactor, "other.test", number).connect(factory)
        finally:
            reactor.installNameResolver(before)
            names.stop()
            for port in ports:
                await port.stopListening()


# The system


def gives(*addresses: str) -> Callable[..., Any]:
    def getaddrinfo(name: str, port: None, **more: int) -> Any:
        if not addresses:
            raise gaierror(name)
        return [(AF_INET, SOCK_STREAM, 6, "", (each, 0)) for each in addresses]

    return getaddrinfo


@pytest_twisted.ensureDeferred
async def test_the_system_is_asked_in_a_thread() -> None:
    assert await SystemNames(reactor, gives("10.0.0.1", "10.0.0.2")).look_up("a") == ("10.0.0.1", "10.0.0.2")
    assert await SystemNames(reactor, gives()).look_up("a") == ()


@pytest_twisted.ensureDeferred
async def test_a_system_that_hangs_is_not_waited_for_and_takes_few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SystemNames, "PATIENCE", 0.0)
    go = threading.Event()

    def hangs(*args: Any, **more: Any) -> Any:
        go.wait(20)
        return gives("10.0.0.1")("a", None)

    system = SystemNames(reactor, hangs)
    for _ in range(SystemNames.MOST + 1):
        assert await system.look_up("a") == ()
    assert system.running == SystemNames.MOST
    go.set()
    await until(lambda: not system.running)


@pytest_twisted.ensureDeferred
async def test_a_machine_knows_itself() -> None:
    names, asked = names_of_machine(reactor, lambda: 0.5)
    told: list[Addresses] = []
    names.look_up("localhost", told.append)
    await until(lambda: told)
    assert "127.0.0.1" in told[0]
    assert asked.queries == 0
