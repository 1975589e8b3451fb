from __future__ import annotations

import json

import pytest
from twisted.internet.defer import Deferred

from tests.layers.asking import Asking, somebody
from tests.layers.limiting import Limited, answered, names, policy, settings, told
from ttagw.core.classes import TrafficClass
from ttagw.errors import NoInstanceError, OverloadedError
from ttagw.limits.base import Buckets, State, Terms, Verdict, Want

USER = {"rate": "60/min", "burst": 3, "key": ["user"]}
IP = {"rate": "120/min", "burst": 5, "key": ["ip"]}
THERAPIST = {**USER, "roles": {"therapist": 2.0, "admin": 3.0}, "classes": {"therapeutic": 2.0, "low": 0.5}}
OK = 200
REFUSED = 429


def document(asking: Asking) -> dict[str, object]:
    return json.loads(asking.sink.body)  # type: ignore[no-any-return]


# One limit


def test_a_burst_and_then_as_it_leaks() -> None:
    limited = Limited(u=USER)
    assert limited.statuses(5, somebody()) == [OK] * 3 + [REFUSED] * 2
    limited.clock.advance(2.0)
    assert limited.statuses(3, somebody()) == [OK] * 2 + [REFUSED]
    assert limited.outcomes("u") == {"allowed": 5, "refused": 3}


def test_a_refusal_says_when_and_by_what() -> None:
    limited = Limited(u={"rate": "10/min", "burst": 1})
    assert limited.status() == OK
    limited.clock.advance(0.5)
    asking = limited.ask()
    assert asking.status == REFUSED
    assert asking.exchange.reason == "rate_limited"
    said = document(asking)
    assert (said["code"], said["limit"], said["retry_after"]) == ("rate_limited", "u", 6)
    assert told(asking) == {"u": {"r": 0, "t": 6}}
    limited.clock.advance(5.5)
    assert limited.statuses(2) == [OK, REFUSED]


def test_what_is_left_is_told() -> None:
    limited = Limited(u=USER)
    first = answered(limited.ask(somebody()))
    assert policy(first) == {"u": {"q": 60, "w": 60}}
    assert told(first) == {"u": {"r": 2, "t": 1}}
    limited.clock.advance(0.25)
    assert told(answered(limited.ask(somebody()))) == {"u": {"r": 1, "t": 2}}
    assert told(answered(limited.ask(somebody()))) == {"u": {"r": 0, "t": 3}}


def test_it_is_told_whatever_the_answer_is() -> None:
    limited = Limited(u=USER)
    asking = limited.ask()
    asking.pipeline.fail(asking.exchange, NoInstanceError("elsewhere"))
    assert asking.status == 503
    assert (policy(asking), told(asking)) == ({"u": {"q": 60, "w": 60}}, {"u": {"r": 2, "t": 1}})


def test_what_services_say_of_their_limits_is_replaced() -> None:
    limited = Limited(u=USER)
    theirs = [
        (b"RateLimit", b'"x";r=9'),
        (b"a", b"b"),
        (b"ratelimit-policy", b"p"),
        (b"RATELIMIT", b""),
        (b"x-limit-9", b""),
    ]
    asking = answered(limited.ask(), fields=theirs)
    assert names(asking) == [b"a", b"x-limit-9", b"ratelimit-policy", b"ratelimit"]
    crisis = answered(limited.ask(rank=TrafficClass.CRISIS), fields=theirs)
    assert names(crisis) == [b"a", b"x-limit-9"]


def test_a_route_without_limits_costs_nothing() -> None:
    limited = Limited(u=USER)
    limited.layer._routes = {}
    asking = answered(limited.ask(), fields=[(b"ratelimit", b"theirs")])
    assert names(asking) == [b"ratelimit"]


# Several


def test_all_or_none() -> None:
    limited = Limited(u=USER, i=IP)
    assert limited.statuses(4, somebody()) == [OK] * 3 + [REFUSED]
    assert limited.statuses(3, somebody("8")) == [OK] * 2 + [REFUSED]
    asking = limited.ask(somebody("8"))
    assert document(asking)["limit"] == "i"
    assert told(asking) == {"u": {"r": 1, "t": 2}, "i": {"r": 0, "t": 1}}
    assert policy(asking) == {"u": {"q": 60, "w": 60}, "i": {"q": 120, "w": 60}}
    assert limited.outcomes("u") == {"allowed": 5, "refused": 1}
    assert limited.outcomes("i") == {"allowed": 5, "refused": 2}


def test_costs() -> None:
    limited = Limited(cost=2, u=USER)
    assert limited.statuses(2) == [OK, REFUSED]
    limited.clock.advance(1.0)
    assert limited.statuses(2) == [OK, REFUSED]
    free = Limited(cost=0, u=USER)
    assert free.statuses(10) == [OK] * 10
    assert told(answered(free.ask())) == {"u": {"r": 3, "t": 0}}


def test_what_never_fits_has_no_time_to_wait() -> None:
    limited = Limited(cost=4, u=USER)
    asking = limited.ask()
    assert asking.status == REFUSED
    assert b"retry-after" not in names(asking)
    assert told(asking) == {"u": {"r": 0}}


# Multiples


@pytest.mark.parametrize(
    ("roles", "rank", "count", "quota"),
    [
        ((), TrafficClass.NORMAL, 3, 60),
        (("patient",), TrafficClass.NORMAL, 3, 60),
        (("therapist", "patient"), TrafficClass.NORMAL, 6, 120),
        (("therapist", "admin"), TrafficClass.HIGH, 9, 180),
        (("therapist",), TrafficClass.THERAPEUTIC, 12, 240),
        (("patient",), TrafficClass.THERAPEUTIC, 6, 120),
        (("patient",), TrafficClass.LOW, 1, 30),
        (("admin",), TrafficClass.LOW, 4, 90),
    ],
)
def test_some_may_more_and_are_told_so(roles: tuple[str, ...], rank: TrafficClass, count: int, quota: int) -> None:
    limited = Limited(u=THERAPIST)
    asked = [answered(limited.ask(somebody("7", roles), rank=rank)) for _ in range(count)]
    assert [each.status for each in asked] == [OK] * count
    assert [policy(each)["u"]["q"] for each in asked] == [quota] * count
    whole = 3 * quota / 60
    assert [told(each)["u"]["r"] for each in asked] == [int(whole - 1 - at + 1e-9) for at in range(count)]
    assert limited.status(somebody("7", roles), rank=rank) == REFUSED


def test_a_small_multiple_lets_less_through_and_not_nothing() -> None:
    limited = Limited(cost=2, u={**USER, "classes": {"low": 0.1}})
    assert limited.statuses(2, somebody(), rank=TrafficClass.LOW) == [OK, REFUSED]
    limited.clock.advance(2.9)
    assert limited.status(somebody(), rank=TrafficClass.LOW) == REFUSED
    limited.clock.advance(0.1)
    assert limited.status(somebody(), rank=TrafficClass.LOW) == OK


def test_it_is_one_bucket_whatever_somebody_is_at_the_moment() -> None:
    limited = Limited(u=THERAPIST)
    assert limited.statuses(3, somebody("7", ["therapist"])) == [OK] * 3
    assert limited.statuses(2, somebody("7", ["patient"])) == [OK, REFUSED]
    assert limited.statuses(2, somebody("7", ["therapist"])) == [OK, REFUSED]


def test_sets_of_roles_are_not_kept_without_bound() -> None:
    limited = Limited(u={**THERAPIST, "key": []})
    from ttagw.layers.limit import on_route

    asking = [limited.ask(somebody("7", [f"r{number}"])) for number in range(3)]
    bound = limited.layer._bound[0]
    for number in range(on_route.MOST_OFFERS + 10):
        bound._offer(frozenset({str(number)}), TrafficClass.NORMAL)
    assert len(bound._offers[TrafficClass.NORMAL]) <= on_route.MOST_OFFERS
    assert [each.status for each in asking] == [0, 0, 0]


# Tried out


def test_what_is_tried_out_is_logged_and_not_announced() -> None:
    limited = Limited(u={**USER, "dry_run": True}, i=IP)
    asked = [answered(limited.ask(somebody())) for _ in range(5)]
    assert [each.status for each in asked] == [OK] * 5
    assert [each.exchange.dry_run for each in asked] == [""] * 3 + ["rate_limited"] * 2
    assert list(told(asked[-1])) == list(policy(asked[-1])) == ["i"]
    assert limited.status(somebody()) == REFUSED
    assert limited.outcomes("u") == {"allowed": 3, "dry_run": 3}
    assert limited.outcomes("i") == {"allowed": 5, "refused": 1}


def test_alone_it_announces_nothing() -> None:
    limited = Limited(u={**USER, "dry_run": True, "concurrent": 1})
    first, second = limited.ask(), limited.ask()
    assert (second.status, second.exchange.dry_run) == (0, "too_many_at_once")
    assert limited.outcomes("u") == {"allowed": 1, "dry_run": 1}
    assert names(answered(first)) == names(answered(second)) == []


# Crisis


def test_crisis_is_never_refused_and_charged_nothing() -> None:
    limited = Limited(u=USER, i={**IP, "concurrent": 2, "bandwidth": "1KiB/s"})
    asked = [limited.ask(somebody(), rank=TrafficClass.CRISIS) for _ in range(10)]
    assert [(each.status, each.exchange.bypass) for each in asked] == [(0, "")] * 10
    assert limited.limits.by_name["i"].under_way == {}
    assert limited.statuses(4, somebody()) == [OK] * 3 + [REFUSED]
    asking = limited.ask(somebody(), rank=TrafficClass.CRISIS)
    assert (asking.status, asking.exchange.bypass) == (0, "limit")
    assert limited.outcomes("u") == {"allowed": 3, "refused": 1, "bypassed": 1}
    asking.pipeline.run(asking.exchange)
    assert asking.exchange.bypass == "limit"


def test_it_is_told_beside_what_else_was_passed_by() -> None:
    limited = Limited(u={"concurrent": 1})
    limited.ask()
    asking = limited.ask(rank=TrafficClass.CRISIS)
    assert asking.exchange.bypass == "limit"
    asking.exchange.bypass = "breaker"
    asking.pipeline.run(asking.exchange)
    assert asking.exchange.bypass == "breaker,limit"


def test_what_is_only_tried_out_is_not_passed_by() -> None:
    limited = Limited(u={**USER, "concurrent": 1, "dry_run": True})
    for _ in range(5):
        limited.ask()
    assert limited.ask(rank=TrafficClass.CRISIS).exchange.bypass == ""


# Shed


def test_who_is_shed_does_not_pay() -> None:
    limited = Limited(u=USER, t={**USER, "dry_run": True, "burst": 1})
    for _ in range(5):
        asking = limited.ask()
        asking.pipeline.fail(asking.exchange, OverloadedError())
        assert (asking.status, told(asking)) == (503, {"u": {"r": 3, "t": 0}})
    assert limited.statuses(4) == [OK] * 3 + [REFUSED]


# Changes


def test_a_change_is_announced_at_once_and_forgets_nothing() -> None:
    limited = Limited(u=USER, i=IP)
    assert limited.statuses(2, somebody()) == [OK] * 2
    limited.limits.set("u", settings(**{**USER, "rate": "120/min", "burst": 5}))
    asking = answered(limited.ask(somebody()))
    assert (policy(asking)["u"], told(asking)["u"]) == ({"q": 120, "w": 60}, {"r": 2, "t": 2})
    limited.limits.set("u", settings(**{**USER, "burst": 1}))
    assert limited.status(somebody()) == REFUSED
    limited.clock.advance(3.0)
    assert limited.statuses(2, somebody()) == [OK, REFUSED]
    limited.limits.set("u", settings(**{**USER, "dry_run": True}))
    assert limited.statuses(2, somebody()) == [OK] * 2
    assert list(policy(answered(limited.ask(somebody())))) == ["i"]


def test_what_it_counts_by_and_the_multiples_stay() -> None:
    limited = Limited(u=THERAPIST)
    limited.limits.set("u", settings(rate="60/min", burst=2, key=["user"]))
    assert limited.statuses(5, somebody("7", ["therapist"])) == [OK] * 4 + [REFUSED]


# Elsewhere


class Elsewhere:
    """Buckets that somebody else keeps; verdicts come when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[Want], Deferred[Verdict]]] = []
        self.cancelled = 0
        self.given_back: list[list[Want]] = []
        self.now: Verdict | None = None

    def take(self, wants: object) -> Verdict | Deferred[Verdict]:
        if self.now is not None:
            return self.now
        waiting: Deferred[Verdict] = Deferred(self._cancel)
        self.asked.append((list(wants), waiting))  # type: ignore[call-overload]
        return waiting

    def _cancel(self, waiting: Deferred[Verdict]) -> None:
        self.cancelled += 1

    def give_back(self, wants: object) -> None:
        self.given_back.append(list(wants))  # type: ignore[call-overload]

    def reset(self, terms: Terms, key: str) -> None:
        raise NotImplementedError

    def say(self, verdict: Verdict) -> None:
        self.asked.pop(0)[1].callback(verdict)


@pytest.fixture
def elsewhere() -> Elsewhere:
    made = Elsewhere()
    checked: Buckets = made
    assert checked is made
    return made


FREE = (State(2.0, 1.0),)


@pytest.mark.parametrize("more", [{}, {"concurrent": 2}])
def test_a_verdict_that_comes_later(elsewhere: Elsewhere, more: dict[str, int]) -> None:
    limited = Limited(elsewhere, u={**USER, **more})
    asking, other = limited.ask(), limited.ask()
    assert not asking.forwarded
    assert [want.key for want in elsewhere.asked[0][0]] == [" 192.0.2.7"]
    elsewhere.say(Verdict(True, FREE))
    assert asking.forwarded
    assert told(answered(asking))["u"] == {"r": 2, "t": 1}
    elsewhere.say(Verdict(False, (State(0.0, 3.0),), limited.limits.by_name["u"].rate, 0.2))
    assert (other.status, told(other)["u"]) == (429, {"r": 0, "t": 1})
    assert limited.outcomes("u") == {"allowed": 1, "refused": 1}


@pytest.mark.parametrize("more", [{}, {"concurrent": 1}])
def test_a_client_that_leaves_is_not_waited_for(elsewhere: Elsewhere, more: dict[str, int]) -> None:
    limited = Limited(elsewhere, u={**USER, **more})
    limited.ask().leave()
    assert elsewhere.cancelled == 1
    assert limited.limits.by_name["u"].under_way == {}
    assert limited.outcomes("u") == {}
    asking = limited.ask()
    asking.leave()
    assert asking.status == 499


def test_if_nobody_can_say_and_the_limit_says_deny(elsewhere: Elsewhere) -> None:
    limited = Limited(elsewhere, u={**USER, "concurrent": 1})
    terms = limited.limits.by_name["u"].rate
    for verdict in (Verdict(False, (), terms, unknown=True), Verdict(False, (), unknown=True)):
        elsewhere.now = verdict
        asking = limited.ask()
        assert (asking.status, asking.exchange.reason) == (503, "limit_unknown")
        assert document(asking)["retry_after"] == 1
        assert list(policy(asking)) == ["u", "u:concurrent"]
        assert told(asking) == {"u:concurrent": {"r": 1}}
    assert limited.outcomes("u") == {"unknown": 2}


def test_what_is_given_back_is_what_was_charged(elsewhere: Elsewhere) -> None:
    elsewhere.now = Verdict(True, FREE)
    limited = Limited(elsewhere, u=USER)
    asking = limited.ask()
    asking.pipeline.fail(asking.exchange, OverloadedError("overloaded_queue"))
    assert [[want.cost for want in wants] for wants in elsewhere.given_back] == [[1.0]]
    elsewhere.now = Verdict(False, FREE, limited.limits.by_name["u"].rate, 1.0)
    limited.ask()
    assert len(elsewhere.given_back) == 1


def test_crisis_waits_for_nobody(elsewhere: Elsewhere) -> None:
    limited = Limited(elsewhere, u=USER)
    asking = limited.ask(rank=TrafficClass.CRISIS)
    assert (asking.forwarded, asking.exchange.bypass, elsewhere.asked) == (True, "", [])


def test_a_failure_there_leaves_nothing_behind(elsewhere: Elsewhere, failures: object) -> None:
    limited = Limited(elsewhere, u={**USER, "concurrent": 1})
    asking = limited.ask()
    elsewhere.asked[0][1].errback(LookupError("broken"))
    assert asking.status == 500
    assert limited.limits.by_name["u"].under_way == {}
    assert len(failures.take(LookupError)) == 1  # type: ignore[attr-defined]
