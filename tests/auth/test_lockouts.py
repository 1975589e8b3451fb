from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from ttagw.auth.lockout_table import Table
from ttagw.auth.lockouts import LONGEST_WAIT, MOST_TOLD, TOLD_WITHIN, Lockouts, Ticket
from ttagw.core.lockout import Mark, Rules, State
from ttagw.core.login import Who, who
from ttagw.errors import LoginPausedError

RULES = Rules(3, 100.0, 300.0)
HERE, THERE = who("192.0.2.1", ())[0], who("192.0.2.2", ())[0]
MIRA, NOBODY = who("", ("mira",))[0], who("", ("nobody",))[0]


class Gate:
    """Lockouts in a time that the test moves."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.told: list[str] = []
        self.changed: list[str] = []
        numbers = count()
        self.lockouts = Lockouts(
            rules,
            Table(rules, b"s" * 32),
            self.clock,
            self.clock.seconds,
            lambda: f"n{next(numbers)}",
            self.told.append,
        )
        self.lockouts.changed = self.changed.append

    def ask(self, *whose: Who) -> Deferred[Ticket]:
        return Deferred.fromCoroutine(self.lockouts.admit(whose))

    def admit(self, *whose: Who) -> Ticket:
        """Somebody who is let through at once."""
        return now(self.ask(*whose))

    def fail(self, *whose: Who, times: int = 1) -> None:
        for _ in range(times):
            self.admit(*whose).failed()

    def refused(self, *whose: Who) -> LoginPausedError:
        with pytest.raises(LoginPausedError) as refusal:
            self.admit(*whose)
        return refusal.value

    def metric(self, name: str, **labels: str) -> float:
        samples = [each for family in self.lockouts.metrics() for each in family.samples if each.name == name]
        return sum([each.value for each in samples if labels.items() <= each.labels.items()])


def now(asked: Deferred[Any]) -> Any:
    found: list[Any] = []
    asked.addBoth(found.append)
    assert found, "it waits"
    if hasattr(found[0], "value"):
        raise found[0].value
    return found[0]


def test_an_account_that_failed_too_often_is_paused_from_everywhere_and_no_other_is() -> None:
    gate = Gate()
    gate.fail(MIRA, times=3)
    refusal = gate.refused(THERE, MIRA)
    assert (refusal.reason, refusal.retry_after) == ("account_paused", 300)
    gate.admit(THERE, NOBODY).over()


def test_an_address_that_failed_too_often_is_paused_for_every_account() -> None:
    gate = Gate()
    for number in range(3):
        gate.fail(HERE, who("", (f"a{number}",))[0])
    assert gate.refused(HERE, MIRA).reason == "address_paused"
    gate.admit(THERE, MIRA).over()


def test_of_two_pauses_the_longer_one_is_told() -> None:
    gate = Gate()
    gate.fail(HERE, times=3)
    gate.clock.advance(10.5)
    gate.fail(MIRA, times=3)
    assert gate.refused(HERE, MIRA).retry_after == 300
    assert gate.refused(HERE).retry_after == 290


def test_a_pause_ends() -> None:
    gate = Gate()
    gate.fail(MIRA, times=3)
    gate.clock.advance(299.9)
    assert gate.refused(MIRA).retry_after == 1
    gate.clock.advance(0.1)
    gate.fail(MIRA, times=2)
    gate.admit(MIRA).over()


def test_a_success_makes_the_account_begin_anew_but_not_the_address() -> None:
    gate = Gate()
    gate.fail(HERE, MIRA, times=2)
    gate.admit(HERE, MIRA).succeeded()
    gate.fail(THERE, MIRA, times=2)
    gate.admit(MIRA).over()
    gate.fail(HERE)
    assert gate.refused(HERE).reason == "address_paused"


def test_a_success_of_an_account_that_has_not_failed_is_nothing_to_write_down() -> None:
    gate = Gate()
    gate.admit(HERE, MIRA).succeeded()
    assert gate.changed == []
    assert len(gate.lockouts.table) == 0


def test_a_ticket_ends_once() -> None:
    gate = Gate()
    ticket = gate.admit(MIRA)
    ticket.over()
    ticket.failed()
    ticket.succeeded()
    ticket.over()
    assert gate.metric("ttagw_login_failures_total") == 0
    gate.admit(MIRA).failed()


def test_guesses_that_are_sent_together_are_no_more_than_those_sent_one_by_one() -> None:
    gate = Gate()
    asked = [gate.ask(who(f"192.0.2.{number}", ())[0], MIRA) for number in range(20)]
    let_through = 0
    while tickets := [now(each) for each in asked if each.called and not hasattr(each.result, "value")]:
        let_through += len(tickets)
        asked = [each for each in asked if not each.called]
        for ticket in tickets:
            ticket.failed()
    assert let_through == 3
    refusals: list[Any] = []
    for each in asked:
        each.addErrback(lambda why: refusals.append(why.value.reason))
    assert refusals == ["account_paused"] * 17


def test_those_who_wait_have_their_turn_when_others_were_good() -> None:
    gate = Gate()
    gate.fail(MIRA)
    first, second = gate.admit(MIRA), gate.admit(MIRA)
    waiting = [gate.ask(MIRA) for _ in range(3)]
    assert not any(each.called for each in waiting)
    first.succeeded()
    # The failure before is forgiven too.
    assert [each.called for each in waiting] == [True, True, False]
    second.over()
    assert waiting[2].called
    for each in waiting:
        now(each).over()


def test_nobody_waits_for_their_turn_for_ever() -> None:
    gate = Gate(Rules(1, 100.0, 300.0))
    gate.admit(MIRA)
    waiting = gate.ask(MIRA)
    gate.clock.advance(LONGEST_WAIT)
    with pytest.raises(LoginPausedError, match="login_crowded"):
        now(waiting)


def test_who_leaves_while_waiting_takes_no_place() -> None:
    gate = Gate(Rules(1, 100.0, 300.0))
    first = gate.admit(MIRA)
    gone = gate.ask(HERE, MIRA)
    gone.addErrback(lambda _: None)
    gone.cancel()
    first.over()
    gate.admit(HERE, MIRA).over()


def test_nobody_in_particular_is_always_let_through() -> None:
    gate = Gate()
    gate.fail(times=10)
    gate.admit().over()


def test_a_pause_that_begins_is_told_once_and_all_is_counted() -> None:
    gate = Gate()
    gate.fail(HERE, MIRA, times=3)
    assert sorted(gate.told) == ["account", "address"]
    for by in ("account", "address"):
        assert gate.metric("ttagw_login_failures_total", by=by) == 3
        assert gate.metric("ttagw_login_pauses_total", by=by) == 1
        assert gate.metric("ttagw_login_paused", by=by) == 1
    assert gate.metric("ttagw_login_known") == 2
    gate.clock.advance(300.0)
    assert gate.metric("ttagw_login_paused") == 0


def test_an_attack_from_everywhere_is_counted_whole_and_told_in_part() -> None:
    gate = Gate()
    for number in range(MOST_TOLD + 10):
        gate.fail(who("", (f"a{number}",))[0], times=3)
    assert gate.metric("ttagw_login_pauses_total", by="account") == MOST_TOLD + 10
    assert len(gate.told) == MOST_TOLD
    gate.clock.advance(TOLD_WITHIN)
    gate.fail(MIRA, times=3)
    assert len(gate.told) == MOST_TOLD + 1


# Others


def test_what_another_gateway_tells_counts_here_and_its_pause_is_not_told_again() -> None:
    gate = Gate()
    name = gate.lockouts.table.name(MIRA)
    theirs = State(pause=Mark(1100.0, "x"))
    assert not gate.lockouts.hear(name, theirs)
    assert gate.refused(MIRA).retry_after == 100
    assert (gate.told, gate.changed) == ([], [])


def test_failures_here_and_elsewhere_begin_a_pause_together_which_is_told_and_is_news() -> None:
    gate = Gate()
    gate.fail(MIRA, times=2)
    name = gate.lockouts.table.name(MIRA)
    assert gate.lockouts.hear(name, State((Mark(999.0, "x"),)))
    assert gate.refused(MIRA).reason == "account_paused"
    assert gate.told == ["account"]


def test_what_is_known_here_and_not_there_is_news() -> None:
    gate = Gate()
    gate.fail(MIRA)
    name = gate.lockouts.table.name(MIRA)
    assert gate.changed == [name]
    assert gate.lockouts.hear(name, State())
    assert not gate.lockouts.hear(name, gate.lockouts.table.get(name, 1000.0))
