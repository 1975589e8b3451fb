"""Admission beside a simple account of who is where, for any order of events."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ttagw.core.admission import CRISIS, FEW, Admission, Gate, State, Waiter
from ttagw.core.room import Shares

PLAIN = Shares(ceilings=(1.0, 1.0, 1.0, 1.0, 0.5))
NORMAL, HIGH = 1, 2


def ask(gate: Gate, rank: int = NORMAL, user: str = "u", now: float = 0.0) -> Waiter:
    waiter = Waiter(rank, user, now)
    gate.ask(waiter)
    return waiter


def end(waiter: Waiter) -> None:
    waiter.gate.answered(waiter.rank)
    waiter.gate.ended(waiter.rank, waiter.user)


def full(bound: int = 4, shares: Shares = PLAIN, queue: int = 10) -> tuple[Admission, Gate, list[Waiter]]:
    admission = Admission(bound, shares, queue, 0.5)
    gate = admission.gate("s")
    inside = [ask(gate, NORMAL, f"u{number}") for number in range(bound)]
    assert {each.state for each in inside} == {State.INSIDE}
    return admission, gate, inside


def test_the_highest_class_goes_first() -> None:
    admission, gate, inside = full()
    waiting = [ask(gate, rank, f"w{rank}") for rank in (0, NORMAL, 3, HIGH)]
    for each in inside:
        end(each)
    assert [each.rank for each in admission.serve()] == [3, HIGH, NORMAL, 0]
    assert {each.state for each in waiting} == {State.INSIDE}


def test_a_stroll_is_possible_while_there_is_a_lot_of_room() -> None:
    admission = Admission(40, PLAIN, 10, 0.5)
    gate = admission.gate("s")
    assert [gate.stroll(NORMAL) for _ in range(11)] == [True] * 10 + [False]
    assert gate.users == {}
    for _ in range(10):
        gate.answered(NORMAL)
        gate.ended(NORMAL, "")
    assert (admission.hall.total, gate.room.total) == (0, 0)


def test_between_an_answer_and_its_end_only_the_place_in_the_hall_is_held() -> None:
    admission, gate, inside = full(2)
    gate.resize(1)
    assert ask(gate).state is State.WAITING
    for each in inside:
        gate.answered(each.rank)
    assert admission.serve() == []
    gate.ended(inside[0].rank, inside[0].user)
    assert len(admission.serve()) == 1


def test_crisis_is_let_in_without_room_up_to_its_ceiling() -> None:
    admission, gate, _ = full(4)
    those = [ask(gate, CRISIS) for _ in range(3)]
    assert [each.state for each in those] == [State.INSIDE, State.INSIDE, State.WAITING]
    assert [each.bypassed for each in those] == [True, True, False]
    assert admission.crisis_full


def test_at_a_narrow_gate_crisis_leaves_others_their_part() -> None:
    admission = Admission(100, PLAIN, 10, 0.5)
    gate = admission.gate("s")
    gate.resize(8)
    inside = [ask(gate, NORMAL, f"u{number}") for number in range(8)]
    those = [ask(gate, CRISIS) for _ in range(6)]
    assert [each.state for each in those] == [State.INSIDE] * 4 + [State.WAITING] * 2
    others = [ask(gate, NORMAL, f"w{number}") for number in range(4)]
    for each in inside:
        end(each)
        admission.serve()
    # 4 of the class `crisis`, and the 4 others who waited, are inside; then there is no room for more of it.
    assert {each.state for each in others} == {State.INSIDE}
    assert [each.state for each in those] == [State.INSIDE] * 4 + [State.WAITING] * 2
    end(others[0])
    assert admission.serve() == [those[4]]


def test_crisis_that_waits_leaves_others_a_part_of_the_queue() -> None:
    admission = Admission(100, PLAIN, 4, 0.5)
    gate = admission.gate("s")
    gate.resize(2)
    for number in range(2):
        ask(gate, NORMAL, f"u{number}")
    those = [ask(gate, CRISIS, f"c{number}") for number in range(4)]
    assert [each.state for each in those] == [State.INSIDE] + [State.WAITING] * 2 + [State.OUTSIDE]
    assert [ask(gate, NORMAL, "v").state for _ in range(3)] == [State.WAITING] * 2 + [State.OUTSIDE]


def test_what_is_kept_for_crisis_is_no_bypass() -> None:
    shares = Shares((0.0, 0.0, 0.0, 0.0, 0.5), (1.0, 1.0, 1.0, 1.0, 0.5))
    admission = Admission(4, shares, 0, 0.5)
    gate = admission.gate("s")
    assert [ask(gate, NORMAL).state for _ in range(3)] == [State.INSIDE, State.INSIDE, State.OUTSIDE]
    assert [ask(gate, CRISIS).bypassed for _ in range(2)] == [False, False]


def test_a_full_queue_makes_room_for_a_higher_class_and_for_who_waits_with_less() -> None:
    admission, gate, _ = full(1, queue=3)
    greedy = [ask(gate, NORMAL, "greedy") for _ in range(4)]
    assert [each.state for each in greedy] == [State.WAITING] * 3 + [State.OUTSIDE]
    modest = Waiter(NORMAL, "modest", 0.0)
    assert gate.ask(modest) is greedy[2]
    assert (modest.state, greedy[2].state) == (State.WAITING, State.OUTSIDE)
    high = Waiter(HIGH, "h", 0.0)
    assert gate.ask(high) is greedy[1]
    assert ask(gate, 0).state is State.OUTSIDE
    assert len(admission.line) == 3


def test_who_holds_a_quarter_stands_back_while_others_wait() -> None:
    admission = Admission(64, PLAIN, 10, 0.5)
    gate = admission.gate("s")
    gate.resize(16)
    heavy = [ask(gate, NORMAL, "heavy") for _ in range(FEW)]
    for number in range(8):
        ask(gate, NORMAL, f"u{number}")
    first, second = ask(gate, NORMAL, "heavy"), ask(gate, NORMAL, "other")
    gate.answered(NORMAL)
    gate.ended(NORMAL, "u0")
    assert admission.serve() == [second]
    end(heavy[0])
    assert admission.serve() == [first]


def test_gates_take_turns_in_a_full_hall() -> None:
    admission, gate, inside = full(4)
    other = admission.gate("t")
    here = [ask(gate, NORMAL, "h") for _ in range(3)]
    there = [ask(other, NORMAL, "t") for _ in range(3)]
    for each in inside:
        end(each)
    served = admission.serve()
    assert [each in here for each in served].count(True) == 2
    assert [each in there for each in served].count(True) == 2


def test_who_has_waited_too_long_waits_no_longer() -> None:
    admission, gate, _ = full(1)
    early, late = ask(gate, now=1.0), ask(gate, now=1.25)
    assert admission.overdue(1.4375) == []
    assert admission.overdue(1.5) == [early]
    assert (early.state, late.state) == (State.OUTSIDE, State.WAITING)
    assert list(admission.line) == [late]


def test_without_patience_nobody_waits() -> None:
    gate = Admission(1, PLAIN, 10, 0.0).gate("s")
    assert [ask(gate).state for _ in range(2)] == [State.INSIDE, State.OUTSIDE]


def test_lower_classes_can_be_sent_away() -> None:
    admission, gate, _ = full(1)
    low, high = ask(gate, 0), ask(gate, HIGH)
    assert admission.below(NORMAL) == [low]
    assert list(admission.line) == [high]


RESERVED = (0.0, 0.0, 0.0, 0.2, 0.2)
BOUND = 10


class Turmoil(RuleBasedStateMachine):
    """Two services, three users, all classes, bounds that change."""

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission(BOUND, Shares(RESERVED, (1.0, 1.0, 1.0, 1.0, 0.5)), 4, 0.5)
        self.gates = [self.admission.gate(name) for name in "st"]
        self.inside: list[tuple[Waiter, bool]] = []
        """Who is inside, and whether their answer has begun."""
        self.waiting: list[Waiter] = []
        self.bypassed: set[Waiter] = set()
        self.asked = self.outside = self.ended = 0
        self.now = 0.0

    def settle(self) -> None:
        """Whoever can go, goes: nobody twice, none who did not wait, and no class before a higher one."""
        served = self.admission.serve()
        assert len(set(served)) == len(served)
        ranks = [each.rank for each in served if each.rank != CRISIS]
        assert ranks == sorted(ranks, reverse=True)
        for each in served:
            self.waiting.remove(each)
            self.enter(each)

    def enter(self, waiter: Waiter) -> None:
        self.inside.append((waiter, False))
        if waiter.bypassed:
            assert waiter.rank == CRISIS
            self.bypassed.add(waiter)

    @rule(place=st.integers(0, 1), rank=st.integers(0, 4), user=st.sampled_from("abc"))
    def come(self, place: int, rank: int, user: str) -> None:
        waiter = Waiter(rank, user, self.now)
        before = len(self.waiting)
        pushed = self.gates[place].ask(waiter)
        self.asked += 1
        if pushed is not None:
            assert pushed.rank <= rank
            assert pushed.state is State.OUTSIDE
            self.waiting.remove(pushed)
            self.outside += 1
            assert waiter.state is State.WAITING
        if waiter.state is State.INSIDE:
            assert before == len(self.waiting)
            self.enter(waiter)
        elif waiter.state is State.WAITING:
            self.waiting.append(waiter)
        else:
            self.outside += 1
            same = [each for each in self.waiting if each.gate is self.gates[place]]
            if rank == CRISIS and [each.rank for each in same].count(CRISIS) == 2:
                return
            assert len(same) == 4
            assert min([each.rank for each in same]) >= rank

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def answer_or_end(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.inside) - 1))
        waiter, answered = self.inside[place]
        if answered:
            del self.inside[place]
            self.bypassed.discard(waiter)
            self.ended += 1
            waiter.gate.ended(waiter.rank, waiter.user)
        else:
            self.inside[place] = (waiter, True)
            waiter.gate.answered(waiter.rank)
        self.settle()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(waiter)
        self.admission.drop(waiter)
        self.outside += 1
        self.settle()

    @rule(seconds=st.sampled_from((0.1, 0.25, 0.5)))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        late = self.admission.overdue(self.now)
        assert set(late) == {each for each in self.waiting if self.now - each.since >= 0.5}
        self.outside += len(late)
        self.waiting = [each for each in self.waiting if each not in late]

    @rule(place=st.integers(0, 1), bound=st.integers(1, BOUND))
    def resize(self, place: int, bound: int) -> None:
        self.gates[place].resize(bound)
        self.settle()

    @invariant()
    def nothing_is_lost(self) -> None:
        assert set(self.admission.line) == set(self.waiting)
        assert sum([gate.turns.size for gate in self.gates]) == len(self.waiting)
        assert self.asked == len(self.inside) + len(self.waiting) + self.outside + self.ended
        hall = self.admission.hall
        assert hall.total == sum(hall.held) == len(self.inside)
        for gate in self.gates:
            here = [pair for pair in self.inside if pair[0].gate is gate]
            assert gate.room.total == sum(gate.room.held) == len([each for each, answered in here if not answered])
            assert sum(gate.users.values()) == len(here)

    @invariant()
    def bounds_hold(self) -> None:
        held = self.admission.hall.held
        others = sum([max(0, count - int(share * BOUND)) for count, share in zip(held, RESERVED, strict=True)])
        assert others - len(self.bypassed) <= BOUND - 4
        assert held[CRISIS] <= BOUND // 2

    @invariant()
    def nobody_waits_beside_room(self) -> None:
        for each in self.waiting:
            assert not each.gate.may(each.rank)

    def teardown(self) -> None:
        for waiter, answered in self.inside:
            if not answered:
                waiter.gate.answered(waiter.rank)
            waiter.gate.ended(waiter.rank, waiter.user)
        self.inside = []
        for gate in self.gates:
            gate.resize(BOUND)
        while self.waiting:
            before = len(self.waiting)
            self.settle()
            assert len(self.waiting) < before
            for waiter, _ in self.inside:
                end(waiter)
            self.inside = []
        assert (self.admission.hall.held, [gate.room.held for gate in self.gates]) == ([0] * 5, [[0] * 5] * 2)
        assert [gate.users for gate in self.gates] == [{}, {}]


TestTurmoil = Turmoil.TestCase
TestTurmoil.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


class Queueing(RuleBasedStateMachine):
    """Two users of one class always wait at a gate that serves one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.admission, self.gate, (self.inside,) = full(1, queue=50)
        self.waiting = {"a": 0, "b": 0}
        self.served = {"a": 0, "b": 0}
        for user in "abab":
            self.come(user)

    @rule(user=st.sampled_from("aaab"))
    def come(self, user: str) -> None:
        if ask(self.gate, NORMAL, user).state is State.WAITING:
            self.waiting[user] += 1

    @rule()
    def serve(self) -> None:
        for user in "ab":
            if not self.waiting[user]:
                self.come(user)
        end(self.inside)
        (self.inside,) = self.admission.serve()
        self.waiting[self.inside.user] -= 1
        self.served[self.inside.user] += 1

    @invariant()
    def both_are_served_alike(self) -> None:
        assert abs(self.served["a"] - self.served["b"]) <= 1


TestQueueing = Queueing.TestCase
TestQueueing.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
