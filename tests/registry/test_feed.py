from __future__ import annotations

from typing import Any

from tests.registry.fleets import Fleet, config, record
from ttagw.registry.feed import Feed
from ttagw.registry.records import Origin
from ttagw.registry.sources import Update


class Said:
    """A source that says what the test wants."""

    def __init__(self, url: str, *at_once: Any) -> None:
        self.url = url
        self.at_once = at_once
        self.update: Update | None = None
        self.running = False

    def start(self, update: Update) -> None:
        self.running = True
        self.update = update
        if self.at_once:
            update(self.at_once)

    def stop(self) -> None:
        self.running = False

    def say(self, *records: Any) -> None:
        assert self.update is not None
        self.update(records)


def feed(fleet: Fleet, *sources: Said) -> Feed:
    left = {each.url: each for each in sources}
    return Feed("a", fleet.configs["a"], fleet.registry, lambda name, each, dns: left[each.url], None)  # type: ignore[arg-type]


def of_file(name: str, **more: Any) -> Any:
    return record(name, origin=Origin.FILE, **more)


def made(*urls: str, **more: Any) -> Fleet:
    return Fleet({"a": config(instances=list(urls), **more)})


def test_what_one_source_says_leaves_alone_what_others_said() -> None:
    fleet = made("file:1", "file:2", "srv+http://_a._tcp.internal", "http://plain")
    one, two, srv = Said("file:1"), Said("file:2"), Said("srv+http://_a._tcp.internal")
    feed(fleet, one, two, srv).start()
    one.say(of_file("x"), of_file("y"))
    two.say(of_file("z"))
    srv.say(record("w", origin=Origin.DNS))
    one.say(of_file("y"))
    assert fleet.asked() == [["y", "z", "w"]]
    srv.say()
    assert fleet.asked() == [["y", "z"]]
    two.say()
    one.say()
    assert fleet.asked() == []


def test_an_id_that_two_files_name_stays_until_both_have_dropped_it() -> None:
    fleet = made("file:1", "file:2")
    one, two = Said("file:1"), Said("file:2")
    feed(fleet, one, two).start()
    one.say(of_file("x", weight=1))
    two.say(of_file("x", weight=2))
    assert fleet.member("x").record.weight == 2
    two.say()
    assert fleet.member("x").record.weight == 1
    one.say()
    assert fleet.asked() == []


def test_who_is_there_at_the_start_has_its_whole_share_and_who_comes_later_begins_slowly() -> None:
    fleet = made("file:1", slow_start="10s")
    source = Said("file:1", of_file("x"), of_file("y"))
    feed(fleet, source).start()
    source.say(of_file("x"), of_file("y"), of_file("z"))
    assert [fleet.member(name).instance.weight for name in "xyz"] == [1, 1, 0.1]


def test_all_of_them_are_stopped() -> None:
    sources = Said("file:1"), Said("file:2")
    made_feed = feed(made("file:1", "file:2"), *sources)
    made_feed.start()
    assert [each.running for each in sources] == [True, True]
    made_feed.stop()
    assert [each.running for each in sources] == [False, False]
