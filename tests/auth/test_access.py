from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from tests.auth.glass_kit import REASON, Ward, World, asking, result, therapist
from ttagw.auth.access import Access
from ttagw.auth.care import MOST_ASKING, Care
from ttagw.core.identity import Identity
from ttagw.errors import AccessUnknownError, GlassReasonError
from ttagw.testing import Clock

PATIENT = Identity("token", "paula", ("patient",), (), mfa=True)


METRICS = {
    "ttagw_break_glass",
    "ttagw_break_glass_uses",
    "ttagw_break_glass_open",
    "ttagw_care_questions",
    "ttagw_care_asking",
}


class Asked:
    """Who may, with a glass and a care service in the test's hands."""

    def __init__(self, *, care: bool = True) -> None:
        self.ward: Ward = World().gateways[0]
        self.waiting: list[Deferred[int]] = []
        self.care = Care(lambda *_: self._question(), 60.0, Clock())
        self.access = Access(self.ward.glass, self.care if care else None)

    def _question(self) -> Deferred[int]:
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def ask(self, *reasons: bytes, who: Identity | None = None, status: int = -1) -> Any:
        """Whether they may; the care service answers with `status`, if it is asked. None while it is not known."""
        self.exchange = asking(*reasons)
        try:
            found = self.access.may(self.exchange, who or therapist(), "perry")
        except Exception as error:
            return error
        if not isinstance(found, Deferred):
            return found
        if status >= 0:
            self.waiting.pop().callback(status)
        return result(found)


def test_without_anything_nobody_may() -> None:
    asked = Asked(care=False)
    assert asked.ask() is False
    assert asked.exchange.access is None
    assert asked.ask(who=PATIENT) is False


def test_what_is_open_is_looked_at_first() -> None:
    asked = Asked()
    asked.ward.open(REASON)
    assert asked.ask() is True
    assert asked.exchange.access is not None
    assert asked.exchange.access[0] == "break_glass"
    assert asked.waiting == []


def test_then_the_service_is_asked() -> None:
    asked = Asked()
    assert asked.ask(status=200) is True
    assert asked.exchange.access == ("care", "")
    assert asked.ask() is True
    assert asked.exchange.access == ("care", "")
    assert asked.ask(REASON) is True
    assert asked.ward.page() == []


def test_and_then_there_is_the_glass() -> None:
    asked = Asked()
    assert asked.ask(REASON, status=404) is True
    assert len(asked.ward.page()) == 1
    asked = Asked()
    assert asked.ask(status=404) is False
    assert asked.ask() is False
    assert asked.ask(REASON) is True
    assert asked.exchange.access is not None


def test_without_a_service_there_is_only_the_glass() -> None:
    asked = Asked(care=False)
    assert asked.ask(REASON) is True
    assert isinstance(asked.ask(b"short"), GlassReasonError)
    assert asked.ask(REASON, who=PATIENT) is False


@pytest.mark.parametrize("status", [0, 500])
def test_a_service_that_is_away_lets_nobody_in_but_those_who_may_break_the_glass(status: int) -> None:
    asked = Asked()
    for reasons, who in (((), None), ((), PATIENT), ((REASON,), PATIENT)):
        error = asked.ask(*reasons, who=who, status=status)
        assert isinstance(error, AccessUnknownError)
        assert error.reason == "care_unknown"
    assert asked.ask(REASON, status=status) is True
    assert isinstance(asked.ask(b"short", who=therapist("theo"), status=status), GlassReasonError)


def test_a_service_that_has_no_time_either() -> None:
    asked = Asked()
    waiting = [asked.access.may(asking(), therapist(f"t{number}"), "perry") for number in range(MOST_ASKING)]
    error = asked.ask()
    assert isinstance(error, AccessUnknownError)
    assert error.reason == "care_busy"
    assert asked.ask(REASON) is True
    asked.care.stop()
    assert all(isinstance(result(each), CancelledError) for each in waiting if isinstance(each, Deferred))


def test_what_the_store_does_not_take_lets_nobody_in_whatever_was_asked_before() -> None:
    asked = Asked()
    asked.ward.port.become(False)
    error = asked.ask(REASON, status=404)
    assert isinstance(error, AccessUnknownError)
    assert error.reason == "not_recorded"


def test_who_leaves_while_it_is_found_out_is_gone() -> None:
    asked = Asked()
    found = asked.access.may(asking(), therapist(), "perry")
    assert isinstance(found, Deferred)
    found.cancel()
    assert isinstance(result(found), CancelledError)
    asked.waiting.pop().callback(200)
    assert asked.ask() is True


def test_it_begins_ends_and_tells() -> None:
    asked = Asked()
    for each in (asked, Asked(care=False)):
        assert {family.name for family in each.access.metrics()} == METRICS
    assert result(Deferred.fromCoroutine(asked.access.stop())) is None
    assert asked.ward.clock.getDelayedCalls() == []
    asked.access.start()
    assert asked.ward.port.watchers != []
