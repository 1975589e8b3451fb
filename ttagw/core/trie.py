"""The tree that requests are matched against: one node a segment, and how the best leaf is found in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from ttagw.core.pattern import LITERAL, PARAM, TAIL, Shape

T = TypeVar("T")
Fields = Sequence[tuple[bytes, bytes]]


class Found(Generic[T]):
    """The route that answers. Shared between requests where nothing varies: read only."""

    __slots__ = ("names", "params", "rest", "target")

    def __init__(self, target: T, params: tuple[bytes, ...], rest: bytes, names: tuple[str, ...]) -> None:
        self.target = target
        self.params = params
        """The values of the path's `{param}`s, in its order."""
        self.rest = rest
        """What a final `/*` stands for: nothing, or bytes that begin with `/`."""
        self.names = names
        """The names of the path's `{param}`s, in its order."""


class Leaf(Generic[T]):
    """Where a route hangs in the tree."""

    __slots__ = ("conditions", "cut", "found", "index", "names", "positions", "shape", "tail", "target")

    def __init__(self, index: int, shape: Shape, target: T) -> None:
        self.index = index
        self.shape = shape
        self.target = target
        self.conditions = shape.conditions
        self.names = shape.names
        # The first piece of a split path is what stands before its first slash.
        self.positions = tuple([place for place, (kind, _) in enumerate(shape.segments, start=1) if kind == PARAM])
        self.tail = shape.rank[-1:] == (TAIL,)
        self.cut = sum(len(text) + 1 for kind, text in shape.segments if kind != TAIL)
        """Length of what stands before the final `/*`, without the values of the params."""
        self.found = None if self.tail or self.positions else Found(target, (), b"", ())


class Leaves(Generic[T]):
    """The routes of one path: who answers each method that one of them names, and all others, best first."""

    __slots__ = ("all", "by_method", "other")

    def __init__(self) -> None:
        self.all: list[Leaf[T]] = []
        self.by_method: dict[bytes, tuple[Leaf[T], ...]] = {}
        self.other: tuple[Leaf[T], ...] = ()

    def add(self, leaf: Leaf[T]) -> None:
        self.all.append(leaf)
        named = set().union(*[each.shape.allow for each in self.all])
        self.by_method = {method.encode("latin-1"): self._answering(method) for method in named}
        self.other = self._answering("")

    def _answering(self, method: str) -> tuple[Leaf[T], ...]:
        ranked = [
            ((-len(leaf.conditions), rank, leaf.index), leaf)
            for leaf in self.all
            if (rank := leaf.shape.method_rank(method)) is not None
        ]
        return tuple([leaf for _, leaf in sorted(ranked, key=lambda pair: pair[0])])


class Node(Generic[T]):
    __slots__ = ("here", "literals", "param", "tail")

    def __init__(self) -> None:
        self.literals: dict[bytes, Node[T]] = {}
        self.param: Node[T] | None = None
        self.here: Leaves[T] | None = None
        self.tail: Leaves[T] | None = None

    def add(self, leaf: Leaf[T]) -> None:
        node = self.literals.setdefault(b"", Node())
        for kind, text in leaf.shape.segments:
            if kind == LITERAL:
                node = node.literals.setdefault(text, Node())
            elif kind == PARAM:
                node.param = node.param or Node()
                node = node.param
        if leaf.tail:
            node.tail = node.tail or Leaves()
            node.tail.add(leaf)
        else:
            node.here = node.here or Leaves()
            node.here.add(leaf)


def find(root: Node[T], method: bytes, path: bytes, fields: Fields) -> Found[T] | None:
    """The first leaf without turning back, which is nearly always the one; else the whole search."""
    segments = path.split(b"/")
    node = root
    tail: Leaves[T] | None = None
    forked = False
    for segment in segments:
        child = node.literals.get(segment)
        if child is None:
            child = node.param
            if child is None or not segment:
                leaves = tail
                break
        elif node.param is not None:
            forked = True
        node = child
        if node.tail is not None:
            tail = node.tail
    else:
        leaves = node.here
    if leaves is not None and not (forked and leaves is tail):
        for leaf in leaves.by_method.get(method, leaves.other):
            if not leaf.conditions or _meets(leaf.conditions, fields):
                return leaf.found or _take(leaf, path, segments)
    leaf_or_none = _search(root, segments, 0, method, fields)
    return None if leaf_or_none is None else leaf_or_none.found or _take(leaf_or_none, path, segments)


def _take(leaf: Leaf[T], path: bytes, segments: list[bytes]) -> Found[T]:
    positions = leaf.positions
    if not positions:
        return Found(leaf.target, (), path[leaf.cut :], ())
    params = (segments[positions[0]],) if len(positions) == 1 else tuple([segments[place] for place in positions])
    if not leaf.tail:
        return Found(leaf.target, params, b"", leaf.names)
    cut = leaf.cut
    for value in params:
        cut += len(value)
    return Found(leaf.target, params, path[cut:], leaf.names)


def _meets(conditions: tuple[tuple[bytes, bytes], ...], fields: Fields) -> bool:
    for condition in conditions:  # noqa: SIM110 - a generator costs more than the whole loop
        if condition not in fields:
            return False
    return True


def _search(node: Node[T], segments: list[bytes], place: int, method: bytes, fields: Fields) -> Leaf[T] | None:
    """The best leaf at or below `node` for the segments from `place` on."""
    if place == len(segments):
        leaf = _pick(node.here, method, fields)
        return _pick(node.tail, method, fields) if leaf is None else leaf
    segment = segments[place]
    for child in (node.literals.get(segment), node.param if segment else None):
        if child is not None:
            leaf = _search(child, segments, place + 1, method, fields)
            if leaf is not None:
                return leaf
    return _pick(node.tail, method, fields)


def _pick(leaves: Leaves[T] | None, method: bytes, fields: Fields) -> Leaf[T] | None:
    if leaves is not None:
        for leaf in leaves.by_method.get(method, leaves.other):
            if _meets(leaf.conditions, fields):
                return leaf
    return None


def collect(node: Node[T], segments: list[bytes], place: int, fields: Fields, methods: set[str]) -> None:
    """Add the methods of every leaf that matches the segments from `place` on."""
    if place < len(segments):
        segment = segments[place]
        for child in (node.literals.get(segment), node.param if segment else None):
            if child is not None:
                collect(child, segments, place + 1, fields, methods)
    for leaves in (node.here if place == len(segments) else None, node.tail):
        for leaf in leaves.all if leaves is not None else ():
            if _meets(leaf.conditions, fields):
                methods |= leaf.shape.allow
