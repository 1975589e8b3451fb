"""What the failure benchmark makes of what clients and instances have written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.instance import RECORD
from benchmarks.numbered import CUT, CUT_BEGUN, LOST, PATIENCE, is_post
from benchmarks.outcome import Story, back, outcome, read_records, twice

RATE = 100.0


def story(codes: dict[int, int], slow: dict[int, float] | None = None, total: int = 1000) -> Story:
    """All is well but for these; the first is due at 50 s."""
    slow = slow or {}
    ends = [50.0 + number / RATE + slow.get(number, 0.01) for number in range(total)]
    return Story(50.0, RATE, ends, [codes.get(number, 200) for number in range(total)])


def test_numbers_between_two_times_are_those_that_were_due_then() -> None:
    it = story({})
    assert it.between(51.0, 52.0) == range(100, 200)
    assert it.between(0.0, 50.0) == range(0)
    assert it.between(59.5, 99.0) == range(950, 1000)
    assert it.between(51.005, 51.0) == range(101, 101)


def test_a_4xx_is_an_answer() -> None:
    it = story({1: 404, 2: 503, 3: CUT})
    assert [it.failed(number) for number in range(4)] == [False, False, True, True]


def test_what_was_never_answered_took_as_long_as_a_client_waits() -> None:
    assert story({7: LOST}).seconds(7) == PATIENCE
    assert story({}).seconds(7) == pytest.approx(0.01)


def test_only_a_post_that_came_again_came_twice() -> None:
    assert twice([(1.0, 4, 1), (1.1, 5, 0), (1.2, 5, 0), (1.3, 9, 1)]) == 0
    assert twice([(1.0, 4, 1), (1.1, 4, 1), (1.2, 4, 1)]) == 1


def test_an_instance_is_back_with_half_of_its_fair_share() -> None:
    # 25 a second would be fair: 13 are enough.
    few = [(55.0 + number * 0.1, 500 + number * 10, 0) for number in range(20)]
    many = [(57.0 + number * 0.05, 700 + number * 5, 0) for number in range(40)]
    assert back(story({}), few + many, 4, 55.0, 60.0) == pytest.approx(1.5)
    assert back(story({}), few, 4, 55.0, 60.0) == -1.0


def test_what_was_sent_before_it_was_well_is_no_sign_of_its_return() -> None:
    stale = [(55.0, 400 + number, 0) for number in range(50)]
    assert back(story({}), stale, 4, 55.0, 60.0) == -1.0


def test_outcome_counts_by_method_and_tells_when_it_was_quiet() -> None:
    it = story({201: 503, 204: CUT, 210: CUT_BEGUN, 5: 500}, slow={250: 2.0})
    records = [[(52.1, 210, 0), (56.0, 600, 0)], [], [], []]
    found = outcome("p", "f", it, records, 0, (52.0, 55.0), None)
    assert (found.gets_failed, found.posts_failed, found.begun, found.tries) == (2, 1, 1, 1)
    assert found.gets + found.posts == 800
    assert found.posts == sum(map(is_post, range(200, 1000)))
    assert found.until_quiet == pytest.approx(0.5)
    assert found.codes == {503: 1, CUT: 1, CUT_BEGUN: 1}


def test_records_are_read_up_to_the_last_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "records"
    assert read_records(path) == []
    path.write_bytes(RECORD.pack(1.5, 7, 0) + RECORD.pack(2.5, 9, 1)[:-1])
    assert read_records(path) == [(1.5, 7, 0)]
