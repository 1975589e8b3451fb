"""A table that is kept in the store and is the same on every gateway: what is decided, on a store that does what the
test says.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from tests.auth.revoking import Shared
from ttagw.store.base import StoreAwayError, StoreRefusedError
from ttagw.store.mirror import GONE, GONE_FOR, LAST_MOMENT, PORTION, RECONCILE, SHARE, TICK, Mirror

WALL = 1e9
FOREVER = float("inf")


def decode(raw: bytes) -> tuple[bytes, float]:
    """`word:end` after the beginning of the clock; without an end it never ends."""
    word, _, end = raw.partition(b":")
    if not word.isalpha():
        raise ValueError("expected letters")
    return word, WALL + float(end) if end else FOREVER


class Gateway:
    """One gateway's copy."""

    def __init__(self, store: Any, clock: Clock, skew: float = 0.0, **more: Any) -> None:
        self.told: list[tuple[str, bytes | None]] = []
        self.clock = clock
        self.mirror: Mirror[tuple[bytes, float]] = Mirror(
            store,
            "table/",
            decode,
            lambda entry: entry[1],
            clock,
            lambda: WALL + clock.seconds() + skew,
            lambda key, entry: self.told.append((key, None if entry is None else entry[0])),
            **more,
        )
        self.mirror.start()
        clock.advance(0.0)

    @property
    def words(self) -> dict[str, bytes]:
        return {key: word for key, (word, _) in self.mirror.entries.items()}

    def stop(self) -> None:
        done(self.mirror.stop())


def done(work: Coroutine[Any, Any, Any]) -> Any:
    """What comes of something that waits for nothing."""
    results: list[Any] = []
    Deferred.fromCoroutine(work).addBoth(results.append)
    (result,) = results
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Shared:
    made = Shared(clock)
    done(made.start())
    return made


def passes(clock: Clock, seconds: float) -> None:
    """As the loop sees it."""
    for _ in range(int(seconds / TICK)):
        clock.advance(TICK)


def raw_in(store: Shared, key: str) -> bytes | None:
    return store._get("table/" + key)


# Changes


def test_what_one_writes_all_have_at_once(store: Shared, clock: Clock) -> None:
    here, there = Gateway(store, clock), Gateway(store, clock)
    done(here.mirror.put("a", b"one"))
    assert here.words == there.words == {"a": b"one"}
    done(there.mirror.put("a", b"two"))
    assert here.words == there.words == {"a": b"two"}
    assert done(here.mirror.remove("a")) is True
    assert here.words == there.words == {}
    assert here.told == there.told == [("a", b"one"), ("a", b"two"), ("a", None)]


def test_what_is_there_already_is_taken_up_at_the_start(store: Shared, clock: Clock) -> None:
    done(store.put("table/a", b"one"))
    done(store.put("other/b", b"two"))
    gateway = Gateway(store, clock)
    assert gateway.words == {"a": b"one"}
    assert gateway.mirror.current


def test_a_store_that_comes_later_is_waited_for(store: Shared, clock: Clock) -> None:
    store.away()
    gateway = Gateway(store, clock)
    assert not gateway.mirror.current
    store.back()
    done(store.put("table/a", b"one"))
    passes(clock, 1.0)
    assert gateway.words == {"a": b"one"}
    assert gateway.mirror.current


def test_word_that_was_lost_is_made_up_for_by_comparing(store: Shared, clock: Clock) -> None:
    here, there = Gateway(store, clock), Gateway(store, clock)
    store.mute = True
    done(here.mirror.put("a", b"one"))
    assert there.words == {}
    passes(clock, RECONCILE + TICK)
    assert there.words == {"a": b"one"}
    done(here.mirror.remove("a"))
    assert there.words == {"a": b"one"}
    passes(clock, RECONCILE + TICK)
    assert there.words == {}


def test_taking_out_what_is_not_there_says_so_and_writes_nothing(store: Shared, clock: Clock) -> None:
    gateway = Gateway(store, clock)
    assert done(gateway.mirror.remove("a")) is False
    assert raw_in(store, "a") is None


def test_what_cannot_be_decoded_is_not_written(store: Shared, clock: Clock) -> None:
    gateway = Gateway(store, clock)
    with pytest.raises(ValueError, match="letters"):
        done(gateway.mirror.put("a", b"1"))
    with pytest.raises(ValueError, match="letters"):
        gateway.mirror.put_here("a", b"1")
    assert (raw_in(store, "a"), gateway.words) == (None, {})


# Ends


def test_what_is_over_goes_and_is_told_once(store: Shared, clock: Clock) -> None:
    here, there = Gateway(store, clock), Gateway(store, clock)
    done(here.mirror.put("a", b"one:3"))
    passes(clock, 2.5)
    assert here.words == there.words == {"a": b"one"}
    passes(clock, 1.0)
    assert here.words == there.words == {}
    assert there.told == [("a", b"one"), ("a", None)]
    passes(clock, 2 * RECONCILE)
    assert there.told == [("a", b"one"), ("a", None)]
    assert raw_in(store, "a") is None


def test_what_was_over_when_it_came_is_not_taken_up(store: Shared, clock: Clock) -> None:
    passes(clock, 5.0)
    done(store.put("table/a", b"one:3"))
    gateway = Gateway(store, clock)
    assert (gateway.words, gateway.told) == ({}, [])


def test_shortly_before_its_end_nothing_is_written_again(store: Shared, clock: Clock) -> None:
    gateway = Gateway(store, clock)
    done(gateway.mirror.put("a", b"one:5.6"))
    passes(clock, RECONCILE - TICK)
    store.lose()
    passes(clock, TICK)  # so that the comparison comes within the last moment
    assert 5.6 - clock.seconds() <= LAST_MOMENT
    assert raw_in(store, "a") is None


# A store that is away


def test_while_the_store_is_away_the_last_known_counts(store: Shared, clock: Clock) -> None:
    gateway = Gateway(store, clock)
    done(gateway.mirror.put("a", b"one"))
    done(gateway.mirror.put("b", b"two:3"))
    store.away()
    assert not gateway.mirror.current
    passes(clock, 60.0)
    assert gateway.words == {"a": b"one"}
    with pytest.raises(StoreAwayError):
        done(gateway.mirror.put("c", b"three"))
    with pytest.raises(StoreAwayError):
        done(gateway.mirror.remove("a"))
    assert gateway.words == {"a": b"one"}


def test_what_cannot_wait_is_in_effect_here_and_everywhere_when_the_store_is_back(store: Shared, clock: Clock) -> None:
    here, there = Gateway(store, clock), Gateway(store, clock)
    done(there.mirror.put("a", b"older"))
    store.away()
    here.mirror.put_here("a", b"one")
    here.mirror.put_here("b", b"two:3")
    here.mirror.put_here("c", b"three")
    assert here.words == {"a": b"one", "b": b"two", "c": b"three"}
    assert there.words == {"a": b"older"}
    passes(clock, 5.0)
    store.back()
    passes(clock, 1.0)
    assert here.words == there.words == {"a": b"one", "c": b"three"}
    assert (raw_in(store, "a"), raw_in(store, "b")) == (b"one", None)


def test_a_store_that_refuses_is_asked_again_later(store: Shared, clock: Clock) -> None:
    here, there = Gateway(store, clock), Gateway(store, clock)
    store.fails = StoreRefusedError("full")
    here.mirror.put_here("a", b"one")
    passes(clock, 2 * RECONCILE)
    assert (here.words, there.words) == ({"a": b"one"}, {})
    store.fails = None
    passes(clock, RECONCILE + TICK)
    assert here.words == there.words == {"a": b"one"}


def test_what_others_have_said_since_is_newer_than_what_could_not_be_written(store: Shared, clock: Clock) -> None:
    here, there = Gateway(store, clock), Gateway(store, clock)
    store.fails = StoreRefusedError("full")
    here.mirror.put_here("a", b"one")
    store.fails = None
    done(there.mirror.put("a", b"two"))
    passes(clock, 2 * RECONCILE)
    assert here.words == there.words == {"a": b"two"}


# What the store has lost


def test_what_the_store_has_lost_is_written_again(store: Shared, clock: Clock) -> None:
    here, there = Gateway(store, clock), Gateway(store, clock)
    done(here.mirror.put("a", b"one"))
    done(here.mirror.put("b", b"two"))
    done(here.mirror.remove("b"))
    store.lose()
    store.away()
    store.back()
    passes(clock, 1.0)
    assert (raw_in(store, "a"), raw_in(store, "b")) == (b"one", GONE)
    assert here.words == there.words == {"a": b"one"}
    assert [each for each in there.told if each == ("a", None)] == []


def test_who_has_missed_that_something_was_taken_out_does_not_bring_it_back(store: Shared, clock: Clock) -> None:
    here, there = Gateway(store, clock), Gateway(store, clock)
    done(here.mirror.put("a", b"one"))
    store.mute = True
    done(here.mirror.remove("a"))
    assert there.words == {"a": b"one"}
    passes(clock, 3 * RECONCILE)
    assert here.words == there.words == {}
    assert raw_in(store, "a") == GONE


def test_it_is_forgotten_at_last_that_something_was_taken_out(store: Shared, clock: Clock) -> None:
    gateway = Gateway(store, clock)
    done(gateway.mirror.put("a", b"one"))
    done(gateway.mirror.remove("a"))
    clock.advance(GONE_FOR + 1.0)
    passes(clock, 1.0)
    assert gateway.mirror._gone == {}
    assert done(store.scan("table/")) == {}


def test_what_was_taken_out_can_be_put_again(store: Shared, clock: Clock) -> None:
    here, there = Gateway(store, clock), Gateway(store, clock)
    done(here.mirror.put("a", b"one"))
    done(here.mirror.remove("a"))
    done(here.mirror.put("a", b"one"))
    passes(clock, 3 * RECONCILE)
    assert here.words == there.words == {"a": b"one"}


# While it is compared


@pytest.mark.parametrize("shared", [True, False])
def test_what_changes_while_it_is_compared_is_newer_than_what_that_finds(
    store: Shared, clock: Clock, shared: bool
) -> None:
    store.shared = shared  # type: ignore[misc]
    before = {"table/a": b"one", "table/b": b"two"}
    for key, raw in before.items():
        done(store.put(key, raw))
    gateway = Gateway(store, clock)
    waiting: Deferred[Any] = Deferred()

    async def scan(prefix: str) -> Any:
        del prefix
        return await waiting

    scans, store.scan = store.scan, scan  # type: ignore[method-assign,assignment]
    store.away()
    store.back()
    done(gateway.mirror.remove("a"))
    done(gateway.mirror.put("b", b"three"))
    store.scan = scans  # type: ignore[method-assign]
    waiting.callback(before)
    passes(clock, 3 * RECONCILE)
    assert gateway.words == {"b": b"three"}
    assert (raw_in(store, "a"), raw_in(store, "b")) == (GONE, b"three")


class Hurried(Clock):
    """On which time passes while somebody works: each look at it takes a while. One `advance` is one turn."""

    def seconds(self) -> float:
        self.rightNow += PORTION / 10
        return float(self.rightNow)

    def advance(self, amount: float) -> None:
        self.rightNow += amount
        due = [call for call in self.calls if call.getTime() <= self.rightNow]
        self.calls[:] = [call for call in self.calls if call not in due]
        for call in due:
            if call.active():
                call.called = 1
                call.func(*call.args, **call.kw)


def many(store: Shared) -> list[str]:
    keys = [f"k{number:03}" for number in range(100)]
    for key in keys:
        done(store.put(f"table/{key}", b"one"))
    return keys


def test_a_large_table_lets_others_do_something_while_it_is_compared() -> None:
    clock = Hurried()
    store = Shared(clock)
    done(store.start())
    keys = many(store)
    gateway = Gateway(store, clock)
    assert 0 < len(gateway.words) < 30
    assert not gateway.mirror.current
    # What is heard now is newer than what was found.
    done(store.put("table/k098", b"two"))
    done(store.put("table/k099", GONE))
    for _ in range(20):
        clock.advance(0.0)
    assert sorted(gateway.words) == keys[:99]
    assert gateway.words["k098"] == b"two"
    assert gateway.mirror.current
    gateway.stop()


def test_a_comparison_during_which_the_store_was_away_is_not_the_last() -> None:
    clock = Hurried()
    store = Shared(clock)
    done(store.start())
    many(store)
    gateway = Gateway(store, clock)
    store.away()
    store.mute = True
    store.back()
    done(store.put("table/k000", b"two"))
    for _ in range(20):
        clock.advance(0.0)
    assert not gateway.mirror.current
    for _ in range(40):
        clock.advance(TICK)
    assert gateway.words["k000"] == b"two"
    assert gateway.mirror.current
    gateway.stop()


def test_what_is_being_compared_ends_with_everything_else() -> None:
    clock = Hurried()
    store = Shared(clock)
    done(store.start())
    many(store)
    gateway = Gateway(store, clock)
    there = len(gateway.words)
    gateway.stop()
    clock.advance(1.0)
    assert len(gateway.words) == there < 100
    done(store.stop())
    assert clock.getDelayedCalls() == []


def test_one_comparison_at_a_time_and_a_large_table_is_compared_less_often(store: Shared, clock: Clock) -> None:
    gateway = Gateway(store, clock)
    passes(clock, RECONCILE - 2 * TICK)
    before = len(store.scans)
    store.slow = Deferred()
    passes(clock, 4.0)
    assert len(store.scans) == before + 1
    slow, store.slow = store.slow, None
    slow.callback(None)
    passes(clock, SHARE * 2.5)
    assert len(store.scans) == before + 1
    passes(clock, SHARE * 1.5)
    assert len(store.scans) > before + 1
    gateway.stop()


def test_nothing_is_compared_again_where_nobody_else_writes(store: Shared, clock: Clock) -> None:
    store.shared = False  # type: ignore[misc]
    gateway = Gateway(store, clock)
    done(gateway.mirror.put("a", b"one"))
    passes(clock, 10 * RECONCILE)
    assert len(store.scans) == 1
    assert gateway.mirror._heard is None


# Garbage, and too much


def test_what_cannot_be_read_is_left_alone_and_said_once(store: Shared, clock: Clock) -> None:
    said: list[LogEvent] = []
    globalLogPublisher.addObserver(said.append)
    try:
        gateway = Gateway(store, clock)
        done(store.put("table/a", b"1"))
        done(store.put("table/b", b"two"))
        passes(clock, 10 * RECONCILE)
    finally:
        globalLogPublisher.removeObserver(said.append)
    assert gateway.words == {"b": b"two"}
    assert raw_in(store, "a") == b"1"
    assert len([each for each in said if "cannot be read" in str(each.get("log_format"))]) == 1


def test_garbage_in_the_place_of_an_entry_does_not_take_it_away(store: Shared, clock: Clock) -> None:
    gateway = Gateway(store, clock)
    done(gateway.mirror.put("a", b"one"))
    done(store.put("table/a", b"1"))
    passes(clock, 2 * RECONCILE)
    assert gateway.words == {"a": b"one"}


def test_no_more_is_taken_up_than_there_is_room_for(store: Shared, clock: Clock) -> None:
    gateway = Gateway(store, clock, most=3)
    for key in "abcde":
        done(store.put(f"table/{key}", b"one"))
    passes(clock, 2 * RECONCILE)
    assert gateway.words == dict.fromkeys("abc", b"one")
    done(store.put("table/a", b"two"))
    assert gateway.words["a"] == b"two"
    done(gateway.mirror.remove("a"))
    passes(clock, 2 * RECONCILE)
    assert len(gateway.words) == 3


def test_whoever_is_told_of_a_change_and_fails_stops_nothing(store: Shared, clock: Clock, failures: Any) -> None:
    def fails(key: str, entry: object) -> None:
        raise RuntimeError(key)

    mirror: Mirror[tuple[bytes, float]] = Mirror(
        store, "table/", decode, lambda entry: entry[1], clock, lambda: WALL + clock.seconds(), fails
    )
    mirror.start()
    done(mirror.put("a", b"one"))
    assert set(mirror.entries) == {"a"}
    assert [each.value.args for each in failures.take(RuntimeError)] == [("a",)]
    done(mirror.stop())


# Clocks


def test_a_gateway_whose_clock_is_ahead_or_behind_keeps_to_its_own(store: Shared, clock: Clock) -> None:
    ahead, behind = Gateway(store, clock, 60.0), Gateway(store, clock, -60.0)
    done(behind.mirror.put("a", b"one:30"))
    assert (ahead.words, behind.words) == ({}, {"a": b"one"})
    done(behind.mirror.put("b", b"two:90"))
    assert (ahead.words, behind.words) == ({"b": b"two"}, {"a": b"one", "b": b"two"})


# Its end


def test_when_it_has_stopped_it_hears_of_nothing(store: Shared, clock: Clock) -> None:
    gateway = Gateway(store, clock)
    store.slow = Deferred()
    store.away()
    store.back()
    gateway.stop()
    store.slow = None
    done(store.put("table/a", b"one"))
    passes(clock, 2 * RECONCILE)
    assert gateway.words == {}
    assert clock.getDelayedCalls() == [each for each in clock.getDelayedCalls() if "Mirror" not in repr(each)]
