"""When keys are fetched, and what tokens get that name one which is not known."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionRefusedError as RefusedError

from tests.auth.published import NEW, OLD, URL, Here
from tests.issuing import ISSUER, Signer, key_set
from tests.twisted_hygiene import Failures
from ttagw.auth.fetch import TIMEOUT, FetchError
from ttagw.auth.jwks import ABSENT_FOR, ASK_EVERY, LONGEST_PAUSE, MOST_ABSENT, MOST_WAITING

# Known keys


def test_keys_are_fetched_at_the_start_and_known_ones_never_wait() -> None:
    here = Here()
    assert here.fetches.urls == [URL]
    here.fetches.answer(OLD)
    assert here.ask("old") == "key"
    assert here.ask(None) == "key"
    here.pass_by(10_000)
    assert here.ask("old") == "key"
    here.stop()


def test_keys_are_fetched_again_before_they_are_too_old() -> None:
    for chance, after in ((0.0, 480.0), (0.999, 588.0)):
        here = Here()
        here.chance = chance
        here.fetches.answer(OLD)
        for _ in range(3):
            assert after - 0.25 <= here.next_fetch() <= after + 0.25
            here.fetches.answer(OLD)
        here.stop()


@pytest.mark.parametrize("refresh", [0.001, 0.05])
def test_however_small_the_age_is_there_is_a_pause(refresh: float) -> None:
    here = Here(OLD, refresh=refresh)
    for _ in range(20):
        here.timers.advance(0.05)
        if here.fetches.open is not None:
            here.fetches.answer(OLD)
    assert here.count <= 11
    here.stop()


FAULTS = [RefusedError(), FetchError("status_500"), FetchError("too_large"), ValueError("?"), CancelledError()]


@pytest.mark.parametrize("error", FAULTS)
def test_after_a_failure_it_is_tried_again_with_growing_pauses_and_the_last_keys_stay(error: Exception) -> None:
    here = Here(OLD)
    here.next_fetch()
    for pause in (0.75, 1.5, 3.0, 6.0, 12.0, 24.0, 45.0, 45.0):
        before = here.count
        here.fetches.fail(error)
        assert here.ask("old") == "key"
        here.timers.advance(pause * 0.99)
        assert here.count == before
        here.timers.advance(pause * 0.02)
        assert here.count == before + 1
    assert LONGEST_PAUSE == 60.0
    here.fetches.answer(NEW)
    assert here.ask("new") == "key"
    here.pass_by(400)
    assert here.fetches.open is None
    here.stop()


@pytest.mark.parametrize("document", [b"", b"<html>", key_set(OLD)[:-5], b'{"keys":[]}', key_set(OLD.jwk(use="enc"))])
def test_garbage_changes_nothing(document: bytes) -> None:
    here = Here(OLD)
    for _ in range(5):
        here.next_fetch()
        here.fetches.say(document)
        assert here.ask("old") == "key"
    assert here.changes == 0
    assert sum(here.keys.outcomes.values()) == 6
    here.stop()


def test_a_fetch_ends_after_a_while_whatever_the_issuer_does() -> None:
    here = Here()
    here.timers.advance(TIMEOUT - 0.1)
    assert here.fetches.open is not None
    here.timers.advance(0.1)
    assert (here.fetches.cancelled, here.keys.outcomes) == (1, {"timeout": 1})
    here.timers.advance(1)
    assert here.count == 2
    here.stop()


def test_it_is_told_when_keys_are_gone_and_not_when_there_are_more() -> None:
    here = Here(OLD)
    for keys, changes in (((OLD, NEW), 0), ((NEW, OLD), 0), ((NEW,), 1), ((NEW,), 1), ((OLD,), 2)):
        here.next_fetch()
        here.fetches.answer(*keys)
        assert here.changes == changes
    here.stop()


def test_what_fails_when_keys_are_gone_stops_nothing(failures: Failures) -> None:
    here = Here(OLD)
    here.keys._changed = lambda: 1 // 0  # type: ignore[assignment, return-value]
    asked = here.waits()
    here.fetches.answer(NEW)
    assert asked.outcome == "key"
    assert len(failures.take(ZeroDivisionError)) == 1
    here.next_fetch()
    here.stop()


def test_there_is_a_next_time_after_what_nobody_foresaw(failures: Failures, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Here(OLD)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    for name in ("_take", "_answer"):
        here.next_fetch()
        monkeypatch.setattr(here.keys, name, broken)
        here.fetches.answer(NEW)
        monkeypatch.undo()
        assert len(failures.take(ZeroDivisionError)) == 1
    here.next_fetch()
    here.fetches.answer(NEW)
    assert here.ask("new") == "key"
    here.stop()


# Unknown keys


def test_an_unknown_key_is_asked_for_once_however_many_wait() -> None:
    here = Here(OLD)
    asked = [here.waits() for _ in range(100)]
    assert here.count == 2
    here.fetches.answer(OLD, NEW)
    assert [each.outcome for each in asked] == ["key"] * 100
    assert here.ask("new") == "key"
    assert here.count == 2
    here.stop()


def test_a_key_that_is_not_there_is_refused_and_remembered_for_a_while() -> None:
    here = Here(OLD)
    asked = here.waits("x")
    here.fetches.answer(OLD)
    assert asked.outcome == "token_key"
    assert here.ask("x") == "token_key"
    here.timers.advance(ABSENT_FOR - 0.5)
    assert here.ask("x") == "token_key"
    assert here.count == 2
    here.timers.advance(0.5)
    here.waits("x")
    assert here.count == 3
    here.stop()


def test_at_most_one_fetch_in_ten_seconds_is_because_of_a_name() -> None:
    here = Here(OLD)
    for number in range(119):
        here.waits(f"x{number}")
        if here.fetches.open is not None:
            here.fetches.answer(OLD)
        here.timers.advance(0.25)
    assert here.count - 1 == 3 == 30 / ASK_EVERY
    here.stop()


def test_who_comes_too_soon_waits_for_the_next_fetch_and_is_not_refused() -> None:
    here = Here(OLD)
    here.waits("x")
    here.fetches.answer(OLD)
    here.timers.advance(0.5)
    # The issuer has another key by now.
    asked = here.waits()
    here.timers.advance(9.4)
    assert (here.count, asked.outcome) == (2, "waits")
    here.timers.advance(0.2)
    assert here.count == 3
    here.fetches.answer(OLD, NEW)
    assert asked.outcome == "key"
    here.stop()


def test_a_fetch_that_began_before_a_key_was_asked_for_says_nothing_against_it() -> None:
    here = Here(OLD)
    first = here.waits("x")
    here.timers.advance(1)
    second = here.waits("new")
    here.fetches.answer(OLD)
    assert (first.outcome, second.outcome) == ("token_key", "waits")
    here.timers.advance(9)
    here.fetches.answer(NEW)
    assert second.outcome == "key"
    here.stop()


def test_a_fetch_that_began_before_may_bring_it_as_well() -> None:
    here = Here(OLD)
    here.next_fetch()
    asked = here.waits()
    assert here.count == 2
    here.fetches.answer(NEW)
    assert asked.outcome == "key"
    here.stop()


def test_a_fetch_by_age_answers_those_who_wait_for_their_turn() -> None:
    here = Here(OLD, refresh=8.0)
    here.waits("x")
    here.fetches.answer(OLD)
    asked = here.waits()
    here.timers.advance(7.9)
    assert here.count == 3
    here.fetches.answer(NEW)
    assert asked.outcome == "key"
    here.stop()


def test_a_failure_is_told_at_once_to_all_who_wait_and_to_those_who_come_then() -> None:
    here = Here(OLD)
    asked = [here.waits("new"), here.waits("x")]
    here.timers.advance(1)
    asked.append(here.waits("later"))
    here.fetches.fail(RefusedError())
    assert [each.outcome for each in asked] == ["keys_unavailable"] * 3
    assert [each.found[0].status for each in asked] == [503] * 3
    assert here.ask("new") == "keys_unavailable"
    assert here.ask("old") == "key"
    # Nobody waits for the tries that follow until the next one may be caused by a name.
    here.timers.advance(1)
    assert here.fetches.open is not None
    joined = here.waits("new")
    here.fetches.answer(NEW)
    assert joined.outcome == "key"
    here.stop()


def test_before_the_first_keys_nobody_is_refused_for_good() -> None:
    here = Here()
    early = here.waits("old")
    here.fetches.fail(RefusedError())
    assert early.outcome == "keys_unavailable"
    # One fetch for these, and none for those who come soon after.
    second = here.waits("old")
    assert here.count == 2
    here.fetches.fail(RefusedError())
    assert second.outcome == "keys_unavailable"
    assert here.ask("old") == "keys_unavailable"
    assert here.count == 2
    here.pass_by(2)
    here.fetches.answer(OLD)
    assert here.ask("old") == "key"
    here.stop()


def test_a_key_for_another_algorithm_is_not_asked_for() -> None:
    here = Here(OLD, Signer("RS256", "second"))
    assert here.ask("old", "ES256") == "token_key"
    assert here.count == 1
    here.stop()


def test_a_token_without_a_name_waits_for_the_first_key_that_fits() -> None:
    here = Here(Signer("EdDSA", "o"))
    asked = here.waits(None)
    here.fetches.answer(OLD)
    assert asked.outcome == "key"
    assert here.ask("o", "EdDSA").outcome == "waits"  # type: ignore[union-attr]
    here.stop()


# Those who wait


def test_who_leaves_takes_the_fetch_from_nobody() -> None:
    here = Here(OLD)
    leaving, staying = here.waits(), here.waits()
    leaving.answer.cancel()
    assert isinstance(leaving.found[0], CancelledError)
    assert (here.keys.waiting, here.fetches.cancelled) == (1, 0)
    here.fetches.answer(NEW)
    assert staying.outcome == "key"
    here.stop()


def test_a_fetch_that_nobody_waits_for_any_more_is_not_begun() -> None:
    here = Here(OLD)
    here.waits("x")
    here.fetches.answer(OLD)
    here.waits().answer.cancel()
    here.timers.advance(ASK_EVERY)
    assert here.count == 2
    here.waits()
    assert here.count == 3
    here.stop()


def test_who_is_told_first_may_make_others_leave() -> None:
    here = Here(OLD)
    first, second = here.waits(), here.waits()
    first.answer.addCallback(lambda _: second.answer.cancel())
    here.fetches.answer(NEW)
    assert isinstance(second.found[0], CancelledError)
    here.stop()


def test_only_so_many_wait() -> None:
    here = Here(OLD)
    asked = [here.waits(f"x{number}") for number in range(MOST_WAITING)]
    assert here.ask("one more") == "keys_busy"
    assert here.ask("old") == "key"
    here.fetches.answer(NEW)
    assert {each.outcome for each in asked} == {"token_key"}
    assert len(here.keys._absent) == MOST_ABSENT
    here.waits("one more")
    here.stop()


def test_only_so_many_names_are_remembered_as_absent() -> None:
    here = Here(OLD)
    for turn in range(3):
        for number in range(MOST_WAITING):
            here.waits(f"x{turn}-{number}")
        here.fetches.answer(OLD)
        here.timers.advance(ASK_EVERY)
    assert len(here.keys._absent) == MOST_ABSENT
    here.stop()


def test_stopping_leaves_nobody_waiting_and_nothing_under_way() -> None:
    here = Here(OLD)
    asked = here.waits()
    here.keys.stop()
    assert here.fetches.cancelled == 1
    assert asked.outcome == "keys_unavailable"
    assert here.ask("new") == "keys_unavailable"
    assert here.ask("old") == "key"
    here.stop()
    here.keys.start()
    assert here.count == 3
    here.stop()


# What is said


def test_failures_are_said_once_and_so_is_their_end(said: list[str]) -> None:
    here = Here(OLD)
    for _ in range(3):
        for error in (RefusedError(), FetchError("status_500")):
            here.next_fetch()
            here.fetches.fail(error)
        here.next_fetch()
        here.fetches.answer(OLD)
    known = "those that are known stay in use"
    failed = f"{ISSUER}: its keys cannot be fetched: connection_failed (ConnectionRefusedError); {known}"
    assert (
        said
        == [f"{ISSUER}: 1 keys, not the same as before"]
        + [
            failed,
            f"{ISSUER}: its keys can be fetched again",
        ]
        * 3
    )
    assert here.keys.outcomes == {"good": 4, "connection_failed": 3, "status_500": 3}
    assert "hush" not in "".join(said)
    here.stop()


def test_other_keys_are_said_and_so_are_those_that_are_passed_over_each_once(said: list[str]) -> None:
    here = Here(OLD, NEW.jwk(use="enc"))
    here.next_fetch()
    here.fetches.answer(OLD, NEW.jwk(use="enc"), {"kty": "oct"})
    here.next_fetch()
    here.fetches.answer(OLD, NEW)
    assert said == [
        f"{ISSUER}: the key 'new' is not used: use",
        f"{ISSUER}: 1 keys, not the same as before",
        f"{ISSUER}: the key without a name is not used: symmetric",
        f"{ISSUER}: 2 keys, not the same as before",
    ]
    here.stop()
