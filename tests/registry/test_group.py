"""Who is asked, who is left out, who comes back; and that each change is told once."""

from __future__ import annotations

from tests.registry.fleets import BAD, GOOD, Fleet, config
from ttagw.config.services import Health
from ttagw.core.breaker import State
from ttagw.registry.records import Origin

NONE, TCP = Health(type="none"), Health(type="tcp")


def fleet(*names: str, **more: object) -> Fleet:
    made = Fleet({"a": config(**more)})
    for name in names:
        made.put(name)
    made.take()
    return made


def test_the_first_instance_is_asked_at_once() -> None:
    made = fleet()
    assert (made.state(), made.asked()) == ("down", [])
    assert made.put("x") is True
    assert made.put("x") is False
    assert (made.state(), made.asked(), made.take()) == ("up", [["x"]], ["instance_joined x self"])


def test_three_failed_checks_take_it_out_and_two_good_ones_bring_it_back() -> None:
    made = fleet("x", "y")
    made.check("x", GOOD)
    made.check("x", BAD, 2)
    assert made.asked() == [["x", "y"]]
    made.check("x", BAD)
    assert (made.asked(), made.state("x"), made.take()) == ([["y"]], "down", ["instance_down x timeout"])
    made.check("x", GOOD)
    assert made.take() == []
    made.check("x", GOOD)
    assert (made.asked(), made.state("x"), made.take()) == ([["x", "y"]], "up", ["instance_up x"])


def test_of_one_that_was_never_well_one_failure_is_enough() -> None:
    made = fleet("x", "y")
    assert made.check("x", BAD) is True
    assert (made.asked(), made.take()) == ([["y"]], ["instance_down x timeout"])


def test_without_anybody_the_service_is_down_and_then_up_again() -> None:
    made = fleet("x")
    made.check("x", BAD)
    assert (made.state(), made.take()) == ("down", ["instance_down x timeout", "service_down a no_healthy_instance"])
    made.check("x", GOOD)
    assert made.take() == ["instance_up x", "service_up a"]
    made.registry.leave("a", "x", "test")
    assert made.take() == ["instance_left x test", "service_down a no_instance"]


def test_whoever_fails_requests_is_left_out_and_comes_back_by_a_request() -> None:
    made = fleet("x", "y")
    made.fails("x")
    assert (made.asked(), made.state("x"), made.take()) == ([["y"]], "ejected", ["instance_ejected x failures"])
    made.pass_time(29.75)
    assert made.asked() == [["y"]]
    made.pass_time(0.25)
    assert made.asked() == [["x", "y"]]
    assert made.member("x").instance.guarded
    breaker = made.member("x").instance.breaker
    ticket = breaker.admit(made.now)
    assert (made.state("x"), made.asked()) == ("probing", [["x", "y"]])
    breaker.success(ticket, 0.1, made.now)
    assert (made.state("x"), made.take()) == ("up", ["instance_returned x"])
    assert not made.member("x").instance.guarded


def test_good_checks_bring_back_who_is_left_out_sooner_and_each_time_later() -> None:
    made = fleet("x", "y")
    made.check("x", GOOD)
    for seconds in (2.5, 5.0, 10.0, 10.0):
        made.fails("x")
        made.pass_time(seconds - 0.25)
        assert made.check("x", GOOD) is True
        assert made.asked() == [["y"]], seconds
        made.pass_time(0.25)
        made.check("x", GOOD)
        assert made.asked() == [["x", "y"]], seconds


def test_more_than_half_are_never_left_out_and_that_is_a_panic() -> None:
    made = fleet(*"wxyz")
    for name in "wxy":
        made.fails(name)
    assert made.asked() == [["y", "z"]]
    assert (made.state(), made.state("y"), made.state("w")) == ("panic", "panic", "ejected")
    assert made.take() == ["instance_ejected w failures", "instance_ejected x failures", "panic_began a too_few_left"]
    made.pass_time(30.0)
    for name in "wxy":
        made.succeeds(name)
    assert made.take() == ["panic_ended a too_few_left", "instance_returned w", "instance_returned x"]
    assert (made.state(), made.asked()) == ("up", [list("wxyz")])


def test_who_is_left_out_is_taken_back_when_too_few_others_remain() -> None:
    made = fleet("x", "y", "z")
    made.fails("x")
    made.take()
    made.check("y", BAD)
    assert (made.asked(), made.state("x")) == ([["x", "z"]], "panic")
    assert sorted(made.take()) == [
        "instance_down y timeout",
        "instance_returned x too_few_left",
        "panic_began a too_few_left",
    ]


def test_of_one_alone_no_breaker_is_asked_until_there_is_another() -> None:
    made = fleet("x")
    made.fails("x")
    assert (made.asked(), made.member("x").instance.guarded, made.take()) == ([["x"]], False, [])
    made.put("y")
    assert (made.asked(), made.member("x").instance.guarded) == ([["y"]], True)
    made.pass_time(30.0)
    assert made.asked() == [["x", "y"]]


def test_the_last_that_remains_is_not_left_out_any_more() -> None:
    made = fleet("x", "y")
    made.fails("x")
    made.registry.leave("a", "y", "test")
    assert (made.asked(), made.state("x"), made.state()) == ([["x"]], "up", "up")
    assert not made.member("x").instance.guarded


def test_what_an_operator_forces_is_obeyed() -> None:
    made = fleet("x", "y")
    made.registry.force("a", "x", "forced_open")
    assert (made.asked(), made.state("x"), made.take()) == (
        [["y"]],
        "forced_open",
        ["instance_forced x forced_open"],
    )
    made.registry.force("a", "x", "auto")
    assert made.asked() == [["x", "y"]]
    made.registry.force("a", "x", "forced_closed")
    made.registry.force("a", "y", "forced_open")
    for _ in range(3):
        made.fails("x")
    assert made.asked() == [["x"]]


def test_zones_are_asked_in_the_order_of_the_configuration_and_unknown_ones_last() -> None:
    made = Fleet({"a": config(instances=[{"url": "http://1", "zone": "near"}, {"url": "http://2", "zone": "far"}])})
    for name, zone in (("x", "other"), ("y", "far"), ("z", "near")):
        made.put(name, zone=zone)
    assert made.asked() == [["z"], ["y"], ["x"]]
    made.check("z", BAD)
    assert made.asked() == [["y"], ["x"]]


def test_draining_lets_what_is_under_way_end_and_takes_thirty_seconds_at_most() -> None:
    made = fleet("x", "y", "z")
    for name in "xy":
        made.member(name).instance.in_flight = 1
    made.registry.drain("a", "x", "test")
    made.registry.drain("a", "x", "again")
    made.registry.drain("a", "y", "test")
    made.registry.drain("a", "nobody", "test")
    assert (made.asked(), made.state("x")) == ([["z"]], "draining")
    assert made.take() == ["instance_draining x test", "instance_draining y test"]
    made.member("x").instance.in_flight = 0
    made.pass_time(0.25)
    assert made.take() == ["instance_left x drained"]
    made.pass_time(29.5)
    assert made.take() == []
    made.pass_time(0.25)
    assert (made.take(), made.retired) == (["instance_left y drained"], ["http://x", "http://y"])


def test_one_that_drains_and_is_declared_again_is_back() -> None:
    made = fleet("x", "y")
    made.member("x").instance.in_flight = 1
    made.registry.drain("a", "x", "test")
    made.take()
    assert made.put("x") is False
    assert (made.asked(), made.take()) == ([["x", "y"]], ["instance_joined x back"])
    assert ("a", "x") in made.checker.watched


def test_one_that_drains_and_is_declared_at_another_url_is_asked_there() -> None:
    made = fleet("x", "y")
    before = made.member("x").instance
    before.in_flight = 1
    made.registry.drain("a", "x", "test")
    made.take()
    made.put("x", url="http://elsewhere")
    assert (made.asked(), made.take(), made.retired) == ([["x", "y"]], ["instance_changed x url"], ["http://x"])
    assert made.registry.groups["a"].leaving == [before]
    before.in_flight = 0
    made.pass_time(0.25)
    assert made.registry.groups["a"].leaving == []


def test_what_breaks_at_the_old_url_says_nothing_about_the_new_one() -> None:
    made = fleet("x", "y")
    made.fails("x")
    old = made.member("x").instance.breaker
    made.put("x", url="http://elsewhere")
    made.fails("x")
    made.pass_time(20.0)
    made.take()
    old.hasten(made.now)
    old.success(old.admit(made.now), 0.1, made.now)
    made.pass_time(0.25)
    assert (made.state("x"), made.asked(), made.take()) == ("ejected", [["y"]], [])


def test_a_change_of_weight_counts_at_once() -> None:
    made = fleet("x", "y")
    made.put("x", weight=7)
    assert (made.member("x").instance.weight, made.member("x").instance.full) == (7, 7)
    assert made.take() == ["instance_changed x record"]
    made.put("x", weight=7)
    assert made.take() == []


def test_one_that_is_not_checked_any_more_is_not_down_and_checked_again_it_may_be() -> None:
    made = fleet("x", "y")
    made.check("x", BAD)
    made.take()
    made.put("x", health=NONE)
    assert (made.asked(), ("a", "x") in made.checker.watched) == ([["x", "y"]], False)
    assert made.take() == ["instance_changed x record", "instance_up x unchecked"]
    made.put("x", health=TCP)
    assert ("a", "x") in made.checker.watched
    made.check("x", BAD)
    assert made.asked() == [["y"]]


def test_a_newcomer_starts_slowly_and_ends_at_full_weight() -> None:
    made = fleet("x", slow_start="10s")
    made.put("y", weight=10, slowly=True)
    instance = made.member("y").instance
    assert instance.weight == 1.0
    made.pass_time(5.0)
    assert instance.weight == 5.0
    made.put("y", weight=20, slowly=True)
    assert instance.weight == 10.0
    made.pass_time(5.0)
    assert instance.weight == 20.0
    made.pass_time(5.0)
    assert (instance.weight, made.member("y").slow_from) == (20.0, -1.0)


def test_one_alone_does_not_start_slowly() -> None:
    made = fleet(slow_start="10s")
    made.put("x", slowly=True)
    assert made.member("x").instance.weight == 1


def test_whoever_comes_back_starts_slowly() -> None:
    made = fleet("x", "y", slow_start="10s")
    made.check("x", BAD)
    made.check("x", GOOD)
    made.fails("y")
    made.pass_time(30.0)
    made.succeeds("y")
    assert made.member("y").instance.weight == 0.1


def test_the_services_own_breaker_is_told_of() -> None:
    made = fleet("x")
    made.breaks("a")
    assert (made.state(), made.take()) == ("circuit_open", ["circuit_open a open"])
    made.registry.force("a", None, "forced_open")
    made.registry.force("a", None, "auto")
    assert made.take() == ["circuit_forced_open a forced_open", "circuit_closed a closed"]


def test_a_view_says_all_of_it() -> None:
    made = Fleet({"a": config(), "b": config()})
    made.put("x", weight=2, zone="z", tags=("t",), version="1", dependencies=("b",), lease=15.0)
    made.check("x", BAD)
    view = made.registry.view("a")
    assert view is not None
    (one,) = view["instances"]
    assert (view["name"], view["state"], view["in_rotation"], view["panic"]) == ("a", "down", 0, False)
    assert (one["id"], one["url"], one["state"], one["origin"]) == ("x", "http://x", "down", Origin.SELF.value)
    assert (one["weight"], one["share"], one["zone"], one["tags"], one["version"]) == (2, 1.0, "z", ["t"], "1")
    assert one["health"]["last"] == {"good": False, "reason": "timeout", "seconds": 2.0}
    assert (one["health"]["up"], one["health"]["held_down"], one["lease"]) == (False, False, 15.0)
    assert one["breaker"] == {"state": State.CLOSED.value, "wait": 0.0}
    assert [each["name"] for each in made.registry.views()] == ["a", "b"]
    assert made.registry.view("nobody") is None


def test_who_is_only_believed_to_be_down_is_there_for_those_who_must_not_be_refused() -> None:
    made = fleet("w", "x", "y", "z")

    def spare() -> list[str]:
        return [each.label.decode() for each in made.services["a"].spare]

    assert spare() == []
    made.check("x", BAD)
    made.fails("w")
    assert spare() == ["w", "x"]
    for each in ("w", "y", "z"):
        made.check(each, BAD)
    assert (made.state(), spare()) == ("down", ["w", "x", "y", "z"])
    made.member("x").instance.in_flight = 1
    made.registry.groups["a"].drain("x", made.now, "test")
    made.member("y").instance.breaker.force(State.FORCED_OPEN, made.now)
    assert spare() == ["w", "z"]
    made.check("z", GOOD, 2)
    assert (made.asked(), spare()) == ([["z"]], ["w"])
