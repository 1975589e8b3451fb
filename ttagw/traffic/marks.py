"""Marks of sessions, the same on every gateway that shares the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ttagw.core.classes import session_key
from ttagw.core.marks import Mark, decode, encode
from ttagw.errors import MarksFullError, NotStoredError
from ttagw.store.base import Store, StoreError
from ttagw.store.mirror import Mirror

PREFIX = "classes/session/"
MOST = 20_000
"""Sessions that are marked at the same time."""
NOT_LIFTED = "The store did not take it, so the mark is still in effect. It is safe to ask again."


class Marks:
    """Who is marked, by `session_key`: what is kept says nothing about anybody."""

    def __init__(self, store: Store, clock: Any, wall: Callable[[], float]) -> None:
        self._mirror: Mirror[Mark] = Mirror(store, PREFIX, decode, lambda mark: mark.until, clock, wall, most=MOST)
        self._wall = wall

    @property
    def all(self) -> Mapping[str, Mark]:
        """As it is now, and always the same mapping."""
        return self._mirror.entries

    def start(self) -> None:
        """Take up what the store has."""
        self._mirror.start()

    async def stop(self) -> None:
        """End what is under way."""
        await self._mirror.stop()

    def find(self, session: str) -> Mark | None:
        """The mark of a session that has one."""
        mark = self.all.get(session_key(session))
        return mark if mark is not None and mark.until > self._wall() else None

    async def put(self, session: str, mark: Mark) -> bool:
        """Mark a session; in effect here when this returns. Whether it is stored: where it is not, it will be when the
        store is back, and then it is in effect elsewhere too. Raises `MarksFullError`.
        """
        key, raw = session_key(session), encode(mark)
        if key not in self.all and len(self.all) >= MOST:
            raise MarksFullError
        try:
            await self._mirror.put(key, raw)
        except StoreError:
            # Somebody may need help now, and the store can be told later.
            self._mirror.put_here(key, raw)
            return False
        return True

    async def remove(self, session: str) -> bool:
        """Whether there was a mark. Raises `NotStoredError`, then it stays in effect: who is not sure leaves it."""
        try:
            return await self._mirror.remove(session_key(session))
        except StoreError as error:
            raise NotStoredError("store_away", detail=NOT_LIFTED, retry_after=5) from error
