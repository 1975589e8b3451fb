"""What a route matches, and how specific it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from ttagw.core.target import TargetError, canonical

LITERAL, PARAM, TAIL = 0, 1, 2
"""Kinds of segments, the most specific first."""

NO_HOST = ("", "")

# An underscore is taken in no host and no method, and nobody would call a path so.
_FRESH = "__any__"


class PatternError(ValueError):
    """A pattern that no table takes; the message says what is wrong with it."""


@dataclass(frozen=True)
class Pattern:
    """What a request has to look like. Of several that match, the most specific wins; see `ttagw.core.routing`."""

    path: str
    """Segments: literals or `{name}` (exactly one, not empty); a final `/*` is this path and all below it."""
    hosts: tuple[str, ...] = ()
    """Names, or `*.x.y` with exactly one label for the `*`; empty: any."""
    methods: tuple[str, ...] = ()
    """Empty: any. GET answers HEAD too."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Fields that must be there with exactly this value."""


class Shape:
    """A pattern taken apart.

    `segments` are (kind, literal) pairs; a param is (PARAM, b""), the final `/*` (TAIL, b""). `rank` orders paths, the
    most specific first. `hosts` are (literal, suffix) pairs of which one is empty; both are for any host.
    """

    __slots__ = ("conditions", "hosts", "methods", "names", "rank", "segments")

    def __init__(self, pattern: Pattern) -> None:
        self.segments, self.names = _segments(pattern.path)
        self.rank = tuple([kind for kind, _ in self.segments])
        self.hosts = tuple([_host(host) for host in pattern.hosts]) or (NO_HOST,)
        self.methods = frozenset(pattern.methods)
        self.conditions = tuple(
            sorted((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pattern.headers.items())
        )

    @property
    def allow(self) -> frozenset[str]:
        """The methods it answers; empty: any."""
        return self.methods | {"HEAD"} if "GET" in self.methods else self.methods

    def method_rank(self, method: str) -> int | None:
        """How specifically this method is answered, 0 the most: by name, HEAD by GET, by any. None: not at all."""
        if not self.methods:
            return 2
        if method in self.methods:
            return 0
        return 1 if method == "HEAD" and "GET" in self.methods else None

    def host_rank(self, host: str) -> int | None:
        """How specifically this host is matched, 0 the most: by name, by wildcard, by any. None: not at all."""
        label, _, rest = host.partition(".")
        ranks = [
            2 if entry == NO_HOST else 0 if entry[0] else 1
            for entry in self.hosts
            if entry == NO_HOST or entry[0] == host or (label and entry[1] and entry[1] == rest)
        ]
        return min(ranks, default=None)

    def matches_path(self, path: bytes) -> bool:
        """Whether this canonical path is matched."""
        wanted = path[1:].split(b"/")
        segments = self.segments
        if segments and segments[-1][0] == TAIL:
            segments = segments[:-1]
            wanted = wanted[: len(segments)]
        if len(wanted) != len(segments):
            return False
        return all(
            text == literal if kind == LITERAL else bool(text)
            for text, (kind, literal) in zip(wanted, segments, strict=True)
        )

    def order(self, host: str, method: str) -> tuple[int, tuple[int, ...], int, int]:
        """What to sort by, the most specific for this host and method first; what does not match stands last."""
        host_rank, method_rank = self.host_rank(host), self.method_rank(method)
        return (
            9 if host_rank is None else host_rank,
            self.rank,
            -len(self.conditions),
            9 if method_rank is None else method_rank,
        )

    def refusal(self, host: str, method: str, fields: Sequence[tuple[bytes, bytes]]) -> str:
        """Why a request whose path matches is not answered; "" if it is. `fields` as in `Table.find`."""
        if self.host_rank(host) is None:
            names = [name or f"*.{suffix}" for name, suffix in self.hosts]
            return f"only for host {' or '.join(names)}"
        for condition in self.conditions:
            if condition not in fields:
                name, value = condition
                return f"only with {name.decode('latin-1')}: {value.decode('latin-1')}"
        if self.method_rank(method) is None:
            return f"only for {', '.join(sorted(self.allow))}"
        return ""

    def witnesses(self, depth: int) -> Iterator[tuple[str, str, bytes]]:
        """Requests (host, method, path) that match; if others win all of these, they win every request that matches.

        `depth` is more than any pattern's number of segments. Values that no literal has stand for params, for what is
        below a final `/*`, and for the label or name that a host leaves open.
        """
        hosts = [name or (f"{_FRESH}.{suffix}" if suffix else _FRESH) for name, suffix in self.hosts]
        start = b"".join(
            [b"/" + (text if kind == LITERAL else _FRESH.encode()) for kind, text in self.segments if kind != TAIL]
        )
        paths = [start]
        if self.rank[-1:] == (TAIL,):
            below = [start + b"/" + b"/".join([_FRESH.encode()] * more) for more in range(depth + 1)]
            paths = [path for path in (start, *below, *[path + b"/" for path in below[1:]]) if path]
        return product(hosts, sorted(self.allow) or (_FRESH,), paths)


def overlap(first: Shape, second: Shape) -> str:
    """What both answer with the same specificity, in words; "" if nothing."""
    if first.segments != second.segments or first.conditions != second.conditions:
        return ""
    if not set(first.hosts) & set(second.hosts):
        return ""
    if not first.methods and not second.methods:
        return "every method"
    return ", ".join(sorted(first.methods & second.methods))


def _segments(path: str) -> tuple[tuple[tuple[int, bytes], ...], tuple[str, ...]]:
    try:
        raw = path.encode("ascii")
        if canonical(raw) != raw:
            raise PatternError(f'"{path}" is not canonical; write "{canonical(raw).decode()}"')
    except UnicodeEncodeError:
        raise PatternError(f'"{path}" has characters outside ASCII; percent-encode them') from None
    except TargetError as error:
        raise PatternError(f'"{path}" can match no path: {error.reason.replace("_", " ")}') from None
    segments: list[tuple[int, bytes]] = []
    names: list[str] = []
    texts = path[1:].split("/")
    for place, text in enumerate(texts, start=1):
        if text == "*" and place == len(texts):
            segments.append((TAIL, b""))
        elif text[:1] == "{" and text[-1:] == "}" and text[1:-1].isidentifier():
            segments.append((PARAM, b""))
            names.append(text[1:-1])
        elif "*" in text or "{" in text or "}" in text:
            raise PatternError(f'"{path}": "{text}" is neither a literal, nor {{name}}, nor a final *')
        else:
            segments.append((LITERAL, text.encode("ascii")))
    if len(set(names)) < len(names):
        raise PatternError(f'"{path}" uses a name twice')
    return tuple(segments), tuple(names)


def _host(host: str) -> tuple[str, str]:
    name = host.lower()
    suffix = name.removeprefix("*.")
    if not suffix or "*" in suffix:
        raise PatternError(f'host "{host}" is neither a name nor "*.x.y"')
    return ("", suffix) if suffix != name else (name, "")
