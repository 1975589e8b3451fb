from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.backoff import full_jitter


def test_it_doubles_up_to_a_limit() -> None:
    assert [full_jitter(tries, 0.025, 0.25, lambda: 1.0) for tries in range(1, 7)] == [
        0.025,
        0.05,
        0.1,
        0.2,
        0.25,
        0.25,
    ]


@given(st.integers(1, 10_000), st.floats(0.001, 10), st.floats(0.001, 1000), st.floats(0, 1, exclude_max=True))
def test_it_is_never_more_than_the_limit_and_never_negative(
    tries: int, base: float, most: float, chance: float
) -> None:
    assert 0.0 <= full_jitter(tries, base, most, lambda: chance) <= most
