"""The path that a service gets instead of the one that was matched."""

from __future__ import annotations

from ttagw.core.pattern import Pattern, PatternError, Shape
from ttagw.core.target import TargetError, canonical


class RewriteError(ValueError):
    """A rewrite that does not fit its path; the message says why."""


class Rewrite:
    """Puts the values of params and of a final `/*` into another path, byte for byte."""

    __slots__ = ("_head", "_order", "_tail")

    def __init__(self, head: bytes, order: tuple[int, ...], tail: bool) -> None:
        """`head` is a template with a `%b` for each param, `order` says which; `tail`: what `/*` matched follows."""
        self._head = head if order else head % ()
        self._order = order
        self._tail = tail

    def apply(self, params: tuple[bytes, ...], rest: bytes) -> bytes:
        """The new path, from what `Table.find` found."""
        path = self._head
        if self._order:
            path %= tuple([params[place] for place in self._order])
        if self._tail:
            path += rest
        return path or b"/"


def compile(path_pattern: str, rewrite: str) -> Rewrite | None:  # noqa: A001 - as in `re.compile`
    """The rewrite of paths that match `path_pattern`; None if they stay as they are (`rewrite` is empty or the same).

    `{name}` stands for the value of that param, also within a segment; a final `/*` for what `/*` matched, and without
    it that is dropped. Raises `RewriteError`.
    """
    if not rewrite or rewrite == path_pattern:
        return None
    try:
        names = Shape(Pattern(path_pattern)).names
        text = rewrite.encode("ascii")
        if canonical(text) != text:
            raise RewriteError(f'"{rewrite}" is not canonical; write "{canonical(text).decode()}"')
    except UnicodeEncodeError:
        raise RewriteError(f'"{rewrite}" has characters outside ASCII; percent-encode them') from None
    except PatternError as error:
        raise RewriteError(str(error)) from None
    except TargetError as error:
        raise RewriteError(f'"{rewrite}" is not a path: {error.reason.replace("_", " ")}') from None
    body = rewrite.removesuffix("/*")
    tail = body != rewrite
    if "*" in body:
        raise RewriteError(f'"{rewrite}" has a * that is not a final /*')
    if tail and not path_pattern.endswith("/*"):
        raise RewriteError(f'"{rewrite}" ends in /*, but "{path_pattern}" does not')
    head, order = _template(body, names)
    return Rewrite(head, order, tail)


def _template(body: str, names: tuple[str, ...]) -> tuple[bytes, tuple[int, ...]]:
    first, *others = body.replace("%", "%%").split("{")
    pieces = [first]
    order: list[int] = []
    for other in others:
        name, brace, after = other.partition("}")
        if not brace or name not in names:
            known = ", ".join([f"{{{name}}}" for name in names]) or "none"
            raise RewriteError(f'"{{{name}}}" is not a param of the path; it has {known}')
        order.append(names.index(name))
        pieces.append("%b" + after)
    head = "".join(pieces)
    if "}" in head:
        raise RewriteError('a "}" stands without its "{"')
    return head.encode("ascii"), tuple(order)
