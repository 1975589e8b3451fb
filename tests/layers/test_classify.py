"""Of which class a request is, and what is above a class's ceiling."""

from __future__ import annotations

import json

import pytest

from tests.layers.asking import Asking
from ttagw.auth.refusals import network
from ttagw.core.ceiling import Ceiling
from ttagw.core.classes import TrafficClass, session_key
from ttagw.core.identity import Identity
from ttagw.core.marks import Mark
from ttagw.errors import CrisisCeilingError, RateLimitedError
from ttagw.layers.ceilings import RESPITE, Ceilings
from ttagw.layers.classify import Classify
from ttagw.model import Exchange
from ttagw.testing import Clock, route

LOW, NORMAL, HIGH, THERAPEUTIC, CRISIS = TrafficClass
MARKED = {session_key("s/1"): Mark(CRISIS, 2000.0), session_key("s-low"): Mark(LOW, 2000.0)}


def who(rank: TrafficClass = LOW, session: str = "") -> Identity:
    return Identity("token", "7", ("patient",), (), session=session, rank=rank)


def ranked(identity: Identity | None, own: TrafficClass = NORMAL, marks: dict[str, Mark] = MARKED) -> TrafficClass:
    """The class of a request on a route of the class `own`."""

    def prepare(made: Exchange) -> None:
        made.rank = own

    return Asking([Classify({"r"}, marks)], identity=identity, prepare=prepare).exchange.rank


@pytest.mark.parametrize("own", TrafficClass)
@pytest.mark.parametrize("claimed", TrafficClass)
@pytest.mark.parametrize("session", ["", "s/1", "s-low", "s-2"])
def test_the_highest_wins(own: TrafficClass, claimed: TrafficClass, session: str) -> None:
    marked = {"s/1": CRISIS}.get(session, LOW)
    assert ranked(who(claimed, session), own) is max(own, claimed, marked)


def test_of_nobody_only_the_route_says_something() -> None:
    assert ranked(None, HIGH) is HIGH


def test_a_mark_counts_from_the_moment_that_it_is_there_until_it_is_gone() -> None:
    marks: dict[str, Mark] = {}
    layer = Classify({"r"}, marks)
    me = who(session="s-1")
    assert Asking([layer], identity=me).exchange.rank is NORMAL
    marks[session_key("s-1")] = Mark(CRISIS, 2000.0)
    assert Asking([layer], identity=me).exchange.rank is CRISIS
    marks.clear()
    assert Asking([layer], identity=me).exchange.rank is NORMAL


def test_what_a_client_says_of_itself_has_no_effect() -> None:
    def prepare(made: Exchange) -> None:
        made.fields = [(b"X-Traffic-Class", b"crisis"), (b"x-therapeutic-session-id", b"s/1")]

    assert Asking([Classify({"r"}, MARKED)], identity=who(), prepare=prepare).exchange.rank is NORMAL


def test_on_a_route_that_knows_nobody_there_is_nothing_to_do() -> None:
    assert Classify({"other"}, MARKED).bind(route()) is None


# Ceilings


def ask(layer: Ceilings, rank: TrafficClass = CRISIS, client: str = "192.0.2.7", accept: bytes = b"") -> Asking:
    def prepare(made: Exchange) -> None:
        made.rank = rank
        made.client = client
        made.fields = [(b"accept", accept)] if accept else []

    return Asking([layer], prepare=prepare)


def test_above_the_ceiling_of_crisis_nobody_is_asked_and_the_answer_is_help() -> None:
    clock = Clock()
    layer = Ceilings({CRISIS: Ceiling(6, 60.0)}, clock, network)
    assert all(ask(layer).forwarded for _ in range(6))
    for accept in (b"", b"text/html", b"text/plain"):
        above = ask(layer, accept=accept)
        assert not above.forwarded
        assert isinstance(above.error, CrisisCeilingError)
        assert above.status == 503
        assert above.exchange.respite == RESPITE
        assert above.exchange.helped
        assert above.sink.reply is not None
        fields = dict(above.sink.reply.fields)
        assert (fields[b"x-crisis-support"], fields[b"retry-after"]) == (b"available", b"10")
        assert b"988" in above.sink.body
        assert b"741741" in above.sink.body
        assert b"911" in above.sink.body
    clock.advance(10.0)
    assert ask(layer).forwarded


def test_one_address_does_not_use_up_what_others_have() -> None:
    layer = Ceilings({CRISIS: Ceiling(1, 60.0)}, Clock(), network)
    assert ask(layer).forwarded
    assert not ask(layer).forwarded
    assert ask(layer, client="192.0.2.8").forwarded
    assert ask(layer, client="2001:db8::1").forwarded
    assert not ask(layer, client="2001:db8::2").forwarded
    assert ask(layer, client="2001:db8:0:1::1").forwarded


def test_above_the_ceiling_of_another_class_it_is_429() -> None:
    layer = Ceilings({HIGH: Ceiling(1, 60.0)}, Clock(), network)
    assert ask(layer, HIGH).forwarded
    above = ask(layer, HIGH)
    assert isinstance(above.error, RateLimitedError)
    assert (above.status, above.exchange.reason, above.exchange.respite) == (429, "class_rate", 0.0)
    assert above.sink.reply is not None
    fields = dict(above.sink.reply.fields)
    assert fields[b"ratelimit-policy"] == b'"class-high";q=1;w=60'
    assert fields[b"ratelimit"] == b'"class-high";r=0;t=60'
    assert fields[b"retry-after"] == b"60"
    assert b"x-crisis-support" not in fields
    assert json.loads(above.sink.body)["code"] == "rate_limited"


@pytest.mark.parametrize("rank", [LOW, NORMAL, THERAPEUTIC, CRISIS])
def test_a_class_without_a_ceiling_has_none(rank: TrafficClass) -> None:
    layer = Ceilings({HIGH: Ceiling(1, 60.0)}, Clock(), network)
    assert all(ask(layer, rank).forwarded for _ in range(20))


def test_without_ceilings_it_is_not_there() -> None:
    assert Ceilings({}, Clock(), network).bind(route()) is None
