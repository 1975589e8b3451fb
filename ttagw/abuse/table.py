"""Who is blocked now, as it is looked up for each connection and each request."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import inf

from ttagw.abuse.entries import BY, KINDS, Block
from ttagw.core.blocking import ADDRESS
from ttagw.core.networks import KEPT, Networks, Place, subject_of


class Table:
    """Blocks in effect. `any` says whether there are any at all: mostly there are none."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self.any = False
        self._wall = wall
        self._blocks: dict[str, Block] = {}
        """All of them, by key."""
        self._addresses: dict[str, Block] = {}
        self._users: dict[str, Block] = {}
        self._wide: Networks[Block] = Networks()
        """Those that are not about just what addresses are counted as."""
        self._seen: dict[str, Block | None] = {}
        """What was found in `_wide` for an address."""
        self._counts = {(kind, by): 0 for kind in KINDS for by in BY}
        self._ends: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._blocks)

    def find_address(self, place: Place, text: str) -> Block | None:
        """The block that an address is under; `text` is the address. Only where `place` is not exempt."""
        found = self._addresses.get(place.subject)
        if found is not None and found.over > self._wall():
            return found
        if not self._wide:
            return None
        found = self._find_wide(place, text)
        return found if found is not None and found.over > self._wall() else None

    def _find_wide(self, place: Place, text: str) -> Block | None:
        if text in self._seen:
            return self._seen[text]
        found = None if place.address is None else self._wide.find(place.address)
        if len(self._seen) >= KEPT:
            self._seen.clear()
        self._seen[text] = found
        return found

    def find_user(self, user: str) -> Block | None:
        """The block that a user is under."""
        found = self._users.get(user)
        return found if found is not None and found.over > self._wall() else None

    def get(self, key: str) -> Block | None:
        """The block of this key, if it is in effect."""
        found = self._blocks.get(key)
        return found if found is not None and found.over > self._wall() else None

    def listed(self) -> list[str]:
        """The keys of all that may be in effect."""
        return list(self._blocks)

    def counts(self) -> dict[tuple[str, str], int]:
        """How many there are, by kind and by whom."""
        return dict(self._counts)

    def set(self, block: Block) -> bool:
        """It is in effect from now on. Whether its subject was not blocked until now."""
        key = block.key
        new = self.get(key) is None
        self.discard(key)
        if block.over <= self._wall():
            return False
        self._blocks[key] = block
        self._counts[block.kind, block.by] += 1
        if block.kind != ADDRESS:
            self._users[block.subject] = block
        elif _is_counted(block):
            self._addresses[block.subject] = block
        else:
            self._wide.set(block.network(), block)
            self._seen.clear()
        if block.over != inf:
            heappush(self._ends, (block.over, key))
        self.any = True
        return new

    def discard(self, key: str) -> None:
        """It is not in effect any more."""
        block = self._blocks.pop(key, None)
        if block is None:
            return
        self._counts[block.kind, block.by] -= 1
        if block.kind != ADDRESS:
            del self._users[block.subject]
        elif _is_counted(block):
            del self._addresses[block.subject]
        else:
            self._wide.discard(block.network())
            self._seen.clear()
        self.any = bool(self._blocks)

    def sweep(self) -> None:
        """Let go of what is over."""
        now = self._wall()
        while self._ends and self._ends[0][0] <= now:
            key = heappop(self._ends)[1]
            block = self._blocks.get(key)
            if block is not None and block.over <= now:
                self.discard(key)


def _is_counted(block: Block) -> bool:
    """Whether it is about one subject as addresses are counted."""
    return block.subject == subject_of(block.network().network_address)
