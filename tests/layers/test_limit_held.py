"""Requests under way, and bytes."""

from __future__ import annotations

import json
from itertools import pairwise

from tests.layers.asking import Asking, somebody
from tests.layers.limiting import Limited, answered, policy, told
from ttagw.core.classes import TrafficClass
from ttagw.layers.limit.held import TICKS

OK, REFUSED = 200, 429
TWO = {"concurrent": 2, "key": ["user"]}


def code(asking: Asking) -> str:
    return str(json.loads(asking.sink.body)["code"])


def end(asking: Asking) -> None:
    asking.pipeline.end(asking.exchange)


# Under way


def test_so_many_at_once_and_the_next_when_one_is_over() -> None:
    limited = Limited(c=TWO)
    first, second, third = [limited.ask(somebody()) for _ in range(3)]
    assert (first.status, second.status, third.status) == (0, 0, REFUSED)
    assert (code(third), third.exchange.reason) == ("too_many_at_once", "too_many_at_once")
    assert json.loads(third.sink.body)["limit"] == "c"
    assert policy(third) == {"c:concurrent": {"q": 2, "qu": "concurrent-requests"}}
    assert told(third) == {"c:concurrent": {"r": 0}}
    assert limited.ask(somebody("8")).status == 0
    answered(first)
    assert limited.ask(somebody()).status == REFUSED
    end(first)
    fourth = limited.ask(somebody())
    assert told(answered(fourth)) == {"c:concurrent": {"r": 0}}
    end(fourth)
    end(second)
    assert limited.limits.by_name["c"].under_way == {"8": 1}


def test_a_client_that_leaves_makes_room() -> None:
    limited = Limited(c=TWO)
    for _ in range(5):
        asked = [limited.ask(somebody()) for _ in range(2)]
        assert [each.status for each in asked] == [0, 0]
        for each in asked:
            each.leave()
    assert limited.limits.by_name["c"].under_way == {}


def test_who_is_refused_holds_nothing() -> None:
    limited = Limited(c=TWO, u={"rate": "1/min", "key": ["ip"]})
    first = limited.ask(somebody())
    assert [limited.ask(somebody("8")).status for _ in range(5)] == [REFUSED] * 5
    assert limited.limits.by_name["c"].under_way == {"7": 1}
    end(first)
    assert limited.limits.by_name["c"].under_way == {}


def test_who_is_refused_for_being_too_many_is_charged_nothing() -> None:
    limited = Limited(u={"rate": "3/min", "concurrent": 1})
    first = limited.ask()
    for _ in range(5):
        asking = limited.ask()
        assert (asking.status, told(asking)) == (REFUSED, {"u": {"r": 2, "t": 20}, "u:concurrent": {"r": 0}})
    end(first)
    assert limited.statuses(3) == [OK, OK, REFUSED]
    assert limited.outcomes("u") == {"allowed": 3, "refused": 6}


def test_multiples_are_of_places_too() -> None:
    limited = Limited(c={**TWO, "roles": {"admin": 1.5}, "classes": {"low": 0.1}})
    admin = somebody("7", ["admin"])
    assert [limited.ask(admin).status for _ in range(4)] == [0, 0, 0, REFUSED]
    assert [limited.ask(somebody("8"), rank=TrafficClass.LOW).status for _ in range(2)] == [0, REFUSED]


# Bytes


def passed(limited: Limited, sent: int, got: int) -> Asking:
    """A request with a body, and its answer; it is not over yet."""
    asking = limited.ask(somebody())
    asking.exchange.body = Counted(sent)  # type: ignore[assignment]
    asking.exchange.bytes_out = got
    return asking


class Counted:
    def __init__(self, received: int) -> None:
        self.received = received


def test_bytes_are_paid_for_afterwards() -> None:
    limited = Limited(b={"bandwidth": "1KiB/s", "key": ["user"]})
    first = passed(limited, 2000, 2096)
    assert first.status == 0
    answered(first)
    assert policy(first) == {"b:bandwidth": {"q": 1024, "qu": "content-bytes", "w": 1}}
    assert told(first) == {"b:bandwidth": {"r": 1024, "t": 0}}
    end(first)
    refused = limited.ask(somebody())
    assert (refused.status, code(refused)) == (REFUSED, "bandwidth_exceeded")
    assert json.loads(refused.sink.body)["retry_after"] == 3
    assert told(refused) == {"b:bandwidth": {"r": 0, "t": 3}}
    assert limited.ask(somebody("8")).status == 0
    limited.clock.advance(3.0)
    assert limited.ask(somebody()).status == 0


def test_a_long_body_is_charged_while_it_passes() -> None:
    limited = Limited(b={"bandwidth": "1KiB/s", "key": ["user"]})
    long = passed(limited, 0, 1500)
    limited.layer.tick()
    assert limited.ask(somebody()).status == REFUSED
    limited.layer.tick()
    limited.clock.advance(1.0)
    assert limited.status(somebody()) == OK
    long.exchange.bytes_out = 1500 + 548
    end(long)
    assert limited.status(somebody()) == OK
    end(passed(limited, 1, 0))
    assert limited.status(somebody()) == REFUSED
    assert limited.layer._metered.under_way == set()


def test_many_long_bodies_are_charged_in_turns_within_a_second() -> None:
    limited = Limited(b={"bandwidth": "1KiB/s", "key": ["ip"]})
    clients = [f"192.0.2.{number}" for number in range(25)]
    asked = [limited.ask(client=client) for client in clients]
    for asking in asked:
        asking.exchange.bytes_out = 3000
    counts = []
    for _ in range(TICKS):
        limited.layer.tick()
        counts.append(limited.local.keys("b:bandwidth"))
    assert counts[-1] == 25
    assert max([after - before for before, after in pairwise([0, *counts])]) <= 3
    for asking in asked:
        end(asking)
        limited.layer.tick()
    assert limited.local.debt(limited.limits.by_name["b"].bandwidth, clients[0])[1].reset == 3000 / 1024


def test_of_two_that_refuse_the_one_that_is_over_last_is_named() -> None:
    limited = Limited(c={"concurrent": 1}, b={"bandwidth": "1KiB/s", "key": []}, d={"concurrent": 1})
    asking = limited.ask()
    asking.exchange.bytes_out = 9000
    limited.layer.tick()
    refused = limited.ask()
    assert (code(refused), json.loads(refused.sink.body)["limit"]) == ("bandwidth_exceeded", "b")
    assert told(refused) == {"c:concurrent": {"r": 0}, "b:bandwidth": {"r": 0, "t": 8}, "d:concurrent": {"r": 0}}


def test_multiples_are_of_bytes_too() -> None:
    limited = Limited(b={"bandwidth": "1KiB/s", "key": [], "classes": {"high": 2.0}})
    asking = limited.ask(rank=TrafficClass.HIGH)
    asking.exchange.bytes_out = 2048
    end(asking)
    asking = answered(limited.ask(rank=TrafficClass.HIGH))
    assert policy(asking)["b:bandwidth"]["q"] == 2048
    assert told(asking) == {"b:bandwidth": {"r": 0, "t": 1}}
    asking.exchange.bytes_out = 2
    end(asking)
    assert limited.ask(rank=TrafficClass.HIGH).status == REFUSED


def test_all_of_it_in_one_limit() -> None:
    limited = Limited(a={"rate": "60/min", "concurrent": 2, "bandwidth": "1KiB/s", "key": ["user"]})
    first = answered(limited.ask(somebody()))
    assert list(policy(first)) == list(told(first)) == ["a", "a:concurrent", "a:bandwidth"]
    assert told(first) == {"a": {"r": 59, "t": 1}, "a:concurrent": {"r": 1}, "a:bandwidth": {"r": 1024, "t": 0}}


def test_what_has_gone_by_a_change_is_let_go_all_the_same() -> None:
    limited = Limited(c={"rate": "60/min", "concurrent": 1, "bandwidth": "1KiB/s", "key": ["user"]})
    first = passed(limited, 0, 5000)
    limited.limits.set("c", limited.limits.by_name["c"].configured.model_copy(update={"concurrent": None}))
    assert limited.status(somebody()) == OK
    end(first)
    assert limited.limits.by_name["c"].under_way == {}
    assert limited.status(somebody()) == REFUSED
