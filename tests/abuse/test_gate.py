from __future__ import annotations

from ipaddress import ip_network

from twisted.internet.task import Clock as Reactor

from ttagw.abuse.entries import Block
from ttagw.abuse.gate import GRACE, SLOW, Gate
from ttagw.abuse.table import Table
from ttagw.core.forwarded import Peer, Trust
from ttagw.core.networks import Places
from ttagw.testing import Clock

MINE, OTHER, FREE, DENIED = "192.0.2.7", "192.0.2.8", "198.51.100.1", "203.0.113.1"


class Line:
    """A connection that does what it is told, and says so."""

    def __init__(self, address: str = MINE, stalled: float = 0.0) -> None:
        self.peer = Peer(address, Trust(()), b"http", 8000)
        self.stands = stalled
        self.closing = False
        self.cut = ""

    def stalled(self, now: float) -> float:
        return self.stands

    def close_soon(self) -> None:
        self.closing = True

    def give_up(self, reason: str) -> None:
        self.cut = reason


class Watched:
    def __init__(self, connections: int = 0, slow: int = 0) -> None:
        self.wall = Clock()
        self.clock = Clock()
        self.table = Table(self.wall)
        places = Places([ip_network(f"{FREE}/32")], [ip_network(f"{DENIED}/32")], [])
        self.gate = Gate(places, self.table, Reactor(), self.clock, connections, slow)

    def open(self, *lines: Line) -> None:
        for each in lines:
            self.gate.opened(each)

    def block(self, subject: str, kind: str = "address") -> None:
        block = Block(kind, subject, self.wall())  # type: ignore[arg-type]
        self.table.set(block)
        self.gate.began(block)


def test_who_is_denied_or_blocked_is_not_let_in() -> None:
    watched = Watched()
    assert [watched.gate.refuses(each) for each in (MINE, FREE, DENIED, "", "not an address")] == [
        False,
        False,
        True,
        False,
        False,
    ]
    watched.block("192.0.2.0/24")
    watched.block(FREE)
    assert [watched.gate.refuses(each) for each in (MINE, f"::ffff:{OTHER}", FREE)] == [True, True, False]
    assert watched.gate.counts == {"blocked": 2, "denied": 1, "too_many": 0, "slow_reader": 0}


def test_one_address_has_so_many_connections() -> None:
    watched = Watched(connections=2)
    lines = [Line(), Line()]
    watched.open(*lines, Line(OTHER), *[Line(FREE) for _ in range(5)])
    assert [watched.gate.refuses(each) for each in (MINE, OTHER, FREE)] == [True, False, False]
    watched.gate.closed(lines[0])
    assert not watched.gate.refuses(MINE)
    watched.gate.closed(lines[1])
    watched.gate.closed(lines[1])
    assert watched.gate._open.keys() == {OTHER}


def test_the_network_of_one_customer_shares_its_connections() -> None:
    watched = Watched(connections=2)
    watched.open(Line("2001:db8::1"), Line("2001:db8::2"))
    assert watched.gate.refuses("2001:db8::3")
    assert not watched.gate.refuses("2001:db8:0:1::3")


def test_the_connections_of_who_is_blocked_end() -> None:
    watched = Watched()
    mine, other, free, six = Line(), Line(OTHER), Line(FREE), Line("2001:db8::1")
    watched.open(mine, other, free, six)
    watched.block(MINE)
    assert [each.closing for each in (mine, other, free, six)] == [True, False, False, False]
    watched.block("2001:db8::/32")
    assert six.closing
    watched.block("mira", "user")
    watched.block(FREE)
    watched.block("192.0.2.0/24")
    assert [each.closing for each in (other, free)] == [True, False]


def test_an_answer_that_does_not_end_is_cut() -> None:
    watched = Watched()
    stays, ends = Line(), Line()
    watched.open(stays, ends)
    watched.block(MINE)
    watched.gate.closed(ends)
    watched.gate.look(watched.clock.advance(GRACE - 1))
    assert stays.cut == ""
    watched.gate.look(watched.clock.advance(2))
    assert (stays.cut, ends.cut) == ("address_blocked", "")
    stays.cut = ""
    watched.gate.look(watched.clock.advance(2))
    assert stays.cut == ""


def test_of_slow_readers_the_slowest_that_are_too_many_are_cut() -> None:
    watched = Watched(slow=2)
    lines = [Line(stalled=SLOW + number) for number in range(4)]
    fair = [Line(stalled=SLOW - 0.1), Line()]
    free = [Line(FREE, 60.0) for _ in range(4)]
    others = [Line(OTHER, 60.0) for _ in range(2)]
    watched.open(*lines, *fair, *free, *others)
    watched.gate.look(watched.clock())
    assert [each.cut for each in lines] == ["", "", "slow_reader", "slow_reader"]
    assert {each.cut for each in (*fair, *free, *others)} == {""}
    assert watched.gate.counts["slow_reader"] == 2


def test_without_a_limit_slow_readers_are_left_alone() -> None:
    watched = Watched()
    lines = [Line(stalled=100.0) for _ in range(10)]
    watched.open(*lines)
    watched.gate.look(watched.clock())
    assert {each.cut for each in lines} == {""}


def test_it_looks_by_itself_until_it_is_stopped() -> None:
    reactor = Reactor()
    clock = Clock()
    gate = Gate(Places((), (), ()), Table(clock), reactor, clock, most_slow=1)
    gate.start()
    lines = [Line(stalled=10.0), Line(stalled=20.0)]
    for each in lines:
        gate.opened(each)
    reactor.advance(1.0)
    assert [each.cut for each in lines] == ["", "slow_reader"]
    gate.stop()
    gate.stop()
    assert reactor.getDelayedCalls() == []
