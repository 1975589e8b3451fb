from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.lockout import NEVER, Mark, Rules, State, failed, merged, news, settled, succeeded

RULES = Rules(3, 100.0, 300.0)

rules = st.builds(Rules, st.integers(1, 4), st.integers(1, 20).map(float), st.integers(1, 40).map(float))
steps = st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["fail", "fail", "fail", "succeed"])), max_size=40)


class Plain:
    """The same, by a list of everything that ever happened."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.failures: list[float] = []
        self.until = float("-inf")

    def fail(self, now: float) -> None:
        if now < self.until:
            return
        self.failures.append(now)
        if len([at for at in self.failures if now - at < self.rules.window]) >= self.rules.failures:
            self.until = now + self.rules.lasts
            self.failures = []

    def succeed(self) -> None:
        self.failures = []


def marks(*times: float, name: str = "n") -> tuple[Mark, ...]:
    return tuple([Mark(at, f"{name}{number}") for number, at in enumerate(times)])


def after(*times: float, rules: Rules = RULES, name: str = "n") -> State:
    state = State()
    for mark in marks(*times, name=name):
        state = failed(state, rules, mark)
    return state


@given(rules, steps)
def test_it_pauses_as_a_plain_list_of_all_failures_says(rules: Rules, steps: list[tuple[int, str]]) -> None:
    state, plain, now = State(), Plain(rules), 0.0
    for number, (passed, what) in enumerate(steps):
        # Two events at one instant have no order.
        now += passed + 0.5
        if what == "fail":
            state = failed(state, rules, Mark(now, str(number)))
            plain.fail(now)
        else:
            state = succeeded(state, rules, Mark(now, str(number)))
            plain.succeed()
        assert state.left(now) == max(0.0, plain.until - now)
        assert len(state.failures) < rules.failures


def test_the_failure_that_is_one_too_many_begins_a_pause() -> None:
    assert after(0, 50).left(50) == 0
    assert after(0, 50, 99).left(99) == 300
    assert after(0, 50, 99).left(399) == 0


def test_failures_count_within_the_window_only() -> None:
    assert after(0, 50, 100).left(100) == 0
    assert after(0, 50, 100, 149).left(149) == 300


def test_after_a_pause_the_count_begins_anew_even_within_the_window() -> None:
    rules = Rules(3, 1000.0, 10.0)
    state = after(0, 1, 2, rules=rules)
    assert state.left(3) == 9
    for at in (12.0, 13.0):
        state = failed(state, rules, Mark(at, f"m{at}"))
        assert state.left(at) == 0
    assert failed(state, rules, Mark(14.0, "m")).left(14) == 10


def test_what_fails_during_a_pause_neither_prolongs_it_nor_counts_later() -> None:
    paused = after(0, 1, 2)
    assert failed(paused, RULES, Mark(50.0, "x")) == paused


def test_a_success_forgives_what_failed_and_ends_no_pause() -> None:
    state = succeeded(after(0, 1), RULES, Mark(2.0, "s"))
    assert (state.failures, state.cleared) == ((), Mark(2.0, "s"))
    assert succeeded(after(0, 1, 2), RULES, Mark(3.0, "s")).left(3) == 299


def test_what_no_longer_counts_is_nothing() -> None:
    assert settled(after(0, 1), RULES, 101.0) == State()
    assert settled(succeeded(State(), RULES, Mark(0.0, "s")), RULES, 100.0) == State()
    paused = after(0, 1, 2)
    assert settled(paused, RULES, 401.0) == paused
    assert settled(paused, RULES, 402.0) == State()


# What two gateways know

times = st.lists(st.integers(0, 200).map(float), max_size=6)


@given(times, times, rules)
def test_a_merge_is_the_same_whoever_merges_and_however_often(
    ones: list[float], others: list[float], rules: Rules
) -> None:
    one, other = after(*sorted(ones), rules=rules, name="a"), after(*sorted(others), rules=rules, name="b")
    both = merged(one, other, rules, 200.0)
    assert both == merged(other, one, rules, 200.0)
    assert merged(both, one, rules, 200.0) == both == merged(both, other, rules, 200.0)
    assert not news(both, both)


@given(times, times, rules)
def test_a_merge_forgets_no_pause_and_begins_one_when_all_together_are_too_many(
    ones: list[float], others: list[float], rules: Rules
) -> None:
    one, other = after(*sorted(ones), rules=rules, name="a"), after(*sorted(others), rules=rules, name="b")
    both = merged(one, other, rules, 200.0)
    assert both.left(200.0) >= max(one.left(200.0), other.left(200.0))
    plain = Plain(rules)
    for at in sorted([*ones, *others]):
        plain.fail(at)
    if not (one.pause.nonce or other.pause.nonce or plain.until > float("-inf")):
        assert both.left(200.0) == 0


def test_failures_of_two_gateways_count_together() -> None:
    both = merged(after(0, 2, name="a"), after(1, name="b"), RULES, 3.0)
    # The last of the three began it.
    assert (both.pause, both.failures) == (Mark(302.0, "a1"), ())


def test_a_success_elsewhere_forgives_here_what_came_before_it() -> None:
    mine = after(0, 5)
    theirs = succeeded(after(1, name="b"), RULES, Mark(3.0, "s"))
    both = merged(mine, theirs, RULES, 6.0)
    assert both.failures == mine.failures[1:]


def test_of_what_is_known_here_the_time_that_is_known_here_counts() -> None:
    for jump in (-3600.0, 3600.0):
        paused = after(0, 1, 2)
        moved = paused._replace(pause=Mark(paused.pause.at + jump, paused.pause.nonce))
        assert merged(paused, moved, RULES, 10.0).left(10.0) == 292
        counting = after(0, 1)
        moved = counting._replace(failures=tuple([Mark(at + jump, nonce) for at, nonce in counting.failures]))
        assert merged(counting, moved, RULES, 10.0) == counting


def test_what_others_say_is_bounded_by_what_can_be() -> None:
    absurd = State(marks(1e12), Mark(1e12, "s"), Mark(1e12, "p"))
    both = merged(State(), absurd, RULES, 10.0)
    assert both.left(10.0) == 300
    assert both.cleared.at == 10.0


def test_news_is_what_the_other_does_not_say() -> None:
    assert news(after(0, 1), after(0))
    assert not news(after(0), after(0, 1))
    assert news(after(0, 1, 2), after(0, 1))
    assert news(succeeded(after(0), RULES, Mark(1.0, "s")), after(0))
    assert not news(State(), after(0))
    assert NEVER.nonce == ""
