"""How long to wait before another try."""

from __future__ import annotations

from collections.abc import Callable


def full_jitter(tries: int, base: float, most: float, random: Callable[[], float]) -> float:
    """Seconds before the try after `tries` (1 or more): anything from 0 to `base` doubled each time, at most `most`.

    All of it is chance, so that those who failed together do not come back together ("full jitter": M. Brooker,
    "Exponential Backoff And Jitter"). `random` gives floats in [0, 1).
    """
    # Far above what any limit allows, and a float still.
    doubled: float = base * 2 ** min(tries - 1, 60)
    return random() * min(most, doubled)
