from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from twisted.internet.task import Clock

from ttagw.store.base import StoreRefusedError
from ttagw.store.memory import SWEEP, MemoryStore

T = TypeVar("T")


def now(work: Coroutine[Any, Any, T]) -> T:
    """The result of what never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("it waits")


def started(most: int = 3) -> tuple[MemoryStore, Clock]:
    clock = Clock()
    store = MemoryStore(clock, clock.seconds, most)
    now(store.start())
    return store, clock


def test_more_keys_than_allowed_are_refused_and_those_there_can_change() -> None:
    store, _ = started(2)
    now(store.put("a", b"1"))
    now(store.put("b", b"1"))
    for work in (store.put("c", b"1"), store.swap("c", None, b"1")):
        with pytest.raises(StoreRefusedError) as caught:
            now(work)
        assert caught.value.reason == "full"
    now(store.put("a", b"2"))
    assert now(store.swap("b", b"1", b"2"))
    assert now(store.delete("a"))
    now(store.put("c", b"1"))
    assert now(store.scan("")) == {"b": b"2", "c": b"1"}
    now(store.stop())


def test_what_is_over_makes_room_when_it_is_needed_but_is_not_looked_for_at_every_refusal() -> None:
    store, clock = started(2)
    now(store.put("a", b"1", ttl=1.5))
    now(store.put("b", b"1"))
    clock.advance(1.2)
    with pytest.raises(StoreRefusedError):
        now(store.put("c", b"1"))
    clock.advance(0.4)
    with pytest.raises(StoreRefusedError):  # looked a moment ago
        now(store.put("c", b"1"))
    clock.advance(1.0)
    now(store.put("c", b"1"))
    assert now(store.scan("")) == {"b": b"1", "c": b"1"}
    now(store.stop())


def test_what_is_over_is_swept_and_nothing_else() -> None:
    store, clock = started()
    now(store.put("a", b"1", ttl=SWEEP - 1))
    now(store.put("b", b"1", ttl=SWEEP + 1))
    now(store.put("c", b"1"))
    clock.advance(SWEEP)
    assert set(store._kept) == {"b", "c"}
    now(store.stop())
    assert not clock.getDelayedCalls()
    assert store._kept == {}


def test_a_value_ends_at_its_time_and_not_before() -> None:
    store, clock = started()
    now(store.put("a", b"1", ttl=2.0))
    clock.advance(1.75)
    assert now(store.get("a")) == b"1"
    clock.advance(0.25)
    assert now(store.get("a")) is None
    assert now(store.scan("")) == {}
    now(store.stop())
