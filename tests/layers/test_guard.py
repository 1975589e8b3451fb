from __future__ import annotations

from ipaddress import ip_network

import pytest

from tests.layers.asking import Asking, somebody
from ttagw.abuse.entries import Block
from ttagw.abuse.table import Table
from ttagw.core.classes import TrafficClass
from ttagw.core.identity import Identity
from ttagw.core.networks import Places
from ttagw.errors import CredentialsRequiredError
from ttagw.layers.guard import Guard, GuardUsers
from ttagw.model import Exchange, Reply
from ttagw.pipeline import Hooks, Pipeline, Route
from ttagw.testing import Clock, RecordingSink, exchange, route
from ttagw.web.render import render

CLIENT = "192.0.2.7"
BEARER = (b"authorization", b"Bearer t")


class Kit:
    """Both layers around one route. `rises`: the route asks who it is."""

    def __init__(self, *, rises: bool = True, logins: bool = False, counting: bool = True) -> None:
        self.wall = Clock(1000.0)
        self.table = Table(self.wall)
        self.places = Places([ip_network("198.51.100.0/24")], [ip_network("203.0.113.0/24")], [])
        self.counted: list[Exchange] = []
        self.names = ("r",) if rises else ()
        self.guard = Guard(
            self.places,
            self.table,
            self.wall,
            self.names,
            ("r",) if logins else (),
            self.counted.append if counting else None,
        )
        self.users = GuardUsers(self.places, self.table, self.wall, self.names)

    def block(self, subject: str, kind: str = "address", seconds: float | None = 100.0) -> None:
        end = None if seconds is None else self.wall() + seconds
        self.table.set(Block(kind, subject, self.wall(), end))  # type: ignore[arg-type]

    def ask(
        self, client: str = CLIENT, *credentials: tuple[bytes, bytes], identity: Identity | None = None, rank: int = 1
    ) -> Asking:
        def prepare(made: Exchange) -> None:
            made.client = client
            made.rank = TrafficClass(rank)

        return Asking([self.guard, self.users], *credentials, identity=identity, prepare=prepare)


def reason(asked: Asking) -> str:
    return "" if asked.error is None else asked.error.reason


def test_while_nobody_is_blocked_everybody_passes() -> None:
    kit = Kit()
    assert kit.ask().forwarded
    assert kit.ask("unknown").forwarded
    assert kit.ask(identity=somebody()).forwarded


@pytest.mark.parametrize(("seconds", "again"), [(100.0, 100), (99.2, 100), (0.5, 1), (None, None)])
def test_a_blocked_address_is_told_when_to_come_back(seconds: float | None, again: int | None) -> None:
    kit = Kit()
    kit.block(CLIENT, seconds=seconds)
    asked = kit.ask()
    assert (asked.status, reason(asked)) == (403, "address_blocked")
    assert asked.error is not None
    assert asked.error.retry_after == again
    assert kit.ask("192.0.2.8").forwarded
    kit.wall.advance(1000.0)
    assert kit.ask().forwarded == (seconds is not None)


def test_who_is_denied_is_refused_and_who_is_allowed_never_is() -> None:
    kit = Kit()
    denied = kit.ask("203.0.113.9", rank=4)
    assert (denied.status, reason(denied)) == (403, "address_denied")
    kit.block("198.51.100.0/24")
    assert kit.ask("198.51.100.1").forwarded
    assert kit.ask("198.51.100.1", BEARER, identity=somebody()).forwarded


def test_a_user_is_refused_wherever_they_are_and_a_key_of_that_name_is_not() -> None:
    kit = Kit()
    kit.block("7", "user")
    asked = kit.ask(identity=somebody("7"))
    assert (asked.status, reason(asked)) == (403, "user_blocked")
    assert kit.ask(identity=somebody("8")).forwarded
    assert kit.ask(identity=Identity("key", "7", (), ())).forwarded


def test_where_it_may_be_a_crisis_it_is_first_found_out_who_asks() -> None:
    kit = Kit()
    kit.block(CLIENT)
    # `Guard` alone lets it through, `GuardUsers` then knows the class.
    assert Asking([kit.guard], BEARER, prepare=lambda made: setattr(made, "client", CLIENT)).forwarded
    asked = kit.ask(CLIENT, BEARER, identity=somebody())
    assert (asked.status, reason(asked)) == (403, "address_blocked")
    assert kit.ask(CLIENT, BEARER, identity=somebody(), rank=4).forwarded
    closed = Kit(rises=False)
    closed.block(CLIENT)
    assert not Asking([closed.guard], BEARER, prepare=lambda made: setattr(made, "client", CLIENT)).forwarded


@pytest.mark.parametrize("before", ["", "limit"])
def test_crisis_is_never_refused_for_a_block_and_that_is_noted_once(before: str) -> None:
    kit = Kit()
    kit.block(CLIENT)
    kit.block("7", "user")

    class Before:
        name = "before"

        def bind(self, route: Route) -> Hooks:
            return Hooks(lambda made: setattr(made, "bypass", before))

    def prepare(made: Exchange) -> None:
        made.client = CLIENT
        made.rank = TrafficClass.CRISIS

    asked = Asking([Before(), kit.guard, kit.users], identity=somebody("7"), prepare=prepare)
    assert asked.forwarded
    assert asked.exchange.bypass == (f"{before},blocked" if before else "blocked")


def answered(kit: Kit, reply: Reply) -> None:
    made = exchange(
        sink=RecordingSink(), on=route(lambda pipeline, made: pipeline.answer(made, reply)).bind([kit.guard])
    )
    Pipeline(render).run(made)


def failing(kit: Kit) -> None:
    def fail(pipeline: Pipeline, made: Exchange) -> None:
        raise CredentialsRequiredError

    Pipeline(render).run(exchange(sink=RecordingSink(), on=route(fail).bind([kit.guard])))


def test_refusals_of_the_gateway_are_counted_and_those_of_a_service_only_where_people_log_in() -> None:
    for logins, expected in ((False, 0), (True, 1)):
        kit = Kit(logins=logins)
        answered(kit, Reply(200, [], b""))
        answered(kit, Reply(404, [], b""))
        assert kit.counted == []
        answered(kit, Reply(429, [], b""))
        assert len(kit.counted) == expected
        failing(kit)
        assert len(kit.counted) == expected + 1


def test_without_counting_there_is_nothing_on_the_way_out() -> None:
    kit = Kit(counting=False)
    failing(kit)
    hooks = kit.guard.bind(route())
    assert hooks is not None
    assert hooks.leave is None


def test_who_is_refused_for_a_block_is_not_counted() -> None:
    kit = Kit()
    kit.block(CLIENT)
    kit.ask()
    assert kit.counted == []


def test_where_nobody_is_asked_who_they_are_no_user_is_looked_for() -> None:
    assert Kit(rises=False).users.bind(route()) is None
