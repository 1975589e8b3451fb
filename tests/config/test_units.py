"""Durations, sizes and rates."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ttagw.config.units import (
    Duration,
    Rate,
    RateValue,
    Size,
    rate,
    seconds,
    size,
    write_rate,
    write_seconds,
    write_size,
)

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "y": 31536000.0}


@pytest.mark.parametrize(
    ("written", "value"),
    [("500ms", 0.5), ("2s", 2.0), ("1.5s", 1.5), ("15m", 900.0), ("1h", 3600.0), ("2d", 172800.0), ("7y", 220752000.0)],
)
def test_duration(written: str, value: float) -> None:
    assert seconds(written) == value


@given(st.integers(0, 10_000), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_duration_is_its_number_times_its_unit(number: int, unit: str) -> None:
    assert math.isclose(seconds(f"{number}{unit}"), number * UNITS[unit])


@given(st.floats(0, 100 * UNITS["y"]).map(lambda value: round(value, 6)))
def test_duration_round_trip(value: float) -> None:
    assert seconds(write_seconds(value)) == value


@pytest.mark.parametrize(
    ("value", "written"), [(0.0, "0s"), (0.2, "200ms"), (75.0, "75s"), (900.0, "15m"), (7e-5, "0.00007s")]
)
def test_duration_is_written_in_its_longest_unit(value: float, written: str) -> None:
    assert write_seconds(value) == written


@pytest.mark.parametrize(
    "value",
    [
        "",
        "10",
        "10 s",
        " 10s",
        "10s\n",
        "-1s",
        "+1s",
        "1e3s",
        "s",
        ".5s",
        "1.s",
        "10S",
        "10sec",
        "\u0661s",
        "nan",
        10,
        2.5,
        True,
        None,
        [],
    ],
)
def test_what_is_no_duration_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r'^expected a duration such as "500ms", "10s", "15m" or "1h", got '):
        seconds(value)


@pytest.mark.parametrize("value", ["101y", "999999999999999h"])
def test_duration_of_more_than_a_century_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="100 years at most"):
        seconds(value)


def test_no_time_at_all_is_a_duration_only_where_that_means_something() -> None:
    assert seconds("0s") == 0.0
    with pytest.raises(ValueError, match='longer than nothing, got "0ms"'):
        seconds("0ms", zero=False)


@pytest.mark.parametrize(
    ("written", "value"),
    [("64KiB", 65536), ("10MiB", 10485760), ("1GiB", 1 << 30), ("7B", 7), (300, 300), (0, 0), ("0B", 0)],
)
def test_size(written: Any, value: int) -> None:
    assert size(written) == value


@given(st.integers(0, 1 << 40))
def test_size_round_trip(value: int) -> None:
    assert size(write_size(value)) == value


@pytest.mark.parametrize("value", ["", "8 kilo", "8KB", "8kib", "1.5MiB", "-1B", -1, True, 1.0, None, "\u0663B"])
def test_what_is_no_size_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r'^expected a size such as "8KiB", "10MiB" or a number of bytes, got '):
        size(value)


def test_sizes_have_an_end() -> None:
    assert size("1024GiB") == 1 << 40
    for value in ("1025GiB", (1 << 40) + 1):
        with pytest.raises(ValueError, match='"1024GiB" at most'):
            size(value)
    with pytest.raises(ValueError, match="one byte or more, got 0"):
        size(0, zero=False)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("10/s", RateValue(10, 1.0)),
        ("100/min", RateValue(100, 60.0)),
        ("1000/h", RateValue(1000, 3600.0)),
        ("10000/day", RateValue(10000, 86400.0)),
        ("10/2s", RateValue(10, 2.0)),
    ],
)
def test_rate(written: str, value: RateValue) -> None:
    assert rate(written) == value
    assert write_rate(value) == written


@given(st.integers(1, 999_999_999), st.integers(1, 999_999), st.sampled_from(["s", "min", "h", "day"]))
def test_rate_round_trip(count: int, spans: int, unit: str) -> None:
    value = rate(f"{count}/{spans}{unit}")
    assert rate(write_rate(value)) == value


@pytest.mark.parametrize("value", ["", "10", "0/s", "10/0s", "10/sec", "-1/s", "1.5/s", 10, None])
def test_what_is_no_rate_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r'^expected a rate such as "10/s", "100/min" or "1000/h", got '):
        rate(value)


@pytest.mark.parametrize(
    ("kind", "number", "written"),
    [(Duration, 2.5, "2500ms"), (Size, 300, 300), (Rate, RateValue(1, 1.0), "1/s")],
)
def test_code_may_give_the_number_itself(kind: Any, number: Any, written: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    assert adapter.validate_python(number) == number
    assert adapter.validate_python(written, context={"file": True}) == number


def test_a_file_may_not_give_a_number_for_a_duration() -> None:
    with pytest.raises(ValidationError, match="expected a duration"):
        TypeAdapter(Duration).validate_python(2.5, context={"file": True})
