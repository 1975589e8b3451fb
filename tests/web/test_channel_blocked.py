"""A connection whose client is not wanted any more, and a site with a gate."""

from __future__ import annotations

from twisted.internet.address import IPv4Address

from tests.web.served import GET, Served, bodies, get, statuses
from ttagw.web.channel import Channel


class Gate:
    """Refuses who it is told to."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.calls: list[str] = []

    def refuses(self, host: str) -> bool:
        return host in self.refused

    def opened(self, connection: Channel) -> None:
        self.calls.append(f"opened {connection.peer.address}")

    def closed(self, connection: Channel) -> None:
        self.calls.append(f"closed {connection.peer.address}")


def test_a_connection_without_work_ends_at_once() -> None:
    served = Served()
    served.send(GET)
    served.channel.close_soon()
    assert served.client.ended == "close"
    served.channel.close_soon()
    assert served.send(GET) == b""


def test_what_is_under_way_is_answered_and_nothing_after_it() -> None:
    served = Served()
    served.send(get(b"/later") + GET)
    served.channel.close_soon()
    assert served.client.ended == ""
    answer = served.answer()
    assert bodies(answer) == [b"late"]
    assert b"connection: close" in answer
    assert served.client.ended == "close"


def test_an_answer_that_has_begun_is_finished() -> None:
    served = Served()
    served.send(get(b"/later"))
    served.stream()
    sink = served.waiting[0].sink
    sink.write(b"x")
    sink.flush()
    served.channel.close_soon()
    assert b"connection: close" not in served.client.take()
    sink.finish()
    assert served.client.ended == "close"
    assert statuses(served.send(GET)) == []


def test_it_is_known_for_how_long_nothing_was_taken() -> None:
    served = Served()
    served.send(get(b"/later"))
    assert served.channel.stalled(served.clock()) == 0.0
    served.stream()
    served.client.full = True
    served.waiting[0].sink.write(b"x")
    served.waiting[0].sink.flush()
    began = served.clock()
    assert served.channel.stalled(began) == 0.0
    assert served.channel.stalled(began + 4) == 4.0
    served.client.drain()
    assert served.channel.stalled(began + 5) == 0.0


def test_a_site_asks_its_gate_and_tells_it_of_connections() -> None:
    served = Served()
    gate = served.site.gate = Gate("192.0.2.9")
    assert served.site.buildProtocol(IPv4Address("TCP", "192.0.2.9", 1)) is None
    channel = served.site.buildProtocol(IPv4Address("TCP", "192.0.2.7", 1))
    served.client.connect(channel)
    served.client.lose()
    assert gate.calls == ["opened 192.0.2.7", "closed 192.0.2.7"]
    assert not served.site.refuses(None)
