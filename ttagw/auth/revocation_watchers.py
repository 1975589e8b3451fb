"""Who is to hear when somebody's token or key is revoked: connections that outlive the check at their beginning."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import NamedTuple

from twisted.logger import Logger

from ttagw.core.identity import Identity

MOST_WATCHERS = 100_000


class TooManyWatchersError(Exception):
    """`MOST_WATCHERS` watch already."""


class _Watcher(NamedTuple):
    identity: Identity
    marks: tuple[str, ...]
    told: Callable[[], object]


class Watchers:
    """Each is told once, and not any more after its end. What one raises is logged and stops no other."""

    log = Logger()

    def __init__(self, most: int = MOST_WATCHERS) -> None:
        self._most = most
        self._numbers = count()
        self._all: dict[int, _Watcher] = {}
        self._by_mark: dict[str, set[int]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def add(self, identity: Identity, marks: tuple[str, ...], told: Callable[[], object]) -> Callable[[], None]:
        """Call `told` when this identity is revoked. Returns what ends it. Raises `TooManyWatchersError`."""
        if len(self._all) >= self._most:
            raise TooManyWatchersError
        number = next(self._numbers)
        self._all[number] = _Watcher(identity, marks, told)
        for each in marks:
            self._by_mark.setdefault(each, set()).add(number)

        def end() -> None:
            self._remove(number)

        return end

    def _remove(self, number: int) -> _Watcher | None:
        watcher = self._all.pop(number, None)
        for each in () if watcher is None else watcher.marks:
            numbers = self._by_mark[each]
            numbers.discard(number)
            if not numbers:
                del self._by_mark[each]
        return watcher

    def tell(self, changed: Iterable[str], forbidden: Callable[[Identity], bool]) -> int:
        """Tell those with one of these marks whose identity is forbidden now; how many those were."""
        numbers = {number: None for each in changed for number in sorted(self._by_mark.get(each, ()))}
        told = 0
        for number in numbers:
            # One that was told before may have ended this one.
            if number not in self._all or not forbidden(self._all[number].identity):
                continue
            watcher = self._remove(number)
            if watcher is not None:
                told += 1
                self._tell_one(watcher)
        return told

    def _tell_one(self, watcher: _Watcher) -> None:
        try:
            watcher.told()
        except Exception:
            self.log.failure("one who was to hear of a revocation has failed")
