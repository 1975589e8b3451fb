"""Servers that are no Redis, or are one until they are asked for something."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import hiredis
import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

from tests.store.kit import BACK, opened, pause, refusal, until
from tests.twisted_hygiene import Failures, reactor
from ttagw.store.base import StoreAwayError

FINE = {b"PING": b"+PONG\r\n", b"PUBLISH": b":0\r\n", b"PSUBSCRIBE": b"*3\r\n$10\r\npsubscribe\r\n$1\r\nx\r\n:1\r\n"}


class Nearly(Protocol):
    """Answers as the test says, and as Redis does to all else."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers
        self._reader = hiredis.Reader()

    def dataReceived(self, data: bytes) -> None:
        self._reader.feed(data)
        while (command := self._reader.gets()) is not False:
            answer = self._answers.get(command[0], FINE.get(command[0], b""))
            assert self.transport is not None
            self.transport.write(answer)


@pytest.fixture
def answers() -> dict[bytes, bytes]:
    return {}


@pytest.fixture
def url(answers: dict[bytes, bytes]) -> Iterator[str]:
    factory = Factory()
    factory.noisy = False
    factory.buildProtocol = lambda address: Nearly(answers)  # type: ignore[method-assign,assignment]
    port: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
    yield f"redis://127.0.0.1:{port.getHost().port}"
    pytest_twisted.blockon(port.stopListening())


EMPTY = b"*2\r\n$1\r\n0\r\n*0\r\n"
ONE = b"*2\r\n$1\r\n0\r\n*1\r\n$7\r\nttagw:a\r\n"


@pytest.mark.parametrize(
    ("command", "answer", "ask"),
    [
        (b"GET", b":1\r\n", lambda store: store.get("a")),
        (b"GET", b"*0\r\n", lambda store: store.get("a")),
        (b"EVALSHA", b":2\r\n", lambda store: store.put("a", b"")),
        (b"EVALSHA", b"$1\r\n1\r\n", lambda store: store.delete("a")),
        (b"EVALSHA", b"$-1\r\n", lambda store: store.swap("a", None, b"")),
        (b"SCAN", b"$1\r\n0\r\n", lambda store: store.scan("")),
        (b"SCAN", b"*2\r\n:0\r\n*0\r\n", lambda store: store.scan("")),
        (b"SCAN", b"*2\r\n$1\r\n0\r\n:1\r\n", lambda store: store.scan("")),
        (b"SCAN", b"*2\r\n$1\r\n0\r\n*1\r\n:1\r\n", lambda store: store.scan("")),
        (b"MGET", b"*2\r\n$1\r\n0\r\n$1\r\n0\r\n", lambda store: store.scan("")),
        (b"MGET", b":1\r\n", lambda store: store.scan("")),
    ],
)
@pytest_twisted.ensureDeferred
async def test_an_answer_of_the_wrong_form_is_no_answer(
    url: str, answers: dict[bytes, bytes], command: bytes, answer: bytes, ask: Callable[[Any], Any]
) -> None:
    answers[b"SCAN"] = ONE
    answers[command] = answer
    async with opened(url) as store:
        error = await refusal(ask(store))
        assert isinstance(error, StoreAwayError)
        assert error.reason == "garbage"
        assert (store.state.up, store.state.reason) == (False, "garbage")
        answers.update({b"GET": b"$2\r\n01\r\n", b"SCAN": EMPTY})
        await until(lambda: store.state.up, "it is tried again", within=BACK)
        assert await store.get("a") == b"01"
        assert await store.scan("") == {}


@pytest_twisted.ensureDeferred
async def test_a_scan_that_never_ends_ends(url: str, answers: dict[bytes, bytes]) -> None:
    answers[b"SCAN"] = b"*2\r\n$1\r\n7\r\n*0\r\n"
    async with opened(url, hurry=0.2) as store:
        assert (await refusal(store.scan(""))).reason == "timeout"
        assert store.state.up


@pytest.mark.parametrize("answer", [b"-LOADING it is\r\n", b"-ERR what\r\n", b"-NOAUTH who\r\n", b"$4\r\nPENG\r\n"])
@pytest_twisted.ensureDeferred
async def test_a_look_that_is_answered_wrongly_ends_the_connection(
    url: str, answers: dict[bytes, bytes], answer: bytes
) -> None:
    reasons = {b"-LOAD": "loading", b"-ERR ": "error", b"-NOAU": "no_password", b"$4\r\nP": "garbage"}
    async with opened(url) as store:
        answers[b"PING"] = answer
        await until(lambda: store.state.reason == reasons[answer[:5]], "it is noticed")
        del answers[b"PING"]
        await until(lambda: store.state.up, "it is back", within=BACK)


@pytest_twisted.ensureDeferred
async def test_a_subscription_that_is_refused_takes_the_store_down(url: str, answers: dict[bytes, bytes]) -> None:
    async with opened(url) as store:
        answers[b"PSUBSCRIBE"] = b"-NOPERM you may not\r\n"
        store.watch("a", lambda key, value: None)
        assert (await refusal(store.get("a"))).reason == "no_permission"
        del answers[b"PSUBSCRIBE"]
        await until(lambda: store.state.up, "it is back", within=BACK)


@pytest_twisted.ensureDeferred
async def test_who_gives_up_waiting_for_a_subscription_does_not_end_it(url: str, answers: dict[bytes, bytes]) -> None:
    answers[b"GET"] = b"$1\r\n1\r\n"
    async with opened(url) as store:
        store.watch("a", lambda key, value: None)
        first, second = (Deferred.fromCoroutine(store.get("a")) for _ in range(2))
        gone: list[Any] = []
        first.addErrback(gone.append)
        first.cancel()
        assert len(gone) == 1
        assert await second == b"1"


@pytest_twisted.ensureDeferred
async def test_a_bug_in_the_supervision_does_not_end_it(url: str, failures: Failures) -> None:
    async with opened(url, up=False) as store:
        link: Any = store._store._link  # type: ignore[attr-defined]
        await until(lambda: store.state.up, "it is up")
        where = link._where.address
        link._where.address = lambda: 1 // 0
        link._pair.drop("test")
        await until(lambda: store.state.reason == "failed", "it is said")
        link._where.address = where
        await until(lambda: store.state.up, "it is back", within=BACK)
    assert failures.take(ZeroDivisionError)


@pytest.mark.parametrize(
    "answer", [b":1\r\n", b"*1\r\n$1\r\nh\r\n", b"*2\r\n$1\r\nh\r\n$1\r\nx\r\n", b"*2\r\n:1\r\n:1\r\n"]
)
@pytest_twisted.ensureDeferred
async def test_a_sentinel_that_answers_nonsense_is_away(url: str, answers: dict[bytes, bytes], answer: bytes) -> None:
    answers[b"SENTINEL"] = answer
    async with opened(url.replace("redis://", "redis+sentinel://") + "/main", up=False) as store:
        await until(lambda: store.state.reason == "sentinels_away", "it is said")


@pytest.mark.parametrize("role", [b"*0\r\n", b":1\r\n", b"*1\r\n$5\r\nslave\r\n", b"-ERR no\r\n"])
@pytest_twisted.ensureDeferred
async def test_a_role_that_is_not_said_is_none(url: str, answers: dict[bytes, bytes], role: bytes) -> None:
    port = url.rpartition(":")[2]
    answers[b"SENTINEL"] = b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%s\r\n" % (len(port), port.encode())
    answers[b"ROLE"] = role
    async with opened(url.replace("redis://", "redis+sentinel://") + "/main", up=False) as store:
        await until(lambda: store.state.reason in ("not_master", "error"), "it is said")
        answers[b"ROLE"] = b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"
        await until(lambda: store.state.up, "it is up", within=BACK)
        answers[b"EVALSHA"] = b"-READONLY it is\r\n"
        assert (await refusal(store.put("a", b""))).reason == "not_master"
        assert not store.state.up


class Says(Protocol):
    """Answers all that comes with the same bytes."""

    answer = b""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(self.answer)


GARBAGE = [
    b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n",
    b"+PONG\r\n+PONG\r\n+PONG\r\n",
    b"+OK\r\n",
    b":5\r\n",
    b"*-1\r\n",
    b"$3\r\nabcdef\r\n",
    b"*2\r\n$4\r\npong\r\n",
    b"$999999999999999999999\r\n",
    b"-ERR \xff\xfe what\r\n",
    b"-LOADING Redis is loading the dataset in memory\r\n",
    bytes(range(256)),
    b"\r\n" * 100,
    b"#f\r\n",
    b"%1\r\n+a\r\n+b\r\n",
]


@pytest.mark.parametrize("answer", GARBAGE)
@pytest_twisted.ensureDeferred
async def test_what_is_no_redis_is_away_and_is_tried_again(answer: bytes) -> None:
    factory = Factory.forProtocol(type("Says", (Says,), {"answer": answer}))
    factory.noisy = False
    made = 0
    build = factory.buildProtocol

    def counting(address: object) -> object:
        nonlocal made
        made += 1
        return build(address)  # type: ignore[arg-type]

    factory.buildProtocol = counting  # type: ignore[method-assign,assignment]
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    async with opened(f"redis://127.0.0.1:{port.getHost().port}", up=False) as store:
        await until(lambda: made >= 2, "it is tried again")
        assert not store.state.up
        assert (await refusal(store.get("a"))).reason == store.state.reason
    await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_one_that_closes_at_once_is_not_asked_without_end() -> None:
    class Closes(Protocol):
        def connectionMade(self) -> None:
            made.append(time.monotonic())
            assert self.transport is not None
            self.transport.loseConnection()

    made: list[float] = []
    factory = Factory.forProtocol(Closes)
    factory.noisy = False
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    async with opened(f"redis://127.0.0.1:{port.getHost().port}", up=False) as store:
        await pause(1.5)
        assert 3 <= len(made) <= 40
        assert not store.state.up
    await port.stopListening()
