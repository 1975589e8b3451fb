"""Consistent hashing: a ring of points on which each member owns the keys before its points.

Karger et al., "Consistent Hashing and Random Trees", 1997.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from hashlib import blake2b

POINTS = 128
"""Points for each unit of weight; shares come out within about a tenth of what they should be."""

_POINT = 8
_POINTS_PER_HASH = 64 // _POINT


class Ring:
    """Who owns a key, by index into the members it was made from: (name, weight) pairs with distinct names.

    A member's points come from its name and weight alone: the same in every process, whoever else is there.
    """

    __slots__ = ("_owners", "_points")

    def __init__(self, members: Sequence[tuple[str, int]]) -> None:
        pairs = sorted(
            [(point, owner) for owner, (name, weight) in enumerate(members) for point in _points(name, weight)]
        )
        self._points = [point for point, _ in pairs]
        self._owners = [owner for _, owner in pairs]
        if pairs:
            # Beyond the last point the ring begins again.
            self._owners.append(self._owners[0])

    def owner(self, key: bytes) -> int:
        """The index of the owner; the ring must not be empty."""
        return self._owners[bisect_left(self._points, int.from_bytes(blake2b(key, digest_size=_POINT).digest(), "big"))]

    def owners(self, key: bytes) -> Iterator[int]:
        """The owner, then who would own the key if it were gone, and so on; members come up more than once."""
        place = bisect_left(self._points, int.from_bytes(blake2b(key, digest_size=_POINT).digest(), "big"))
        yield from self._owners[place:]
        yield from self._owners[:place]


def _points(name: str, weight: int) -> list[int]:
    points: list[int] = []
    for number in range(weight * POINTS // _POINTS_PER_HASH):
        digest = blake2b(b"%d %b" % (number, name.encode())).digest()
        points += [int.from_bytes(digest[at : at + _POINT], "big") for at in range(0, len(digest), _POINT)]
    return points
