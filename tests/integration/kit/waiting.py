"""Waiting for a fact, for as long as it takes and no longer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds after which a fact is not going to come true, on the slowest machine."""


def until(fact: Callable[[], T], what: str, *, within: float = PATIENCE, every: float = 0.01) -> T:
    """The first true value of `fact`, looked for `every` so many seconds.

    Raises `AssertionError` saying `what` did not happen `within` so many seconds.
    """
    last = time.monotonic() + within
    while True:
        value = fact()
        if value:
            return value
        assert time.monotonic() < last, f"in {within} s: {what}"
        time.sleep(every)
