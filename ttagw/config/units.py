"""Durations, sizes and rates as people write them, and as numbers inside."""

from __future__ import annotations

import re
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, WithJsonSchema

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|y)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "y": 365 * 86400.0}
_SIZE = re.compile(r"(\d+)(B|KiB|MiB|GiB)")
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_RATE = re.compile(r"(\d+)/(\d*)(s|min|h|day)")
_WINDOW = {"s": 1.0, "min": 60.0, "h": 3600.0, "day": 86400.0}


class RateValue(NamedTuple):
    """So many in so many seconds."""

    count: int
    seconds: float


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else f"{value!r}"


def seconds(value: Any) -> float:
    """`"500ms"`, `"2s"`, `"15m"`, `"1h"`, `"7d"`, `"7y"` in seconds. Raises `ValueError`."""
    if isinstance(value, float):
        return value  # a default of the model
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'expected a duration such as "500ms", "10s", "15m" or "1h", got {_shown(value)}')
    return float(match[1]) * _SECONDS[match[2]]


def size(value: Any) -> int:
    """`"64KiB"`, `"10MiB"`, `"1GiB"` or a number of bytes. Raises `ValueError`."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'expected a size such as "8KiB", "10MiB" or a number of bytes, got {_shown(value)}')
    return int(match[1]) * _BYTES[match[2]]


def rate(value: Any) -> RateValue:
    """`"10/s"`, `"100/min"`, `"1000/h"`, `"10000/day"`, `"10/2s"`. Raises `ValueError`."""
    if isinstance(value, RateValue):
        return value
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None or not int(match[1]) or match[2] == "0":
        raise ValueError(f'expected a rate such as "10/s", "100/min" or "1000/h", got {_shown(value)}')
    return RateValue(int(match[1]), int(match[2] or 1) * _WINDOW[match[3]])


def _schema(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$", "examples": list(examples)})


Duration = Annotated[float, BeforeValidator(seconds), _schema(_DURATION.pattern, "500ms", "10s", "15m", "1h")]
"""Seconds inside."""

Size = Annotated[
    int,
    BeforeValidator(size),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": f"^{_SIZE.pattern}$", "examples": ["64KiB", "10MiB"]},
                {"type": "integer", "minimum": 0},
            ]
        }
    ),
]
"""Bytes inside."""

Rate = Annotated[RateValue, BeforeValidator(rate), _schema(_RATE.pattern, "10/s", "100/min")]
"""Count and seconds inside."""
