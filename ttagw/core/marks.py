"""Marks of sessions: that whoever shows a token of this session is of a traffic class, until some time."""

from __future__ import annotations

import json
from math import isfinite
from typing import NamedTuple

from ttagw.core.classes import CLASSES, TrafficClass


class Mark(NamedTuple):
    """One mark. Nothing in it says whose session it is."""

    rank: TrafficClass
    until: float
    """Unix time."""


def encode(mark: Mark) -> bytes:
    """A mark as it is kept."""
    return json.dumps({"class": mark.rank.text, "until": mark.until}).encode("ascii")


def decode(raw: bytes) -> Mark:
    """The mark again. Raises `ValueError` for anything else."""
    try:
        value = json.loads(raw)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("expected an object")
    rank, until = value.get("class"), value.get("until")
    if not isinstance(rank, str) or rank not in CLASSES:
        raise ValueError("expected a traffic class")
    if isinstance(until, bool) or not isinstance(until, int | float) or abs(until) > 1e12 or not isfinite(until):
        raise ValueError("expected a time")
    return Mark(CLASSES[rank], float(until))
