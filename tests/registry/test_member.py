from __future__ import annotations

from typing import Any

import pytest

from tests.registry.fleets import BAD, GOOD, ONE, Fleet, record
from ttagw.config.services import Health as Settings
from ttagw.core.breaker import State
from ttagw.core.rotation import Standing
from ttagw.registry.checks import Verdict
from ttagw.registry.member import ATTENTIVE, Member
from ttagw.testing import ScriptedPool, instance

HTTP = Settings(unhealthy_after=3, healthy_after=2)


@pytest.fixture
def member() -> Member:
    pool: Any = ScriptedPool()
    return Member(record("x", weight=10), HTTP, instance("x", pool, lambda: 100.0, ONE, weight=10), 1, 100.0)


def opened(member: Member, now: float) -> None:
    """A request fails."""
    breaker = member.instance.breaker
    breaker.failure(breaker.admit(now), 0.1, now)
    assert breaker.state is State.OPEN
    member.opened_at(now)


def test_it_begins_up_and_says_how_it_stands(member: Member) -> None:
    assert (member.state, member.able) == ("up", True)
    assert member.standing(100.0) == Standing(1, True, False, False, 0.0)


def test_checks_take_it_down_and_bring_it_up(member: Member) -> None:
    assert [member.took(each, 101.0) for each in (GOOD, BAD, BAD, BAD, GOOD, GOOD)] == [False] * 3 + [True, False, True]
    assert member.checks == {"good": 3, "timeout": 3}
    assert member.changed == 101.0


def test_before_anything_is_known_one_result_decides(member: Member) -> None:
    assert member.took(BAD, 101.0)
    assert member.took(GOOD, 102.0)
    assert not member.took(BAD, 103.0)


def test_what_drains_is_barred_or_down_does_not_stand(member: Member) -> None:
    for name, value in (("draining", 101.0), ("barred", True)):
        before = getattr(member, name)
        setattr(member, name, value)
        assert not member.standing(101.0).up
        setattr(member, name, before)
    member.was_down(101.0)
    assert (member.standing(101.0).up, member.able, member.state) == (False, False, "down")


def test_a_good_check_gives_it_a_chance_after_a_while_that_grows(member: Member) -> None:
    member.took(GOOD, 100.0)
    now = 100.0
    for seconds in (2.5, 5.0, 10.0, 10.0):
        opened(member, now)
        member.took(GOOD, now + seconds - 0.1)
        assert member.standing(now + seconds - 0.1).open
        member.took(GOOD, now + seconds)
        assert not member.standing(now + seconds).open
        now += seconds
    member.instance.breaker.success(member.instance.breaker.admit(now), 0.1, now)
    now += 100.0
    opened(member, now)
    assert member.trips == 1


def test_coming_up_gives_it_a_chance_at_once(member: Member) -> None:
    opened(member, 100.0)
    member.took(BAD, 100.1)
    member.took(GOOD, 100.2)
    assert not member.standing(100.2).open


def test_other_settings_keep_what_was_found_out_unless_nothing_is_checked(member: Member) -> None:
    member.was_down(100.0)
    assert member.set(HTTP, 101.0) is False
    assert member.set(Settings(type="tcp"), 102.0) is False
    assert (member.health.up, member.changed) == (False, 100.0)
    assert member.set(Settings(type="none"), 103.0) is True
    assert (member.health.up, member.changed) == (True, 103.0)
    assert member.set(Settings(type="http"), 104.0) is False
    assert member.health.up


def test_the_next_check_comes_soon_in_doubt_and_while_it_has_just_gone_down(member: Member) -> None:
    assert not member.doubtful(100.0)
    member.took(BAD, 100.0)
    assert member.doubtful(100.0 + ATTENTIVE - 0.1)
    assert not member.doubtful(100.0 + ATTENTIVE)
    member.took(GOOD, 170.0)
    member.took(GOOD, 170.0)
    assert not member.doubtful(170.0)
    member.ejected = True
    assert member.doubtful(170.0)


def test_its_share_grows_from_a_tenth_to_all_of_it(member: Member) -> None:
    member.begin_slowly(100.0, 0.0)
    assert member.instance.weight == 10
    member.begin_slowly(100.0, 30.0)
    shares = []
    for now in (100.0, 101.0, 115.0, 129.0, 130.0):
        member.warm(now, 30.0)
        shares.append(round(member.instance.weight, 3))
    assert shares == [1.0, 1.0, 5.0, 9.667, 10.0]
    assert member.slow_from == -1.0


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"draining": 1.0}, "draining"),
        ({"barred": True}, "barred"),
        ({"without": ("b",)}, "degraded"),
        ({"ejected": True}, "ejected"),
    ],
)
def test_its_state_is_one_word(member: Member, change: dict[str, Any], state: str) -> None:
    for name, value in change.items():
        setattr(member, name, value)
    assert member.state == state
    assert member.view(100.0)["state"] == state


def test_checks_that_ask_for_what_is_not_there_say_nothing_until_one_was_good() -> None:
    fleet = Fleet()
    fleet.put("x")
    member = fleet.member("x")
    missing = Verdict(False, "status_404", 0.01)
    for _ in range(5):
        fleet.check("x", missing)
    assert (member.health.up, member.unfit, member.checks) == (True, True, {"status_404": 5})
    assert [event.kind for event in fleet.events.after(0)].count("check_unfit") == 1
    fleet.check("x", GOOD)
    for _ in range(3):
        fleet.check("x", missing)
    assert (member.health.up, member.unfit) == (False, False)


@pytest.mark.parametrize("reason", ["status_503", "connection_refused", "timeout", "bad_answer"])
def test_every_other_bad_check_counts_from_the_start(reason: str) -> None:
    fleet = Fleet()
    fleet.put("x")
    fleet.check("x", Verdict(False, reason, 0.01))
    assert not fleet.member("x").health.up
