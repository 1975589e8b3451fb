"""Breaking the glass: what counts as a reason, and how much of a window is left."""

from __future__ import annotations

from collections.abc import Sequence

SHORTEST, LONGEST = 10, 500
"""Characters of a reason."""


def reason_of(values: Sequence[bytes]) -> str:
    """The reason that the values of `X-Break-Glass-Reason` give; "" if they give none, or not just one.

    It is UTF-8, or else Latin-1, and everything in it prints: no control or format characters, no line breaks.
    """
    if len(values) != 1:
        return ""
    try:
        text = values[0].decode("utf-8")
    except UnicodeDecodeError:
        text = values[0].decode("latin-1")
    text = text.strip(" ")
    return text if SHORTEST <= len(text) <= LONGEST and text.isprintable() else ""


def left(lasts: float, ends: float, wall: float) -> float:
    """Seconds that are left of a window of `lasts` seconds that ends at a Unix time.

    Never more than the whole of it: a clock that has gone back makes no window longer.
    """
    return min(lasts, ends - wall)
