"""Row 3: what fails real traffic is left alone, an instance or a whole service, until it is well or one says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.operated import Key, Operator, make_key
from tests.integration.kit.origin import Origin, Request, Talk, sending
from tests.integration.kit.raw import Answer, get, once
from tests.integration.kit.waiting import until

BREAKER: dict[str, Any] = {"consecutive_failures": 3, "minimum_calls": 1000, "open_for": "60s", "half_open_calls": 2}
HELP = {"default_region": "US", "regions": {"US": {"text": "Call or text 988.", "hotline": "988"}}}
EAGER = {"retry_budget": 1.0, "response_timeout": "400ms"}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return make_key(tmp_path_factory.mktemp("keys"))


class Failing:
    """A service that answers 500 as long as `bad`, and counts."""

    def __init__(self, origin: Origin, *, bad: bool = True) -> None:
        self.bad = bad
        self.origin = origin
        origin.on(b"/", self._answer)

    def _answer(self, talk: Talk, request: Request) -> None:
        talk.reply(b"%d" % talk.origin.port, status=b"500 Broken" if self.bad else b"200 OK")

    @property
    def asked(self) -> int:
        return len(self.origin.requests)


@contextmanager
def running(folder: Path, key: Key, *origins: Origin, upstream: Any = EAGER, **more: Any) -> Iterator[Operator]:
    """A gateway with the service `s` of these instances, in turn, as its operator."""
    ports = [each.port for each in origins]
    settings = {"balance": "round_robin", "slow_start": "0s", "breaker": BREAKER, **more}
    with Gateway(
        folder,
        {"s": service(*ports, **settings), "other": service(ports[0])},
        [route(), route("/other/*", "other", "other")],
        auth=key.section,
        gateway={"store": "memory:"},
        upstream=upstream,
        fallbacks={"help": HELP},
    ) as gateway:
        yield Operator(gateway, key)
        assert gateway.failures() == []


def ask(operator: Operator, path: str = "/") -> Answer:
    return once(operator.gateway.port, get(path))


def statuses(operator: Operator, many: int) -> list[int]:
    return [ask(operator).status for _ in range(many)]


def states(operator: Operator) -> list[str]:
    return [each["state"] for each in operator.service()["instances"]]


def events(operator: Operator, kind: str) -> float:
    return operator.gateway.metric("ttagw_events_total", kind=kind, service="s")


# One of several


def test_an_instance_that_never_answers_is_left_out_and_nobody_notices(tmp_path: Path, key: Key) -> None:
    with Origin() as silent, Origin() as one, Origin() as two:
        silent.on(b"/", sending())
        with running(tmp_path, key, silent, one, two) as operator:

            def left_out() -> bool:
                assert ask(operator).status == 200
                return states(operator)[0] == "ejected"

            until(left_out, "it is left out")
            assert len(silent.requests) == 3
            assert states(operator) == ["ejected", "up", "up"]
            assert statuses(operator, 12) == [200] * 12
            assert len(silent.requests) == 3
            assert events(operator, "instance_ejected") == 1
            assert operator.service()["state"] == "up"


def test_an_instance_that_answers_500_is_left_out_and_comes_back(tmp_path: Path, key: Key) -> None:
    breaker = {**BREAKER, "open_for": "1s"}
    with Origin() as one, Origin() as two, Origin() as three:
        failing = Failing(one)
        with running(tmp_path, key, one, two, three, breaker=breaker) as operator:
            assert sorted(statuses(operator, 9)) == [200] * 6 + [500] * 3
            assert states(operator) == ["ejected", "up", "up"]
            assert statuses(operator, 6) == [200] * 6
            # It is tried out, and nobody pays for that.
            asked = failing.asked

            def tried() -> bool:
                assert ask(operator).status == 200
                return failing.asked > asked

            until(tried, "it is tried again")
            failing.bad = False

            def back() -> bool:
                assert ask(operator).status == 200
                return states(operator) == ["up"] * 3

            until(back, "it is back")
            assert events(operator, "instance_returned") == 1
            asked = failing.asked
            assert statuses(operator, 9) == [200] * 9
            assert failing.asked == asked + 3


def test_with_most_of_them_failing_they_are_asked_all_the_same_and_it_is_said(tmp_path: Path, key: Key) -> None:
    breaker = {**BREAKER, "open_for": "2s"}
    with Origin() as one, Origin() as two, Origin() as three:
        failing = [Failing(one), Failing(two)]
        with running(tmp_path, key, one, two, three, breaker=breaker) as operator:
            until(lambda: ask(operator) and operator.service()["panic"], "it panics")
            assert operator.gateway.metric("ttagw_service_panic", service="s") == 1
            assert events(operator, "panic_began") >= 1
            assert operator.service()["state"] == "panic"
            # Never more than half of them are left out.
            assert sorted(each == "ejected" for each in states(operator)) == [False, False, True]
            asked = sum([each.asked for each in failing])
            until(lambda: ask(operator) and sum([each.asked for each in failing]) > asked, "failing ones are asked")
            for each in failing:
                each.bad = False
            until(lambda: ask(operator) and states(operator) == ["up"] * 3, "all is well")
            assert not operator.service()["panic"]
            assert events(operator, "panic_ended") == events(operator, "panic_began")


# All of a service


def test_a_service_that_fails_is_left_alone_and_tried_again(tmp_path: Path, key: Key) -> None:
    with Origin() as origin:
        failing = Failing(origin)
        with running(tmp_path, key, origin, breaker={**BREAKER, "open_for": "1s"}) as operator:
            assert statuses(operator, 3) == [500] * 3
            refused = ask(operator)
            assert (refused.status, refused.reason) == (503, b"circuit_open")
            assert int(refused.value(b"retry-after")) == 1
            problem = json.loads(refused.body)
            assert (problem["state"], problem["status"]) == ("open", 503)
            assert refused.value(b"content-type") == b"application/problem+json"
            assert failing.asked == 3
            assert operator.service()["state"] == "circuit_open"
            assert operator.gateway.metric("ttagw_circuit_state", service="s", state="open") == 1
            # It is still broken when it is tried again: one call, and it is left alone for twice as long.
            until(lambda: ask(operator).status == 500, "it is tried again")
            assert failing.asked == 4
            problem = json.loads(ask(operator).body)
            assert (problem["state"], problem["retry_after"]) == ("open", 2)
            failing.bad = False
            until(lambda: ask(operator).status == 200, "it is tried once more")
            until(lambda: ask(operator) and operator.service()["state"] == "up", "all is well")
            assert statuses(operator, 5) == [200] * 5
            assert [events(operator, f"circuit_{each}") for each in ("open", "half_open", "closed")] == [2, 2, 1]


def test_a_service_with_a_fallback_gives_help_while_it_is_left_alone(tmp_path: Path, key: Key) -> None:
    with Origin() as origin:
        Failing(origin)
        with running(tmp_path, key, origin, fallback="help") as operator:
            until(lambda: ask(operator).reason == b"circuit_open", "it is left alone")
            answer = ask(operator)
            assert (answer.status, answer.value(b"x-crisis-support")) == (503, b"available")
            assert json.loads(answer.body)["support"]["text"] == "Call or text 988."
            assert len(origin.requests) == 3


# What an operator says


def test_an_operator_opens_and_closes_the_breaker_of_a_service(tmp_path: Path, key: Key) -> None:
    with Origin() as origin:
        failing = Failing(origin, bad=False)
        with running(tmp_path, key, origin) as operator:
            assert ask(operator).status == 200
            assert operator.force("s", "forced_open") == 200
            answer = ask(operator)
            assert (answer.reason, json.loads(answer.body)["state"]) == (b"circuit_open", "forced_open")
            assert ask(operator, "/other/").status == 200
            failing.bad = True
            assert operator.force("s", "forced_closed") == 200
            assert statuses(operator, 8) == [500] * 8
            assert operator.force("s", "auto") == 200
            assert statuses(operator, 4) == [500] * 3 + [503]
            assert operator.force("s", "shut") == 400
            assert operator.force("nobody", "auto") == 404


def test_an_operator_takes_one_instance_out_and_nobody_else_may(tmp_path: Path, key: Key) -> None:
    with Origin() as one, Origin() as two:
        only = make_key(tmp_path, "s", ["service"])
        entry = only.file.read_text()
        with running(tmp_path, Key(only.file, ""), one, two) as nobody:
            own = Operator(nobody.gateway, only)
            assert own.put("s", "mine", one.port) == 201
            assert own.force("s", "forced_open", "mine") == 403
            assert own.force("s", "forced_open") == 403
            assert nobody.force("s", "forced_open") == 401
            assert own.service()["breaker"]["state"] == "closed"
            assert only.file.read_text() == entry
        with running(tmp_path, key, one, two) as operator:
            first, second = (f"127.0.0.1:{each.port}" for each in (one, two))
            assert operator.force("s", "forced_open", first) == 200
            asked = len(one.requests)
            assert statuses(operator, 6) == [200] * 6
            assert len(one.requests) == asked
            assert operator.force("s", "forced_open", second) == 200
            assert ask(operator).status == 503
            assert operator.force("s", "auto", first) == 200
            assert statuses(operator, 3) == [200] * 3
            assert len(one.requests) == asked + 3
