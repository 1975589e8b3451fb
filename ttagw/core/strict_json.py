"""JSON (RFC 8259) from people who are not trusted: one meaning or none, and no cost beyond its length."""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any

DEEPEST = 16
"""Objects and arrays within one another."""
LONGEST_NUMBER = 24
"""Characters of a number: what is longer has no use here, and takes time that grows with the square of its length."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
"""A string, or what begins as one and never ends: then nothing is looked at twice."""
_OPENS = b"[{"
_CLOSES = b"]}"


def parse_object(data: bytes) -> dict[str, Any]:
    """The object that these bytes are.

    Raises `ValueError` for anything else: other encodings than UTF-8, a name twice in one object, numbers that are none
    (NaN, Infinity, 1e400) or very long ones, lone surrogates, more than `DEEPEST` levels.
    """
    if too_deep(data):
        raise ValueError("nested too deeply")
    # As text: `loads` would take UTF-16 and UTF-32 too.
    text = data.decode("utf-8")
    try:
        found = json.loads(
            text, object_pairs_hook=_once_each, parse_int=_integer, parse_float=_float, parse_constant=_none
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("not an object")
    if b"\\u" in data:
        # Half a character can come by an escape only.
        json.dumps(found, ensure_ascii=False).encode("utf-8")
    return found


def too_deep(data: bytes) -> bool:
    """Whether there are more than `DEEPEST` levels, if it is JSON at all."""
    if data.count(b"{") + data.count(b"[") <= DEEPEST:
        return False
    depth = 0
    for byte in _STRING.sub(b"", data):
        if byte in _OPENS:
            depth += 1
            if depth > DEEPEST:
                return True
        elif byte in _CLOSES:
            depth -= 1
    return False


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _integer(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError("a number is too long")
    return int(text)


def _float(text: str) -> float:
    value = float(text) if len(text) <= LONGEST_NUMBER else float("inf")
    if not isfinite(value):
        raise ValueError("a number is too long or too large")
    return value


def _none(text: str) -> float:
    raise ValueError(f"{text} is no number")
