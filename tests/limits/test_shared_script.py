"""The script in a real Redis beside the ledger in a few lines, whatever is asked in whatever order."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.limits.ledger import Ledger
from tests.store.conftest import redis, shared_redis
from tests.store.kit import Asking, Redis
from ttagw.core.lease import ASK, DRY, FORGIVE, KEPT, MOST_TOLD, OWED, Answer, Item, Told
from ttagw.store.redis_counting import COUNT, HELLO, packed, unpacked

__all__ = ["redis", "shared_redis"]

TIME = b"local clock = redis.call('TIME')"
ENDS = b", 'PX', string.format('%.0f', ends)"
TEXT = COUNT.text.replace(TIME, b"local clock = {table.remove(ARGV) / 1000000, 0}").replace(ENDS, b"")
"""The same by a clock that is an argument, to which Redis' own does not keep."""

LIMITS = {b"a": 10.0, b"b": 5.0, b"c": 40.0}
"""Their bursts."""


class Real:
    """The script."""

    def __init__(self, ask: Asking) -> None:
        self._ask = ask
        ask("FLUSHALL")

    def count(self, who: str, items: list[Item], now: float) -> Answer:
        rest = [who.ljust(8).encode(), *[packed(item) for item in items], f"{round(now * 1e6)}"]
        answer = self._ask("EVAL", TEXT, len(items), *[item.key for item in items], *rest)
        said = unpacked(answer, items)
        assert said is not None, answer
        return said


def items_of(now: float) -> st.SearchStrategy[Item]:
    amounts = st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0, 0.5, 7.0])
    return st.builds(
        lambda key, rate, cost, kind, used, returned, want, undone, ago, leaked, first: Item(
            key,
            rate,
            LIMITS[key],
            cost,
            kind,
            used,
            returned,
            want,
            1.0,
            undone,
            (now - ago) * 1e6,
            leaked if kind >= OWED else 0.0,
            first,
        ),
        st.sampled_from(sorted(LIMITS)),
        st.sampled_from([1000.0, 1000.0, 3000.0, 2.0]),
        st.sampled_from([0.0, 1.0, 1.0, 3.0, 12.0, 1 / 3]),
        st.sampled_from([ASK, ASK, ASK, DRY, OWED, FORGIVE]),
        amounts,
        amounts,
        st.sampled_from([0.0, 0.0, 4.0, 100.0]),
        amounts,
        st.sampled_from([0.0, 0.001, 1.0]),
        st.sampled_from([0.0, 0.5, 1.0, 2.0]),
        st.sampled_from([0.0, 0.002, 1.0, 3.0]),
    )


def near(one: Told, other: Told) -> bool:
    return one.charged == other.charged and all(
        a == b or math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-3) for a, b in zip(one[1:], other[1:], strict=True)
    )


@settings(
    max_examples=30, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_the_script_does_what_the_ledger_does(shared_redis: Redis, data: st.DataObject) -> None:
    plain, now = Ledger(), 1000.0
    with shared_redis.connection() as ask:
        real = Real(ask)
        for _ in range(data.draw(st.integers(1, 12))):
            now += data.draw(st.sampled_from([0.0, 0.001, 0.004, 0.1, 1.0, 2.5]))
            who = data.draw(st.sampled_from(["x", "y", "z"]))
            items = data.draw(st.lists(items_of(now), min_size=1, max_size=4, unique_by=lambda item: item.key))
            expected, found = plain.count(who, items, now), real.count(who, items, now)
            assert found.refused == expected.refused
            assert all(near(a, b) for a, b in zip(found.told, expected.told, strict=True)), (found, expected)


@pytest.fixture
def ledgers(shared_redis: Redis) -> Iterator[tuple[Ledger, Real]]:
    with shared_redis.connection() as ask:
        yield Ledger(), Real(ask)


ONE = Item(b"k", 3000.0, 40.0)
"""Lends 24 of its tokens."""


def test_what_is_lent_does_not_leak_and_counts_as_used_when_its_time_is_over(ledgers: tuple[Ledger, Real]) -> None:
    for ledger in ledgers:
        assert ledger.count("x", [ONE._replace(want=24.0)], 1.0).told[0].granted == 24.0
        assert ledger.count("y", [ONE._replace(cost=16.0)], 1.0 + KEPT - 0.001).told[0].charged
        assert not ledger.count("y", [ONE._replace(cost=10.0)], 1.0 + KEPT - 0.001).told[0].charged
        over = ledger.count("y", [ONE], 1.0 + KEPT + 0.001).told[0].total
        assert over == pytest.approx(24.0 - 3.0 + 16.0 - 3.0, abs=1e-3)


def test_what_was_used_is_charged_and_what_is_returned_is_not(ledgers: tuple[Ledger, Real]) -> None:
    for ledger in ledgers:
        ledger.count("x", [ONE._replace(want=24.0)], 1.0)
        told = ledger.count("x", [ONE._replace(used=10.0, returned=14.0)], 1.0).told[0]
        assert told.total == pytest.approx(10.0)
        # Nobody reports more than he has.
        assert ledger.count("x", [ONE._replace(used=5.0)], 1.0).told[0].total == pytest.approx(10.0)


def test_those_who_ask_share_what_may_be_lent(ledgers: tuple[Ledger, Real]) -> None:
    for ledger in ledgers:
        assert ledger.count("x", [ONE._replace(want=100.0)], 1.0).told[0].granted == 24.0
        assert ledger.count("y", [ONE._replace(want=100.0)], 1.0).told[0].granted == 0.0
        assert ledger.count("x", [ONE._replace(used=20.0, want=100.0)], 1.0).told[0].granted == 8.0
        assert ledger.count("y", [ONE._replace(want=100.0)], 1.0).told[0].granted == 8.0  # 40 - 20 - 12


def test_another_rate_counts_from_the_first_question_on(ledgers: tuple[Ledger, Real]) -> None:
    fast, slow = Item(b"s", 2.0, 5.0, cost=4.0), Item(b"s", 0.5, 5.0)
    for ledger in ledgers:
        ledger.count("x", [fast], 1.0)
        assert ledger.count("x", [slow], 2.0).told[0].total == pytest.approx(2.0)
        assert ledger.count("x", [slow], 4.0).told[0].total == pytest.approx(1.0)
        refused = ledger.count("x", [fast._replace(cost=5.0)], 5.0)
        assert refused.refused
        assert refused.told[0].total == pytest.approx(0.5)
        assert ledger.count("x", [slow], 5.2).told[0].total == pytest.approx(0.1)


def test_what_was_used_is_kept_as_long_as_the_slower_rate_needs(shared_redis: Redis) -> None:
    item = Item(b"e", 2.0, 5.0, cost=4.0)
    with shared_redis.connection() as ask:
        ask("FLUSHALL")
        ask("EVAL", COUNT.text, 1, "e", "x" * 8, packed(item))
        slow = item._replace(rate=0.01)
        answer = unpacked(ask("EVAL", COUNT.text, 1, "e", "x" * 8, packed(slow)), [slow])
        assert answer is not None
        assert answer.refused
        assert ask("PTTL", "e") >= 200_000


def test_what_was_not_used_is_taken_off_less_what_has_leaked(ledgers: tuple[Ledger, Real]) -> None:
    slow = Item(b"s", 2.0, 5.0, cost=3.0)
    for ledger in ledgers:
        charged = ledger.count("x", [slow], 1.0)
        ledger.count("y", [slow._replace(cost=2.0)], 2.0)  # 1 is left of it, and 2 come
        undone = slow._replace(cost=0.0, undone=3.0, since=charged.now)
        assert ledger.count("x", [undone], 2.0).told[0].total == pytest.approx(2.0)


def test_what_was_used_without_it_leaks_only_while_nothing_else_did(ledgers: tuple[Ledger, Real]) -> None:
    one = Item(b"s", 2.0, 5.0, cost=4.0)
    owed = one._replace(kind=OWED, leaked=3.0, ago=3.0)
    for ledger in ledgers:
        ledger.count("x", [one], 10.0)  # until 12
        assert ledger.count("x", [owed], 13.0).told[0].total == pytest.approx(2.0)  # of 3 only 2 in that second
        assert ledger.count("y", [owed], 13.0).told[0].total == pytest.approx(6.0)  # of the other nothing
    for ledger in ledgers:
        # Those who come later, of the same time, have what is left of it.
        fresh = owed._replace(key=b"t", cost=3.0)
        assert ledger.count("x", [fresh], 13.0).told[0].total == pytest.approx(0.0)
        assert ledger.count("y", [fresh], 13.0).told[0].total == pytest.approx(0.0)
        assert ledger.count("z", [fresh], 13.0).told[0].total == pytest.approx(3.0)
        assert ledger.count("z", [fresh], 13.0).told[0].total == pytest.approx(6.0)
        for _ in range(9):
            most = ledger.count("z", [fresh], 13.0).told[0].total
        assert most == pytest.approx(MOST_TOLD * 5.0)


def test_all_or_nothing_but_for_what_is_dry(ledgers: tuple[Ledger, Real]) -> None:
    one, two = Item(b"p", 2.0, 5.0, cost=3.0), Item(b"q", 2.0, 5.0, cost=4.0)
    for ledger in ledgers:
        assert not ledger.count("x", [one, two], 1.0).refused
        refused = ledger.count("x", [one._replace(cost=1.0), two], 1.0)
        assert refused.refused
        assert [told.total for told in refused.told] == pytest.approx([3.0, 4.0])
        assert [told.wait for told in refused.told] == pytest.approx([0.0, 1.5])
        dry = ledger.count("x", [one._replace(cost=1.0), two._replace(kind=DRY)], 1.0)
        assert (dry.refused, [told.charged for told in dry.told]) == (False, [True, False])
        assert [told.total for told in dry.told] == pytest.approx([4.0, 4.0])
        assert ledger.count("x", [one._replace(cost=6.0)], 1.0).told[0].wait == math.inf


def test_one_bucket_twice_in_a_question_is_one_bucket(ledgers: tuple[Ledger, Real]) -> None:
    one = Item(b"p", 2.0, 5.0, cost=3.0)
    for ledger in ledgers:
        assert ledger.count("x", [one, one], 1.0).refused
        assert not ledger.count("x", [one, one._replace(cost=2.0)], 1.0).refused
        assert ledger.count("x", [one._replace(cost=0.0)], 1.0).told[0].total == pytest.approx(5.0)


def test_a_clock_that_goes_back_lets_nothing_leak_and_keeps_nothing_for_ever(ledgers: tuple[Ledger, Real]) -> None:
    _, real = ledgers
    real.count("x", [ONE._replace(cost=10.0, want=5.0)], 5000.0)
    assert real.count("y", [ONE], 1400.0).told[0].total == pytest.approx(15.0)
    real.count("y", [ONE._replace(cost=1.0)], 1400.0)
    assert real.count("y", [ONE], 1401.9).told[0].total == pytest.approx(5.0)
    assert real.count("y", [ONE], 1402.1).told[0].total == 0.0


def test_a_bucket_goes_when_it_is_empty(shared_redis: Redis) -> None:
    item = Item(b"e", 2.0, 5.0, cost=3.0)
    with shared_redis.connection() as ask:
        ask("FLUSHALL")
        ask("EVAL", COUNT.text, 1, "e", "x" * 8, packed(item))
        assert 1500 <= ask("PTTL", "e") <= 2502
        assert ask("STRLEN", "e") == 40
        ask("EVAL", COUNT.text, 1, "e", "x" * 8, packed(item._replace(kind=FORGIVE, cost=0.0)))
        assert ask("EXISTS", "e") == 0
        lent = ONE._replace(key=b"e", want=24.0)
        ask("EVAL", COUNT.text, 1, "e", "x" * 8, packed(lent))
        assert 2000 <= ask("PTTL", "e") <= 3010
        ask("EVAL", COUNT.text, 1, "e", "x" * 8, packed(lent._replace(want=0.0, returned=24.0)))
        assert ask("EXISTS", "e") == 0


def test_a_bucket_stays_for_what_is_lent_and_for_those_who_have_yet_to_tell(shared_redis: Redis) -> None:
    lent = Item(b"e", 100.0, 100_000.0, want=400.0)
    told = Item(b"f", 2.0, 5.0, cost=1.0, kind=OWED, leaked=1.0, ago=2.0)
    with shared_redis.connection() as ask:
        ask("FLUSHALL")
        ask("EVAL", COUNT.text, 1, "e", "x" * 8, packed(lent))
        assert ask("PTTL", "e") >= 1000 * (KEPT + 4.0)
        ask("EVAL", COUNT.text, 1, "f", "x" * 8, packed(told))
        assert 10_000 <= ask("PTTL", "f") <= 11_100


@pytest.mark.parametrize(
    "other", [("SET", "e", "x"), ("SET", "e", "x" * 20), ("SET", "e", "x" * 16), ("RPUSH", "e", "x")]
)
def test_what_is_no_bucket_is_as_an_empty_one(shared_redis: Redis, other: tuple[str, ...]) -> None:
    item = Item(b"e", 2.0, 5.0, cost=3.0)
    with shared_redis.connection() as ask:
        ask("FLUSHALL")
        ask(*other)
        answer = unpacked(ask("EVAL", COUNT.text, 1, "e", "x" * 8, packed(item)), [item])
        assert answer is not None
        assert answer.told[0].total == 3.0


def test_gateways_are_counted_while_they_say_hello(shared_redis: Redis) -> None:
    with shared_redis.connection() as ask:
        ask("FLUSHALL")
        assert [ask("EVAL", HELLO.text, 1, "g", who) for who in ("a", "b", "a")] == [1, 2, 2]
        seconds, microseconds = map(int, ask("TIME"))
        now = seconds * 1_000_000 + microseconds
        ask("ZADD", "g", now - 5_500_000, "b", now + 3_600_000_000, "c")
        assert ask("EVAL", HELLO.text, 1, "g", "a") == 1


@pytest.mark.parametrize("answer", [None, 1, b"", b"x" * 48, [b"x"], b"\0" * 47, b"\0" * 48 + b"x", b"\xff" * 48])
def test_answers_that_make_no_sense(answer: object) -> None:
    assert unpacked(answer, [ONE]) is None
    assert unpacked(b"\0" * 48, [ONE]) == Answer(False, 0.0, (Told(False, 0.0, 0.0, 0.0),))
