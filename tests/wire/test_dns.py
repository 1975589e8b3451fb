"""Questions to a name server, and everything that may come back."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.names import dns

from tests.integration.kit.dns import NameServer
from tests.twisted_hygiene import reactor, until
from ttagw.wire.dns import GRACE, LONGEST_TTL, TOTAL, TRY, Answer, BadNameError, Dns, Outcome, candidates, reply_to
from ttagw.wire.resolv import Resolv, Server


@pytest.fixture
def server() -> Iterator[NameServer]:
    with NameServer() as running:
        running.set("up.test", "10.0.0.1", "10.0.0.2", "2001:db8::1", ttl=60)
        yield running


def asking(*servers: Server, search: tuple[str, ...] = (), clock: Clock | None = None) -> Dns:
    return Dns(reactor, lambda: Resolv(servers, search), clock)


def addresses(answer: Answer) -> list[str]:
    assert answer.outcome is Outcome.FOUND
    return [each.dottedQuad() for each in answer.records]


def closed_port() -> int:
    """A port on which nobody answers, which the kernel says."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def over(asked: Dns, clock: Clock, *kinds: int) -> list[Answer]:
    """The answers about `up.test` when nobody says anything; time passes as fast as it can."""
    looking = Deferred.fromCoroutine(asked.look_up("up.test", *kinds))
    while not looking.called:
        clock.advance(0.25)
        await until(lambda: True)
    return await looking


@pytest_twisted.ensureDeferred
async def test_each_kind_of_record_is_asked_for(server: NameServer) -> None:
    four, six = await asking(server.place).look_up("up.test", dns.A, dns.AAAA)
    assert addresses(four) == ["10.0.0.1", "10.0.0.2"]
    assert [each.address for each in six.records] == [socket.inet_pton(socket.AF_INET6, "2001:db8::1")]
    assert four.ttl == six.ttl == 60


@pytest_twisted.ensureDeferred
async def test_a_name_that_is_not_there_has_nothing_and_so_has_one_without_such_records(server: NameServer) -> None:
    server.set("four.test", "10.0.0.1")
    asked = asking(server.place)
    assert await asked.look_up("no.test", dns.A) == [Answer(Outcome.NOTHING)]
    four, six = await asked.look_up("four.test", dns.A, dns.AAAA)
    assert (four.outcome, six) == (Outcome.FOUND, Answer(Outcome.NOTHING))


@pytest.mark.parametrize(("ttl", "used"), [(0, 1), (7, 7), (1_000_000, LONGEST_TTL)])
@pytest_twisted.ensureDeferred
async def test_the_time_that_records_are_good_for_has_bounds(server: NameServer, ttl: int, used: int) -> None:
    server.set("up.test", "10.0.0.1", ttl=ttl)
    (answer,) = await asking(server.place).look_up("up.test", dns.A)
    assert answer.ttl == used


@pytest_twisted.ensureDeferred
async def test_aliases_are_followed_and_the_shortest_time_counts(server: NameServer) -> None:
    server.alias("a.test", "b.test", ttl=5)
    server.alias("b.test", "up.test", ttl=90)
    server.alias("dangling.test", "nowhere.test")
    (answer,) = await asking(server.place).look_up("A.test".lower(), dns.A)
    assert addresses(answer) == ["10.0.0.1", "10.0.0.2"]
    assert answer.ttl == 5
    assert await asking(server.place).look_up("dangling.test", dns.A) == [Answer(Outcome.NOTHING)]


@pytest_twisted.ensureDeferred
async def test_aliases_in_a_circle_have_nothing(server: NameServer) -> None:
    message = dns.Message(1, answer=1)
    rows = [dns.RRHeader(a, dns.CNAME, dns.IN, 1, dns.Record_CNAME(b, 1)) for a, b in (("x", "y"), ("y", "x"))]

    def circle(data: bytes) -> bytes:
        message.fromStr(data)
        message.rCode, message.answers = dns.OK, rows
        return message.toStr()

    server.change = circle
    assert await asking(server.place).look_up("x", dns.A) == [Answer(Outcome.NOTHING)]


@pytest_twisted.ensureDeferred
async def test_what_is_too_long_for_a_datagram_comes_over_tcp(server: NameServer) -> None:
    many = [f"10.0.{number}.1" for number in range(100)]
    server.set("up.test", *many)
    asked = asking(server.place)
    (answer,) = await asked.look_up("up.test", dns.A)
    assert addresses(answer) == many
    assert [each[0] for each in server.asked] == ["udp", "tcp"]
    assert asked.queries == 2


@pytest_twisted.ensureDeferred
async def test_a_server_that_has_no_tcp_is_passed_over() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as only_udp, NameServer() as good:
        good.set("up.test", "10.0.0.1")
        only_udp.bind(("127.0.0.1", 0))
        looking = Deferred.fromCoroutine(asking(only_udp.getsockname(), good.place).look_up("up.test", dns.A))
        data, where = only_udp.recvfrom(512)
        only_udp.sendto(data[:2] + b"\x82\x00" + data[4:], where)
        (answer,) = await looking
        assert addresses(answer) == ["10.0.0.1"]


def listening_stream() -> socket.socket:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    listening.settimeout(5)
    return listening


async def accepted(listening: socket.socket) -> socket.socket:
    listening.setblocking(False)
    found: list[socket.socket] = []

    def accept() -> bool:
        try:
            found.append(listening.accept()[0])
        except BlockingIOError:
            return False
        return True

    await until(accept)
    return found[0]


@pytest_twisted.ensureDeferred
async def test_a_stream_that_ends_without_an_answer_is_a_failure() -> None:
    listening = listening_stream()
    with listening, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(listening.getsockname())
        looking = Deferred.fromCoroutine(asking(datagrams.getsockname()).look_up("up.test", dns.A))
        for _ in range(2):
            await until(lambda: _readable(datagrams))
            data, where = datagrams.recvfrom(512)
            datagrams.sendto(data[:2] + b"\x82\x00" + data[4:], where)
            with await accepted(listening) as stream:
                stream.sendall(struct.pack("!H", 3) + b"abc")
        assert (await looking)[0].reason == "unreachable"


def _readable(datagrams: socket.socket) -> bool:
    datagrams.setblocking(False)
    try:
        datagrams.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    return True


@pytest_twisted.ensureDeferred
async def test_a_server_whose_port_is_closed_is_not_waited_for(server: NameServer) -> None:
    closed = ("127.0.0.1", closed_port())
    (answer,) = await asking(closed, server.place).look_up("up.test", dns.A)
    assert addresses(answer) == ["10.0.0.1", "10.0.0.2"]
    assert await asking(closed).look_up("up.test", dns.A) == [Answer(Outcome.FAILED, reason="unreachable")]


@pytest_twisted.ensureDeferred
async def test_a_place_that_cannot_be_reached_is_a_failure() -> None:
    assert (await asking(("255.255.255.255", 53)).look_up("up.test", dns.A))[0].outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("code", "reason"),
    [(dns.ESERVER, "servfail"), (dns.EREFUSED, "refused"), (dns.EFORMAT, "formerr"), (11, "code 11")],
)
@pytest_twisted.ensureDeferred
async def test_another_server_is_asked_when_one_cannot_say(server: NameServer, code: int, reason: str) -> None:
    with NameServer() as broken:
        broken.code = code
        (answer,) = await asking(broken.place, server.place).look_up("up.test", dns.A)
        assert addresses(answer) == ["10.0.0.1", "10.0.0.2"]
        assert await asking(broken.place).look_up("up.test", dns.A) == [Answer(Outcome.FAILED, reason=reason)]


@pytest_twisted.ensureDeferred
async def test_a_silent_server_is_left_for_the_next_one_after_a_while(server: NameServer) -> None:
    with NameServer() as silent:
        silent.silent = {dns.A}
        clock = Clock()
        looking = Deferred.fromCoroutine(asking(silent.place, server.place, clock=clock).look_up("up.test", dns.A))
        await until(lambda: silent.asked)
        clock.advance(TRY)
        (answer,) = await looking
        assert addresses(answer) == ["10.0.0.1", "10.0.0.2"]


@pytest_twisted.ensureDeferred
async def test_a_whole_question_has_an_end(server: NameServer) -> None:
    server.silent = {dns.A}
    clock = Clock()
    answers = await over(asking(server.place, server.place, server.place, search=("a", "b"), clock=clock), clock, dns.A)
    assert answers == [Answer(Outcome.FAILED, reason="timeout")]
    assert clock.seconds() == TOTAL
    assert not clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_a_kind_that_is_never_answered_does_not_hold_up_the_other(server: NameServer) -> None:
    server.silent = {dns.AAAA}
    clock = Clock()
    looking = Deferred.fromCoroutine(asking(server.place, clock=clock).look_up("up.test", dns.A, dns.AAAA))
    # Not before the one answer has come: until then GRACE does not run.
    await until(lambda: GRACE in [each.getTime() for each in clock.getDelayedCalls()])
    clock.advance(GRACE)
    four, six = await looking
    assert addresses(four) == ["10.0.0.1", "10.0.0.2"]
    assert six == Answer(Outcome.FAILED, reason="timeout")
    assert not clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_garbage_and_answers_to_other_questions_are_passed_over(server: NameServer) -> None:
    def forged(data: bytes) -> list[bytes]:
        other = dns.Message()
        other.fromStr(data)
        other.queries = [dns.Query("evil.test")]
        query = data[:2] + b"\x01\x00" + data[4:]
        wrong_id = bytes([data[0] ^ 1]) + data[1:]
        loop = data[:12] + b"\xc0\x0c" + data[14:]
        return [b"", b"x", data[:20], data[:-3], wrong_id, query, loop, other.toStr(), bytes(range(256))]

    async def with_noise() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noisy:
            noisy.bind(("127.0.0.1", 0))
            looking = Deferred.fromCoroutine(asking(noisy.getsockname()).look_up("up.test", dns.A))
            data, where = noisy.recvfrom(512)
            message = server._answer(data, "udp")
            assert message is not None
            good = message.toStr()
            for each in [*forged(good), good, good]:
                noisy.sendto(each, where)
            (answer,) = await looking
            assert addresses(answer) == ["10.0.0.1", "10.0.0.2"]

    await with_noise()


def test_an_answer_that_is_cut_off_is_none() -> None:
    query = dns.Message(7, recDes=1)
    query.addQuery("a", dns.A)
    answer = dns.Message(7, answer=1)
    answer.queries = query.queries
    answer.answers = [dns.RRHeader("a", dns.A, dns.IN, 1, dns.Record_A("10.0.0.1", 1))]
    data = answer.toStr()
    assert reply_to(query, data) is not None
    assert all(reply_to(query, data[:length]) is None for length in range(len(data)))


@pytest_twisted.ensureDeferred
async def test_search_domains_are_tried_as_resolv_conf_says(server: NameServer) -> None:
    server.set("up.b.test", "10.0.0.9")
    (answer,) = await asking(server.place, search=("a.test", "b.test")).look_up("up", dns.A)
    assert addresses(answer) == ["10.0.0.9"]
    assert [name for _, name, _ in server.asked] == ["up.a.test", "up.b.test"]


@pytest_twisted.ensureDeferred
async def test_no_other_domain_is_tried_when_a_server_fails(server: NameServer) -> None:
    server.code = dns.ESERVER
    (answer,) = await asking(server.place, search=("a.test", "b.test")).look_up("up", dns.A)
    assert answer.outcome is Outcome.FAILED
    assert {name for _, name, _ in server.asked} == {"up.a.test"}


@pytest.mark.parametrize(
    ("name", "ndots", "tried"),
    [
        ("a", 1, ["a.x", "a.y", "a"]),
        ("a.b", 1, ["a.b", "a.b.x", "a.b.y"]),
        ("a.b", 2, ["a.b.x", "a.b.y", "a.b"]),
        ("a.", 1, ["a"]),
        ("é", 0, ["xn--9ca", "xn--9ca.x", "xn--9ca.y"]),
    ],
)
def test_the_dots_say_what_is_tried_first(name: str, ndots: int, tried: list[str]) -> None:
    assert candidates(name, Resolv(search=("x", "y"), ndots=ndots)) == [each.encode() for each in tried]


@pytest.mark.parametrize("name", ["", ".", "a..b", "a" * 64, "a." * 127 + "a", "é" * 70, ".a"])
@pytest_twisted.ensureDeferred
async def test_what_is_no_name_is_never_asked_for(name: str) -> None:
    with pytest.raises(BadNameError):
        await asking(("127.0.0.1", 9)).look_up(name, dns.A)


@pytest_twisted.ensureDeferred
async def test_nothing_is_left_of_a_question_that_is_cancelled(server: NameServer) -> None:
    server.silent = {dns.A, dns.AAAA}
    clock = Clock()
    looking = Deferred.fromCoroutine(asking(server.place, clock=clock).look_up("up.test", dns.A, dns.AAAA))
    await until(lambda: len(server.asked) == 2)
    looking.cancel()
    with pytest.raises(CancelledError):
        await looking
    assert not clock.getDelayedCalls()


@pytest.mark.parametrize("by_hand", [True, False])
@pytest_twisted.ensureDeferred
async def test_a_connection_that_does_not_come_about_has_an_end(by_hand: bool) -> None:
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    fill = [socket.socket() for _ in range(3)]
    for each in fill:
        each.setblocking(False)
        each.connect_ex(full.getsockname())
    with full, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(full.getsockname())
        clock = Clock()
        looking = Deferred.fromCoroutine(asking(datagrams.getsockname(), clock=clock).look_up("up.test", dns.A))
        data, where = datagrams.recvfrom(512)
        datagrams.sendto(data[:2] + b"\x82\x00" + data[4:], where)
        await until(lambda: reactor.getWriters())
        if by_hand:
            looking.cancel()
            with pytest.raises(CancelledError):
                await looking
        else:
            clock.advance(TRY)
            await until(lambda: _readable(datagrams))
            clock.advance(TOTAL)
            assert (await looking)[0].reason == "timeout"
    for each in fill:
        each.close()
