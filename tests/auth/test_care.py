from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from tests.auth.glass_kit import result
from ttagw.auth import care as module
from ttagw.auth.care import MOST_ASKING, MOST_OF_ONE, NO_FOR, Care, care_metrics
from ttagw.errors import AccessUnknownError
from ttagw.testing import Clock


class Asked:
    """A care service that answers when the test says so."""

    def __init__(self, cache: float = 60.0) -> None:
        self.clock = Clock()
        self.questions: list[tuple[str, str, bytes]] = []
        self.waiting: list[Deferred[int]] = []
        self.care = Care(self._question, cache, self.clock)

    def _question(self, caller: str, person: str, request_id: bytes) -> Deferred[int]:
        self.questions.append((caller, person, request_id))
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def ask(self, person: str = "perry", caller: str = "thea", status: int = 0) -> Any:
        """Whether the caller cares: at once, or with an answer of this status; None without one."""
        try:
            found = self.care.cares(caller, person, b"id")
        except AccessUnknownError as error:
            return error.reason
        if not isinstance(found, Deferred):
            return found
        if status:
            self.waiting.pop(0).callback(status)
        value = result(found)
        return value.reason if isinstance(value, AccessUnknownError) else value


@pytest.mark.parametrize(
    ("status", "answer"),
    [(200, True), (204, True), (299, True), (403, False), (404, False)],
)
def test_yes_and_no(status: int, answer: bool) -> None:
    asked = Asked()
    assert asked.ask(status=status) is answer
    assert asked.questions == [("thea", "perry", b"id")]
    # From then on without a question.
    assert asked.ask() is answer
    assert len(asked.questions) == 1


@pytest.mark.parametrize("status", [100, 101, 199, 300, 301, 304, 400, 401, 405, 410, 429, 500, 503, 599])
def test_anything_else_is_no_answer_and_is_not_remembered(status: int) -> None:
    asked = Asked()
    assert asked.ask(status=status) == "care_unknown"
    assert asked.ask(status=200) is True


def test_without_an_answer_it_is_not_known() -> None:
    asked = Asked()
    found = asked.care.cares("thea", "perry", b"id")
    assert isinstance(found, Deferred)
    asked.waiting.pop().callback(0)
    error = result(found)
    assert isinstance(error, AccessUnknownError)
    assert (error.reason, error.retry_after) == ("care_unknown", 1)


def test_answers_are_good_for_a_while_a_no_for_a_shorter_one() -> None:
    asked = Asked(60.0)
    asked.ask("yes", status=200)
    asked.ask("no", status=404)
    asked.clock.advance(NO_FOR - 0.1)
    assert (asked.ask("yes"), asked.ask("no")) == (True, False)
    asked.clock.advance(0.1)
    assert (asked.ask("yes"), asked.ask("no", status=200)) == (True, True)
    asked.clock.advance(60.0 - NO_FOR)
    assert asked.ask("yes", status=403) is False
    assert len(asked.questions) == 4


def test_a_short_life_is_that_of_a_no_too_and_none_is_none() -> None:
    asked = Asked(2.0)
    asked.ask(status=404)
    asked.clock.advance(2.0)
    assert asked.ask(status=404) is False
    asked = Asked(0.0)
    assert [asked.ask(status=200), asked.ask(status=404)] == [True, False]
    assert asked.care._known == {}


def test_each_pair_has_its_own_answer() -> None:
    asked = Asked()
    asked.ask("perry", "thea", status=200)
    assert asked.ask("perry", "theo", status=404) is False
    assert asked.ask("pippa", "thea", status=404) is False


@pytest.mark.parametrize(("caller", "person"), [("thea", "."), ("thea", ".."), (".", "perry"), ("..", "perry")])
def test_who_is_called_like_a_way_in_a_path_is_cared_for_by_nobody(caller: str, person: str) -> None:
    asked = Asked()
    assert asked.ask(person, caller) is False
    assert asked.questions == []


def test_who_asks_the_same_waits_for_the_same_answer() -> None:
    asked = Asked()
    found = [asked.care.cares("thea", "perry", b"%d" % number) for number in range(3)]
    assert asked.questions == [("thea", "perry", b"0")]
    first, *others = [each for each in found if isinstance(each, Deferred)]
    first.cancel()
    assert isinstance(result(first), CancelledError)
    asked.waiting[0].callback(200)
    assert [result(each) for each in others] == [True, True]
    assert asked.care.outcomes == {"yes": 1}


def test_so_many_are_asked_at_once_and_what_is_known_needs_no_place() -> None:
    asked = Asked()
    asked.ask("known", status=200)
    waiting = [asked.care.cares(f"t{number}", "perry", b"id") for number in range(MOST_ASKING)]
    assert asked.ask("one-more") == "care_busy"
    assert asked.ask("known") is True
    assert isinstance(asked.care.cares("t0", "perry", b"id"), Deferred)
    for each in asked.waiting:
        each.callback(200)
    assert [result(each) for each in waiting if isinstance(each, Deferred)] == [True] * MOST_ASKING
    asked.waiting.clear()
    assert asked.ask("one-more", status=200) is True
    assert asked.care.outcomes == {"yes": MOST_ASKING + 2, "busy": 1, "remembered": 1}


def test_whoever_asks_about_many_leaves_room_for_others() -> None:
    asked = Asked()
    waiting = [asked.care.cares("thea", f"p{number}", b"id") for number in range(MOST_OF_ONE)]
    assert asked.ask("one-more") == "care_busy"
    others = asked.care.cares("theo", "perry", b"id")
    asked.waiting.pop(0).callback(200)
    more = asked.care.cares("thea", "one-more", b"id")
    for each in asked.waiting:
        each.callback(200)
    assert [result(each) for each in (*waiting, others, more) if isinstance(each, Deferred)] == [True] * 12
    assert asked.care._by_caller == {}


def test_so_many_answers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KNOWN", 3)
    asked = Asked()
    for number in range(4):
        asked.ask(f"p{number}", status=200)
    assert asked.ask("p3") is True
    assert asked.ask("p0", status=404) is False
    assert len(asked.care._known) == 3


def test_at_the_end_questions_are_ended() -> None:
    asked = Asked()
    found = asked.care.cares("thea", "perry", b"id")
    asked.care.stop()
    assert isinstance(found, Deferred)
    assert isinstance(result(found), CancelledError)
    assert asked.waiting[0].called


def test_it_has_something_to_tell_prometheus() -> None:
    asked = Asked()
    asked.ask(status=200)
    asked.ask()
    under_way = asked.care.cares("thea", "theo", b"id")
    samples = {
        (each.name, *each.labels.values()): each.value for family in care_metrics(asked.care) for each in family.samples
    }
    assert samples == {
        ("ttagw_care_questions_total", "yes"): 1,
        ("ttagw_care_questions_total", "remembered"): 1,
        ("ttagw_care_asking",): 1,
    }
    asked.care.stop()
    assert isinstance(under_way, Deferred)
    assert isinstance(result(under_way), CancelledError)
