from __future__ import annotations

import pytest

from tests.registry.fleets import BAD, GOOD, Fleet, config, record
from tests.twisted_hygiene import Failures
from ttagw.config.services import Health
from ttagw.registry import registry as module
from ttagw.registry.records import Origin
from ttagw.registry.registry import ConflictError, FullError


def test_a_lease_that_is_not_renewed_ends() -> None:
    made, ended = Fleet(), []
    made.registry.lease_ended = ended.append
    made.put("x", lease=15.0)
    made.pass_time(10.0)
    assert made.registry.renew("a", "x", 15.0) is made.member("x")
    made.pass_time(14.75)
    made.take()
    assert ended == []
    made.pass_time(0.25)
    assert [each.id for each in ended] == ["x"]
    assert made.take() == ["instance_left x lease_expired", "service_down a no_instance"]
    assert made.checker.watched == {}
    assert made.registry.renew("a", "x", 15.0) is None


def test_only_who_has_a_lease_can_renew_it() -> None:
    made = Fleet()
    made.put("x", origin=Origin.CONFIG)
    made.put("y", lease=15.0)
    made.member("y").instance.in_flight = 1
    made.registry.drain("a", "y", "test")
    assert [made.registry.renew(*each, 15.0) for each in (("a", "x"), ("a", "y"), ("a", "z"), ("nobody", "x"))] == [
        None
    ] * 4


def test_checks_begin_with_the_start_and_follow_what_is_declared() -> None:
    made = Fleet()
    made.registry.stop()
    made.put("x")
    assert made.checker.begun == []
    made.registry.start()
    made.put("x")
    assert made.checker.begun == [("a", "x")]
    made.put("x", weight=2)
    made.put("x", url="http://elsewhere")
    assert made.checker.begun == [("a", "x")] * 3
    made.put("x", url="http://elsewhere", health=Health(type="none"))
    assert made.checker.watched == {}


def test_the_id_of_another_service_is_taken_while_it_is_there() -> None:
    made = Fleet()
    made.put("x", of="a")
    with pytest.raises(ConflictError, match='an instance of "a" has this id'):
        made.put("x", of="b")
    made.put("y", of="a", origin=Origin.CONFIG)
    made.put("y", of="b")
    made.registry.leave("a", "x", "test")
    assert made.put("x", of="b")


def test_an_instance_of_the_configuration_cannot_be_taken_over_and_takes_nothing_over() -> None:
    made = Fleet()
    made.put("x", origin=Origin.CONFIG)
    made.put("y")
    with pytest.raises(ConflictError, match="from: config"):
        made.put("x")
    made.registry.replace("a", Origin.FILE, [record("y", origin=Origin.FILE)], slowly=False)
    assert made.member("y").record.origin is Origin.SELF


def test_beyond_the_most_nobody_new_is_taken_and_those_there_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_INSTANCES", 2)
    made = Fleet()
    made.put("x", of="a")
    made.put("y", of="b")
    with pytest.raises(FullError, match="2 instances"):
        made.put("z", of="c")
    assert made.put("x", weight=2) is False


def test_replacing_takes_out_what_is_not_listed_and_leaves_other_origins_alone() -> None:
    made = Fleet()
    made.put("self")
    files = [record(name, origin=Origin.FILE) for name in "xy"]
    made.registry.replace("a", Origin.FILE, files, slowly=False)
    made.take()
    made.registry.replace("a", Origin.FILE, files[1:], slowly=False)
    assert made.take() == ["instance_draining x not_listed", "instance_left x drained"]
    assert list(made.registry.groups["a"].members) == ["self", "y"]


def test_a_bad_url_keeps_neither_the_others_nor_what_was_there_before_out() -> None:
    made = Fleet()
    made.registry.replace("a", Origin.FILE, [record("x", origin=Origin.FILE)], slowly=False)
    news = [record("x", url="http://bad", origin=Origin.FILE), record("y", origin=Origin.FILE)]
    made.registry.replace("a", Origin.FILE, news, slowly=False)
    assert made.asked() == [["x", "y"]]
    assert made.member("x").record.url == "http://x"


def test_one_that_was_down_is_down_until_one_check_is_good() -> None:
    made = Fleet()
    made.put("x")
    made.put("y")
    made.take()
    made.registry.remember_down("a", "x")
    for unknown in (("a", "z"), ("nobody", "x")):
        made.registry.remember_down(*unknown)
    assert made.asked() == [["y"]]
    made.check("x", GOOD)
    assert (made.asked(), made.take()) == ([["x", "y"]], ["instance_up x"])


def test_what_was_remembered_does_not_count_against_a_check_or_without_checks() -> None:
    made = Fleet()
    made.put("x")
    made.put("y", health=Health(type="none"))
    made.check("x", GOOD)
    for name in "xy":
        made.registry.remember_down("a", name)
    assert made.asked() == [["x", "y"]]


def test_news_from_elsewhere_is_checked_and_one_result_is_enough() -> None:
    made = Fleet()
    made.put("x")
    made.put("y", health=Health(type="none"))
    made.check("x", GOOD)
    assert made.registry.suspect("a", "x", up=False) is True
    assert made.asked() == [["x", "y"]]
    made.check("x", BAD)
    assert made.asked() == [["y"]]
    assert made.registry.suspect("a", "x", up=False) is False
    assert made.registry.suspect("a", "y", up=False) is False
    assert made.registry.suspect("a", "z", up=False) is False
    assert made.registry.suspect("nobody", "x", up=False) is False


def test_who_goes_up_and_down_is_told_to_who_writes_it_down() -> None:
    made, told = Fleet(), []
    made.registry.health_changed = lambda member: told.append((member.record.id, member.health.up))
    made.put("x")
    made.check("x", BAD)
    made.check("x", GOOD)
    made.check("x", GOOD)
    assert told == [("x", False), ("x", True)]
    assert made.member("x").checks == {"timeout": 1, "good": 2}


def test_one_that_went_down_lately_is_checked_more_often() -> None:
    made = Fleet()
    made.put("x")
    assert made.check("x", GOOD) is False
    made.check("x", BAD, 3)
    made.pass_time(59.0)
    assert made.check("x", BAD) is True
    made.pass_time(2.0)
    assert made.check("x", BAD) is False


def chain(*, require: bool = True) -> Fleet:
    """a needs b needs c."""
    made = Fleet(
        {
            "a": config(dependencies=["b"], require_dependencies=require),
            "b": config(dependencies=["c"], require_dependencies=require),
            "c": config(),
        }
    )
    for name in "abc":
        made.put(f"{name}1", of=name)
    made.take()
    return made


def test_what_is_missing_far_down_degrades_all_above_it() -> None:
    made = chain(require=False)
    made.check("c1", BAD, of="c")
    assert [made.state(of=name) for name in "abc"] == ["degraded", "degraded", "down"]
    assert made.state("a1") == "degraded"
    assert made.take()[-2:] == ["service_degraded a c", "service_degraded b c"]
    assert made.asked("a") == [["a1"]]
    made.check("c1", GOOD, of="c")
    assert made.take()[-2:] == ["service_whole a", "service_whole b"]
    assert [made.state(of=name) for name in "abc"] == ["up"] * 3


def test_where_dependencies_are_required_all_above_is_asked_nothing() -> None:
    made = chain()
    made.breaks("c")
    made.pass_time(0.25)
    assert [made.asked(name) for name in "abc"] == [[], [], [["c1"]]]
    assert (made.state("a1"), made.state(of="a")) == ("barred", "down")
    made.registry.force("c", None, "forced_closed")
    made.pass_time(0.5)
    assert [made.state(of=name) for name in "abc"] == ["up"] * 3


def test_those_who_need_each_other_come_back() -> None:
    made = Fleet({name: config(require_dependencies=True) for name in "ab"})
    made.put("a1", of="a", dependencies=("b",))
    made.put("b1", of="b", dependencies=("a", "b"))
    made.pass_time(0.25)
    made.check("a1", BAD, of="a")
    made.pass_time(0.5)
    assert (made.asked("a"), made.asked("b")) == ([], [])
    made.check("a1", GOOD, of="a")
    made.pass_time(0.5)
    assert (made.asked("a"), made.asked("b")) == ([["a1"]], [["b1"]])


def test_what_instances_need_counts_as_far_down_as_it_goes() -> None:
    made = Fleet({name: config(require_dependencies=True) for name in "abc"})
    for name, needs in (("a", ("b",)), ("b", ("c",)), ("c", ())):
        made.put(f"{name}1", of=name, dependencies=needs)
    made.check("c1", BAD, of="c")
    assert [made.asked(name) for name in "abc"] == [[], [], []]
    made.check("c1", GOOD, of="c")
    made.pass_time(0.25)
    assert [made.asked(name) for name in "abc"] == [[["a1"]], [["b1"]], [["c1"]]]


def test_only_instances_that_need_it_are_left_out() -> None:
    made = Fleet({"a": config(require_dependencies=True), "b": config()})
    made.put("x", dependencies=("b",))
    made.put("y")
    made.pass_time(0.25)
    assert (made.asked("a"), made.state()) == ([["y"]], "up")


def test_what_fails_in_one_service_keeps_no_lease_of_another_from_ending(failures: Failures) -> None:
    made = Fleet()
    made.put("x", of="a")
    made.put("y", of="b", lease=1.0)

    def broken(now: float) -> None:
        raise ZeroDivisionError

    made.registry.groups["a"].tick = broken  # type: ignore[method-assign]
    made.pass_time(1.0)
    assert made.registry.groups["b"].members == {}
    assert len(failures.take(ZeroDivisionError)) == 4


def test_an_operator_can_only_decide_about_what_there_is() -> None:
    made = Fleet()
    for name, id_ in (("nobody", None), ("a", "nobody")):
        with pytest.raises(KeyError):
            made.registry.force(name, id_, "auto")


def test_a_failure_in_looking_at_dependencies_stops_nothing(failures: Failures) -> None:
    made = Fleet()
    made.put("x", lease=1.0)

    def broken(*_: object) -> bool:
        raise ZeroDivisionError

    made.registry.groups["b"].missing = broken  # type: ignore[method-assign, assignment]
    made.pass_time(1.0)
    assert made.registry.groups["a"].members == {}
    assert len(failures.take(ZeroDivisionError)) == 4


def test_who_is_not_there_cannot_leave_and_a_stopped_registry_looks_at_nothing() -> None:
    made = Fleet()
    made.registry.leave("a", "nobody", "test")
    made.put("x", lease=1.0)
    made.registry.stop()
    made.registry.stop()
    made.pass_time(5.0)
    assert (list(made.registry.groups["a"].members), made.clock.getDelayedCalls()) == (["x"], [])
