"""Which route answers a request.

Of the routes that match host, path, headers and method, the most specific one wins:

1. its host: by name, then `*.x.y`, then any;
2. its path, segment by segment from the left: a literal, then `{param}`, then the final `/*`;
3. more header conditions;
4. its method: by name, then HEAD by a route that names GET, then any;
5. the one that stands first.

A route that matches all but the method is passed over for a less specific one that has the method. If there is none,
the answer is 405 with the methods of all routes that match host, path and headers; if none of those either, 404.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from ttagw.core.pattern import NO_HOST, Pattern, PatternError, Shape, overlap
from ttagw.core.trie import Fields, Found, Leaf, Node, collect, find

__all__ = ["Found", "Miss", "Pattern", "PatternError", "Table", "conflicts"]

T = TypeVar("T")

_MISSES_KEPT = 256


class Miss:
    """No route answers. Shared between requests: read only."""

    __slots__ = ("allow",)

    def __init__(self, allow: tuple[str, ...]) -> None:
        self.allow = allow
        """Empty: 404. Else 405, and these are the methods that would be answered, sorted."""


class Table(Generic[T]):
    """All routes, as one tree for each host that is named, each wildcard and any other host."""

    __slots__ = ("_any", "_entries", "_exact", "_label", "_misses", "_wild")

    def __init__(self, entries: Iterable[tuple[Pattern, T]], label: Callable[[T], str] = str) -> None:
        """Raises `PatternError`. `label` names a target in `explain`."""
        self._any: Node[T] = Node()
        self._exact: dict[bytes, Node[T]] = {}
        self._wild: dict[bytes, Node[T]] = {}
        self._label = label
        self._misses: dict[tuple[str, ...], Miss] = {(): Miss(())}
        self._entries: list[Leaf[T]] = []
        for index, (pattern, target) in enumerate(entries):
            leaf = Leaf(index, Shape(pattern), target)
            self._entries.append(leaf)
            for host in dict.fromkeys(leaf.shape.hosts):
                self._root(host).add(leaf)

    def _root(self, host: tuple[str, str]) -> Node[T]:
        if host == NO_HOST:
            return self._any
        name, suffix = host
        roots = self._exact if name else self._wild
        return roots.setdefault((name or suffix).encode("latin-1"), Node())

    def find(self, host: bytes, method: bytes, path: bytes, fields: Fields) -> Found[T] | Miss:
        """Who answers: `host` as `check_host` gives it, `path` canonical, `fields` (lower-case name, value) pairs."""
        if not self._exact and not self._wild:
            found = find(self._any, method, path, fields)
            return self._miss(host, path, fields) if found is None else found
        for root in self._roots(host):
            found = find(root, method, path, fields)
            if found is not None:
                return found
        return self._miss(host, path, fields)

    def _roots(self, host: bytes) -> list[Node[T]]:
        roots = [self._any]
        label, _, rest = host.partition(b".")
        node = self._wild.get(rest) if label else None
        if node is not None:
            roots.insert(0, node)
        node = self._exact.get(host)
        if node is not None:
            roots.insert(0, node)
        return roots

    def _miss(self, host: bytes, path: bytes, fields: Fields) -> Miss:
        methods: set[str] = set()
        segments = path.split(b"/")
        for root in self._roots(host):
            collect(root, segments, 0, fields, methods)
        allow = tuple(sorted(methods))
        miss = self._misses.get(allow)
        if miss is None:
            miss = Miss(allow)
            if len(self._misses) < _MISSES_KEPT:
                self._misses[allow] = miss
        return miss

    def explain(self, host: bytes, method: bytes, path: bytes, fields: Fields) -> list[str]:
        """A sentence for each route whose path matches, the most specific first: whether it answers, or why not."""
        name, verb = host.decode("latin-1"), method.decode("latin-1")
        winner = ""
        lines: list[str] = []
        for leaf in sorted(self._entries, key=lambda leaf: leaf.shape.order(name, verb)):
            if not leaf.shape.matches_path(path):
                continue
            label = self._label(leaf.target)
            reason = leaf.shape.refusal(name, verb, fields)
            if not reason and winner:
                reason = f"{winner} is more specific"
            elif not reason:
                winner = label
            lines.append(f"{label}: passed over: {reason}" if reason else f"{label}: answers")
        return lines or ["no route matches this path"]


def conflicts(entries: Iterable[tuple[Pattern, str]]) -> list[tuple[int, str]]:
    """Entries (by index, with a sentence) of which only the order decides who answers, or that can never answer.

    The second item of an entry is its label. Raises `PatternError`.
    """
    pairs = list(entries)
    labels = [label for _, label in pairs]
    table = Table([(pattern, index) for index, (pattern, _) in enumerate(pairs)])
    shapes = [Shape(pattern) for pattern, _ in pairs]
    depth = max((len(shape.rank) for shape in shapes), default=0) + 1
    faults: list[tuple[int, str]] = []
    for index, shape in enumerate(shapes):
        label = labels[index]
        equals = [other for other in range(index) if overlap(shapes[other], shape)]
        if equals:
            common = overlap(shapes[equals[0]], shape)
            faults.append((index, f'"{label}" and "{labels[equals[0]]}" are equally specific for {common}'))
            continue
        winners = {_winner(table, request, shape.conditions) for request in shape.witnesses(depth)}
        if index not in winners:
            names = " and ".join([f'"{labels[winner]}"' for winner in sorted(winners)])
            faults.append((index, f'"{label}" can never answer: whatever it matches goes to {names}'))
    return faults


def _winner(table: Table[int], request: tuple[str, str, bytes], fields: Fields) -> int:
    host, method, path = request
    found = table.find(host.encode("latin-1"), method.encode("latin-1"), path, fields)
    return -1 if isinstance(found, Miss) else found.target
