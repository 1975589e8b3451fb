from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.health import MOST_CHANGES, SPAN, Health


def test_failures_in_a_row_take_it_down_and_successes_in_a_row_bring_it_up() -> None:
    health = Health(2, 3, up=True)
    assert [health.failed(0.0), health.failed(0.0), health.passed(0.0)] == [False] * 3
    assert [health.failed(1.0), health.failed(1.0), health.failed(1.0)] == [False, False, True]
    assert not health.up
    assert [health.passed(2.0), health.failed(2.0), health.passed(2.0)] == [False] * 3
    assert health.passed(2.0)
    assert health.up


def test_results_that_speak_against_it_make_it_doubtful() -> None:
    health = Health(2, 2, up=True)
    assert not health.doubtful
    health.failed(0.0)
    assert health.doubtful
    health.failed(0.0)
    assert not health.doubtful
    health.passed(0.0)
    assert health.doubtful


def test_one_that_changes_each_second_is_held_down_until_it_is_quiet() -> None:
    health, changes = Health(1, 1, up=True), 0
    for second in range(60):
        changes += health.failed(float(second)) if second % 2 else health.passed(float(second))
    assert changes == MOST_CHANGES + 1
    assert health.held(59.9)
    assert not health.passed(60.0)
    assert health.passed(62.0)


RESULTS = st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=300)


@given(RESULTS, st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_it_is_what_looking_at_all_results_says(
    results: list[tuple[int, bool]], rise: int, fall: int, up: bool
) -> None:
    health, now = Health(rise, fall, up=up), 0.0
    since: list[bool] = []
    changes: list[float] = []
    for wait, good in results:
        now += wait
        since.append(good)
        needed = fall if up else rise
        streak = len(since) >= needed and set(since[-needed:]) == {not up}
        held = not up and len([each for each in changes if now - each < SPAN]) >= MOST_CHANGES
        changed = health.passed(now) if good else health.failed(now)
        assert changed == (streak and not held)
        if changed:
            up, since = not up, []
            changes.append(now)
        assert health.up == up


@given(st.lists(st.booleans(), max_size=400), st.integers(1, 10))
def test_it_changes_only_a_few_times_a_minute(results: list[bool], each: int) -> None:
    health, changes = Health(1, 1, up=True), []
    for number, good in enumerate(results):
        now = number / each
        if health.passed(now) if good else health.failed(now):
            changes.append(now)
    for begin in changes:
        assert len([change for change in changes if begin <= change < begin + SPAN]) <= MOST_CHANGES + 1


@given(st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_after_a_suspicion_one_result_like_it_is_enough(rise: int, fall: int, up: bool) -> None:
    health = Health(rise, fall, up=up)
    health.suspect()
    assert health.doubtful == ((fall if up else rise) > 1)
    assert health.failed(0.0) if up else health.passed(0.0)
    assert health.up is not up


@given(st.integers(2, 5), st.booleans())
def test_a_suspicion_is_over_with_a_result_against_it(needed: int, up: bool) -> None:
    health = Health(needed, needed, up=up)
    health.suspect()
    assert not (health.passed(0.0) if up else health.failed(0.0))
    assert not health.doubtful
    assert not (health.failed(0.0) if up else health.passed(0.0))


def test_a_suspicion_does_not_bring_up_what_is_held_down() -> None:
    health = Health(1, 1, up=True)
    for second in range(3):
        assert health.failed(float(second))
        assert health.passed(float(second)) == (second < 2)
        if second == 2:
            break
    health.suspect()
    assert health.held(3.0)
    assert not health.passed(3.0)
