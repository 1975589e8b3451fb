"""Who has broken the glass to whom, for how long still: the same at every gateway that shares a store.

A window is measured twice: the store has its end as Unix time, and each gateway counts down its own monotonic clock
from when it learnt of it. Whichever is over first counts, so a clock that is set cannot make a window longer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ttagw.auth.glass_records import ID, Uses, encode
from ttagw.core.glass import left

PREFIX = "break_glass/open/"
"""Where the windows are, by the id of their record."""

RECONCILE = 2.0
"""Seconds between two comparisons with the store."""

REMEMBERED = 120.0
"""Seconds for which a window is known after its end here: a store that goes by a clock may have it again when that is
set back, until it has swept it."""

MOST_GRANTS = 10_000
"""Windows that are known here; beyond them the one that ends first is forgotten, and needs a reason again."""


class Place(NamedTuple):
    """Who reaches whom."""

    kind: str
    issuer: str
    caller: str
    person: str


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A window, as the store has it."""

    id: str
    """The id of its record."""
    place: Place
    lasts: float
    ends: float
    """Seconds, and Unix time."""
    reasons: tuple[str, ...]
    """Digests of the reasons that were given since the glass was broken, so that each is recorded once."""
    alerted: bool
    """Whether an alert went out for it."""


class Grant:
    """A window that is known here."""

    __slots__ = ("access", "opened", "until", "uses", "uses_key")

    def __init__(self, opened: Opened, until: float, uses_key: str) -> None:
        self.opened = opened
        self.until = until
        """Monotonic seconds."""
        self.uses = Uses()
        self.uses_key = uses_key
        self.access = ("break_glass", opened.id)
        """For the log."""


class Windows(Protocol):
    """What is needed of a store; see `ttagw.store.base.Store`."""

    shared: bool

    @property
    def state(self) -> Any: ...
    async def scan(self, prefix: str) -> Any: ...
    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None: ...
    def watch(self, prefix: str, notice: Callable[[str, bytes | None], None]) -> Callable[[], None]: ...
    def on_state(self, told: Callable[[Any], None]) -> Callable[[], None]: ...


_decoder = msgspec.json.Decoder(Opened)


class Grants:
    """The windows of this gateway, and those it hears of."""

    log = Logger()

    def __init__(
        self,
        store: Windows,
        clock: Any,
        failures: type[Exception],
        *,
        one: str,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """`one` tells this process from every other; `failures` is what the store raises; `clock` calls later."""
        self._store = store
        self._failures = failures
        self._one = one
        self._monotonic = monotonic
        self._wall = wall
        self._by_id: dict[str, Grant] = {}
        """Also those that are over, for as long as the store may have them: they must not begin anew."""
        self._by_place: dict[Place, Grant] = {}
        self._number = 0
        self._looking: Deferred[Any] | None = None
        self._compared = False
        self._ends: list[Callable[[], None]] = []
        self._loop = LoopingCall(self._look_again)
        self._loop.clock = clock
        self.heard: Callable[[Opened], None] = lambda _: None
        """Called with each window that the store tells of."""

    # Life

    def start(self) -> None:
        """Know what the store knows, as soon as it can be asked."""
        self._ends = [self._store.watch(PREFIX, self._noticed), self._store.on_state(self._state_changed)]
        self._loop.start(RECONCILE, now=True)

    def stop(self) -> None:
        """Hear of nothing any more."""
        for end in self._ends:
            end()
        if self._loop.running:
            self._loop.stop()
        if self._looking is not None:
            self._looking.cancel()

    def _state_changed(self, state: Any) -> None:
        if state.up:
            self.look()

    # Use

    def find(self, place: Place) -> Grant | None:
        """The window that is open, if one is."""
        grant = self._by_place.get(place)
        return grant if grant is not None and self._monotonic() < grant.until else None

    @property
    def open(self) -> int:
        """Windows that are open."""
        now = self._monotonic()
        return sum([now < grant.until for grant in self._by_place.values()])

    def seconds_left(self, caller: Place) -> dict[Place, float]:
        """What is open for the caller of this place, whomever they reach, and for how long still."""
        now = self._monotonic()
        found = {place: grant.until - now for place, grant in self._by_place.items() if place[:3] == caller[:3]}
        return {place: left_ for place, left_ in found.items() if left_ > 0.0}

    async def write(self, opened: Opened) -> Grant:
        """Open it here and everywhere. What the store raises goes through, and then it is not open."""
        await self._store.put(f"{PREFIX}{opened.id}", encode(opened), opened.lasts)
        return self._by_id.get(opened.id) or self._take(opened)

    def _take(self, opened: Opened) -> Grant:
        now = self._monotonic()
        self._number += 1
        grant = Grant(opened, now + left(opened.lasts, opened.ends, self._wall()), f"{self._one}-{self._number}")
        self._by_id[opened.id] = grant
        before = self._by_place.get(opened.place)
        if before is None or before.until <= grant.until:
            self._by_place[opened.place] = grant
        if len(self._by_id) > MOST_GRANTS:
            self._forget(min(self._by_id.values(), key=lambda each: each.until))
        return grant

    def _forget(self, grant: Grant) -> None:
        del self._by_id[grant.opened.id]
        if self._by_place.get(grant.opened.place) is grant:
            del self._by_place[grant.opened.place]

    # Hearing

    def _noticed(self, key: str, value: bytes | None) -> None:
        if value is not None:
            self._learn(key, value)

    def _learn(self, key: str, raw: bytes) -> None:
        id_ = key[len(PREFIX) :]
        if id_ in self._by_id:
            return
        try:
            opened = _decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            opened = None
        if opened is None or opened.id != id_ or not ID.fullmatch(id_) or not opened.lasts > 0.0:
            self.log.error("the store has something under {key} that is no window of break-glass", key=key)
            return
        self._take(opened)
        self.heard(opened)

    def _look_again(self) -> None:
        now = self._monotonic()
        if self._store.shared or not self._compared or any(each.until <= now for each in self._by_id.values()):
            self.look()

    def look(self) -> None:
        """Compare with the store; one comparison at a time."""
        if self._looking is None and self._store.state.up:
            self._looking = Deferred.fromCoroutine(self._compare())
            self._looking.addBoth(self._looked)

    def _looked(self, result: object) -> None:
        self._looking = None
        if isinstance(result, Failure) and not result.check(CancelledError, self._failures):
            self.log.failure("what is open could not be compared with the store", failure=result)

    async def _compare(self) -> None:
        before = list(self._by_id)
        stored = await self._store.scan(PREFIX)
        for key, raw in stored.items():
            self._learn(key, raw)
        self._compared = True
        now = self._monotonic()
        for id_ in before:
            grant = self._by_id.get(id_)
            if grant is not None and grant.until + REMEMBERED <= now and f"{PREFIX}{id_}" not in stored:
                self._forget(grant)
