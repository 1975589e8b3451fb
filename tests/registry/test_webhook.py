from __future__ import annotations

import hmac
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError as RefusedError
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock as Timers
from twisted.logger import LogEvent, globalLogPublisher
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from tests.sockets import Recorder
from tests.twisted_hygiene import Failures, reactor, until
from ttagw.registry import webhook
from ttagw.registry.events import Events
from ttagw.registry.webhook import GIVE_UP, MOST_WAITING, TIMEOUT, Webhooks, posting
from ttagw.testing import Clock

URL = "https://oncall.tta.example/alerts?token=hush"


class Posts:
    """Posts that the test answers."""

    def __init__(self) -> None:
        self.made: list[tuple[str, bytes, Mapping[str, str]]] = []
        self.open: list[Deferred[int]] = []
        self.cancelled = 0

    async def __call__(self, url: str, body: bytes, fields: Mapping[str, str]) -> int:
        self.made.append((url, body, fields))
        self.open.append(Deferred(self._cancel))
        return await self.open[-1]

    def _cancel(self, post: Deferred[int]) -> None:
        self.cancelled += 1
        self.open.remove(post)

    def answer(self, status: int) -> None:
        self.open.pop(0).callback(status)

    def fail(self, error: Exception) -> None:
        self.open.pop(0).errback(error)

    def numbers(self) -> list[int]:
        return [json.loads(body)["number"] for _, body, _ in self.made]


class Hooks:
    """Webhooks of which time, chance and the network are in our hands."""

    def __init__(self, *urls: str, secret: bytes = b"") -> None:
        self.timers, self.posts, self.events = Timers(), Posts(), Events(Clock(1_700_000_000.5))
        self.hooks = Webhooks(
            "gw-1", urls or [URL], self.events, self.timers, secret=secret, chance=lambda: 0.5, post=self.posts
        )
        self.hooks.startService()

    def alert(self, count: int = 1) -> None:
        for _ in range(count):
            self.events.tell("instance_down", "players", "p-1", "timeout", "alert")

    def stop(self) -> None:
        stopped: list[object] = []
        self.hooks.stopService().addCallback(stopped.append)
        assert stopped
        assert self.posts.open == []
        assert not self.timers.getDelayedCalls()
        assert self.events._listeners == []


@pytest.fixture
def said() -> Iterator[list[str]]:
    texts: list[str] = []

    def hear(event: LogEvent) -> None:
        if event.get("log_namespace", "").startswith("ttagw.registry.webhook"):
            texts.append(str(event["log_format"]).format(**event))

    globalLogPublisher.addObserver(hear)
    yield texts
    globalLogPublisher.removeObserver(hear)


def test_an_alert_is_posted_and_nothing_else_is() -> None:
    here = Hooks()
    here.events.tell("instance_up", "players", "p-1", "", "info")
    here.events.tell("instance_slow", "players", "p-1", "", "warn")
    here.alert()
    ((url, body, fields),) = here.posts.made
    assert url == URL
    assert json.loads(body) == {
        "gateway": "gw-1",
        "number": 3,
        "time": 1_700_000_000.5,
        "kind": "instance_down",
        "service": "players",
        "instance": "p-1",
        "reason": "timeout",
        "severity": "alert",
    }
    assert fields == {
        "Content-Type": "application/json",
        "Idempotency-Key": "gw-1-3-1700000000500",
        "User-Agent": "ttagw",
    }
    here.posts.answer(204)
    assert here.hooks.targets[0].delivered == 1
    here.stop()


def test_a_body_is_signed_when_there_is_a_secret() -> None:
    here = Hooks(secret=b"s" * 32)
    here.alert()
    ((_, body, fields),) = here.posts.made
    assert fields["X-TTA-Signature"] == "sha256=" + hmac.new(b"s" * 32, body, "sha256").hexdigest()
    here.stop()


def test_alerts_go_one_after_the_other() -> None:
    here = Hooks()
    here.alert(3)
    assert here.posts.numbers() == [1]
    for status in (200, 201, 299):
        here.posts.answer(status)
    assert here.posts.numbers() == [1, 2, 3]
    here.stop()


@pytest.mark.parametrize("status", [199, 301, 302, 400, 404, 500, 503])
def test_what_is_not_taken_is_sent_again_with_the_same_key(status: int, said: list[str]) -> None:
    here = Hooks()
    here.alert(2)
    pauses = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    for pause in pauses:
        here.posts.answer(status)
        here.timers.advance(pause * 0.99)
        assert here.posts.open == []
        here.timers.advance(pause * 0.011)
        assert len(here.posts.open) == 1
    here.posts.answer(200)
    here.posts.answer(200)
    assert here.posts.numbers() == [1] * (len(pauses) + 1) + [2]
    assert len({fields["Idempotency-Key"] for _, _, fields in here.posts.made}) == 2
    assert said == [
        f"alerts for oncall.tta.example wait: status_{status}",
        "alerts for oncall.tta.example are taken again; 0 were dropped",
    ]
    here.stop()


def test_what_does_not_answer_is_tried_again(said: list[str]) -> None:
    here = Hooks()
    here.alert()
    here.timers.advance(TIMEOUT)
    assert here.posts.cancelled == 1
    here.timers.advance(0.5)
    here.posts.fail(RefusedError("hush"))
    here.timers.advance(1.0)
    here.posts.answer(200)
    assert here.posts.numbers() == [1, 1, 1]
    assert said[0] == "alerts for oncall.tta.example wait: timeout"
    assert "hush" not in "".join(said)
    here.stop()


def test_after_an_hour_it_is_given_up(said: list[str]) -> None:
    here = Hooks()
    here.alert(3)
    passed = 0.0
    while passed < GIVE_UP:
        if here.posts.open:
            here.posts.answer(500)
        here.timers.advance(10.0)
        passed += 10.0
    here.alert()
    if here.posts.open:
        here.posts.answer(500)
    here.timers.advance(60.0)
    while here.posts.open and here.posts.numbers()[-1] != 4:
        here.posts.answer(500)
        here.timers.advance(60.0)
    assert here.hooks.targets[0].given_up == 3
    assert here.posts.numbers()[-1] == 4
    here.posts.answer(200)
    assert said[1].startswith("oncall.tta.example has not taken the alert gw-1-1-")
    here.stop()


def test_so_many_wait_and_then_the_oldest_are_dropped(said: list[str]) -> None:
    here = Hooks()
    here.alert(MOST_WAITING + 6)
    (target,) = here.hooks.targets
    assert (target.waiting, target.dropped) == (MOST_WAITING, 5)
    assert said == [f"alerts for oncall.tta.example are being dropped: {MOST_WAITING} wait"]
    for _ in range(MOST_WAITING + 1):
        here.posts.answer(200)
    assert here.posts.numbers() == [1, *range(7, MOST_WAITING + 7)]
    here.stop()


def test_each_url_has_its_own_line() -> None:
    here = Hooks("https://a/x", "https://b/x")
    here.alert(2)
    assert [url for url, _, _ in here.posts.made] == ["https://a/x", "https://b/x"]
    here.posts.open.pop(1).callback(200)
    assert [url for url, _, _ in here.posts.made][2:] == ["https://b/x"]
    here.stop()


def test_what_was_told_before_the_start_is_sent() -> None:
    timers, posts, events = Timers(), Posts(), Events(Clock())
    hooks = Webhooks("gw-1", [URL], events, timers, post=posts)
    events.tell("store_away", "-", "", "", "alert")
    assert posts.made == []
    hooks.startService()
    assert posts.numbers() == [1]
    hooks.stopService()
    hooks.startService()
    events.tell("store_away", "-", "", "", "alert")
    assert posts.numbers() == [1, 2]
    hooks.stopService()


def test_without_urls_nobody_listens() -> None:
    events = Events(Clock())
    hooks = Webhooks("gw-1", [], events, Timers())
    hooks.startService()
    assert events._listeners == []
    hooks.stopService()


@pytest.mark.parametrize("when", ["idle", "posting", "pausing"])
def test_stopping_ends_whatever_is_under_way(when: str, said: list[str]) -> None:
    here = Hooks()
    if when != "idle":
        here.alert(2)
    if when == "pausing":
        here.posts.answer(500)
    here.stop()
    here.alert()
    assert len(here.posts.made) == (when != "idle")
    assert ("1 alerts for oncall.tta.example were not sent" in said) == (when != "idle")


def test_a_service_that_never_began_can_be_stopped() -> None:
    hooks = Webhooks("gw-1", [URL], Events(Clock()), Timers(), post=Posts())
    stopped: list[object] = []
    hooks.stopService().addCallback(stopped.append)
    assert stopped


def test_what_nobody_foresaw_is_logged(failures: Failures, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Hooks()

    def broken(*_: object) -> float:
        raise ZeroDivisionError

    monkeypatch.setattr(webhook, "full_jitter", broken)
    here.alert()
    here.posts.answer(500)
    assert len(failures.take(ZeroDivisionError)) == 1
    here.stop()


def test_a_post_that_fails_when_it_is_cancelled_does_not_keep_it_from_stopping() -> None:
    here = Hooks()
    here.posts._cancel = lambda post: post.errback(RefusedError())  # type: ignore[method-assign]
    here.alert()
    stopped: list[object] = []
    here.hooks.stopService().addCallback(stopped.append)
    assert stopped
    assert not here.timers.getDelayedCalls()


# Over the network


class Receiver(Resource):
    """Answers with the next of some statuses, and notes what came."""

    isLeaf = True

    def __init__(self, *statuses: int) -> None:
        super().__init__()
        self.statuses = list(statuses)
        self.seen: list[tuple[bytes, bytes, str]] = []

    def render_POST(self, request: Any) -> Any:
        status = self.statuses.pop(0)
        self.seen.append((request.path, request.content.read(), request.getHeader("idempotency-key")))
        request.setResponseCode(status)
        request.setHeader(b"location", b"/elsewhere")
        request.setHeader(b"set-cookie", b"a=b")
        request.setHeader(b"content-encoding", b"gzip")
        if status == 200:
            request.write(b"x" * 100_000)  # and never an end
            return NOT_DONE_YET
        return b"no"


@contextmanager
def listening(factory: Any) -> Iterator[int]:
    factory.noisy = False
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    try:
        yield port.getHost().port
    finally:
        port.stopListening()


def quiet(receiver: Receiver) -> Site:
    site = Site(receiver)
    site.log = lambda request: None  # type: ignore[method-assign]
    return site


@pytest_twisted.ensureDeferred
async def test_over_a_socket_until_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = Receiver(500, 302, 200, 204)
    events = Events(Clock())
    with listening(quiet(receiver)) as port:
        hooks = Webhooks("gw-1", [f"http://127.0.0.1:{port}/alerts"], events, reactor, chance=lambda: 0.0)
        hooks.startService()
        events.tell("instance_down", "players", "p-1", "timeout", "alert")
        events.tell("instance_down", "players", "p-2", "timeout", "alert")
        await until(lambda: hooks.targets[0].delivered == 2)
        await hooks.stopService()
    assert [path for path, _, _ in receiver.seen] == [b"/alerts"] * 4
    assert [json.loads(body)["number"] for _, body, _ in receiver.seen] == [1, 1, 1, 2]
    assert [key for _, _, key in receiver.seen] == ["gw-1-1-1000000"] * 3 + ["gw-1-2-1000000"]


@pytest_twisted.ensureDeferred
async def test_stopping_closes_the_socket() -> None:
    silent = Recorder()
    events = Events(Clock())
    with listening(Factory.forProtocol(lambda: silent)) as port:
        hooks = Webhooks("gw-1", [f"http://127.0.0.1:{port}/alerts"], events, reactor)
        hooks.startService()
        events.tell("instance_down", "players", "p-1", "timeout", "alert")
        await until(lambda: silent.data.endswith(b"}"))
        await hooks.stopService()
        await until(lambda: silent.lost is not None)


@pytest_twisted.ensureDeferred
async def test_a_post_that_is_cancelled_leaves_nothing() -> None:
    silent = Recorder()
    with listening(Factory.forProtocol(lambda: silent)) as port:
        posted = Deferred.fromCoroutine(posting(reactor)(f"http://127.0.0.1:{port}/", b"{}", {}))
        await until(lambda: silent.data.endswith(b"{}"))
        posted.cancel()
        with pytest.raises(CancelledError):
            await posted
        await until(lambda: silent.lost is not None)
