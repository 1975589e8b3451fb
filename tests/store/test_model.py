"""Memory and SQLite beside a dictionary that does the same, whatever is asked in whatever order."""

from __future__ import annotations

import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread, deferToThread

from tests.twisted_hygiene import reactor
from ttagw.store.base import Store
from ttagw.store.counted import Counted
from ttagw.store.memory import MemoryStore
from ttagw.store.sqlite import SqliteStore

KEYS = st.sampled_from(["a", "a/", "a/b", "a/b/c", "a/~", "A", "b", "%", "_", "'"])
VALUES = st.sampled_from([b"", b"1", b"2", b"\0"]) | st.binary(max_size=20)
TTLS = st.none() | st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.5, 1000.0])


def done(work: Coroutine[Any, Any, Any]) -> Any:
    """What comes of it. The machine runs in a thread of its own, and waits; the store is used where the reactor is."""
    return blockingCallFromThread(reactor, Deferred.fromCoroutine, work)


class Beside(RuleBasedStateMachine):
    """The store, and what should be in it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.model: dict[str, tuple[bytes, float]] = {}
        self.told: list[tuple[str, bytes | None]] = []
        self.expected: list[tuple[str, bytes | None]] = []
        self.inner = self.make()
        self.store = Counted(self.inner, self.clock)
        done(self.store.start())
        self.store.watch("a", lambda key, value: self.told.append((key, value)))

    def make(self) -> Store:
        raise NotImplementedError

    def clock(self) -> float:
        return self.now

    def present(self, key: str) -> bytes | None:
        value, over = self.model.get(key, (None, 0.0))
        return value if over > self.now else None

    def changed(self, key: str, value: bytes | None, ttl: float | None = None) -> None:
        over = float("inf") if ttl is None else self.now + max(ttl, 0.001)
        if value is None:
            self.model.pop(key)
        else:
            self.model[key] = (value, over)
        if key.startswith("a"):
            self.expected.append((key, value))

    @rule(key=KEYS, value=VALUES, ttl=TTLS)
    def put(self, key: str, value: bytes, ttl: float | None) -> None:
        done(self.store.put(key, value, ttl))
        self.changed(key, value, ttl)

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        assert done(self.store.get(key)) == self.present(key)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        there = self.present(key) is not None
        assert done(self.store.delete(key)) == there
        if there:
            self.changed(key, None)

    @rule(key=KEYS, expected=st.none() | VALUES, right=st.booleans(), value=VALUES, ttl=TTLS)
    def swap(self, key: str, expected: bytes | None, right: bool, value: bytes, ttl: float | None) -> None:
        expected = self.present(key) if right else expected
        fits = self.present(key) == expected
        assert done(self.store.swap(key, expected, value, ttl)) == fits
        if fits:
            self.changed(key, value, ttl)

    @rule(prefix=KEYS | st.just(""))
    def scan(self, prefix: str) -> None:
        there = {key: self.present(key) for key in self.model if key.startswith(prefix)}
        assert done(self.store.scan(prefix)) == {key: value for key, value in there.items() if value is not None}

    @rule(seconds=st.sampled_from([0.0005, 0.5, 1.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    @precondition(lambda self: self.store.kind == "sqlite")
    def start_again(self) -> None:
        done(self.store.stop())
        done(self.store.start())

    @rule()
    def sweep(self) -> None:
        blockingCallFromThread(reactor, self.inner._sweep)  # type: ignore[attr-defined]

    @invariant()
    def it_holds_what_it_should(self) -> None:
        there = {key: self.present(key) for key in self.model}
        assert done(self.store.scan("")) == {key: value for key, value in there.items() if value is not None}

    @invariant()
    def each_change_was_told(self) -> None:
        assert self.told == self.expected

    def teardown(self) -> None:
        done(self.store.stop())


class BesideMemory(Beside):
    def make(self) -> Store:
        return MemoryStore(reactor, self.clock)


class BesideSqlite(Beside):
    def make(self) -> Store:
        self.folder = tempfile.TemporaryDirectory()
        # Its deadlines follow a clock that stands still meanwhile.
        return SqliteStore(str(Path(self.folder.name) / "store.db"), reactor, lambda: 0.0, self.clock)

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


@pytest.mark.parametrize(("machine", "examples"), [(BesideMemory, 60), (BesideSqlite, 25)])
@pytest_twisted.ensureDeferred
async def test_a_store_does_what_a_dictionary_would(machine: type[Beside], examples: int) -> None:
    chosen = settings(max_examples=examples, stateful_step_count=25, deadline=None, database=None)
    await deferToThread(run_state_machine_as_test, machine, settings=chosen)
