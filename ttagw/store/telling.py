"""Who is told of changes, and of how a store is doing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Generic, ParamSpec

from twisted.logger import Logger

from ttagw.store.base import Notice, StoreState

P = ParamSpec("P")


class Listeners(Generic[P]):
    """Functions that are called in the order in which they came. What one raises is logged and stops no other."""

    log = Logger()

    def __init__(self) -> None:
        self._functions: dict[int, Callable[P, object]] = {}
        self._numbers = count()

    def __bool__(self) -> bool:
        return bool(self._functions)

    def add(self, function: Callable[P, object]) -> Callable[[], None]:
        """Call this one too; the same function twice is called twice. Returns what ends it."""
        number = next(self._numbers)
        self._functions[number] = function

        def end() -> None:
            self._functions.pop(number, None)

        return end

    def tell(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call them all. One that is ended meanwhile is not called any more."""
        for number in list(self._functions):
            function = self._functions.get(number)
            if function is None:
                continue
            try:
                function(*args, **kwargs)
            except Exception:
                self.log.failure("one who listens to a store has failed")


class Watchers:
    """Those who watch keys, by the prefix that they watch."""

    def __init__(self) -> None:
        self._by_prefix: dict[str, Listeners[[str, bytes | None]]] = {}

    def prefixes(self) -> list[str]:
        """What is watched."""
        return list(self._by_prefix)

    def add(self, prefix: str, notice: Notice) -> Callable[[], None]:
        """Returns what ends it."""
        listeners = self._by_prefix.setdefault(prefix, Listeners())
        end_one = listeners.add(notice)

        def end() -> None:
            end_one()
            if not listeners and self._by_prefix.get(prefix) is listeners:
                del self._by_prefix[prefix]

        return end

    def tell(self, key: str, value: bytes | None) -> None:
        """Tell everybody whom this key concerns."""
        for prefix in self.prefixes():
            if key.startswith(prefix):
                self.tell_one(prefix, key, value)

    def tell_one(self, prefix: str, key: str, value: bytes | None) -> None:
        """Tell those only who watch precisely this prefix."""
        if prefix in self._by_prefix:
            self._by_prefix[prefix].tell(key, value)


class Standing:
    """How a store is doing: the `StoreState`, said to the log and to whoever listens when it changes."""

    log = Logger()

    def __init__(self, kind: str, monotonic: Callable[[], float]) -> None:
        self._kind = kind
        self._monotonic = monotonic
        self._listeners: Listeners[[StoreState]] = Listeners()
        self.state = StoreState(False, "starting", monotonic())
        self.listen = self._listeners.add

    def up(self) -> None:
        """It can be used."""
        if not self.state.up:
            self.log.info("store: {kind} is there", kind=self._kind)
            self._become(StoreState(True, "", self._monotonic()))

    def down(self, reason: str) -> None:
        """It cannot be used: `reason` is a fixed token."""
        if self.state.up or self.state.reason != reason:
            self.log.warn("store: {kind} is away: {reason}", kind=self._kind, reason=reason)
            self._become(StoreState(False, reason, self._monotonic()))

    def stopped(self) -> None:
        """It has been stopped, which is nothing to warn of."""
        if self.state.reason != "stopped":
            self._become(StoreState(False, "stopped", self._monotonic()))

    def _become(self, state: StoreState) -> None:
        self.state = state
        self._listeners.tell(state)
