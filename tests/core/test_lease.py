from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.debts import Debts
from ttagw.core.lease import (
    ASK,
    FEW,
    FORGIVE,
    KEPT,
    LEAST_RATE,
    LIFE,
    MEMORY,
    MOST_TOLD,
    OWED,
    SLACK,
    Item,
    Lease,
    Refusal,
    Told,
    lendable,
    recess,
    refusal,
)

RATE, BURST = 3000.0, 400.0
FULL = Told(False, 5.0, 1.0, 0.0)


def lease(granted: float = 10.0, sent: float = 1.0) -> Lease:
    made = Lease(b"k", RATE, BURST, 1.0)
    made.granted(Told(True, 100.0, 0.0, granted), sent)
    return made


@given(st.floats(0.001, 1e6), st.floats(1.0, 1e7))
def test_what_is_lent_and_remembered_is_within_the_slack(rate: float, burst: float) -> None:
    lost = 2.0 * lendable(rate, burst) + recess(rate, burst) * rate
    assert lost <= SLACK * (burst + 2.0 * rate) + 1e-9
    assert lost == 0.0 or rate >= LEAST_RATE


def test_a_busy_limit_lends() -> None:
    assert lendable(1000.0, 1000.0) == 12.0
    assert lendable(99.0, 1e6) == 0.0


def test_a_lease_is_used_up_and_then_no_more() -> None:
    one = lease(2.0)
    assert [one.take(1.0, 1.1) for _ in range(3)] == [True, True, False]
    assert (one.left, one.used) == (0.0, 2.0)


def test_a_lease_dies_long_before_it_is_given_to_others() -> None:
    one = lease(sent=1.0)
    assert one.take(1.0, 1.0 + LIFE - 0.001)
    assert not one.take(1.0, 1.0 + LIFE)
    assert KEPT >= LIFE + 0.5


def test_what_was_used_is_reported_once() -> None:
    one = lease()
    for _ in range(4):
        one.take(1.0, 1.1)
    assert one.more(1.1).used == 4.0
    assert one.more(1.1).used == 0.0


def test_what_was_reported_is_not_taken_back() -> None:
    one = lease()
    one.take(1.0, 1.1)
    assert one.untake(1.0)
    assert (one.left, one.used) == (10.0, 0.0)
    one.take(1.0, 1.1)
    one.more(1.1)
    assert not one.untake(1.0)
    assert one.left == 9.0


def test_who_asks_for_a_cost_gives_back_what_is_too_little() -> None:
    one = lease(3.0)
    one.take(1.0, 1.1)
    item = one.ask(5.0, ASK, 1.1)
    assert (item.cost, item.used, item.returned) == (5.0, 1.0, 2.0)
    assert not one.take(1.0, 1.1)


def test_it_asks_for_twice_as_much_when_that_was_gone_soon() -> None:
    one = lease(sent=1.0)
    assert one.more(1.01).want == 2 * FEW
    assert one.more(1.2).want == 2 * FEW
    for _ in range(20):
        one.more(1.01)
    assert one.more(1.01).want == lendable(RATE, BURST)


def test_it_is_filled_up_early() -> None:
    assert lease(20.0).low == 10.0
    assert lease(3.0).low == 3.0


def test_what_was_not_used_in_time_goes_back_with_the_next_question() -> None:
    """An answer that makes a lease last longer must not bring back what the ledger may have counted as used."""
    for asked in (lambda one: one.more(2.0), lambda one: one.ask(20.0, ASK, 2.0), lambda one: one.beat(2.0)):
        one = lease(sent=1.0)
        one.take(1.0, 1.1)
        item = asked(one)
        assert (item.used, item.returned) == (1.0, 9.0)
        one.granted(Told(False, 0.0, 0.0, 4.0), 2.0)
        assert [one.take(1.0, 2.1) for _ in range(5)] == [True] * 4 + [False]
    one = lease(sent=1.0)
    assert one.more(1.9).returned == 0.0


def test_one_that_is_not_used_is_given_back() -> None:
    one = lease()
    item = one.beat(1.2)
    assert item is not None
    assert (item.want, item.returned) == (0.0, 10.0)
    assert one.left == 0.0


def test_one_that_is_used_is_reported_and_kept() -> None:
    one = lease()
    one.take(1.0, 1.1)
    item = one.beat(1.2)
    assert item is not None
    assert (item.want, item.used, item.returned) == (FEW, 1.0, 0.0)
    assert one.beat(1.2) is None  # there is a question under way
    one.asking = False
    item = one.beat(1.2)
    assert item is not None
    assert item.want == 0.0


ITEM = Item(b"k", 2.0, 5.0, 1.0)


def test_a_refusal_holds_until_it_would_fit() -> None:
    known = refusal(ITEM, FULL, 10.0)
    assert known is not None
    assert known.fits == 10.5
    assert known.holds(2.0, 5.0, 1.0, 10.49)
    assert known.holds(2.0, 5.0, 3.0, 10.49)
    assert not known.holds(2.0, 5.0, 0.5, 10.49)
    assert not known.holds(2.0, 5.0, 1.0, 10.5)
    # Terms that have changed since say something else.
    assert not known.holds(2.0, 6.0, 1.0, 10.4)
    assert not known.holds(3.0, 5.0, 1.0, 10.4)


def test_what_would_fit_is_not_refused() -> None:
    assert refusal(ITEM, Told(True, 4.0, 0.0, 0.0), 10.0) is None
    assert refusal(ITEM._replace(cost=0.0), FULL, 10.0) is None


def test_nothing_is_remembered_for_long() -> None:
    slow = refusal(ITEM._replace(rate=0.001), FULL, 10.0)
    never = refusal(ITEM._replace(cost=6.0), FULL, 10.0)
    assert slow is not None
    assert never is not None
    assert slow.fits == 1010.0
    assert never.fits == inf
    assert slow.until == never.until == 10.0 + MEMORY


def test_one_that_is_asked_for_speaks_for_the_next() -> None:
    known = Refusal(2.0, 5.0, 1.0, 10.5, 10.0)
    assert known.ask_one(10.6)
    assert known.fits == 11.0
    assert known.holds(2.0, 5.0, 1.0, 10.9)
    assert not known.holds(2.0, 5.0, 1.0, 11.0)
    assert not known.ask_one(20.0)


def test_how_a_bucket_is_that_has_refused() -> None:
    known = Refusal(2.0, 5.0, 1.0, 10.5, 10.0)
    assert known.state(10.25) == (0.5, 2.25)


def test_of_debts_is_told_what_would_have_leaked_of_them() -> None:
    debts = Debts(10)
    debts.add(ITEM._replace(cost=3.0, kind=OWED), 1.0)
    debts.add(ITEM._replace(cost=3.0, kind=OWED), 2.0)
    (item,) = debts.some(5, 2.5)
    assert (item.cost, item.leaked, item.ago, item.kind) == (6.0, 3.0, 1.5, OWED)
    assert len(debts) == 0
    debts.add(ITEM._replace(kind=OWED), 1.0)
    debts.add(ITEM._replace(kind=OWED), 2.0)
    (item,) = debts.some(5, 4.0)
    assert (item.cost, item.leaked, item.ago) == (2.0, 2.0, 3.0)


def test_what_was_owed_long_ago_is_not_told() -> None:
    debts = Debts(10)
    over = MOST_TOLD * ITEM.burst / ITEM.rate
    debts.add(ITEM._replace(kind=OWED), 1.0)
    assert len(debts.some(5, 0.9 + over)) == 1
    debts.add(ITEM._replace(kind=OWED), 1.0)
    assert debts.some(5, 1.0 + over) == []
    debts.add(ITEM._replace(kind=OWED), 1.0)
    debts.add(ITEM._replace(kind=OWED), 1.0 + over)
    assert debts.some(5, 1.0 + over) == [ITEM._replace(kind=OWED)]


def test_debts_are_bounded_and_keep_the_last() -> None:
    debts = Debts(2)
    for key in (b"a", b"b", b"a", b"c"):
        debts.add(ITEM._replace(key=key, kind=OWED), 1.0)
    assert [item.key for item in debts.some(1, 1.0)] == [b"a"]
    assert [item.key for item in debts.some(9, 1.0)] == [b"c"]


def test_what_is_forgiven_is_not_owed_and_what_comes_after_is() -> None:
    debts = Debts(2)
    debts.add(ITEM._replace(cost=5.0, kind=OWED), 1.0)
    debts.forgive(ITEM, 1.0)
    debts.add(ITEM._replace(cost=2.0, kind=OWED), 1.0)
    assert debts.some(9, 1.0) == [ITEM._replace(cost=2.0, kind=FORGIVE)]
    debts.forgive(ITEM, 1.0)
    assert debts.some(9, 1.0) == [ITEM._replace(cost=0.0, kind=FORGIVE)]


@pytest.mark.parametrize(("less", "left"), [(1.0, 2.0), (9.0, 0.0)])
def test_what_was_not_used_is_not_owed(less: float, left: float) -> None:
    debts = Debts(2)
    debts.less(b"k", 1.0)
    debts.add(ITEM._replace(cost=3.0, kind=OWED), 1.0)
    debts.less(b"k", less)
    assert [item.cost for item in debts.some(9, 1.0)] == ([left] if left else [])
