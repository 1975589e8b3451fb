from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.auth.revoking import Gateway, World, key, start, token
from tests.twisted_hygiene import Failures
from ttagw.auth import revocation_copy
from ttagw.auth.revocation_copy import RECONCILE, Knowledge
from ttagw.auth.revocation_entries import PARTS, PREFIX, decode, key_of
from ttagw.core.revocation import GRACE, mark
from ttagw.store.base import StoreAwayError
from ttagw.store.memory import MemoryStore


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.end()


# Two gateways


def test_a_change_at_one_is_in_effect_at_the_other_at_once(world: World) -> None:
    one, other = world.gateways
    one.revoke("jti", "j")
    assert other.refused(token()) == "token_revoked"
    other.lift("jti", "j")
    assert one.refused(token()) == ""


def test_word_that_was_lost_is_made_up_for(world: World) -> None:
    one, other = world.gateways
    other.remembered.identities = [token(), token("v")]
    world.store.mute = True
    one.revoke("user", "u")
    assert other.refused(token()) == ""
    world.pass_(RECONCILE + 0.5)
    assert other.refused(token()) == "token_revoked"
    assert [each.user for each in other.remembered.identities] == ["v"]
    assert "ttagw_revocations_repaired_total 1.0" in text(other)


def text(gateway: Gateway) -> str:
    return "\n".join(
        [
            f"{s.name} {float(s.value)}"
            for family in gateway.revocations.metrics()
            for s in family.samples
            if not s.labels
        ]
    )


def test_what_the_store_has_lost_it_gets_again(world: World) -> None:
    one, other = world.gateways
    one.revoke("user", "u")
    one.revoke("key", "ci")
    one.revoke("key", "lifted")
    one.lift("key", "lifted")
    had = sorted(world.store.values())
    world.store.away()
    world.store.lose()
    world.store.back()
    assert sorted(world.store.values()) == had
    third = Gateway(world.store, world.clock)
    third.revocations.start()
    assert third.refused(token()) == "token_revoked"
    assert third.refused(key("lifted")) == ""
    third.run(third.revocations.stop())
    assert other.refused(key("lifted")) == ""


def test_a_store_that_fell_back_behind_what_it_had_is_told_the_newest(world: World) -> None:
    one, other = world.gateways
    one.revoke("user", "u", moment=1e9 - 100)
    old = dict(one.run(world.store.scan("")))
    other.revoke("user", "u", moment=1e9 - 10)
    world.store.away()
    world.store.lose()
    world.store.back()
    world.store.away()
    world.store._standing.up()
    for each, value in old.items():
        one.run(world.store.put(each, value))
    assert one.refused(token(issued=1e9 - 60)) == "token_revoked"
    world.pass_(RECONCILE + 0.5)
    [value] = world.store.values()
    assert decode(value).moment == 1e9 - 10


def test_what_was_lifted_while_one_could_not_hear_of_it_is_lifted_there_too(world: World) -> None:
    one, other = world.gateways
    one.revoke("user", "u")
    world.store.mute = True
    one.lift("user", "u")
    assert other.refused(token()) == "token_revoked"
    world.store.away()
    world.store.back()
    assert other.refused(token()) == ""
    world.pass_(2 * RECONCILE)
    assert one.refused(token()) == ""


def test_nothing_is_written_again_shortly_before_its_end(world: World) -> None:
    one, _ = world.gateways
    one.revoke("jti", "j", end=1e9)
    world.store.lose()
    world.clock.advance(30 + GRACE - 59)
    world.pass_(2 * RECONCILE)
    assert world.store.values() == []


def test_what_cannot_be_read_counts_until_it_is_gone_or_replaced(world: World) -> None:
    one, other = world.gateways
    place = key_of(mark("user", "u"))
    one.run(world.store.put(place, b'{"version":2}'))
    one.run(world.store.put(f"{PREFIX}elsewhere", b"1"))
    later = token(issued=1e9 + 1000)
    assert [each.refused(later) for each in world.gateways] == ["token_revoked"] * 2
    world.pass_(2 * RECONCILE)
    assert one.run(world.store.get(place)) == b'{"version":2}'
    assert other.lift("user", "u") is True
    assert [each.refused(later) for each in world.gateways] == [""] * 2
    # A later version may have something to say about what we know: it is not overwritten, and what we know stays.
    one.revoke("user", "u")
    one.run(world.store.put(place, b'{"version":2}'))
    world.pass_(2 * RECONCILE)
    assert one.run(world.store.get(place)) == b'{"version":2}'
    assert one.refused(token()) == "token_revoked"


def test_what_cannot_be_read_and_is_gone_counts_no_more(world: World) -> None:
    one, _ = world.gateways
    place = key_of(mark("user", "u"))
    one.run(world.store.put(place, b"?"))
    one.run(world.store.delete(place))
    assert one.refused(token()) == "token_revoked"
    world.pass_(RECONCILE + 0.5)
    assert one.refused(token()) == ""


# Comparing


def test_a_store_of_our_own_is_compared_with_once(world: World) -> None:
    clock = Clock()
    store = MemoryStore(clock, clock.seconds)
    start(store)
    scans: list[str] = []
    scan = store.scan

    async def counted(prefix: str) -> Any:
        scans.append(prefix)
        return await scan(prefix)

    store.scan = counted  # type: ignore[method-assign]
    gateway = Gateway(store, clock)
    gateway.revocations.start()
    clock.pump([0.5] * 100)
    assert scans == list(PARTS)
    gateway.run(gateway.revocations.stop())
    gateway.run(store.stop())


def test_comparing_takes_a_small_part_of_the_time(world: World) -> None:
    one = world.gateways[0]
    world.gateways[1].run(world.gateways[1].revocations.stop())
    waiting = world.store.slow = Deferred()
    world.pass_(RECONCILE + 0.5)
    world.store.scans.clear()
    world.clock.advance(2.0)
    world.store.slow = None
    waiting.callback(None)
    assert len(world.store.scans) == len(PARTS) - 1
    # It took 2.5 s, the half second before the clock was set on included.
    world.pass_(49.0)
    assert len(world.store.scans) == len(PARTS) - 1
    world.pass_(2.0)
    assert len(world.store.scans) == 2 * len(PARTS) - 1
    assert one.revocations.knowledge is Knowledge.CURRENT


def test_a_comparison_across_an_outage_says_nothing_about_now(world: World) -> None:
    waiting = world.store.slow = Deferred()
    world.store.away()
    world.store.back()
    world.store.away()
    world.store.slow = None
    world.store.back()
    waiting.callback(None)
    assert [each.revocations.knowledge for each in world.gateways] == [Knowledge.LAST_KNOWN] * 2
    world.pass_(0.5)
    assert [each.revocations.knowledge for each in world.gateways] == [Knowledge.CURRENT] * 2


def test_a_comparison_that_fails_is_made_again(world: World) -> None:
    world.store.fails = StoreAwayError("timeout")
    gateway = Gateway(world.store, world.clock)
    gateway.revocations.start()
    assert (gateway.revocations.tried, gateway.revocations.knowledge) == (True, Knowledge.UNKNOWN)
    world.store.fails = None
    world.pass_(0.5)
    assert gateway.revocations.knowledge is Knowledge.CURRENT
    gateway.run(gateway.revocations.stop())


def test_what_cannot_be_written_again_waits(world: World) -> None:
    one = world.gateways[0]
    one.revoke("jti", "j")
    world.store.lose()
    swap = world.store.swap

    async def refused(*about: object) -> bool:
        raise StoreAwayError("timeout")

    world.store.swap = refused  # type: ignore[method-assign,assignment]
    world.store.away()
    world.store.back()
    assert world.store.values() == []
    world.store.swap = swap  # type: ignore[method-assign]
    world.pass_(RECONCILE + 0.5)
    assert len(world.store.values()) == 1


def test_what_nobody_thought_of_ends_nothing(world: World, failures: Failures) -> None:
    scan = world.store.scan

    async def broken(prefix: str) -> Any:
        raise RuntimeError("scan")

    world.store.scan = broken  # type: ignore[method-assign]
    world.store.away()
    world.store.back()
    world.pass_(1.0)
    world.store.scan = scan  # type: ignore[method-assign]
    world.pass_(0.5)
    assert [each.revocations.knowledge for each in world.gateways] == [Knowledge.CURRENT] * 2
    assert len(failures.take(RuntimeError)) >= 2


def test_requests_get_their_turn_while_much_is_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation_copy, "CHUNK", 2)
    world = World(0)
    one = Gateway(world.store, world.clock)
    one.revocations.start()
    works = [one.revocations.revoke("jti", f"j{number}") for number in range(200)]
    for each in works:
        one.run(each)
    other = Gateway(world.store, world.clock)
    other.revocations.start()
    turns = 0
    while other.revocations.knowledge is Knowledge.UNKNOWN:
        turns += 1
        one_turn(world.clock)
    assert turns > 80
    assert other.revocations.counts()["jti"] == 200
    # One that is told to end in the middle ends.
    third = Gateway(world.store, world.clock)
    third.revocations.start()
    for each in (third, one, other):
        each.run(each.revocations.stop())
    one.run(world.store.stop())
    assert world.clock.getDelayedCalls() == []


def one_turn(clock: Clock) -> None:
    """Make the calls that are due, and not those that they put off until the next turn."""
    due = [call for call in clock.getDelayedCalls() if call.getTime() <= clock.seconds()]
    assert due
    for call in due:
        clock.calls.remove(call)
        call.called = 1
        call.func(*call.args, **call.kw)


def test_what_is_heard_after_the_end_is_in_effect_at_once(world: World) -> None:
    one, other = world.gateways
    one.run(one.revocations.stop())
    one.revoke("jti", "j")
    assert one.refused(token()) == "token_revoked"
    assert other.refused(token()) == "token_revoked"
