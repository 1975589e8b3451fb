"""Durations, sizes and rates as people write them, and as numbers inside."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from ttagw.config.faults import shown

_DURATION = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(ms|s|m|h|d|y)")
_SECONDS = {"y": 365 * 86400.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_LONGEST = 100 * _SECONDS["y"]
_SIZE = re.compile(r"([0-9]{1,15})(B|KiB|MiB|GiB)")
_BYTES = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
_BIGGEST = 1 << 40
_RATE = re.compile(r"([0-9]{1,9})/([0-9]{0,6})(s|min|h|day)")
_WINDOW = {"day": 86400.0, "h": 3600.0, "min": 60.0, "s": 1.0}


@dataclass(frozen=True, slots=True)
class RateValue:
    """So many in so many seconds."""

    count: int
    seconds: float


def seconds(value: Any, *, zero: bool = True) -> float:
    """`"500ms"`, `"2s"`, `"15m"`, `"1h"`, `"7d"`, `"7y"` in seconds. Raises `ValueError`, for "0s" unless `zero`."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'expected a duration such as "500ms", "10s", "15m" or "1h", got {shown(value)}')
    found = float(match[1]) * _SECONDS[match[2]]
    if found > _LONGEST:
        raise ValueError(f"expected a duration of 100 years at most, got {shown(value)}")
    if not (found or zero):
        raise ValueError(f"expected a duration longer than nothing, got {shown(value)}")
    return found


def size(value: Any, *, zero: bool = True) -> int:
    """`"64KiB"`, `"10MiB"`, `"1GiB"` or a number of bytes. Raises `ValueError`, also for 0 if not `zero`."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is not None:
        found = int(match[1]) * _BYTES[match[2]]
    elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        found = value
    else:
        raise ValueError(f'expected a size such as "8KiB", "10MiB" or a number of bytes, got {shown(value)}')
    if found > _BIGGEST:
        raise ValueError(f'expected a size of "1024GiB" at most, got {shown(value)}')
    if not (found or zero):
        raise ValueError(f"expected a size of one byte or more, got {shown(value)}")
    return found


def rate(value: Any) -> RateValue:
    """`"10/s"`, `"100/min"`, `"1000/h"`, `"10000/day"`, `"10/2s"`. Raises `ValueError`."""
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None or not int(match[1]) or not int(match[2] or 1):
        raise ValueError(f'expected a rate such as "10/s", "100/min" or "1000/h", got {shown(value)}')
    return RateValue(int(match[1]), int(match[2] or 1) * _WINDOW[match[3]])


def bytes_rate(value: Any) -> RateValue:
    """`"64KiB/s"`, `"10MiB/s"`, `"1GiB/min"` as bytes in seconds. Raises `ValueError`."""
    amount, _, window = value.partition("/") if isinstance(value, str) else ("", "", "")
    match = _SIZE.fullmatch(amount)
    if match is None or not int(match[1]) or window not in _WINDOW:
        raise ValueError(f'expected a rate of bytes such as "64KiB/s" or "10MiB/s", got {shown(value)}')
    return RateValue(size(amount), _WINDOW[window])


def write_bytes_rate(value: RateValue) -> str:
    """A rate of bytes as people write it; `bytes_rate` gives this value back."""
    unit = next(unit for unit, length in _WINDOW.items() if value.seconds == length)
    amount = write_size(value.count)
    return f"{amount}B/{unit}" if isinstance(amount, int) else f"{amount}/{unit}"


def write_seconds(value: float) -> str:
    """A duration as people write it, such as `"1h"`; `seconds` gives exactly this value back."""
    for unit, length in _SECONDS.items():
        count = round(value / length)
        if count and count * length == value:
            return f"{count}{unit}"
    return f"{Decimal(repr(value)):f}s" if value else "0s"


def write_size(value: int) -> str | int:
    """A size as people write it, such as `"8KiB"`; `size` gives this value back."""
    unit, length = next((unit, length) for unit, length in _BYTES.items() if value % length == 0)
    return f"{value // length}{unit}" if value and unit != "B" else value


def write_rate(value: RateValue) -> str:
    """A rate as people write it, such as `"100/min"`; `rate` gives this value back."""
    unit, length = next((unit, length) for unit, length in _WINDOW.items() if value.seconds % length == 0)
    count = int(value.seconds / length)
    return f"{value.count}/{'' if count == 1 else count}{unit}"


@dataclass(frozen=True)
class Unit:
    """How numbers of a kind stand in the file, for pydantic, for the JSON Schema and for the manual."""

    name: str
    kind: type
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]
    schema: Mapping[str, Any] = field(hash=False)

    def __get_pydantic_core_schema__(self, source: Any, inner: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.with_info_before_validator_function(self._take, inner(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, inner: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        del schema, inner  # a number inside, something else in the file
        return dict(self.schema)

    def _take(self, value: Any, info: core_schema.ValidationInfo[Any]) -> Any:
        # From a file (which gives a context) there is only the written form; code may give the number itself.
        return value if isinstance(value, self.kind) and not info.context else self.read(value)


def _pattern(pattern: re.Pattern[str], *examples: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{pattern.pattern}$", "examples": list(examples)}


def _size_schema(least: int) -> dict[str, Any]:
    return {"anyOf": [_pattern(_SIZE, "64KiB", "10MiB"), {"type": "integer", "minimum": least, "maximum": _BIGGEST}]}


_AS_DURATION = _pattern(_DURATION, "500ms", "10s", "15m", "1h")

Duration = Annotated[
    float, Unit("duration", float, lambda value: seconds(value, zero=False), write_seconds, _AS_DURATION)
]
"""Seconds inside, more than none."""

DurationOrNone = Annotated[float, Unit("duration, or `0s`", float, seconds, write_seconds, _AS_DURATION)]
"""Seconds inside."""

Size = Annotated[int, Unit("size", int, lambda value: size(value, zero=False), write_size, _size_schema(1))]
"""Bytes inside, more than none."""

SizeOrNone = Annotated[int, Unit("size, or 0", int, size, write_size, _size_schema(0))]
"""Bytes inside."""

Rate = Annotated[RateValue, Unit("rate", RateValue, rate, write_rate, _pattern(_RATE, "10/s", "100/min"))]
"""Count and seconds inside."""

_AS_BYTES_RATE = {"type": "string", "pattern": f"^{_SIZE.pattern}/(s|min|h|day)$", "examples": ["64KiB/s", "10MiB/s"]}

BytesRate = Annotated[RateValue, Unit("rate of bytes", RateValue, bytes_rate, write_bytes_rate, _AS_BYTES_RATE)]
"""Bytes and seconds inside."""
