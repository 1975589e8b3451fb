from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.names import dns

from tests.integration.kit.dns import NameServer
from tests.registry.conftest import Follower
from tests.twisted_hygiene import Failures, reactor, until
from ttagw.registry.records import Origin, Record
from ttagw.registry.sources import FAILED, RECOVERED
from ttagw.registry.srv import JITTER, LATEST_RETRY, RETRY, SrvSource
from ttagw.wire.dns import Answer, BadNameError, Dns, Outcome
from ttagw.wire.resolv import Resolv

NAME = "_game._tcp.test"
SILENCE = Answer(Outcome.FAILED, reason="timeout")
NOTHING = Answer(Outcome.NOTHING)
GOOD = (RECOVERED, "game", "", "info")


def bad(reason: str) -> tuple[str, str, str, str]:
    return (FAILED, "game", reason, "warn")


def found(*rows: tuple[int, int, int, str], ttl: float = 10.0) -> Answer:
    """Rows of priority, weight, port and target."""
    return Answer(Outcome.FOUND, tuple([dns.Record_SRV(*row[:3], target=row[3]) for row in rows]), ttl)


class Asked:
    """DNS whose answers come when a test says so."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.open: list[Deferred[list[Answer]]] = []

    async def look_up(self, name: str, *kinds: int) -> list[Answer]:
        assert kinds == (dns.SRV,)
        self.names.append(name)
        self.open.append(Deferred())
        return await self.open[-1]

    def answer(self, answer: Answer) -> None:
        self.open.pop(0).callback([answer])


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def source(asked: Asked, follower: Follower) -> Iterator[SrvSource]:
    source = SrvSource("game", f"srv+https://{NAME}", "z", follower.tell, asked, follower.clock, lambda: 0.5)
    source.start(follower.update)
    yield source
    source.stop()
    assert not follower.clock.getDelayedCalls()


def record(place: str, weight: int) -> Record:
    return Record("game", place, f"https://{place}", weight, "z", origin=Origin.DNS)


def test_records_are_instances(source: SrvSource, asked: Asked, follower: Follower) -> None:
    assert asked.names == [NAME]
    asked.answer(found((1, 3, 8080, "B.test."), (1, 0, 8080, "a.test"), (1, 65535, 81, "a.test")))
    assert follower.updates == [(record("a.test:81", 1000), record("a.test:8080", 1), record("b.test:8080", 3))]


def test_only_those_of_the_best_priority_count(source: SrvSource, asked: Asked, follower: Follower) -> None:
    asked.answer(found((2, 1, 80, "a.test"), (1, 1, 80, "b.test"), (0, 1, 0, "c.test"), (0, 1, 80, "no host")))
    assert follower.urls == ["https://b.test:80"]


def test_one_place_counts_once_with_the_larger_weight(source: SrvSource, asked: Asked, follower: Follower) -> None:
    asked.answer(found((0, 5, 80, "a.test"), (0, 9, 80, "A.test"), (0, 2, 80, "a.test")))
    assert follower.updates == [(record("a.test:80", 9),)]


def test_they_are_asked_for_again_when_their_time_is_over(source: SrvSource, asked: Asked, follower: Follower) -> None:
    asked.answer(found((0, 1, 80, "a.test"), ttl=10))
    follower.clock.advance(10)
    assert not asked.open
    follower.clock.advance(10 * JITTER)
    asked.answer(found((0, 1, 80, "a.test"), ttl=1))
    assert len(follower.updates) == 1
    follower.clock.advance(1 + JITTER)
    asked.answer(found((0, 1, 80, "b.test")))
    assert follower.urls == ["https://b.test:80"]
    assert follower.told == follower.said == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (SILENCE, "timeout"),
        (NOTHING, "no_records"),
        (found((0, 1, 80, "no host")), "bad_records"),
        (found((0, 1, 0, "a.test")), "bad_records"),
    ],
)
def test_the_last_good_ones_are_kept_and_it_is_told_once(
    source: SrvSource, asked: Asked, follower: Follower, answer: Answer, reason: str
) -> None:
    asked.answer(found((0, 1, 80, "a.test"), ttl=1))
    follower.clock.advance(2)
    for another in [answer, SILENCE, NOTHING] * 10:
        asked.answer(another)
        follower.clock.advance(RETRY - 0.01)
        assert not asked.open
        follower.clock.advance(LATEST_RETRY)
    assert follower.urls == ["https://a.test:80"]
    assert follower.told == [bad(f"dns_{reason}")]
    assert follower.said == [f"game: {NAME} gives no instances ({reason}); the last ones are kept"]
    asked.answer(found((0, 1, 80, "b.test")))
    assert follower.urls == ["https://b.test:80"]
    assert follower.told[1:] == [GOOD]
    assert follower.said[1:] == [f"game: {NAME} gives instances again"]


def test_a_dot_says_that_there_is_nothing(source: SrvSource, asked: Asked, follower: Follower) -> None:
    asked.answer(found((0, 1, 80, "a.test"), ttl=1))
    follower.clock.advance(2)
    asked.answer(found((0, 0, 0, "")))
    assert follower.updates[1:] == [()]
    assert follower.told == []


def test_what_cannot_be_asked_for_is_a_failure_as_well(
    source: SrvSource, asked: Asked, follower: Follower, failures: Failures
) -> None:
    asked.open.pop().errback(BadNameError(NAME))
    assert follower.told == [bad("dns_bad_name")]
    follower.clock.advance(LATEST_RETRY)
    asked.open.pop().errback(KeyError())
    assert len(failures.take(KeyError)) == 1
    follower.clock.advance(LATEST_RETRY)
    asked.answer(found((0, 1, 80, "a.test")))
    assert follower.urls == ["https://a.test:80"]


def test_a_question_ends_with_the_source(source: SrvSource, asked: Asked, follower: Follower) -> None:
    source.stop()
    assert asked.open[0].called
    assert not follower.clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_it_follows_a_name_server(follower: Follower) -> None:
    with NameServer() as server:
        many: Any = [(0, 1, 8000 + number, f"host-{number:03}.test") for number in range(100)]
        server.services(NAME, *many, ttl=1)
        source = SrvSource(
            "game",
            f"srv+http://{NAME}",
            "",
            follower.tell,
            Dns(reactor, lambda: Resolv((server.place,))),
            follower.clock,
            lambda: 0.0,
        )
        source.start(follower.update)
        await until(lambda: follower.updates)
        assert len(follower.urls) == 100  # over TCP, then
        assert follower.urls[0] == "http://host-000.test:8000"
        server.services(NAME, (0, 1, 80, "b.test"), ttl=1)
        await until(lambda: follower.clock.getDelayedCalls())
        follower.clock.advance(1)
        await until(lambda: follower.urls == ["http://b.test:80"])
        server.stop()
        await until(lambda: follower.clock.getDelayedCalls())
        follower.clock.advance(1)
        await until(lambda: follower.told)
        assert follower.told == [bad("dns_unreachable")]
        assert follower.urls == ["http://b.test:80"]
        source.stop()
