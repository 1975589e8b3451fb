"""One or two gateways and a ledger, in a time of their own."""

from __future__ import annotations

import pytest
from prometheus_client.core import CollectorRegistry
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from tests.limits.kit import Gateway, advance
from tests.limits.ledger import Ledger
from ttagw.core.lease import FEW
from ttagw.limits.base import OnFailure, State, Terms, Verdict, Want
from ttagw.limits.local import LocalBuckets
from ttagw.limits.shared_asking import DEADLINE, MOST_QUESTIONS, PROBE


def strict(burst: float = 5.0, mode: OnFailure = "deny", name: str = "strict", *, dry: bool = False) -> Terms:
    """So slow that nothing comes back meanwhile."""
    return Terms(name, 1, 3600.0, burst, mode, dry)


BUSY = Terms("busy", 3000, 1.0, 400.0, "deny")


@pytest.fixture
def pair() -> tuple[Gateway, Gateway]:
    ledger, clock = Ledger(), Clock()
    one, two = Gateway(ledger, clock, "one"), Gateway(ledger, clock, "two")
    one.start()
    two.start()
    return one, two


def take(gateway: Gateway, *wants: Want) -> Verdict:
    """What is said, after a while if it must be."""
    answer = gateway.buckets.take(wants)
    if isinstance(answer, Verdict):
        return answer
    said: list[Verdict] = []
    answer.addCallback(said.append)
    advance(gateway.clock, 0.1)
    return said[0]


def warm(gateway: Gateway, key: str = "k") -> None:
    """There is a lease."""
    for _ in range(4):
        gateway.buckets.take([Want(BUSY, key, 1.0)])
        advance(gateway.clock, 0.01)
    assert gateway.buckets._held["busy", key].left >= 4.0


def total(gateway: Gateway, number: int = 0) -> float:
    buckets = list(gateway.line._ledger.buckets.values())  # those that are empty are gone
    return buckets[number].total() if number < len(buckets) else 0.0


def test_what_one_has_used_the_other_has_not(pair: tuple[Gateway, Gateway]) -> None:
    one, two = pair
    limit = strict()
    assert [take(pair[number % 2], Want(limit, "k", 1.0)).allowed for number in range(6)] == [True] * 5 + [False]
    refused = take(one, Want(limit, "k", 1.0))
    assert refused.refused is limit
    assert 3590.0 < refused.wait <= 3600.0
    assert refused.states[0].left == pytest.approx(0.0, abs=0.001)
    assert take(two, Want(limit, "other", 1.0)).states == [State(4.0, 3600.0)]


def test_all_is_charged_or_nothing_and_the_last_to_fit_is_named(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    wide, narrow = strict(9.0, name="wide"), strict(1.0, name="narrow")
    wants = Want(wide, "k", 1.0), Want(narrow, "k", 1.0)
    assert take(one, *wants).allowed
    for _ in range(3):
        refused = take(one, *wants)
        assert refused.refused is narrow
        assert [round(state.left) for state in refused.states] == [8, 0]
    assert take(one, wants[0]).states[0].left == pytest.approx(7.0, abs=0.01)


def test_a_dry_limit_refuses_nothing_and_is_told(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    dry, real = strict(1.0, name="dry", dry=True), strict(9.0, name="real")
    wants = Want(dry, "k", 1.0), Want(real, "k", 1.0)
    said = [take(one, *wants) for _ in range(4)]
    assert [each.allowed for each in said] == [True] * 4
    assert [each.dry for each in said] == [None, dry, dry, dry]
    assert round(said[-1].states[1].left) == 5


def test_what_costs_nothing_is_never_asked_for(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    before = one.line.asked
    assert take(one, Want(strict(), "k", 0.0)).allowed
    assert one.line.asked == before


def test_a_busy_key_is_decided_here(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    warm(one)
    assert isinstance(one.buckets.take([Want(BUSY, "k", 1.0)]), Verdict)
    assert one.buckets.decisions["lease"] >= 2


def test_two_limits_of_which_both_are_lent_are_decided_here(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    warm(one, "a")
    warm(one, "b")
    both = [Want(BUSY, "a", 1.0), Want(BUSY, "b", 1.0)]
    assert isinstance(one.buckets.take(both), Verdict)
    left = one.buckets._held["busy", "a"].left
    # What is too much of the second is not used of the first.
    assert isinstance(one.buckets.take([both[0], Want(BUSY, "b", 300.0)]), Deferred)
    assert one.buckets._held["busy", "a"].used <= 5.0
    assert one.buckets._held["busy", "a"].left <= left


def test_a_lease_is_not_used_after_its_time(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    warm(one)
    one.line.deaf = True
    advance(one.clock, 1.1, 0.01)
    assert take(one, Want(BUSY, "k", 1.0)).unknown


def test_what_is_lent_and_not_used_is_given_back(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    warm(one)
    advance(one.clock, 3 * PROBE, 0.01)
    assert not one.buckets._held
    assert total(one) == 0.0


def held(gateway: Gateway) -> float:
    """What is lent to anybody, as the ledger says."""
    return sum(amount for each in gateway.line._ledger.buckets.values() for amount, _ in each.lent.values())


def test_a_busy_key_goes_by_new_terms_at_once(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    limit = Terms("busy", 3000, 1.0, 400.0, "deny")
    for _ in range(1000):
        one.take(Want(limit, "k", 1.0))
        one.clock.advance(0.001)
    assert len(one.used) == 1000
    limit.count, limit.burst = 200, 50.0
    one.buckets.refresh(limit)
    one.used.clear()
    for _ in range(1000):
        one.take(Want(limit, "k", 1.0))
        one.clock.advance(0.001)
    assert 245 <= len(one.used) <= 251


def test_what_was_lent_before_a_change_goes_back(pair: tuple[Gateway, Gateway]) -> None:
    one, two = pair
    limit = Terms("busy", 3000, 1.0, 400.0, "deny")
    other = Terms("other", 3000, 1.0, 400.0, "deny")
    for each in (limit, other):
        for _ in range(4):
            one.take(Want(each, "k", 1.0))
            advance(one.clock, 0.01)
    both = held(one)
    one.line.back = 0.03
    for _ in range(5):  # so that a question is under way
        one.take(Want(limit, "k", 1.0))
    assert one.buckets._held["busy", "k"].asking
    one.buckets.refresh(limit)
    advance(one.clock, 0.1)
    assert 0.0 < held(one) < both
    assert list(one.buckets._held) == [("other", "k")]
    # The same while nobody can be told.
    one.line.back = 0.2
    take(one, Want(limit, "x", 1.0))
    assert not one.buckets.there
    one.buckets.refresh(other)
    assert not one.buckets._held
    one.line.back = 0.001
    advance(one.clock, 1.0, 0.01)
    assert one.buckets.there
    assert held(two) == 0.0


def test_what_was_not_used_while_it_was_away_is_not_lent_for_ever(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    warm(one)
    one.line.back = 0.9
    take(one, Want(strict(), "k", 1.0))
    advance(one.clock, 1.1, 0.01)
    assert not one.buckets.there
    one.line.back = 0.001
    for _ in range(600):
        one.take(Want(BUSY, "k", 1.0))
        one.clock.advance(0.005)
        lease = one.buckets._held.get(("busy", "k"))
    assert one.buckets.there
    assert lease is not None
    advance(one.clock, 0.02)
    assert held(one) == lease.left + lease.used


def test_a_gateway_that_stops_gives_back_what_it_was_lent(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    warm(one)
    stopping = Deferred.fromCoroutine(one.buckets.stop())
    advance(one.clock, 0.01)
    assert stopping.called
    assert total(one) <= 4.0


def test_a_new_connection_knows_nothing_of_old_leases(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    warm(one)
    one.line.cut()
    assert isinstance(one.buckets.take([Want(BUSY, "k", 1.0)]), Verdict)  # they are good still
    one.line.mend()
    advance(one.clock, 0.01)
    assert one.buckets.there
    assert not one.buckets._held


def test_a_flood_that_is_refused_asks_once_in_a_while(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    limit = strict(1.0)
    take(one, Want(limit, "k", 1.0))
    before = one.line.asked
    for _ in range(2000):
        assert not take(one, Want(limit, "k", 1.0)).allowed
        one.clock.advance(0.001)
    assert one.line.asked - before <= 3
    assert one.buckets.decisions["memory"] > 1900


def test_nobody_waits_longer_than_the_deadline(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    one.line.back = 0.2
    limit = strict(mode="allow")
    answers = [one.take(Want(limit, "k", 1.0)) for _ in range(3)]
    assert all(isinstance(each, Deferred) for each in answers)
    advance(one.clock, DEADLINE + 0.005)
    assert len(one.waited) == 3
    assert max(one.waited) < DEADLINE + 0.003
    assert not one.buckets.there
    assert isinstance(one.buckets.take([Want(limit, "k", 1.0)]), Verdict)
    # What comes after that is given back.
    one.line.back = 0.001
    advance(one.clock, 1.0, 0.01)
    assert one.buckets.there
    assert total(one) == pytest.approx(0.0, abs=0.001)


def test_one_who_gives_up_is_charged_nothing(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    answer = one.buckets.take([Want(strict(), "k", 3.0)])
    assert isinstance(answer, Deferred)
    failed: list[object] = []
    answer.addErrback(lambda failure: failed.append(failure.check(CancelledError)))
    answer.cancel()
    advance(one.clock, 0.1)
    assert failed == [CancelledError]
    assert total(one) == pytest.approx(0.0, abs=0.001)


@pytest.mark.parametrize("limit", [strict(), BUSY], ids=["asked", "leased"])
def test_what_is_given_back_is_there_again(pair: tuple[Gateway, Gateway], limit: Terms) -> None:
    one, _ = pair
    if limit is BUSY:
        warm(one)
    want = Want(limit, "k", 2.0)
    before = take(one, Want(limit, "k", 0.0)).states[0].left
    take(one, want)
    one.buckets.give_back([want])
    advance(one.clock, 0.1)
    assert take(one, Want(limit, "k", 1e-9)).states[0].left == pytest.approx(before, abs=0.01)


def test_what_was_not_charged_is_not_given_back(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    dry, real = strict(2.0, name="dry", dry=True), strict(9.0, name="real")
    take(one, Want(dry, "k", 2.0))
    for _ in range(2):
        wants = [Want(dry, "k", 1.0), Want(real, "k", 1.0)]
        assert take(one, *wants).dry is dry
        one.buckets.give_back(wants)
        one.buckets.give_back(wants)
        advance(one.clock, 0.1)
    assert total(one) == pytest.approx(2.0, abs=0.01)
    assert total(one, 1) == pytest.approx(0.0, abs=0.01)


def test_what_of_a_lease_was_reported_is_not_given_back(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    warm(one)
    lease = one.buckets._held["busy", "k"]
    early, late = Want(BUSY, "k", 1.0), Want(BUSY, "k", 1.0)
    take(one, early)
    reported = lease.reports
    while lease.reports == reported or lease.asking:
        advance(one.clock, 0.001)
    assert lease.left >= 2.0
    lease.low = 0.0  # the next is not reported at once
    take(one, late)
    left, used = lease.left, lease.used
    assert used == 1.0
    one.buckets.give_back([early])
    assert (lease.left, lease.used) == (left, used)
    one.buckets.give_back([late])
    assert (lease.left, lease.used) == (left + 1.0, 0.0)


def test_what_is_given_back_is_so_once_and_less_what_has_leaked(pair: tuple[Gateway, Gateway]) -> None:
    one, two = pair
    limit = Terms("slow", 2, 1.0, 5.0, "deny")
    wants = [Want(limit, "k", 1.0), Want(limit, "k", 3.0)]
    take(one, *wants[1:])
    advance(one.clock, 0.4)
    for each in (two, one):
        take(each, Want(limit, "k", 1.0))
    before = total(one)  # 0.1 s ago
    one.buckets.give_back(wants[1:])
    advance(one.clock, 0.002)
    less = 3.0 - 2 * 0.7 + 2 * 0.1
    assert before - total(one) == pytest.approx(less, abs=0.01)
    for _ in range(3):
        one.buckets.give_back(wants[1:])
        advance(one.clock, 0.002)
    assert before - total(one) == pytest.approx(less, abs=0.01)


def test_what_two_limits_were_asked_for_in_vain_is_charged_to_neither(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    warm(one, "a")
    lease = one.buckets._held["busy", "a"]
    left, used = lease.left, lease.used
    assert one.buckets._leases.all_of([Want(BUSY, "a", 1.0), Want(BUSY, "b", 1.0)], one.clock.seconds()) is None
    assert (lease.left, lease.used) == (left, used)


def test_what_comes_late_is_held_once(pair: tuple[Gateway, Gateway]) -> None:
    """It was decided otherwise meanwhile, and yet it was lent."""
    one, _ = pair
    for _ in range(2):
        one.take(Want(BUSY, "k", 1.0))
        advance(one.clock, 0.02)
    one.line.back = 0.06
    want = Want(BUSY, "k", 7.0)
    assert isinstance(one.buckets.take([want]), Deferred)
    advance(one.clock, 0.045)
    assert not one.buckets.there
    advance(one.clock, 0.02)
    lease = one.buckets._held["busy", "k"]
    assert lease.left >= FEW
    assert held(one) == lease.left + lease.used
    # The lease has gone before the answer to the next is there.
    one.line.back = 0.001
    advance(one.clock, 0.3)
    assert one.buckets.there
    one.line.back = 0.03
    while not isinstance(one.buckets.take([want]), Deferred):
        pass
    one.buckets._held.clear()
    advance(one.clock, 0.035)
    one.line.back = 0.001
    advance(one.clock, 0.035)
    assert not one.buckets._held
    assert held(one) == 0.0


def test_who_has_slept_does_not_use_what_was_lent_before(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    warm(one)
    lease = one.buckets._held["busy", "k"]
    one.clock.rightNow = lease.dies - 0.001
    assert isinstance(one.buckets.take([Want(BUSY, "k", 1.0)]), Verdict)
    one.clock.rightNow = lease.dies
    assert isinstance(one.buckets.take([Want(BUSY, "k", 1.0)]), Deferred)


def test_forgiven_here_and_with_the_ledger(pair: tuple[Gateway, Gateway]) -> None:
    one, two = pair
    limit = strict()
    take(one, Want(limit, "k", 5.0))
    assert not take(one, Want(limit, "k", 1.0)).allowed
    one.buckets.reset(limit, "k")
    advance(one.clock, 0.01)
    assert take(one, Want(limit, "k", 1.0)).allowed
    assert round(take(two, Want(limit, "k", 1.0)).states[0].left) == 3
    one.line.cut()
    one.buckets.reset(limit, "k")
    assert one.local.forgiven == ["k", "k"]
    one.line.mend()
    advance(one.clock, 0.1)
    assert round(take(two, Want(limit, "k", 1.0)).states[0].left) == 4


def test_each_limit_does_what_it_says_while_nobody_can_be_asked(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    one.line.gateways = 4
    advance(one.clock, 1.5, 0.01)
    one.line.cut()
    deny, allow, local = strict(name="d"), strict(mode="allow", name="a"), strict(mode="local", name="l")
    said = take(one, Want(allow, "k", 1.0), Want(deny, "k", 1.0), Want(local, "k", 1.0))
    assert (said.allowed, said.unknown, said.refused) == (False, True, deny)
    assert not one.local.taken
    assert take(one, Want(allow, "k", 1.0)) == Verdict(True, ())
    said = take(one, Want(allow, "k", 1.0), Want(local, "k", 1.0))
    assert said == Verdict(True, [State(5.0, 0.0), State(1.0, 1.0)])
    assert one.local.taken == [Want(local, "k", 1.0)]
    assert one.local.scale == 0.25
    assert take(one, Want(strict(name="n", dry=True), "k", 1.0)).allowed
    assert [one.buckets.decisions[by] for by in ("deny", "allow", "local")] == [1, 2, 1]


def test_what_was_let_through_alone_is_told_before_anything_is_asked(pair: tuple[Gateway, Gateway]) -> None:
    one, two = pair
    limit = strict(50.0, "local")
    one.line.cut()
    wants = [Want(limit, f"{number}", 2.0) for number in range(450)]
    for want in wants:
        take(one, want)
    one.buckets.give_back(wants[:1])
    assert one.local.given_back == wants[:1]
    one.line.mend()
    advance(one.clock, 0.1)
    assert one.buckets.there
    assert [round(take(two, Want(limit, f"{n}", 1.0)).states[0].left) for n in (0, 1, 449)] == [49, 47, 47]


@pytest.mark.parametrize(("rate", "burst"), [(20, 20.0), (1000, 100.0)])
def test_one_that_is_too_slow_now_and_then_lets_no_more_through_for_long(
    pair: tuple[Gateway, Gateway], rate: int, burst: float
) -> None:
    """Each time some is let through alone, and then it is told; the bucket here must not leak beside the ledger's."""
    clock = pair[0].clock
    for each in pair:
        each.buckets._away._local = LocalBuckets(clock.seconds)
        each.line.gateways = 2
    advance(clock, 1.5, 0.01)
    limit = Terms("l", rate, 1.0, burst, "local")
    began = clock.seconds()
    while (passed := clock.seconds() - began) < 8.0:
        for each in pair:
            each.line.back = 0.06 if passed % 0.8 < 0.3 else 0.001
            for _ in range(2):
                each.take(Want(limit, "k", 1.0))
        clock.advance(0.002)
    used = sum(len(each.used) for each in pair)
    assert all(each.buckets.decisions["local"] for each in pair)
    assert used <= 3 * burst + 8.0 * rate
    assert used >= 0.85 * 8.0 * rate


def test_that_it_is_away_is_told_at_once_and_that_it_is_back_when_it_stays(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    for _ in range(3):
        one.line.cut()
        advance(one.clock, 0.3)
        one.line.mend()
        advance(one.clock, 0.3)
    assert one.told == [(False, "connection_lost")]
    advance(one.clock, 1.5, 0.01)
    assert one.told == [(False, "connection_lost"), (True, "")]


def test_one_that_is_never_there_is_told_of() -> None:
    gateway = Gateway(Ledger(), Clock(), "g")
    gateway.line.start = lambda: None  # type: ignore[method-assign]
    gateway.buckets.start()
    assert take(gateway, Want(strict(), "k", 1.0)).unknown
    advance(gateway.clock, 2.0, 0.01)
    assert gateway.told == [(False, "starting")]


def test_one_that_is_slow_is_asked_by_nobody_but_us(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    one.line.back = 0.1
    take(one, Want(strict(), "k", 1.0))
    before = one.line.asked
    advance(one.clock, 2.0, 0.01)
    assert not one.buckets.there
    assert one.line.asked == before
    one.line.back = 0.001
    advance(one.clock, 1.0, 0.01)
    assert one.buckets.there


def test_silence_is_noticed_when_nobody_asks(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    one.line.deaf = True
    advance(one.clock, 1.2, 0.01)
    assert not one.buckets.there
    assert one.buckets.reason == "timeout"


def test_questions_are_bounded(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    limit = strict(1e6, "allow")
    answers = [one.buckets.take([Want(limit, f"{number}", 1.0)]) for number in range(MOST_QUESTIONS + 5)]
    assert sum(isinstance(each, Deferred) for each in answers) == MOST_QUESTIONS
    advance(one.clock, 0.1)


def test_what_prometheus_reads(pair: tuple[Gateway, Gateway]) -> None:
    one, _ = pair
    take(one, Want(strict(), "k", 1.0))
    registry = CollectorRegistry()
    registry.register(type("All", (), {"collect": lambda self: one.buckets.metrics()})())

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("ttagw_limits_shared") == 1.0
    assert value("ttagw_limits_shared_questions_total", outcome="answered") == 1.0
    assert value("ttagw_limits_shared_decisions_total", by="asked") == 1.0
    assert value("ttagw_limits_shared_seconds_count") == 1.0
