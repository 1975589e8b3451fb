from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.attempt.up import Up
from ttagw.attempt import forward_to, split
from ttagw.core.balance import make
from ttagw.core.rewrite import compile as compile_rewrite
from ttagw.testing import ScriptedConnection, exchange


def test_a_route_forwards_to_its_service_at_the_rewritten_path() -> None:
    up = Up(1)
    up.pools[0].ready += [ScriptedConnection(), ScriptedConnection()]
    plain, rewritten = up.pools[0].ready
    made = exchange()
    made.path = b"/players/7"
    made.params = (b"7",)
    forward_to(lambda each: up.service, None)(up.pipeline, made)
    forward_to(lambda each: up.service, compile_rewrite("/players/{id}", "/v1/p/{id}"))(up.pipeline, made)
    assert isinstance(plain, ScriptedConnection)
    assert isinstance(rewritten, ScriptedConnection)
    assert (plain.target, rewritten.target) == (b"/players/7", b"/v1/p/7")


def test_the_key_of_an_exchange_chooses_the_instance() -> None:
    up = Up(3)
    up.service.chooser = make("hash", lambda: 0.0)
    up.service.key = lambda made: made.path
    assert len({up.ask()[0].instance for _ in range(10)}) == 1


@given(st.text(max_size=8), st.integers(1, 9), st.integers(0, 9))
def test_a_split_is_sticky(salt: str, one: int, two: int) -> None:
    first, second = Up(1).service, Up(1).service
    pick = split([(first, one), (second, two)], salt)
    made = exchange()
    assert pick(made) is pick(made)
    assert pick(made) in (first, second)


def test_a_split_divides_by_weight() -> None:
    first, second = Up(1).service, Up(1).service
    pick = split([(first, 3), (second, 1)], "route")
    other = split([(first, 3), (second, 1)], "another")
    counts, same = Counter[int](), 0
    for number in range(4000):
        made = exchange()
        made.client = f"10.0.{number >> 8}.{number & 255}"
        counts[id(pick(made))] += 1
        same += pick(made) is other(made)
    assert 2850 < counts[id(first)] < 3150
    assert counts[id(first)] + counts[id(second)] == 4000
    # Independent splits agree on 3/4 · 3/4 + 1/4 · 1/4 of the people.
    assert 2350 < same < 2650
