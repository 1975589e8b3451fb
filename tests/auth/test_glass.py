from __future__ import annotations

import pytest

from tests.auth.glass_kit import REASON, World, result, therapist
from ttagw.auth import glass as module
from ttagw.auth.glass import ALERT_EVERY, MOST_REASONS
from ttagw.core.identity import Identity
from ttagw.errors import AccessRefusedError, AccessUnknownError, GatewayError, GlassLimitError, GlassReasonError


def reason(error: object) -> str:
    assert isinstance(error, GatewayError), error
    return error.reason


def test_with_a_reason_somebody_is_let_in_for_a_while() -> None:
    world = World()
    (ward,) = world.gateways
    assert not ward.lets_in()
    assert ward.open(REASON) is True
    ((record, _),) = ward.page()
    assert (record.caller, record.person, record.reason) == ("thea", "perry", REASON.decode())
    assert (record.kind, record.issuer, record.roles) == ("token", "https://i", ("therapist",))
    assert (record.route, record.gateway, record.ends - record.time) == ("r", "g0", 900.0)
    assert record.request_id.encode() == ward.exchange.id
    assert ward.exchange.access == ("break_glass", record.id)
    world.pass_time(899.0, 60.0)
    assert ward.lets_in()
    world.pass_time(1.0)
    assert not ward.lets_in()


def test_it_is_open_for_this_caller_and_this_person_only() -> None:
    (ward,) = World().gateways
    ward.open(REASON)
    assert ward.lets_in()
    for who, person in (
        (therapist(), "pippa"),
        (therapist("theo"), "perry"),
        (therapist(issuer="https://other"), "perry"),
        (therapist(mfa=False), "perry"),
        (Identity("key", "thea", ("therapist",), (), mfa=True, issuer="https://i"), "perry"),
        (Identity("token", "thea", ("patient",), (), mfa=True, issuer="https://i"), "perry"),
    ):
        assert not ward.lets_in(who, person)


def test_nothing_is_in_effect_before_it_is_stored() -> None:
    (ward,) = World().gateways
    ward.port.slow = True
    waiting = ward.begin(REASON)
    for stored in range(3):
        assert not waiting.called
        assert not ward.lets_in()
        assert len(ward.world.data.kept) == stored
        assert bool(ward.told) == (stored == 2)
        ward.port.release()
    assert result(waiting) is True
    assert ward.lets_in()


@pytest.mark.parametrize("stored", [0, 1, 2])
def test_a_store_that_goes_away_on_the_way_lets_nobody_in(stored: int) -> None:
    (ward,) = World().gateways
    ward.port.slow = True
    waiting = ward.begin(REASON)
    for _ in range(stored):
        ward.port.release()
    ward.port.become(False)
    ward.port.release()
    error = result(waiting)
    assert isinstance(error, AccessUnknownError)
    assert (error.reason, error.retry_after) == ("not_recorded", 1)
    assert not ward.lets_in()
    # What is on record has been told, whatever came of it.
    assert [each.kind for each in ward.told] == (["break_glass"] if stored == 2 else [])
    assert ward.glass.outcomes == {"not_recorded": 1}


def test_a_store_that_takes_nothing_lets_nobody_in() -> None:
    (ward,) = World().gateways
    ward.port.full = True
    assert reason(ward.open(REASON)) == "not_recorded"


def test_a_store_that_forgets_lets_nobody_in() -> None:
    (ward,) = World(durable=False).gateways
    assert reason(ward.open(REASON)) == "not_recorded"
    assert ward.world.data.kept == {}


def test_who_asks_the_same_at_once_waits_for_the_same_record() -> None:
    (ward,) = World().gateways
    ward.port.slow = True
    first, second, other = ward.begin(REASON), ward.begin(REASON), ward.begin(REASON, person="pippa")
    # Who leaves does not end it for the others.
    first.cancel()
    assert isinstance(result(first), Exception)
    while ward.port.held:
        ward.port.release()
    assert (result(second), result(other)) == (True, True)
    ward.port.slow = False
    assert len(ward.page()) == 2
    assert ward.glass.uses == 2


def test_when_everybody_has_left_it_is_recorded_all_the_same() -> None:
    (ward,) = World().gateways
    ward.port.slow = True
    ward.begin(REASON).addErrback(lambda _: None).cancel()
    while ward.port.held:
        ward.port.release()
    ward.port.slow = False
    assert len(ward.page()) == 1
    assert ward.lets_in()


def test_only_so_many_records_are_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_RECORDING", 2)
    (ward,) = World().gateways
    ward.port.slow = True
    waiting = [ward.begin(REASON, person=person) for person in ("a", "b")]
    error = ward.open(REASON, person="c")
    assert (reason(error), error.retry_after) == ("not_recorded", 1)
    while ward.port.held:
        ward.port.release()
    assert [result(each) for each in waiting] == [True, True]


# Reasons


def test_the_same_reason_is_recorded_once_and_another_one_too() -> None:
    world = World()
    (ward,) = world.gateways
    for each in (REASON, REASON, b"Another good reason.", REASON):
        assert ward.open(each) is True
    assert [record.reason for record, _ in ward.page()] == ["Another good reason.", REASON.decode()]
    assert ward.kinds() == [("break_glass", "opened", "alert"), ("break_glass", "again", "warn")]


def test_another_reason_begins_the_time_anew() -> None:
    world = World()
    (ward,) = world.gateways
    ward.open(REASON)
    world.pass_time(800.0, 60.0)
    ward.open(b"Another good reason.")
    world.pass_time(800.0, 60.0)
    assert ward.lets_in()
    world.pass_time(100.0, 60.0)
    assert not ward.lets_in()


def test_when_it_is_over_the_same_reason_is_recorded_again() -> None:
    world = World(lasts=10.0)
    (ward,) = world.gateways
    ward.open(REASON)
    world.pass_time(10.0)
    ward.open(REASON)
    assert len(ward.page()) == 2


def test_so_many_reasons_are_enough() -> None:
    (ward,) = World().gateways
    for number in range(MOST_REASONS + 5):
        assert ward.open(b"A good reason, number %d" % number) is True
    assert len(ward.page()) == MOST_REASONS


def test_an_alert_goes_out_once_a_minute_for_a_caller_and_a_person() -> None:
    world = World()
    (ward,) = world.gateways
    severities: list[str] = []
    for person, wait in (("a", 0.0), ("b", 0.0), ("a", ALERT_EVERY - 1.0), ("a", 1.0)):
        world.pass_time(wait)
        ward.open(b"A good reason, number %d" % len(severities), person=person)
        severities.append(ward.told[-1].severity)
    assert severities == ["alert", "alert", "warn", "alert"]


def test_nothing_that_is_told_is_about_a_person() -> None:
    (ward,) = World().gateways
    ward.open(REASON)
    ((record, _),) = ward.page()
    (event,) = ward.told
    assert (event.instance, event.service) == (record.id, "")
    said = repr((event, ward.events.counts))
    assert not [word for word in ("thea", "perry", "Tuesday") if word in said]
    assert not [key for key in ward.world.data.kept if "thea" in key or "perry" in key]


# Who may not


def test_who_may_not_is_simply_refused_and_that_is_told_now_and_then() -> None:
    world = World()
    (ward,) = world.gateways
    patient = Identity("token", "paula", ("patient",), (), mfa=True)
    for each in (REASON, b"short", b""):
        assert ward.open(each, who=patient) is False
    assert ward.glass.outcomes == {"refused": 3}
    assert ward.kinds() == [("break_glass_refused", "role_missing", "warn")]
    world.pass_time(ALERT_EVERY)
    ward.open(REASON, who=patient)
    assert len(ward.told) == 2
    assert ward.world.data.kept == {}


def test_without_a_second_factor_it_is_said_what_is_missing() -> None:
    (ward,) = World().gateways
    error = ward.open(REASON, who=therapist(mfa=False))
    assert isinstance(error, AccessRefusedError)
    assert (error.reason, error.more) == ("mfa_missing", {"missing": "mfa"})
    assert ward.glass.outcomes == {"no_mfa": 1}


def test_a_reason_that_is_none_is_refused_also_while_it_is_open() -> None:
    (ward,) = World().gateways
    for _ in range(2):
        error = ward.open(b"short")
        assert isinstance(error, GlassReasonError)
        assert error.reason == "break_glass_reason"
        assert reason(ward.open(REASON, REASON)) == "reason_twice"
        ward.open(REASON)
    assert ward.glass.outcomes == {"bad_reason": 4, "recorded": 1}


def test_one_caller_reaches_a_few_people_at_the_same_time_and_no_more() -> None:
    world = World(2, most=2)
    ward, other = world.gateways
    assert ward.open(REASON, person="paula") is True
    world.pass_time(100.0, 10.0)
    assert ward.open(REASON, person="perry") is True
    world.deliver()
    for each in world.gateways:
        error = each.open(REASON, person="pippa")
        assert isinstance(error, GlassLimitError)
        assert (error.status, error.reason, error.retry_after) == (429, "break_glass_limit", 800)
        assert each.glass.outcomes["too_many"] == 1
        assert each.kinds()[-1] == ("break_glass_refused", "too_many", "alert")
    # Whom they reach already they do reach, with another reason too; and others have room of their own.
    assert ward.open(b"Still not heard of.", person="perry") is True
    assert other.open(REASON, who=therapist("theo"), person="pippa") is True
    assert len(ward.page()) == 4
    world.pass_time(801.0, 60.0)
    assert ward.open(REASON, person="pippa") is True


def test_what_is_being_recorded_takes_room_too() -> None:
    (ward,) = World(most=2).gateways
    ward.port.slow = True
    waiting = [ward.begin(REASON, person=person) for person in ("paula", "perry", "pippa")]
    error = result(waiting[2])
    assert isinstance(error, GlassLimitError)
    assert error.retry_after == 1
    ward.port.become(False)
    for _ in range(2):
        ward.port.release()
    assert [reason(result(each)) for each in waiting[:2]] == ["not_recorded", "not_recorded"]
    ward.port.become(True)
    ward.port.slow = False
    # What came to nothing takes none.
    assert [ward.open(REASON, person=person) for person in ("pippa", "quinn")] == [True, True]


def test_who_has_been_revoked_since_gives_a_reason_again() -> None:
    world = World()
    (ward,) = world.gateways
    ward.open(REASON)
    world.pass_time(10.0)
    world.revoked["thea"] = ward.wall()
    assert not ward.lets_in()
    world.pass_time(10.0)
    assert ward.open(REASON) is True
    assert ward.lets_in()
    assert len(ward.page()) == 2


def test_a_further_reason_that_cannot_be_recorded_closes_nothing() -> None:
    (ward,) = World().gateways
    ward.open(REASON)
    ward.port.become(False)
    assert ward.open(b"Still not heard of.") is True
    # Once it is over there is nothing to fall back on.
    ward.world.pass_time(901.0, 60.0)
    assert reason(ward.open(b"Still not heard of.")) == "not_recorded"
    assert ward.glass.outcomes == {"recorded": 1, "not_recorded": 2}
    assert ward.glass.uses == 2


def test_a_further_reason_for_which_there_is_no_room_closes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    (ward,) = World().gateways
    ward.open(REASON)
    monkeypatch.setattr(ward.glass._recording, "_most", 0)
    assert ward.open(b"Still not heard of.") is True
    assert reason(ward.open(REASON, person="pippa")) == "not_recorded"
