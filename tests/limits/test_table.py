from __future__ import annotations

import tracemalloc
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttagw.core.gcra import Meter
from ttagw.limits.table import AT_ONCE, SHORTEST, Table


def users(count: int, first: int = 0) -> list[str]:
    """Ids as issuers make them, each a text of its own."""
    return [str(UUID(int=0x01890A5DAC96774BBCCE << 48 | number)) for number in range(first, first + count)]


def fill(table: Table, keys: list[str], now: float = 0.0, empty: float = 1e9) -> None:
    for key in keys:
        table.put(key, empty, now, now)


def test_what_was_put_is_found_and_may_be_changed_and_removed() -> None:
    table = Table(0.0)
    assert table.find("a") == 0.0
    table.put("a", 5.0, 0.0, 0.0)
    table.put("b", 6.0, 0.0, 0.0)
    table.put("a", 7.0, 0.0, 0.0)
    assert (table.find("a"), table.find("b"), len(table)) == (7.0, 6.0, 2)
    table.remove("a")
    table.remove("c")
    assert (table.find("a"), table.find("b"), len(table)) == (0.0, 6.0, 1)


def test_it_is_bounded_and_the_oldest_idle_goes_first() -> None:
    table = Table(0.0, most=160)
    keys = users(1000)
    for key in keys:
        table.put("busy", 1e9, 0.0, 0.0)
        table.put(key, 1e9, 0.0, 0.0)
        assert len(table) <= 160
    assert table.find("busy") == 1e9
    kept = [key for key in keys if table.find(key)]
    assert kept == keys[-len(kept) :]
    assert 120 <= len(kept) <= 160
    assert 800 <= table.dropped <= 1000 - len(kept)


def test_what_is_over_goes_a_few_at_a_time() -> None:
    table = Table(0.0, most=16 * 1000)
    keys = iter(users(40_000))
    before = 0
    for key in keys:
        table.put(key, 1e9, 0.0, 0.0)
        assert len(table) >= before - AT_ONCE
        before = len(table)


def test_what_has_become_empty_does_not_count_as_dropped() -> None:
    table = Table(0.0, most=160)
    fill(table, users(1000), empty=3.0)
    early = table.dropped
    assert early
    for key in users(1000, 1000):
        table.put(key, 20.0, 10.0, 10.0)
    # Those of before had been empty for long; of the new ones some had to go.
    assert table.dropped < 2 * early + 10


def test_what_was_used_is_there_until_its_bucket_is_empty() -> None:
    table = Table(0.0)
    table.keep_for(140.0, 0.0)
    table.put("a", 1.0, 0.0, 0.0)
    now = 0.0
    for key in users(2000):
        now += 0.069
        table.put(key, 1.0, now, 0.0)
    assert now < 140.0
    assert table.find("a") == 1.0
    for key in users(2000, 2000):
        now += 0.1
        table.put(key, 3.0, now, 2.0)
    assert table.find("a") == 0.0
    assert len(table) <= 2000


@pytest.mark.parametrize(("others", "apart"), [(400, 1.0), (40, 20.0), (4000, 0.1)])
def test_what_is_more_than_a_bucket_holds_is_kept_while_there_is_room(others: int, apart: float) -> None:
    table = Table(0.0)
    table.keep_for(10.0, 0.0)
    owing = users(500, 10_000)
    fill(table, owing, empty=500.0)
    now = 0.0
    for key in users(others):
        now += apart
        table.put(key, now + 1.0, now, now)
        if now < 500.0:
            assert table.find(owing[0]) == table.find(owing[-1]) == 500.0
        assert len(table) <= 500 + 30.0 / apart + 30
    for key in users(200, 20_000):
        now += 1.0
        table.put(key, now + 1.0, now, now)
    assert all(table.find(key) == 0.0 for key in owing) == (now > 500.0)
    assert table.dropped == 0


def test_it_is_bounded_when_nothing_ever_becomes_empty() -> None:
    table = Table(0.0, most=1600)
    now = 0.0
    for key in users(10_000):
        now += 0.03
        table.put(key, 1e9, now, now)
        assert len(table) <= 1600 + 8 * AT_ONCE
    assert table.dropped == 10_000 - len(table)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 30),
            st.sampled_from("abcdef"),
            st.none() | st.tuples(st.floats(0.1, 10), st.integers(1, 100)),
        ),
        max_size=80,
    )
)
def test_no_use_is_forgotten_before_its_time_whatever_changes(
    steps: list[tuple[float, str, tuple[float, int] | None]],
) -> None:
    now = 0.0
    meter, table, known = Meter(1.0, 10.0, now), Table(now), dict[str, float]()
    table.keep_for(10.0, now)
    for seconds, key, change in steps:
        now += seconds
        if change is not None:
            meter.change(change[0], float(change[1]), now)
            table.keep_for(change[1] / change[0], now)
        at = meter.at(now)
        for each, empty in known.items():
            if empty > at + 1e-6:
                assert table.find(each) == empty
        after = meter.charged(table.find(key), at, 1.0)
        if meter.fits(after, at):
            table.put(key, after, now, at)
            known[key] = after


@pytest.mark.parametrize("count", [45_000, 130_000])
def test_a_key_takes_no_more_than_200_bytes(count: int) -> None:
    """Measured at a fill at which the dicts have just grown, too; ids and numbers are counted with them."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        table = Table(0.0)
        number = 0
        while len(table) < count:
            number += 1
            table.put(str(UUID(int=0x01890A5DAC96774BBCCE << 48 | number)), float(number), 0.0, 0.0)
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert used / count <= 200


def test_the_longest_keys_fit_as_well() -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        table = Table(0.0)
        for number in range(50_000):
            table.put(f"{number:064d}", float(number), 0.0, 0.0)
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert used / 50_000 <= 200


def test_a_generation_takes_keys_for_a_while_at_the_least() -> None:
    table = Table(0.0)
    table.keep_for(0.001, 0.0)
    table.put("a", 1e9, 0.0, 0.0)
    for step in range(10):
        table.put(f"k{step}", 1e9, SHORTEST * step / 10, 0.0)
    assert len(table.newest) == 11
