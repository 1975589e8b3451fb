"""Blocks with a mirror in memory, of which the test says when it takes something."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock as Reactor

from ttagw.abuse.blocks import Blocks, Changed
from ttagw.abuse.entries import Block, decode
from ttagw.abuse.table import Table
from ttagw.core.blocking import Rules
from ttagw.testing import Clock

RULES = Rules(5, 60.0, 100.0, 1000.0)


class AwayError(Exception):
    """The store is away."""


class MemoryMirror:
    """What `ttagw.store.mirror` does, without a store. While `away` is set nothing is taken."""

    def __init__(self, changed: Changed, wall: Callable[[], float]) -> None:
        self.entries: dict[str, Block] = {}
        self.current = True
        self.away = False
        self.writes: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None
        """Done while something is being written."""
        self._changed = changed
        self._wall = wall

    def start(self) -> None:
        """Nothing to take up."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def put(self, key: str, raw: bytes) -> None:
        if self.away:
            raise AwayError("away")
        self.writes.append(key)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        self.hear(decode(raw), key)

    async def remove(self, key: str) -> bool:
        if self.away:
            raise AwayError("away")
        there = self.entries.pop(key, None) is not None
        self._changed(key, None)
        return there

    def hear(self, block: Block, key: str = "") -> None:
        """Somebody has written this."""
        key = key or block.key
        if block.gone > self._wall():
            self.entries[key] = block
            self._changed(key, block)

    def sweep(self) -> None:
        """What is over goes."""
        for key in [key for key, each in self.entries.items() if each.gone <= self._wall()]:
            del self.entries[key]
            self._changed(key, None)


class Told:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.lifts: list[Block] = []

    def blocked(self, block: Block) -> None:
        self.blocks.append(block)

    def lifted(self, block: Block) -> None:
        self.lifts.append(block)


class Kit:
    """Everything around blocks. `pass_time` moves all clocks."""

    def __init__(self, most: int = 100) -> None:
        self.wall = Clock(1_700_000_000.0)
        self.reactor = Reactor()
        self.table = Table(self.wall)
        self.told = Told()
        self.began: list[Block] = []

        def mirror(changed: Changed) -> MemoryMirror:
            self.mirror = MemoryMirror(changed, self.wall)
            return self.mirror

        self.blocks = Blocks(mirror, RULES, self.table, self.reactor, self.wall, AwayError, self.told, most)
        self.blocks.began = self.began.append
        self.blocks.start()

    def pass_time(self, seconds: float, step: float = 0.5) -> None:
        passed = 0.0
        while passed < seconds:
            self.wall.advance(min(step, seconds - passed))
            self.mirror.sweep()
            self.reactor.advance(min(step, seconds - passed))
            passed += step

    def offend(self, subject: str = "203.0.113.7", kind: str = "address") -> None:
        self.blocks.offend(kind, subject)

    @property
    def active(self) -> list[str]:
        """Who is blocked now."""
        return sorted([block.subject for key in self.table.listed() if (block := self.table.get(key))])
