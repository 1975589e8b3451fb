"""Blocks, kept in the store and in effect on every gateway that shares it.

What is made here automatically is in effect here at once, and is written as soon as the store takes it. What operators
ask for is done when it is stored, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ttagw.abuse.entries import KINDS, OPERATOR, THRESHOLD, Block, encode, key_of
from ttagw.abuse.table import Table
from ttagw.core.blocking import Rules, remembered_for
from ttagw.errors import BlocksFullError, NotStoredError

MOST = 100_000
"""Blocks that are kept, in effect or remembered; the oldest that no operator has made gives way."""
TICK = 0.5
"""Seconds between two looks at what is over and what is not written yet."""
GOING = 1.0
"""Seconds that what gives way stays in the store."""

NOT_DONE = "The store did not take it, or did not say so. It is safe to ask again."


class Mirror(Protocol):
    """The table in the store; see `ttagw.store.mirror`."""

    entries: dict[str, Block]
    current: bool

    def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def put(self, key: str, raw: bytes) -> None: ...
    async def remove(self, key: str) -> bool: ...


Changed = Callable[[str, "Block | None"], None]


class Told(Protocol):
    """Who is told what was made and lifted here."""

    def blocked(self, block: Block) -> None: ...
    def lifted(self, block: Block) -> None: ...


class Blocks:
    """The one place that knows who is blocked."""

    log = Logger()

    def __init__(
        self,
        mirror: Callable[[Changed], Mirror],
        rules: Rules,
        table: Table,
        clock: Any,
        wall: Callable[[], float],
        failures: type[Exception],
        told: Told,
        most: int = MOST,
    ) -> None:
        """`mirror` makes the table in the store, told whom to tell of changes. `failures`: what it raises."""
        self.table = table
        self.began: Callable[[Block], object] = lambda block: None  # noqa: ARG005
        """Told of each block that begins here, wherever it was made."""
        self.made = dict.fromkeys(KINDS, 0)
        self._rules = rules
        self._wall = wall
        self._failures = failures
        self._told = told
        self._most = most
        self._mirror = mirror(self._changed)
        self._pending: dict[str, Block] = {}
        """What was made here and is not written yet."""
        self._going: set[str] = set()
        self._loop = LoopingCall(self._tick)
        self._loop.clock = clock
        self._writing: Deferred[None] | None = None

    # Life

    def start(self) -> None:
        """Take up what the store has, as soon as it is there."""
        self._mirror.start()
        self._loop.start(TICK, now=False)

    async def stop(self) -> None:
        """Write and hear nothing any more."""
        if self._loop.running:
            self._loop.stop()
        if self._writing is not None:
            self._writing.cancel()
        try:
            if self._mirror.current:
                await self._write()
        except self._failures as error:
            self.log.warn("{count} blocks were not stored: {why}", count=len(self._pending), why=str(error))
        await self._mirror.stop()

    # Looking

    @property
    def _stored(self) -> Mapping[str, Block]:
        return self._mirror.entries

    def known(self, key: str) -> Block | None:
        """What is known of a subject, in effect or remembered."""
        return self._pending.get(key) or self._stored.get(key)

    # Blocks that nobody asks for

    def offend(self, kind: str, subject: str) -> None:
        """This subject has had one refusal too many: it is blocked, in effect at once."""
        now = self._wall()
        key = key_of(kind, subject)
        if self.table.get(key) is not None:
            return
        before = self.known(key)
        if (before is None or key in self._going) and not self._room():
            return
        offences = before.offences + 1 if before is not None and before.gone > now else 1
        length = self._rules.length(offences)
        end = now + length
        block = Block(kind, subject, now, end, end + remembered_for(length), THRESHOLD, offences=offences)  # type: ignore[arg-type]
        self._pending[key] = block
        self._going.discard(key)
        self.made[block.kind] += 1
        self._begin(block)
        self._told.blocked(block)
        self._write_soon()

    def _room(self) -> bool:
        """Whether there is room for one more; who was blocked first gives way, unless an operator wants it."""
        if len(self._stored) + len(self._pending) < self._most:
            return True
        for entries in (self._stored, self._pending):
            oldest = next(
                (each for each in entries.values() if each.by == THRESHOLD and each.key not in self._going), None
            )
            if oldest is not None:
                self._give_way(oldest)
                return True
        return False

    def _give_way(self, block: Block) -> None:
        key = block.key
        self.table.discard(key)
        self._pending.pop(key, None)
        if key in self._stored:
            self._going.add(key)

    # What operators ask for

    async def add(self, kind: str, subject: str, seconds: float | None, reason: str) -> Block:
        """Block a subject for so many seconds, None: until it is lifted; it is stored and in effect here when this
        returns. Raises `BlocksFullError`, or `NotStoredError`, and then nothing is changed.
        """
        now = self._wall()
        key = key_of(kind, subject)
        before = self.known(key)
        if (before is None or key in self._going) and not self._room():
            raise BlocksFullError
        offences = before.offences if before is not None and before.gone > now else 0
        end = None if seconds is None else now + seconds
        block = Block(kind, subject, now, end, None, OPERATOR, reason, offences)  # type: ignore[arg-type]
        try:
            await self._mirror.put(key, encode(block))
        except self._failures as error:
            raise self._not_stored(error) from None
        self._pending.pop(key, None)
        self._going.discard(key)
        self.made[block.kind] += 1
        self._begin(block)
        self._told.blocked(block)
        return block

    async def lift(self, kind: str, subject: str) -> bool:
        """Block it no more, and remember nothing; whether it was blocked. Raises `NotStoredError`, and then nothing is
        changed.
        """
        key = key_of(kind, subject)
        block = self.table.get(key)
        if block is None:
            return False
        if key in self._stored:
            try:
                await self._mirror.remove(key)
            except self._failures as error:
                raise self._not_stored(error) from None
        self._pending.pop(key, None)
        self.table.discard(key)
        self._told.lifted(block)
        return True

    def _not_stored(self, error: Exception) -> NotStoredError:
        self.log.warn("a block was not stored: {why}", why=str(error))
        return NotStoredError(detail=NOT_DONE, retry_after=5)

    # Hearing of changes

    def _changed(self, key: str, block: Block | None) -> None:
        """The store has something else than before; what it says of itself is where it stands."""
        pending = self._pending.get(key)
        if block is None:
            self._going.discard(key)
            if pending is None:
                self.table.discard(key)
            return
        if block.key != key:
            self.log.warn("the store has a block in the place of another one, which does not count")
            return
        if pending is not None and block != pending:
            if block.by == THRESHOLD and block.over < pending.over:
                return
            del self._pending[key]
        if key not in self._going:
            self._begin(block)

    def _begin(self, block: Block) -> None:
        if self.table.set(block):
            self.began(block)

    # Writing

    def _tick(self) -> None:
        try:
            self.table.sweep()
            self._write_soon()
        except Exception:
            self.log.failure("blocks could not be looked through")

    def _write_soon(self) -> None:
        # While it is not known what others have written, nothing of theirs is overwritten.
        if self._writing is None and self._mirror.current and (self._pending or self._going):
            writing = self._writing = Deferred.fromCoroutine(self._write())
            writing.addErrback(self._failed).addBoth(self._written)

    def _written(self, _: None) -> None:
        self._writing = None

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError, self._failures):
            self.log.failure("blocks could not be written", failure=failure)

    async def _write(self) -> None:
        for key, block in list(self._pending.items()):
            if block.gone <= self._wall() or self._pending.get(key) is not block:
                self._forget(key, block)
                continue
            await self._mirror.put(key, encode(block))
            if key not in self._pending and self._stored.get(key) == block:
                # It was lifted, or gave way, while it was being written.
                await self._mirror.remove(key)
            self._forget(key, block)
        for key in list(self._going):
            await self._let_go(key)

    def _forget(self, key: str, block: Block) -> None:
        if self._pending.get(key) is block:
            del self._pending[key]

    async def _let_go(self, key: str) -> None:
        """Without a mark that it is gone, of which there would be as many as of blocks: it ends by itself."""
        found = self._stored.get(key)
        if found is None or found.by == OPERATOR:
            self._going.discard(key)
            return
        end = self._wall() + GOING
        if found.gone <= end:
            return
        await self._mirror.put(key, encode(Block(found.kind, found.subject, found.since, end, end)))

    # Seeing

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        blocks = GaugeMetricFamily("ttagw_blocks", "Blocks in effect.", labels=["kind", "by"])
        for labels, count in self.table.counts().items():
            blocks.add_metric(labels, count)
        made = CounterMetricFamily("ttagw_blocks_made", "Blocks made on this gateway.", labels=["kind"])
        for kind, count in self.made.items():
            made.add_metric([kind], count)
        unwritten = GaugeMetricFamily("ttagw_blocks_unwritten", "Blocks that the store does not have yet.")
        unwritten.add_metric([], len(self._pending))
        yield from (blocks, made, unwritten)
