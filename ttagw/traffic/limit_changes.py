"""Limits that operators change while everything runs: kept in the store, the same on every gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from twisted.logger import Logger

from ttagw.admin.limit_documents import Change, ForgivenDocument, LimitDocument, costs_too_much, written
from ttagw.errors import InvalidDocumentError, NotStoredError
from ttagw.layers.limit.keys import key_of, nobody
from ttagw.limits.live import LiveLimit, LiveLimits
from ttagw.store.base import StoreAwayError, StoreError
from ttagw.store.mirror import Mirror
from ttagw.surroundings import Surroundings

PREFIX = "limits/"


class LimitChanges:
    """What is asked for at the admin side. Changes count here at once, elsewhere a moment later."""

    log = Logger()

    def __init__(
        self,
        limits: LiveLimits,
        costs: Mapping[str, Mapping[str, int]],
        around: Surroundings,
        reset: Callable[[LiveLimit, str], None],
        keys: Callable[[LiveLimit], int],
    ) -> None:
        """`costs`: for each limit what a request of each of its routes counts."""
        self._limits = limits
        self._costs = costs
        self._events = around.events
        self._reset = reset
        self._keys = keys
        self._mirror: Mirror[Change] = Mirror(
            around.store,
            PREFIX,
            Change.decode,
            lambda change: float("inf"),  # noqa: ARG005 - it stays until it is taken back
            around.reactor,
            around.wall,
            self._changed,
        )
        self.start = self._mirror.start
        self.stop = self._mirror.stop

    def _changed(self, name: str, change: Change | None) -> None:
        live = self._limits.by_name.get(name)
        if live is None:
            return  # another gateway may have it
        limit = live.configured
        if change is not None:
            try:
                limit = change.terms.applied(live.configured)
            except InvalidDocumentError:
                # The configuration has changed since.
                self.log.warn("{limit}: what was changed does not fit the configuration any more", limit=name)
        self._limits.set(name, limit)

    # As of `ttagw.admin.limits.Changeable`

    def names(self) -> list[str]:
        """Of all there are."""
        return sorted(self._limits.by_name)

    def shown(self, name: str) -> Mapping[str, Any]:
        """One of them."""
        live = self._limits.by_name[name]
        change = self._mirror.entries.get(name)
        return {
            "name": name,
            "configured": written(live.configured),
            "current": written(live.limit),
            "changed_by": None if change is None else change.by,
            "keys": self._keys(live),
            "under_way": sum(live.under_way.values()),
        }

    async def change(self, name: str, document: LimitDocument, written: object, by: str) -> None:
        """From now on it is what is configured, but for this. Raises `InvalidDocumentError`, `NotStoredError`."""
        limit = document.applied(self._limits.by_name[name].configured)
        faults = costs_too_much(limit, self._costs.get(name, {}))
        if faults:
            raise InvalidDocumentError(errors=faults)
        try:
            await self._mirror.put(name, Change.encode(written, by))
        except StoreError as error:
            raise _not_stored(error) from None
        self._events.tell("limit_changed", "", name, "changed", severity="warn")

    async def restore(self, name: str) -> bool:
        """From now on it is what is configured; whether it was something else. Raises `NotStoredError`."""
        try:
            found = await self._mirror.remove(name)
        except StoreError as error:
            raise _not_stored(error) from None
        if found:
            self._events.tell("limit_changed", "", name, "restored", severity="warn")
        return found

    def forgive(self, name: str, whose: ForgivenDocument) -> None:
        """Forget what was used under one key. Raises `InvalidDocumentError`."""
        live = self._limits.by_name[name]
        self._reset(live, _key(live.configured.key, whose))


def _not_stored(error: StoreError) -> NotStoredError:
    if isinstance(error, StoreAwayError):
        return NotStoredError(
            "store_unsure",
            detail="The store did not say whether it took it. It is safe to ask again.",
            retry_after=5,
        )
    return NotStoredError(retry_after=5)


def _key(parts: Sequence[str], whose: ForgivenDocument) -> str:
    counts = f"this limit counts by {', '.join(parts) or 'nothing'}"
    if whose.key is not None:
        if len(whose.key) != len(parts):
            raise InvalidDocumentError(errors=[("key", f"expected a value for each part: {counts}")])
        for part, value in zip(parts, whose.key, strict=True):
            if part == "ip":
                _address("key", value or "")
        return key_of(parts, whose.key)
    if whose.user is not None:
        if tuple(parts) != ("user",):
            raise InvalidDocumentError(errors=[("user", f"expected key: {counts}")])
        return key_of(parts, (whose.user,))
    _address("ip", whose.ip or "")
    if tuple(parts) not in (("user",), ("ip",)):
        raise InvalidDocumentError(errors=[("ip", f"expected key: {counts}")])
    found = key_of(("ip",), (whose.ip,))
    return found if tuple(parts) == ("ip",) else nobody(found)


def _address(field: str, value: str) -> None:
    try:
        ip_address(value)
    except ValueError:
        raise InvalidDocumentError(errors=[(field, "expected an address such as 192.0.2.7 or 2001:db8::1")]) from None
