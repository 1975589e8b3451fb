from __future__ import annotations

from math import floor

from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.budget import LEAST, RetryBudget


def test_a_service_that_is_hardly_asked_has_a_few() -> None:
    budget = RetryBudget(0.2, 0.0)
    assert [budget.take(0.0) for _ in range(5)] == [True] * LEAST + [False] * 2


def test_a_share_of_the_requests_and_no_more() -> None:
    budget = RetryBudget(0.2, 0.0)
    for _ in range(100):
        budget.requested(0.0)
    assert sum(budget.take(0.0) for _ in range(100)) == 20


def test_what_is_older_than_the_window_does_not_count() -> None:
    budget = RetryBudget(0.5, 0.0)
    for _ in range(100):
        budget.requested(0.0)
    assert sum(budget.take(0.0) for _ in range(100)) == 50
    assert sum(budget.take(11.0) for _ in range(100)) == LEAST


def test_no_share_is_no_retry() -> None:
    assert not RetryBudget(0.0, 0.0).take(0.0)


EVENTS = st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=200)


@given(EVENTS, st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_it_is_what_counting_all_of_them_says(events: list[tuple[int, bool]], share: float) -> None:
    budget, now = RetryBudget(share, 0.0), 0.0
    requests: list[int] = []
    retries: list[int] = []
    for wait, retry in events:
        now += wait / 2
        slot = floor(now)
        if not retry:
            budget.requested(now)
            requests.append(slot)
            continue
        asked = sum(each > slot - 10 for each in requests)
        made = sum(each > slot - 10 for each in retries)
        allowed = share > 0 and made < max(LEAST, share * asked)
        assert budget.take(now) == allowed
        if allowed:
            retries.append(slot)
