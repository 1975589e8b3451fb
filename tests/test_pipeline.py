from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from tests.twisted_hygiene import Failures, _frozen_garbage, failures
from ttagw.errors import BodyTooLargeError, MalformedRequestError, RequestTimeoutError, UpstreamBrokenError
from ttagw.model import Exchange, Reply
from ttagw.pipeline import Enter, Hooks, Pipeline, Route
from ttagw.testing import RecordingSink, RecordingSource, exchange
from ttagw.web.render import render

__all__ = ["_frozen_garbage", "failures"]


class Noting:
    """A layer that notes when it is entered and left; `does` is what it returns or raises."""

    def __init__(self, name: str, notes: list[str], does: object = None) -> None:
        self.name = name
        self._notes = notes
        self._does = does

    def bind(self, route: Route) -> Hooks:
        def enter(made: Exchange) -> Reply | Deferred[Reply | None] | None:
            self._notes.append("+" + self.name)
            if isinstance(self._does, Exception):
                raise self._does
            return self._does  # type: ignore[return-value]

        def leave(made: Exchange, reply: Reply) -> None:
            self._notes.append("-" + self.name)

        return Hooks(enter, leave)


class Plain:
    """A layer of given hooks."""

    name = "plain"

    def __init__(self, hooks: Hooks | None) -> None:
        self._hooks = hooks

    def bind(self, route: Route) -> Hooks | None:
        return self._hooks


class Task:
    """What is under way."""

    def __init__(self) -> None:
        self.cancelled = 0

    def cancel(self) -> None:
        self.cancelled += 1


class Run:
    """One exchange through layers that do what `does` says, by name."""

    def __init__(
        self, names: str = "abc", *, forward: Callable[[Pipeline, Exchange], None] | None = None, **does: object
    ) -> None:
        self.notes: list[str] = []
        self.sink = RecordingSink()
        self.pipeline = Pipeline(render)
        route = Route("r", "/r", forward or self._forward, max_body=10)
        route.bind([Noting(name, self.notes, does.get(name)) for name in names])
        self.exchange = exchange(sink=self.sink, on=route)
        self.exchange.on_end.append(lambda made: self.notes.append("end"))
        self.sink.over = lambda: self.pipeline.end(self.exchange)

    def _forward(self, pipeline: Pipeline, made: Exchange) -> None:
        self.notes.append("!")
        pipeline.answer(made, Reply(200, [], b"done"))

    def start(self) -> Run:
        self.pipeline.run(self.exchange)
        return self

    @property
    def status(self) -> int:
        assert self.sink.reply is not None
        return self.sink.reply.status


def test_layers_are_left_in_reverse_before_the_answer_begins() -> None:
    run = Run().start()
    assert run.notes == ["+a", "+b", "+c", "!", "-c", "-b", "-a", "end"]
    assert (run.exchange.status, run.exchange.over) == (200, True)


def test_a_reply_from_a_layer_goes_out_through_those_that_were_entered() -> None:
    run = Run(b=Reply(204, [], b"")).start()
    assert run.notes == ["+a", "+b", "-b", "-a", "end"]
    assert run.exchange.status == 204


def test_a_layer_that_refuses_is_left_as_well() -> None:
    run = Run(b=BodyTooLargeError()).start()
    assert run.notes == ["+a", "+b", "-b", "-a", "end"]
    assert (run.status, run.exchange.reason) == (413, "body_too_large")


def test_a_layer_that_breaks_is_a_500_and_is_logged(failures: Failures) -> None:
    run = Run(b=ZeroDivisionError()).start()
    assert run.notes == ["+a", "+b", "-b", "-a", "end"]
    assert (run.status, run.exchange.reason) == (500, "layer_failed")
    assert len(failures.take(ZeroDivisionError)) == 1


def test_an_innermost_step_that_breaks_is_a_500(failures: Failures) -> None:
    def broken(pipeline: Pipeline, made: Exchange) -> None:
        raise ZeroDivisionError

    run = Run(forward=broken).start()
    assert run.notes == ["+a", "+b", "+c", "-c", "-b", "-a", "end"]
    assert run.status == 500
    failures.take(ZeroDivisionError)


def test_a_layer_that_waits_goes_on_where_it_was() -> None:
    waiting: Deferred[Reply | None] = Deferred()
    run = Run(b=waiting).start()
    assert run.notes == ["+a", "+b"]
    assert run.exchange.work is waiting
    waiting.callback(None)
    assert run.notes == ["+a", "+b", "+c", "!", "-c", "-b", "-a", "end"]


def test_a_layer_may_wait_for_its_answer() -> None:
    waiting: Deferred[Reply | None] = Deferred()
    run = Run(b=waiting).start()
    waiting.callback(Reply(202, [], b""))
    assert run.notes == ["+a", "+b", "-b", "-a", "end"]
    assert run.status == 202


def test_a_deferred_that_has_fired_already_costs_no_wait() -> None:
    fired: Deferred[Reply | None] = Deferred()
    fired.callback(None)
    run = Run(b=fired).start()
    assert run.notes == ["+a", "+b", "+c", "!", "-c", "-b", "-a", "end"]
    assert run.exchange.work is None


@pytest.mark.parametrize(("error", "status"), [(RequestTimeoutError(), 408), (ZeroDivisionError(), 500)])
def test_waiting_may_fail(error: Exception, status: int, failures: Failures) -> None:
    waiting: Deferred[Reply | None] = Deferred()
    run = Run(b=waiting).start()
    waiting.errback(error)
    assert run.notes == ["+a", "+b", "-b", "-a", "end"]
    assert run.status == status
    assert len(failures.take(ZeroDivisionError)) == (status == 500)


def test_a_client_that_leaves_while_a_layer_waits_cancels_it() -> None:
    cancelled: list[object] = []
    waiting: Deferred[Reply | None] = Deferred(cancelled.append)
    run = Run(b=waiting).start()
    run.pipeline.left(run.exchange)
    assert cancelled == [waiting]
    assert run.notes == ["+a", "+b", "-b", "-a", "end"]
    assert (run.exchange.status, run.exchange.reason, run.sink.started) == (499, "client_closed", False)


@pytest.mark.parametrize("late", [None, Reply(200, [], b""), ZeroDivisionError()])
@pytest.mark.parametrize("how", ["left", "fail"])
def test_what_a_layer_makes_of_being_cancelled_is_dropped(late: object, how: str) -> None:
    waiting: Deferred[Reply | None] = Deferred()
    run = Run(b=waiting.addErrback(lambda failure: Failure(late) if isinstance(late, Exception) else late))
    run.start()
    if how == "left":
        run.pipeline.left(run.exchange)
    else:
        run.pipeline.fail(run.exchange, UpstreamBrokenError("route_timeout"))
    assert run.notes == ["+a", "+b", "-b", "-a", "end"]
    assert run.exchange.reason == {"left": "client_closed", "fail": "route_timeout"}[how]
    assert run.sink.calls == {"left": [], "fail": ["start"]}[how]


def test_a_layer_that_is_cancelled_by_itself_is_a_500(failures: Failures) -> None:
    waiting: Deferred[Reply | None] = Deferred()
    run = Run(b=waiting).start()
    waiting.cancel()
    assert run.status == 500
    assert len(failures.take(CancelledError)) == 1


def test_a_failure_while_something_is_under_way_cancels_it() -> None:
    task = Task()

    def under_way(pipeline: Pipeline, made: Exchange) -> None:
        made.work = task

    run = Run(forward=under_way).start()
    run.pipeline.fail(run.exchange, UpstreamBrokenError("bad_head"))
    assert (task.cancelled, run.status, run.exchange.reason) == (1, 502, "bad_head")


def test_after_the_answer_has_begun_the_only_honest_error_is_to_abort() -> None:
    def streaming(pipeline: Pipeline, made: Exchange) -> None:
        pipeline.answer(made, Reply(200, []), RecordingSource())

    run = Run(forward=streaming).start()
    run.pipeline.fail(run.exchange, UpstreamBrokenError("closed_mid_body"))
    assert run.sink.calls == ["start", "abort"]
    assert (run.exchange.status, run.exchange.reason) == (200, "closed_mid_body")
    assert run.notes[-1] == "end"


def test_an_error_that_spoils_the_framing_ends_the_connection() -> None:
    run = Run(b=MalformedRequestError()).start()
    assert not run.exchange.keep_alive
    run = Run(b=UpstreamBrokenError()).start()
    assert run.exchange.keep_alive


def test_a_layer_that_breaks_on_the_way_out_stops_nobody(failures: Failures) -> None:
    notes: list[str] = []

    def broken(made: Exchange, reply: Reply) -> None:
        raise ZeroDivisionError

    run = Run("a")
    run.exchange.route.bind([Noting("a", notes), Plain(Hooks(None, broken)), Noting("c", notes)])
    run.start()
    assert notes == ["+a", "+c", "-c", "-a"]
    assert run.status == 200
    failures.take(ZeroDivisionError)


def test_what_breaks_at_the_end_stops_nobody(failures: Failures) -> None:
    def broken(made: Exchange) -> None:
        raise ZeroDivisionError

    run = Run()
    run.exchange.on_end.insert(0, broken)
    run.start()
    assert run.notes[-1] == "end"
    failures.take(ZeroDivisionError)


def test_a_layer_that_has_nothing_to_do_on_a_route_costs_nothing_there() -> None:
    entered: list[Exchange] = []
    enter: Enter = lambda made: entered.append(made)  # noqa: E731
    route = Route("r", "/r", lambda pipeline, made: None, max_body=0)
    route.bind([Plain(None), Plain(Hooks(enter)), Plain(Hooks(None, lambda made, reply: None))])
    assert len(route.enters) == len(route.leaves) == 2
    Pipeline(render).run(exchange(on=route))
    assert len(entered) == 1


def test_labels_are_prepared_for_log_lines() -> None:
    route = Route('a"b', "/é", lambda pipeline, made: None, max_body=0)
    assert (route.label, route.path_label) == (rb"a\"b", rb"/\u00e9")


EVENTS = st.lists(st.sampled_from(["fire", "reply", "break", "left", "fail", "end", "answer"]), max_size=6)


@given(st.sampled_from(["none", "reply", "wait", "refuse"]), EVENTS)
def test_each_layer_is_left_once_and_the_end_comes_once(does: str, events: list[str]) -> None:
    waiting: Deferred[Reply | None] = Deferred()
    task = Task()
    answers = {"none": None, "reply": Reply(204, [], b""), "wait": waiting, "refuse": BodyTooLargeError()}

    def under_way(pipeline: Pipeline, made: Exchange) -> None:
        made.work = task

    run = Run(forward=under_way, b=answers[does]).start()
    made = run.exchange
    for event in events:
        if does == "wait" and not waiting.called and event in ("fire", "reply", "break"):
            value = {"fire": None, "reply": Reply(202, [], b""), "break": RequestTimeoutError()}[event]
            waiting.errback(value) if isinstance(value, Exception) else waiting.callback(value)
        elif event == "left":
            run.pipeline.left(made)
        elif event == "fail":
            run.pipeline.fail(made, UpstreamBrokenError())
        elif event == "end" and made.over:
            run.pipeline.end(made)
        elif event == "answer" and made.work is task and not made.over:
            made.work = None
            run.pipeline.answer(made, Reply(200, [], b""))
    run.pipeline.left(made)
    entered = [note[1] for note in run.notes if note[0] == "+"]
    left = [note[1] for note in run.notes if note[0] == "-"]
    assert left == entered[::-1]
    assert run.notes.count("end") == 1
    assert run.notes[-1] == "end"
    assert run.sink.calls.count("start") <= 1
    assert made.work is None
