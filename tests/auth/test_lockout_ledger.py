from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.auth.test_lockouts import HERE, MIRA, RULES, now
from tests.twisted_hygiene import Failures
from ttagw.auth.lockout_entry import decode, encode
from ttagw.auth.lockout_ledger import COMPARE, LAST, PARTS, PREFIX, RETRY, SECRET, LockoutLedger
from ttagw.auth.lockout_table import Table
from ttagw.auth.lockouts import Lockouts
from ttagw.core.lockout import Mark, State
from ttagw.core.login import Who
from ttagw.errors import LoginPausedError
from ttagw.store.base import StoreAwayError, StoreError, StoreRefusedError
from ttagw.store.memory import MemoryStore
from ttagw.store.telling import Standing

WALL = 1_800_000_000.0


class Kept(MemoryStore):
    """A store that others see too, that can be away or full, and whose word can get lost."""

    shared = True

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, clock.seconds)
        self.standing = Standing("kept", clock.seconds)
        self.on_state = self.standing.listen
        self.full = False
        self.deaf = False
        self.asked = 0
        self.most = 10_000
        self.scans = 0
        self.held: dict[str, Deferred[None]] = {}
        self.slow: Deferred[None] | None = None
        tell = self.watch
        self.watch = lambda prefix, notice: tell(prefix, lambda *word: None if self.deaf else notice(*word))

    @property
    def state(self) -> Any:
        return self.standing.state

    def _check(self) -> None:
        if not self.state.up:
            raise StoreAwayError("away")

    async def get(self, key: str) -> bytes | None:
        self.asked += 1
        if self.slow is not None:
            await self.slow
        return await super().get(key)

    async def swap(self, key: str, expected: bytes | None, value: bytes, ttl: float | None = None) -> bool:
        if self.full:
            raise StoreRefusedError("full")
        return await super().swap(key, expected, value, ttl)

    async def scan(self, prefix: str) -> Any:
        self.scans += 1
        held = self.held.pop(prefix.removeprefix(PREFIX), None)
        if held is not None:
            await held
        found = await super().scan(prefix)
        if len(found) > self.most:
            self.standing.down("timeout")
            raise StoreAwayError("timeout")
        return found

    def all(self) -> dict[str, bytes]:
        return {key: kept.value for key, kept in self._kept.items()}


class World:
    """Gateways that share a store, in a time that the test moves."""

    def __init__(self, up: bool = True) -> None:
        self.clock = Clock()
        self.clock.advance(5000.0)
        self.jump = 0.0
        self.store = Kept(self.clock)
        self.numbers = count()
        if up:
            self.store.standing.up()

    def gateway(self) -> Gateway:
        return Gateway(self)

    def wall(self) -> float:
        return WALL + self.clock.seconds() + self.jump


class Gateway:
    def __init__(self, world: World) -> None:
        self.told: list[str] = []
        self.world = world
        clock = world.clock
        secret = b"%032d" % next(world.numbers)
        self.lockouts = Lockouts(
            RULES, Table(RULES, secret), clock, clock.seconds, lambda: f"n{next(world.numbers)}", self.told.append
        )
        self.ledger = LockoutLedger(world.store, self.lockouts, clock, clock.seconds, world.wall, StoreError)
        self.ledger.start()

    def fail(self, *whose: Who, times: int = 1) -> None:
        for _ in range(times):
            now(Deferred.fromCoroutine(self.lockouts.admit(whose))).failed()

    def succeed(self, *whose: Who) -> None:
        now(Deferred.fromCoroutine(self.lockouts.admit(whose))).succeeded()

    def paused(self, *whose: Who) -> int:
        """Seconds; 0: it is not."""
        try:
            now(Deferred.fromCoroutine(self.lockouts.admit(whose))).over()
        except LoginPausedError as error:
            return error.retry_after or 0
        return 0

    def stop(self) -> None:
        now(Deferred.fromCoroutine(self.ledger.stop()))

    def metric(self, name: str) -> float:
        return sum([each.value for family in self.ledger.metrics() for each in family.samples if each.name == name])


def test_what_failed_is_known_after_a_restart() -> None:
    world = World()
    one = world.gateway()
    one.fail(HERE, MIRA, times=3)
    one.stop()
    world.clock.advance(50.0)
    two = world.gateway()
    assert (two.paused(HERE), two.paused(MIRA)) == (250, 250)
    two.stop()


def test_two_gateways_count_together() -> None:
    world = World()
    one, two = world.gateway(), world.gateway()
    one.fail(MIRA, times=2)
    two.fail(MIRA)
    assert one.paused(MIRA) == two.paused(MIRA) == 300
    assert one.told + two.told == ["account"]
    one.succeed(HERE)
    one.stop()
    two.stop()


def test_a_success_at_one_forgives_at_the_other() -> None:
    world = World()
    one, two = world.gateway(), world.gateway()
    one.fail(MIRA, times=2)
    world.clock.advance(1.0)
    two.succeed(MIRA)
    world.clock.advance(1.0)
    one.fail(MIRA, times=2)
    assert (one.paused(MIRA), two.paused(MIRA)) == (0, 0)
    one.stop()
    two.stop()


def test_nothing_about_a_person_stands_in_the_store_and_all_of_it_ends() -> None:
    world = World()
    one = world.gateway()
    one.fail(HERE, MIRA, times=3)
    stored = world.store.all()
    secret = stored.pop(SECRET)
    assert sorted(key.split("/")[1] for key in stored) == ["account", "address"]
    for key, value in stored.items():
        assert b"mira" not in key.encode() + value
        assert b"192" not in key.encode()
        assert HERE.digest.hex() not in key
        assert MIRA.digest.hex() not in key
    world.clock.advance(RULES.lasts + RULES.window + RETRY)
    assert now(Deferred.fromCoroutine(world.store.scan(PREFIX))) == {}
    assert world.store.all()[SECRET] == secret
    one.stop()


def test_while_the_store_is_away_what_is_known_here_decides_and_is_written_later() -> None:
    world = World(up=False)
    one, two = world.gateway(), world.gateway()
    one.fail(MIRA, times=3)
    two.fail(HERE, times=2)
    assert (one.paused(MIRA), two.paused(MIRA)) == (300, 0)
    assert one.metric("ttagw_login_local") == 1
    assert one.metric("ttagw_login_unwritten") == 1
    assert world.store.all() == {}
    world.store.standing.up()
    assert two.paused(MIRA) == 300
    one.fail(HERE)
    assert two.paused(HERE) == 300
    for each in (one, two):
        assert each.metric("ttagw_login_local") == each.metric("ttagw_login_unwritten") == 0
        each.stop()


def test_a_store_that_goes_away_and_comes_back_brings_what_was_missed() -> None:
    world = World()
    one, two = world.gateway(), world.gateway()
    world.store.standing.down("gone")
    one.fail(MIRA, times=2)
    two.fail(MIRA)
    assert (one.paused(MIRA), two.paused(MIRA)) == (0, 0)
    assert one.metric("ttagw_login_local") == 1
    world.store.standing.up()
    assert one.paused(MIRA) == two.paused(MIRA) == 300
    one.stop()
    two.stop()


def test_what_a_full_store_does_not_take_is_tried_again() -> None:
    world = World()
    one = world.gateway()
    world.store.full = True
    one.fail(MIRA)
    assert one.metric("ttagw_login_unwritten") == 1
    world.clock.advance(RETRY)
    assert one.metric("ttagw_login_unwritten") == 1
    world.store.full = False
    world.clock.advance(RETRY)
    assert one.metric("ttagw_login_unwritten") == 0
    one.stop()


def test_word_that_got_lost_is_made_up_for() -> None:
    world = World()
    one, two = world.gateway(), world.gateway()
    world.store.deaf = True
    one.fail(MIRA, times=3)
    assert two.paused(MIRA) == 0
    world.clock.pump([RETRY] * int(COMPARE / RETRY + 2))
    assert two.paused(MIRA) > 0
    one.stop()
    two.stop()


def test_a_store_that_lost_everything_is_told_again() -> None:
    world = World()
    one, two = world.gateway(), world.gateway()
    one.fail(MIRA, times=3)
    secret = world.store.all()[SECRET]
    world.store._kept.clear()
    world.store.standing.down("gone")
    world.store.standing.up()
    assert world.store.all()[SECRET] == secret
    three = world.gateway()
    assert three.paused(MIRA) == 300
    for each in (one, two, three):
        each.stop()


def test_a_store_with_another_secret_makes_all_say_the_same_names() -> None:
    world = World()
    one = world.gateway()
    one.fail(MIRA, times=2)
    world.store._kept.clear()
    two = world.gateway()
    two.fail(MIRA)
    world.store.standing.down("gone")
    world.store.standing.up()
    assert one.paused(MIRA) == two.paused(MIRA) == 300
    one.stop()
    two.stop()


@pytest.mark.parametrize("secret", [b"", b"short", b"x" * 65])
def test_a_secret_that_nobody_here_made_is_made_anew(secret: bytes) -> None:
    world = World()
    now(Deferred.fromCoroutine(world.store.put(SECRET, secret)))
    one, two = world.gateway(), world.gateway()
    one.fail(MIRA, times=3)
    assert two.paused(MIRA) == 300
    assert len(world.store.all()[SECRET]) == 32
    one.stop()
    two.stop()


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_clock_that_jumps_neither_ends_nor_prolongs_a_pause(jump: float) -> None:
    world = World()
    one = world.gateway()
    one.fail(MIRA, times=3)
    one.fail(HERE, times=2)
    world.jump = jump
    for up in (world.store.standing.down, lambda why: world.store.standing.up()):
        up("gone")
    world.clock.advance(50.0)
    world.clock.pump([RETRY] * int(COMPARE / RETRY + 1))
    passed = 50 + RETRY * int(COMPARE / RETRY + 1)
    assert one.paused(MIRA) == 300 - passed
    world.clock.advance(300 - passed - 0.5)
    assert one.paused(MIRA) == 1
    world.clock.advance(0.5)
    assert one.paused(MIRA) == 0
    one.stop()


def test_after_a_jump_and_a_restart_no_pause_is_longer_than_pauses_are() -> None:
    world = World()
    one = world.gateway()
    one.fail(MIRA, times=3)
    one.stop()
    world.jump = -1e6
    two = world.gateway()
    assert two.paused(MIRA) == 300
    two.stop()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"garbage",
        b"[]",
        b'{"failures": [[1]]}',
        b'{"failures": [[1, ""]]}',
        b'{"failures": [[1, "' + b"x" * 17 + b'"]]}',
        b'{"failures": [[1e999, "x"]]}',
        b'{"pause": ["soon", "x"]}',
        b'{"surprise": 1}',
        b'{"failures": [' + b'[1, "x"],' * 1000 + b'[1, "x"]]}',
    ],
)
def test_what_nobody_wrote_says_nothing_and_is_replaced(raw: bytes, failures: Failures) -> None:
    world = World()
    one = world.gateway()
    key = PREFIX + one.lockouts.table.name(MIRA)
    now(Deferred.fromCoroutine(world.store.put(key, raw)))
    assert one.paused(MIRA) == 0
    one.fail(MIRA, times=3)
    two = world.gateway()
    assert two.paused(MIRA) == 300
    one.stop()
    two.stop()
    assert failures.left() == []


@pytest.mark.parametrize("name", ["account/x", "account/" + "0" * 33, "person/" + "0" * 32, "address/../" + "0" * 32])
def test_a_key_that_is_none_of_ours_says_nothing(name: str) -> None:
    world = World()
    one = world.gateway()
    raw = encode(State(pause=Mark(5100.0, "x")), WALL)
    now(Deferred.fromCoroutine(world.store.put(PREFIX + name, raw)))
    assert len(one.lockouts.table) == 0
    with pytest.raises(ValueError, match="name"):
        decode(name, raw, -WALL, RULES)
    one.stop()


def test_what_is_written_is_read_as_it_was() -> None:
    state = State((Mark(1.0, "a"), Mark(2.5, "b")), Mark(0.5, "c"), Mark(300.25, "d"))
    name = "account/" + "0" * 32
    assert decode(name, encode(state, WALL), -WALL, RULES) == state
    assert decode(name, encode(State(), WALL), -WALL, RULES) == State()


def test_a_stop_waits_for_what_is_being_written_and_no_longer_than_it_may() -> None:
    world = World()
    one = world.gateway()
    world.store.slow = slow = Deferred()
    one.fail(MIRA)
    one.fail(HERE)
    stopping = Deferred.fromCoroutine(one.ledger.stop())
    assert not stopping.called
    world.clock.advance(LAST)
    slow.callback(None)
    assert stopping.called
    # There was no time for the other one.
    assert len(world.store.all()) == 2


def test_what_changes_while_it_is_written_is_written_too() -> None:
    world = World()
    one = world.gateway()
    world.store.slow = slow = Deferred()
    one.fail(MIRA, times=2)
    world.store.slow = None
    one.fail(MIRA)
    slow.callback(None)
    two = world.gateway()
    assert two.paused(MIRA) == 300
    one.stop()
    two.stop()


def test_after_a_stop_nothing_is_heard_and_nothing_is_left() -> None:
    world = World()
    one, two = world.gateway(), world.gateway()
    one.stop()
    two.fail(MIRA, times=3)
    assert one.paused(MIRA) == 0
    two.stop()
    assert world.clock.getDelayedCalls() == []


def test_many_are_taken_up_without_keeping_everybody_else_waiting() -> None:
    world = World()
    one = world.gateway()
    for number in range(500):
        one.fail(Who("account", b"%016d" % number))
    two = world.gateway()
    assert 0 < len(two.lockouts.table) < 500
    world.clock.pump([0.0] * 5)
    assert len(two.lockouts.table) == 500
    one.stop()
    two.stop()


def test_more_than_the_store_can_tell_in_one_operation_is_still_shared() -> None:
    world = World()
    world.store.most = 60
    one = world.gateway()
    for number in range(500):
        one.fail(Who("account", b"%016d" % number))
    two = world.gateway()
    world.clock.pump([0.0] * 5)
    assert world.store.state.up
    assert len(two.lockouts.table) == 500
    two.fail(MIRA, times=RULES.failures)
    assert one.paused(MIRA)
    one.stop()
    two.stop()


def test_what_fails_while_all_is_compared_does_not_wait_for_the_end() -> None:
    world = World()
    one = world.gateway()
    held: dict[str, Deferred[None]] = {PARTS[9]: Deferred(), PARTS[-1]: Deferred()}
    world.store.held = dict(held)
    two = world.gateway()
    two.fail(MIRA, times=RULES.failures)
    assert not one.paused(MIRA)
    held[PARTS[9]].callback(None)
    assert one.paused(MIRA)
    held[PARTS[-1]].callback(None)
    one.stop()
    two.stop()


def test_a_stop_does_not_wait_until_all_is_compared() -> None:
    world = World()
    one = world.gateway()
    held: Deferred[None] = Deferred()
    world.store.held = {PARTS[3]: held}
    world.clock.advance(COMPARE + RETRY)
    stopping = Deferred.fromCoroutine(one.ledger.stop())
    world.clock.advance(LAST)
    scans = world.store.scans
    held.callback(None)
    assert stopping.called
    assert world.store.scans == scans


def test_what_waits_to_be_written_is_bounded() -> None:
    world = World(up=False)
    one = world.gateway()
    one.lockouts.table.most = 10
    for number in range(100):
        one.fail(Who("account", b"%016d" % number))
    assert one.metric("ttagw_login_unwritten") <= 20
    world.store.standing.up()
    assert sorted(world.store.all()) == sorted([SECRET, *[PREFIX + each for each in one.lockouts.table]])
    one.stop()
