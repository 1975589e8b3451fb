from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from twisted.internet.defer import Deferred

from ttagw.attempt import forward_to
from ttagw.core.login import Who, who
from ttagw.errors import LoginPausedError, UpstreamClosedError
from ttagw.layers.login import Grid, Login
from ttagw.layers.login.grid import STEP
from ttagw.model import HELD, UNKNOWN, Exchange, Reply
from ttagw.pipeline import Pipeline, Route
from ttagw.testing import (
    Clock,
    RecordingSink,
    RecordingSource,
    ScriptedConnection,
    ScriptedPool,
    Timers,
    exchange,
    instance,
    service,
)
from ttagw.web.render import render

BODY = b'{"username": "mira", "password": "secret"}'
SAID = b"no such user"


class Ticket:
    def __init__(self) -> None:
        self.said: list[str] = []

    def failed(self) -> None:
        self.said.append("failed")

    def succeeded(self) -> None:
        self.said.append("succeeded")

    def over(self) -> None:
        self.said.append("over")


class Admission:
    """Lets everybody through, unless the test says otherwise."""

    def __init__(self) -> None:
        self.asked: list[tuple[Who, ...]] = []
        self.ticket = Ticket()
        self.refusal: LoginPausedError | None = None
        self.turn: Deferred[None] | None = None

    async def admit(self, whose: tuple[Who, ...]) -> Ticket:
        self.asked.append(whose)
        if self.turn is not None:
            await self.turn
        if self.refusal is not None:
            raise self.refusal
        return self.ticket


class Run:
    """One request on a route that is marked, and its service's end."""

    def __init__(self, method: bytes = b"POST", body: bytes = BODY, *, length: int = -2, retries: int = 0) -> None:
        self.clock = Clock()
        self.timers = Timers()
        self.admission = Admission()
        self.connection = ScriptedConnection()
        self.pool = ScriptedPool()
        self.pool.ready = [self.connection]
        up = service([instance("a", self.pool, self.clock)], self.clock, retries=retries, timers=self.timers)
        self.route = Route("r", "/r", forward_to(lambda made: up, None), max_body=HELD)
        self.route.bind([Login({"r": "username"}, self.admission, Grid(self.clock, self.timers.call_later))])
        self.sink = RecordingSink()
        self.source = RecordingSource()
        self.body = body
        self.exchange = exchange(
            method, sink=self.sink, length=len(body) if length == -2 else length, source=self.source, on=self.route
        )
        self.pipeline = Pipeline(render)
        self.sink.over = lambda: self.pipeline.end(self.exchange)

    def start(self, *, sent: bool = True) -> Run:
        if sent and self.exchange.length:
            self.exchange.body.feed(self.body)
            self.exchange.body.end()
        self.pipeline.run(self.exchange)
        return self

    def whole(self, status: int, body: bytes = SAID) -> Run:
        """The service answers, in one piece."""
        assert self.connection.attempt is not None
        self.connection.attempt.answered_whole(Reply(status, [(b"set-cookie", b"a=b")], body), self.clock())
        return self

    def begins(self, status: int, *pieces: bytes) -> Run:
        """The service begins to answer."""
        assert self.connection.attempt is not None
        self.connection.attempt.answered(Reply(status, [(b"set-cookie", b"a=b")]), RecordingSource(), self.clock())
        return self.goes_on(*pieces)

    def goes_on(self, *pieces: bytes) -> Run:
        for piece in pieces:
            self.service_sink.write(piece)
            self.service_sink.flush()
        return self

    def ends(self) -> Run:
        assert self.connection.attempt is not None
        self.connection.attempt.finished()
        self.service_sink.finish()
        return self

    @property
    def service_sink(self) -> RecordingSink:
        """What the connection has been given to answer to."""
        return self.sent_to

    def ask(self) -> Run:
        """Start, and note what a connection would answer to."""
        self.start()
        self.sent_to = self.exchange.sink
        return self

    @property
    def status(self) -> int:
        return 0 if self.sink.reply is None else self.sink.reply.status

    @property
    def said(self) -> list[str]:
        return self.admission.ticket.said

    def refusal(self) -> str:
        """The code of our own refusal, all of which the client has got."""
        assert self.sink.reply is not None
        assert b"set-cookie" not in dict(self.sink.reply.fields)
        assert SAID not in self.sink.body
        return str(json.loads(self.sink.body)["code"])


# What goes in


def test_a_route_that_is_not_marked_is_left_as_it_is() -> None:
    plain = Route("other", "/o", lambda pipeline, made: None, max_body=1)
    before = plain.forward
    assert Login({"r": "username"}, Admission(), Grid(Clock(), Timers().call_later)).bind(plain) is None
    assert plain.forward is before


def test_the_address_and_the_account_are_asked_about_and_the_body_goes_on_unchanged() -> None:
    run = Run().start()
    assert run.admission.asked == [who("192.0.2.7", ("mira",))]
    assert run.connection.attempt is not None
    assert run.exchange.body.take() == BODY
    assert run.exchange.body.complete


def test_the_body_is_waited_for_and_a_client_that_expects_it_is_told_to_go_on() -> None:
    run = Run(length=UNKNOWN).start(sent=False)
    assert run.sink.calls == ["go_on"]
    run.exchange.body.feed(BODY[:10])
    run.exchange.body.feed(BODY[10:])
    assert run.connection.attempt is None
    run.exchange.body.end()
    assert run.connection.attempt is not None
    assert run.admission.asked == [who("192.0.2.7", ("mira",))]
    assert run.exchange.body.take() == BODY


@pytest.mark.parametrize("body", [b"not json", b"{}", b'{"user": "mira"}'])
def test_without_an_account_the_address_alone_counts(body: bytes) -> None:
    assert Run(body=body).start().admission.asked == [who("192.0.2.7", ())]


@pytest.mark.parametrize(
    ("body", "kind", "encoding", "status", "reason"),
    [
        (BODY + b"x", b"application/json", b"", 400, "login_body"),
        (b'{"Username": "a", "username": "mira", "USERNAME": "b"}', b"application/json", b"", 400, "login_names"),
        (BODY, b"application/json", b"gzip", 415, "login_encoding"),
        (BODY, b"multipart/form-data; boundary=b", b"", 415, "login_media_type"),
    ],
)
def test_what_the_service_might_read_in_another_way_never_reaches_it(
    body: bytes, kind: bytes, encoding: bytes, status: int, reason: str
) -> None:
    run = Run(body=body)
    run.exchange.fields = [(b"Content-Type", kind), *([(b"Content-Encoding", encoding)] if encoding else [])]
    run.start()
    assert (run.status, run.exchange.reason) == (status, reason)
    assert run.admission.asked == []
    assert run.connection.attempt is None


def test_the_service_is_not_asked_to_compress_what_is_read_here() -> None:
    run = Run()
    run.exchange.fields = [(b"accept-ENCODING", b"gzip"), (b"Accept", b"*/*"), (b"Accept-Encoding", b"br")]
    run.start()
    assert run.exchange.fields == [(b"Accept", b"*/*"), (b"Accept-Encoding", b"identity")]


def test_a_name_in_the_query_counts_too() -> None:
    run = Run(body=b"username=decoy&password=x")
    run.exchange.query = b"username=mira"
    assert run.start().admission.asked == [who("192.0.2.7", ("decoy", "mira"))]


def test_whatever_the_method_a_login_counts() -> None:
    assert Run(b"PATCH").start().admission.asked == [who("192.0.2.7", ("mira",))]


def test_without_a_body_the_address_alone_counts() -> None:
    run = Run(body=b"").start()
    assert run.admission.asked == [who("192.0.2.7", ())]
    assert run.connection.attempt is not None


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"DELETE"])
def test_other_methods_are_no_logins(method: bytes) -> None:
    run = Run(method).start().whole(401)
    assert run.admission.asked == []
    assert (run.status, run.sink.body) == (401, SAID)


def test_a_body_that_is_more_than_is_held_is_refused() -> None:
    run = Run(length=UNKNOWN).start(sent=False)
    run.exchange.body.feed(b"x" * (HELD + 1))
    run.exchange.body.end()
    assert run.status == 413
    assert run.admission.asked == []


def test_a_client_that_leaves_while_its_body_is_awaited_is_let_go() -> None:
    run = Run(length=UNKNOWN).start(sent=False)
    run.pipeline.left(run.exchange)
    run.exchange.body.feed(BODY)
    run.exchange.body.end()
    assert run.admission.asked == []
    assert run.connection.attempt is None
    assert run.exchange.body.take() == b""


# Paused


def test_who_is_paused_is_told_on_the_grid_and_the_service_is_not_asked() -> None:
    run = Run()
    run.admission.refusal = LoginPausedError("account_paused", retry_after=17)
    run.exchange.deadline = 1000.2
    run.start()
    assert run.status == 0
    # Nothing else ends it before.
    assert run.exchange.deadline == 0.0
    assert run.timers.fire() == STEP
    assert (run.status, run.refusal()) == (429, "login_paused")
    assert run.sink.reply is not None
    assert (b"retry-after", b"17") in run.sink.reply.fields
    assert run.exchange.reason == "account_paused"
    assert run.connection.attempt is None


def test_who_is_paused_and_leaves_leaves_nothing_behind() -> None:
    run = Run()
    run.admission.refusal = LoginPausedError()
    run.start()
    run.pipeline.left(run.exchange)
    assert run.timers.waiting == []
    assert run.sink.calls == []


def test_the_answer_is_the_same_whoever_is_paused() -> None:
    answers = []
    for reason in ("account_paused", "address_paused"):
        run = Run()
        run.admission.refusal = LoginPausedError(reason, retry_after=17)
        run.start()
        run.timers.fire()
        assert run.sink.reply is not None
        answers.append((run.status, run.sink.reply.fields, run.sink.body))
    assert answers[0] == answers[1]


# What comes back


@pytest.mark.parametrize("status", [200, 204, 302])
def test_a_success_passes_at_once(status: int) -> None:
    run = Run().ask().whole(status)
    assert (run.status, run.sink.body, run.said[0]) == (status, SAID, "succeeded")
    assert run.sink.reply is not None
    assert run.sink.reply.fields == [(b"set-cookie", b"a=b")]
    assert run.timers.waiting == []


def test_a_success_streams() -> None:
    run = Run().ask().begins(200, b"a", b"b")
    assert run.sink.body == b"ab"
    assert run.sink.source is not None
    run.ends()
    assert run.sink.calls[-1] == "finish"
    assert run.said[0] == "succeeded"
    assert run.exchange.over


@pytest.mark.parametrize("status", [401, 403, 404, 410, 423])
@pytest.mark.parametrize("streams", [False, True])
def test_every_refusal_becomes_the_same_one(status: int, streams: bool) -> None:
    run = Run().ask()
    run = run.begins(status, SAID[:3], SAID[3:]).ends() if streams else run.whole(status)
    assert run.said == ["failed", "failed"]
    assert run.status == 0
    assert run.timers.fire() == STEP
    assert (run.status, run.refusal()) == (401, "login_refused")
    assert run.exchange.over
    assert run.sink.calls == ["start"]


def test_refusals_are_the_same_byte_for_byte() -> None:
    answers = []
    for status in (401, 404):
        run = Run().ask().whole(status)
        run.timers.fire()
        assert run.sink.reply is not None
        answers.append((run.status, run.sink.reply.fields, run.sink.body))
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("took", "leaves"), [(0.0, 0.5), (0.001, 0.5), (0.12, 0.5), (0.499, 0.5), (0.5, 1.0), (0.7, 1.0)]
)
def test_a_refusal_leaves_at_the_next_point_after_the_service_was_asked(took: float, leaves: float) -> None:
    run = Run().ask()
    run.clock.advance(took)
    run.whole(401)
    assert took + run.timers.fire() == pytest.approx(leaves)
    assert run.status == 401


def test_a_client_that_sends_its_body_late_moves_the_grid_with_it() -> None:
    run = Run(length=UNKNOWN).start(sent=False)
    run.exchange.body.feed(BODY)
    run.clock.advance(0.45)
    run.exchange.body.end()
    run.clock.advance(0.12)
    run.whole(401)
    assert run.timers.fire() == pytest.approx(STEP - 0.12)


def test_a_failure_counts_before_its_answer_leaves() -> None:
    run = Run().ask().begins(401)
    assert run.said == ["failed"]
    run.pipeline.left(run.exchange)
    assert run.connection.abandoned


@pytest.mark.parametrize("status", [415, 422, 429, 500, 503])
@pytest.mark.parametrize("streams", [False, True])
def test_what_says_nothing_about_the_person_passes_and_does_not_count(status: int, streams: bool) -> None:
    run = Run().ask()
    run = run.begins(status, SAID).ends() if streams else run.whole(status)
    assert (run.status, run.sink.body) == (status, SAID)
    assert set(run.said) == {"over"}


@pytest.mark.parametrize("streams", [False, True])
def test_a_400_passes_unless_it_says_that_name_and_password_do_not_fit(streams: bool) -> None:
    def answered(body: bytes) -> Run:
        run = Run().ask()
        return run.begins(400, body[:5], body[5:]).ends() if streams else run.whole(400, body)

    run = answered(SAID)
    assert (run.status, run.sink.body) == (400, SAID)
    assert set(run.said) == {"over"}
    run = answered(b'{"error": "invalid_grant"}')
    run.timers.fire()
    assert (run.status, run.refusal()) == (401, "login_refused")
    assert "failed" in run.said


def test_a_400_that_is_too_long_to_be_looked_at_streams() -> None:
    run = Run().ask().begins(400, b"x" * HELD)
    assert run.status == 0
    run.goes_on(b"y", b"z")
    assert (run.status, run.sink.body) == (400, b"x" * HELD + b"yz")
    assert run.sink.source is not None
    run.ends()
    assert run.exchange.over
    assert set(run.said) == {"over"}


def test_a_refusal_that_is_too_long_is_not_waited_for() -> None:
    run = Run().ask().begins(401, b"x" * (HELD + 1))
    assert run.connection.abandoned
    run.timers.fire()
    assert (run.status, run.refusal()) == (401, "login_refused")


def test_a_service_that_fails_is_nobodys_failure() -> None:
    run = Run().ask()
    assert run.connection.attempt is not None
    run.connection.attempt.failed(UpstreamClosedError("closed_before_answer"), stale=False)
    assert run.status == 502
    assert set(run.said) == {"over"}


def test_a_refusal_that_breaks_off_is_one_all_the_same() -> None:
    run = Run().ask().begins(401, b"a")
    assert run.connection.attempt is not None
    run.connection.attempt.failed(UpstreamClosedError("closed_mid_body"), stale=False)
    run.timers.fire()
    assert (run.status, run.refusal()) == (401, "login_refused")


def test_a_success_that_breaks_off_is_cut() -> None:
    run = Run().ask().begins(200, b"a")
    assert run.connection.attempt is not None
    run.connection.attempt.failed(UpstreamClosedError("closed_mid_body"), stale=False)
    assert run.sink.calls[-1] == "abort"


def test_without_an_instance_the_login_is_over() -> None:
    run = Run()
    run.route.forward = _nobody(run)
    run.start()
    assert run.status == 503
    assert run.said == ["over"]


def _nobody(run: Run) -> Callable[[Pipeline, Exchange], None]:
    route = Route("r", "/r", forward_to(lambda made: service([], run.clock), None), max_body=HELD)
    route.bind([Login({"r": "username"}, run.admission, Grid(run.clock, run.timers.call_later))])
    return route.forward


def test_a_login_that_may_come_twice_is_tried_again_with_its_body() -> None:
    run = Run(b"PUT", retries=1)
    again = ScriptedConnection()
    run.pool.ready.append(again)
    run.ask()
    assert run.exchange.body.take() == BODY
    assert run.connection.attempt is not None
    run.connection.attempt.failed(UpstreamClosedError("closed_before_answer"), stale=False)
    run.timers.fire()
    assert again.attempt is not None
    assert run.exchange.body.take() == BODY
    again.attempt.answered_whole(Reply(404, [], SAID), run.clock())
    run.timers.fire()
    assert run.refusal() == "login_refused"


def test_who_leaves_while_a_refusal_waits_leaves_nothing_behind() -> None:
    run = Run().ask().whole(401)
    run.pipeline.left(run.exchange)
    assert run.timers.waiting == []
    assert run.sink.calls == []
    assert run.exchange.over


def test_the_deadline_of_the_service_does_not_end_the_wait_for_the_grid() -> None:
    run = Run()
    run.exchange.deadline = 1000.2
    run.ask().whole(401)
    assert run.exchange.deadline == 0.0


def test_who_waits_for_their_turn_and_leaves_is_not_let_through() -> None:
    run = Run()
    run.admission.turn = turn = Deferred()
    run.start()
    run.pipeline.left(run.exchange)
    assert turn.called
    assert run.connection.attempt is None


def test_a_ticket_ends_with_the_exchange_whatever_happens() -> None:
    run = Run().ask()
    run.pipeline.left(run.exchange)
    assert run.said == ["over"]


def test_the_grid_leaves_nothing_behind_when_it_is_cancelled() -> None:
    timers = Timers()
    point = Grid(Clock(), timers.call_later).point(1000.0)
    point.addErrback(lambda _: None)
    point.cancel()
    assert timers.waiting == []
