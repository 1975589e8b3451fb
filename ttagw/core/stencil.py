"""Heads that are like one before but for some values: recognised without a parser, exactly as strictly.

The bytes around the holes are those of a head that a parser has judged. What stands in a hole must be what no parser
could read in two ways: printable ASCII up to the CR that ends its line, without a space at either end. Whatever is not
so is for the parser to judge.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

Fields = Sequence[tuple[bytes, bytes]]

MOST_HOLES = 6
"""Values in which the heads of one connection may differ."""

# Changes every byte that no value may have here, so that it takes one pass and one comparison to find them.
_TAKEN = bytes([byte if 0x20 <= byte <= 0x7E else 0x20 for byte in range(256)])


class Stencil:
    """A head with holes. It begins where `read` is told and ends with its empty line."""

    __slots__ = ("_last", "_pieces", "_size")

    def __init__(self, pieces: Sequence[bytes]) -> None:
        """`pieces`: what stands before, between and after the holes."""
        self._pieces = tuple([(piece, len(piece)) for piece in pieces[:-1]])
        self._last = pieces[-1]
        self._size = len(self._last)

    def read(self, data: bytes, at: int) -> tuple[list[bytes], int] | None:
        """What is in the holes, and where the head ends; None if `data` is not like this from `at` on."""
        values: list[bytes] = []
        for piece, size in self._pieces:
            if not data.startswith(piece, at):
                return None
            at += size
            end = data.find(b"\r", at)
            # Without a CR the end is -1, where no piece fits.
            value = data[at:end]
            if not value or value.translate(_TAKEN).strip(b" ") != value:
                return None
            values.append(value)
            at = end
        return (values, at + self._size) if data.startswith(self._last, at) else None


class Lines:
    """How fields are written in which some values are others each time."""

    __slots__ = ("_template",)

    def __init__(self, fields: Fields, places: Collection[int]) -> None:
        """`places`: those of the fields whose values vary."""
        lines = []
        for place, (name, value) in enumerate(fields):
            line = b"%b: %b" % (name, b"" if place in places else value)
            lines.append(line.replace(b"%", b"%%") + (b"%b" if place in places else b""))
        self._template = b"\r\n".join(lines)

    def lay(self, values: Sequence[bytes]) -> bytes:
        """The lines with these values, in the order of their places."""
        return self._template % tuple(values)


def cut(head: bytes, raw: Fields, holes: Collection[int]) -> Stencil | None:
    """The stencil of a head whose fields are `raw` (as a parser gave them) with holes for the values at these places.

    The first line of `head` may be incomplete. None where the lines are not simply those of the fields.
    """
    lines = head.split(b"\r\n")
    if len(lines) != len(raw) + 3:
        return None
    pieces = [lines[0]]
    for place, (name, value) in enumerate(raw):
        line = lines[place + 1]
        if not line.startswith(name + b":") or not line.endswith(value):
            return None
        pieces[-1] += b"\r\n"
        if place in holes:
            before = line[: len(line) - len(value)]
            if not value or before[len(name) + 1 :].strip(b" \t"):
                return None
            pieces[-1] += before
            pieces.append(b"")
        else:
            pieces[-1] += line
    pieces[-1] += b"\r\n\r\n"
    return Stencil(pieces)


def differing(one: Fields, other: Fields) -> frozenset[int] | None:
    """The places at which two heads have other values; None where they have not the same names in the same order."""
    if len(one) != len(other):
        return None
    places = []
    for place, (before, now) in enumerate(zip(one, other, strict=True)):
        if before[0] != now[0]:
            return None
        if before[1] != now[1]:
            places.append(place)
    return frozenset(places)
