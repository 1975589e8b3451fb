from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.task import Clock as Timers

from tests.admin.served import serving
from tests.twisted_hygiene import until
from ttagw.admin import stream
from ttagw.admin.site import Readiness, admin_site
from ttagw.admin.stream import BEAT, MOST_BEHIND, MOST_SILENT
from ttagw.registry import events as kept
from ttagw.registry.events import Events
from ttagw.testing import Clock, MemoryTransport


class Following:
    """Events and a site whose time is in our hands."""

    def __init__(self) -> None:
        self.timers = Timers()
        self.events = Events(Clock(7.0))
        ready = Readiness(True, 1, False, {})
        self.site = admin_site("gw-1", lambda: ready, None, events=self.events, reactor=self.timers)

    def connect(
        self, fields: str = "", method: str = "GET", version: str = "1.1", *, full: bool = False
    ) -> MemoryTransport:
        transport = MemoryTransport()
        transport.connect(self.site.buildProtocol(None))
        transport.registerProducer(transport.protocol, True)
        transport.full = full
        transport.protocol.dataReceived(f"{method} /events HTTP/{version}\r\nHost: a\r\n{fields}\r\n".encode())
        return transport

    def tell(self, count: int = 1, reason: str = "r") -> None:
        for _ in range(count):
            self.events.tell("instance_down", "players", "p-1", reason, "warn")

    def over(self) -> None:
        assert self.events._listeners == []
        assert not self.timers.getDelayedCalls()


def head(transport: MemoryTransport) -> bytes:
    return bytes(transport.written).partition(b"\r\n\r\n")[0].lower()


def body(transport: MemoryTransport) -> str:
    """What was sent since the last call, without the framing."""
    data = transport.take()
    if data.startswith(b"HTTP/"):
        data = data.partition(b"\r\n\r\n")[2]
    text = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        text += data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]
    return text.decode()


def numbers(text: str) -> list[int]:
    return [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")]


def test_each_event_is_a_message_with_its_number() -> None:
    here = Following()
    here.tell()
    transport = here.connect()
    said = head(transport)
    assert said.startswith(b"http/1.1 200 ok")
    assert b"content-type: text/event-stream; charset=utf-8" in said
    assert b"cache-control: no-store" in said
    assert body(transport) == ": events of this gateway\n\n"
    here.tell()
    message = body(transport)
    assert message.startswith("id: 2\ndata: {")
    assert message.endswith("}\n\n")
    assert json.loads(message[12:]) == {
        "number": 2,
        "time": 7.0,
        "kind": "instance_down",
        "service": "players",
        "instance": "p-1",
        "reason": "r",
        "severity": "warn",
    }
    transport.lose()
    here.tell()
    here.over()


@pytest.mark.parametrize(
    ("last", "found"),
    [("3", [4, 5]), ("5", []), ("0", [1, 2, 3, 4, 5]), ("99", [1, 2, 3, 4, 5]), ("x", []), ("-1", []), ("", [])],
)
def test_who_comes_back_gets_what_was_missed(last: str, found: list[int]) -> None:
    here = Following()
    here.tell(5)
    transport = here.connect(f"Last-Event-ID: {last}\r\n")
    assert numbers(body(transport)) == found
    here.tell()
    assert numbers(body(transport)) == [6]
    transport.lose()
    here.over()


def test_a_number_of_another_process_before_anything_happened() -> None:
    here = Following()
    transport = here.connect("Last-Event-ID: 99\r\n")
    here.tell()
    assert numbers(body(transport)) == [1]
    transport.lose()
    here.over()


def test_what_is_no_longer_kept_is_said() -> None:
    here = Following()
    here.tell(kept.KEPT + 10)
    transport = here.connect("Last-Event-ID: 3\r\n")
    text = body(transport)
    assert ": 7 events are no longer kept\n\n" in text
    assert numbers(text) == list(range(11, kept.KEPT + 11))
    transport.lose()
    here.over()


def test_a_comment_shows_that_the_connection_lives() -> None:
    here = Following()
    first, second = here.connect(), here.connect()
    body(first)
    body(second)
    for _ in range(10):
        here.timers.advance(BEAT)
        assert body(first) == body(second) == ":\n\n"
    first.lose()
    second.lose()
    here.over()


def test_a_slow_reader_gets_everything_later() -> None:
    here = Following()
    transport = here.connect()
    body(transport)
    transport.full = True
    here.tell(3)
    assert numbers(body(transport)) == [1]
    here.timers.advance(BEAT)
    assert transport.take() == b""
    transport.drain()
    assert numbers(body(transport)) == [2, 3]
    here.tell()
    assert numbers(body(transport)) == [4]
    transport.lose()
    here.over()


def test_what_was_missed_waits_for_the_reader_too() -> None:
    here = Following()
    here.tell(kept.KEPT, "x" * 200)
    transport = here.connect("Last-Event-ID: 0\r\n", full=True)
    found = numbers(body(transport))
    assert found == []
    for _ in range(kept.KEPT):
        transport.producer.resumeProducing()
        found += numbers(body(transport))
    assert found == list(range(1, kept.KEPT + 1))
    assert transport.ended == ""
    transport.lose()
    here.over()


def test_a_reader_that_is_too_far_behind_is_cut() -> None:
    here = Following()
    transport = here.connect()
    transport.full = True
    here.tell(1 + MOST_BEHIND // 1024, "x" * 1024)
    assert transport.ended == "abort"
    assert here.events._listeners == []
    transport.lose()
    here.over()


def test_a_reader_that_takes_nothing_for_long_is_cut() -> None:
    here = Following()
    transport = here.connect()
    transport.full = True
    here.tell()
    for _ in range(MOST_SILENT - 1):
        here.timers.advance(BEAT)
    assert transport.ended == ""
    here.timers.advance(BEAT)
    assert transport.ended == "abort"
    transport.lose()
    here.over()


def test_there_are_only_so_many_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_READERS", 2)
    here = Following()
    readers = [here.connect(), here.connect()]
    one_more = here.connect()
    assert b" 503 " in one_more.take().splitlines()[0]
    readers.pop().lose()
    another = here.connect()
    assert b" 200 " in another.take().splitlines()[0]
    for each in (*readers, one_more, another):
        each.lose()
    here.over()


def test_there_are_only_so_many_listeners() -> None:
    here = Following()
    ends = [here.events.listen(lambda _: None) for _ in range(kept.MOST_LISTENERS)]
    transport = here.connect()
    assert b"ttagw-reason: too_many_readers" in transport.take().lower()
    for end in ends:
        end()
    transport.lose()
    here.over()


def test_a_head_request_is_over_at_once() -> None:
    here = Following()
    transport = here.connect(method="HEAD")
    assert b"content-type: text/event-stream" in head(transport)
    assert transport.take().endswith(b"\r\n\r\n")
    assert here.events._listeners == []
    transport.lose()
    here.over()


def test_stopping_lets_everybody_go() -> None:
    here = Following()
    here.site.startFactory()
    transports = [here.connect() for _ in range(3)]
    here.tell()
    here.site.stopFactory()
    for each in transports:
        assert bytes(each.written).endswith(b"0\r\n\r\n")
        assert each.ended == "close"
        each.lose()
    here.over()


def test_an_old_client_is_served_until_the_connection_ends() -> None:
    here = Following()
    transport = here.connect(version="1.0")
    here.tell()
    assert b"\r\n\r\n: events of this gateway\n\nid: 1\n" in transport.take()
    transport.lose()
    here.over()


@pytest_twisted.ensureDeferred
async def test_over_a_socket_that_is_not_read() -> None:
    events: Any = Events(Clock())
    async with serving(events=events) as admin:
        raw = admin.open(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        other = admin.open(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: len(events._listeners) == 2)
        for _ in range(30_000):
            events.tell("instance_down", "players", "p-1", "x" * 200)
            if not events._listeners:
                break
        await until(lambda: not events._listeners)
        await until(lambda: not admin.site.channels)
        assert len(await raw.read_to_end()) < 30_000 * 200
        await other.read_to_end()
        assert raw.ended in ("reset", "eof")
