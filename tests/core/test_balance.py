"""Each way to balance keeps its promise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttagw.core.balance import DECAY, P2C, RINGS, SILENCE, Chooser, Hash, LeastConn, Load, RoundRobin, make

NAMES = ["p2c", "round_robin", "least_conn", "hash"]


def loads(*weights: int) -> list[Load]:
    return [Load(f"i{number}", weight) for number, weight in enumerate(weights)]


def scripted(*values: float) -> Callable[[], float]:
    return iter(values).__next__


@pytest.mark.parametrize("name", NAMES)
def test_one_instance_is_taken_at_once(name: str) -> None:
    (only,) = loads(1)
    assert make(name, scripted()).choose([only], b"k", 0.0) is only


def test_unknown_way_is_refused() -> None:
    with pytest.raises(ValueError, match='"fastest" is not a way to balance'):
        make("fastest", scripted())


@settings(max_examples=50)
@given(
    st.sampled_from(NAMES), st.lists(st.integers(1, 5), min_size=1, max_size=6),
    st.lists(st.binary(max_size=3), max_size=20), st.integers(0, 2**32), st.data(),
)  # fmt: skip
def test_choice_is_always_a_member(
    name: str, weights: list[int], keys: list[bytes], seed: int, data: st.DataObject
) -> None:
    everyone = loads(*weights)
    chooser = make(name, Random(seed).random)
    for step, key in enumerate(keys):
        present = data.draw(st.lists(st.sampled_from(everyone), min_size=1, unique=True))
        chosen = chooser.choose(present, key, float(step))
        assert chosen in present
        chosen.in_flight += 1
        chooser.observe(chosen, data.draw(st.floats(0, 9)), float(step))


def served(chooser: Chooser, instances: Sequence[Load], times: Sequence[float], count: int = 2000) -> Counter[str]:
    """How often each is chosen when each always takes its time and one request is under way at once."""
    counts: Counter[str] = Counter()
    now = 0.0
    for _ in range(count):
        chosen = chooser.choose(instances, b"", now)
        counts[chosen.name] += 1
        now += 0.001
        chooser.observe(chosen, times[instances.index(chosen)], now)
    return counts


def test_p2c_prefers_the_fast_ones() -> None:
    counts = served(P2C(Random(1).random), loads(1, 1, 1), [0.001, 0.001, 0.1])
    assert counts["i2"] < 50
    assert min(counts["i0"], counts["i1"]) > 500


def test_p2c_takes_a_slow_answer_at_once_and_a_fast_one_slowly() -> None:
    (load,) = loads(1)
    chooser = P2C(scripted())
    chooser.observe(load, 0.010, 0.0)
    chooser.observe(load, 0.500, 0.1)
    assert load.latency == 0.500
    chooser.observe(load, 0.010, 0.1 + DECAY / 2)
    assert load.latency == pytest.approx(0.010 + 0.490 * 0.6065, rel=1e-3)


def test_p2c_ignores_a_step_back_of_the_clock() -> None:
    (load,) = loads(1)
    chooser = P2C(scripted())
    chooser.observe(load, 0.5, 100.0)
    chooser.observe(load, 0.1, 50.0)
    assert load.latency == 0.5


def test_p2c_forgets_what_was_long_ago() -> None:
    was_slow, fast = loads(1, 1)
    chooser = P2C(Random(2).random)
    chooser.observe(was_slow, 1.0, 0.0)
    chooser.observe(fast, 0.1, 0.0)
    assert chooser.choose([was_slow, fast], b"", 0.0) is fast
    chooser.observe(fast, 0.1, 60.0)
    assert chooser.choose([was_slow, fast], b"", 60.0) is was_slow


def test_p2c_asks_again_who_was_a_thousand_times_slower_once() -> None:
    stalled, fast = loads(1, 1)
    chooser = P2C(Random(2).random)
    chooser.observe(stalled, 2.0, 0.0)
    for now in (SILENCE - 0.1, SILENCE):
        chooser.observe(fast, 0.002, now)
        assert chooser.choose([stalled, fast], b"", now) is (fast if now < SILENCE else stalled)
    stalled.in_flight = 1
    assert chooser.choose([stalled, fast], b"", SILENCE) is fast
    chooser.observe(stalled, 0.002, SILENCE)
    assert stalled.latency == 0.002


def test_p2c_avoids_who_has_work_and_never_answered() -> None:
    silent, slow = loads(1, 1)
    chooser = P2C(Random(3).random)
    chooser.observe(slow, 20.0, 0.0)
    assert chooser.choose([silent, slow], b"", 0.0) is silent
    silent.in_flight = 1
    assert {chooser.choose([silent, slow], b"", 0.0) for _ in range(20)} == {slow}


def test_p2c_counts_work_for_its_weight() -> None:
    light, heavy = loads(1, 4)
    chooser = P2C(Random(4).random)
    for load in (light, heavy):
        chooser.observe(load, 0.1, 0.0)
    light.in_flight, heavy.in_flight = 1, 3
    assert chooser.choose([light, heavy], b"", 0.0) is heavy
    heavy.in_flight = 8
    assert chooser.choose([light, heavy], b"", 0.0) is light


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 3), (1, 2, 5), (4, 4, 1, 1)])
def test_p2c_gives_each_about_its_share_when_little_is_going_on(weights: tuple[int, ...]) -> None:
    # A millisecond more or less is no reason to keep somebody from work.
    times = [0.001 + 0.001 * (place % 3) for place in range(len(weights))]
    counts = served(P2C(Random(7).random), loads(*weights), times, 6000)
    for place, weight in enumerate(weights):
        share = 6000 * weight / sum(weights)
        assert 0.6 * share < counts[f"i{place}"] < 1.5 * share


def test_p2c_gives_each_its_share_when_much_is_going_on() -> None:
    instances = loads(1, 2, 5)
    random = Random(8)
    chooser = P2C(random.random)
    counts: Counter[str] = Counter()
    busy: list[Load] = []
    for _ in range(8000):
        chosen = chooser.choose(instances, b"", 0.0)
        chosen.in_flight += 1
        counts[chosen.name] += 1
        busy.append(chosen)
        if len(busy) > 40:
            done = busy.pop(random.randrange(len(busy)))
            done.in_flight -= 1
            chooser.observe(done, 0.01, 0.0)
    assert [round(counts[f"i{place}"] / 1000) for place in range(3)] == [1, 2, 5]


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_p2c_spares_who_has_just_come(share: float) -> None:
    instances = loads(1, 1, 1)
    instances[1].weight = share
    counts = served(P2C(Random(9).random), instances, [0.001] * 3, 6000)
    expected = 6000 * share / (2 + share)
    assert 0.6 * expected < counts["i1"] < 1.5 * expected


def test_p2c_is_not_kept_long_by_weights_that_are_all_small() -> None:
    instances = loads(1, 1000)
    for load in instances:
        load.weight = 0.001
    assert P2C(lambda: 0.5).choose(instances, b"", 0.0) in instances


def test_p2c_draws_two_different_ones_evenly() -> None:
    instances = loads(1, 1, 1, 1)
    chooser = P2C(Random(5).random)
    counts = Counter(chooser.choose(instances, b"", 0.0).name for _ in range(4000))
    assert all(800 <= counts[load.name] <= 1200 for load in instances)


def test_round_robin_spreads_as_nginx_does() -> None:
    instances = loads(5, 1, 1)
    chosen = [RoundRobin().choose(instances, b"", 0.0).name for _ in range(7)]
    assert chosen == ["i0", "i0", "i1", "i0", "i2", "i0", "i0"]


@given(st.lists(st.integers(1, 20), min_size=2, max_size=6), st.integers(1, 3))
def test_round_robin_is_exact_over_a_cycle(weights: list[int], cycles: int) -> None:
    instances = loads(*weights)
    chooser = RoundRobin()
    counts = Counter(chooser.choose(instances, b"", 0.0).name for _ in range(sum(weights) * cycles))
    assert counts == {load.name: load.weight * cycles for load in instances}
    assert {load.credit for load in instances} == {0}


def test_least_conn_takes_the_least_busy_for_its_weight() -> None:
    one, two, three = instances = loads(1, 4, 2)
    one.in_flight, two.in_flight, three.in_flight = 2, 5, 3
    assert LeastConn().choose(instances, b"", 0.0) is two


def test_least_conn_takes_equals_in_turn() -> None:
    instances = loads(1, 1, 2)
    chooser = LeastConn()
    counts = Counter(chooser.choose(instances, b"", 0.0).name for _ in range(40))
    assert counts == {"i0": 10, "i1": 10, "i2": 20}


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 50)), min_size=1, max_size=8))
def test_least_conn_is_least(states: list[tuple[int, int]]) -> None:
    instances = loads(*[weight for weight, _ in states])
    for load, (_, busy) in zip(instances, states, strict=True):
        load.in_flight = busy
    chosen = LeastConn().choose(instances, b"", 0.0)
    assert chosen.in_flight / chosen.weight == min(load.in_flight / load.weight for load in instances)


def test_hash_without_a_key_is_least_conn() -> None:
    instances = loads(1, 1, 1)
    chooser = Hash()
    assert {chooser.choose(instances, b"", 0.0).name for _ in range(3)} == {"i0", "i1", "i2"}


def placed(chooser: Hash, instances: Sequence[Load], count: int = 2000) -> list[str]:
    return [chooser.choose(instances, b"%d" % number, 0.0).name for number in range(count)]


def test_hash_leaves_one_out_as_if_it_had_gone() -> None:
    instances = loads(1, 2, 1, 3)
    chooser = Hash()
    before = placed(chooser, instances)
    retries = [chooser.choose(instances[1:], b"%d" % number, 0.0).name for number in range(len(before))]
    assert retries == placed(Hash(), instances[1:])
    assert all(old in ("i0", new) for old, new in zip(before, retries, strict=True))
    assert placed(chooser, instances) == before


def test_hash_adopts_a_sequence_that_comes_again() -> None:
    instances = loads(1, 1, 1)
    chooser = Hash()
    placed(chooser, instances)
    left = instances[:2]
    assert placed(chooser, left) == placed(Hash(), left)
    assert chooser._loads is left


def test_hash_takes_in_a_new_instance_at_once() -> None:
    instances = loads(1, 1, 1)
    chooser = Hash()
    placed(chooser, instances)
    more = [*instances, Load("new")]
    assert placed(chooser, more) == placed(Hash(), more)


def test_hash_keeps_the_rings_of_zones_that_are_asked_in_turns() -> None:
    near, far = [Load(f"near{number}") for number in range(3)], [Load(f"far{number}") for number in range(3)]
    chooser = Hash()
    chooser.choose(near, b"key", 0.0)
    first = chooser._ring
    chooser.choose(far, b"key", 0.0)
    second = chooser._ring
    for _ in range(3):
        assert placed(chooser, near, 50) == placed(Hash(), near, 50)
        # A retry, with a sequence that comes once.
        assert chooser.choose(far[1:], b"1", 0.0) is Hash().choose(far[1:], b"1", 0.0)
        assert placed(chooser, far, 50) == placed(Hash(), far, 50)
    assert chooser._ring is second
    assert first in [ring for _, ring in chooser._before]


def test_hash_keeps_only_so_many_rings() -> None:
    chooser = Hash()
    for number in range(10):
        placed(chooser, [Load(f"{number}-{place}") for place in range(3)], 2)
    assert len(chooser._before) == RINGS


def test_hash_gives_the_present_object_of_a_name() -> None:
    chooser = Hash()
    placed(chooser, loads(1, 1))
    again = loads(1, 1)
    assert chooser.choose(again, b"k", 0.0) in again


def test_load_can_be_subclassed_with_slots() -> None:
    class Instance(Load):
        __slots__ = ("url",)
        url: str

    instances = [Instance("a"), Instance("b")]
    instances[0].url = instances[1].url = "http://h"
    assert P2C(Random(6).random).choose(instances, b"", 0.0).url == "http://h"
