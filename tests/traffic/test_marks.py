from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from tests.auth.revoking import Shared
from tests.store.test_mirror import done
from ttagw.core.classes import TrafficClass, session_key
from ttagw.core.marks import Mark
from ttagw.errors import MarksFullError, NotStoredError
from ttagw.traffic import marks as module
from ttagw.traffic.marks import PREFIX, Marks

CRISIS = Mark(TrafficClass.CRISIS, 1060.0)


class Place:
    """Marks of two gateways that share a store; `clock` begins at Unix time 1000."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = Shared(self.clock)
        done(self.store.start())
        self.here, self.there = self.gateway(), self.gateway()

    def gateway(self) -> Marks:
        made = Marks(self.store, self.clock, lambda: 1000.0 + self.clock.seconds())
        made.start()
        return made


@pytest.fixture
def place() -> Place:
    return Place()


def test_a_mark_is_in_effect_everywhere_and_what_is_kept_says_nothing(place: Place) -> None:
    assert done(place.here.put("s/1", CRISIS)) is True
    assert place.here.find("s/1") == place.there.find("s/1") == CRISIS
    assert place.there.all == {session_key("s/1"): CRISIS}
    stored = done(place.store.scan(""))
    assert list(stored) == [PREFIX + session_key("s/1")]
    assert b"s/1" not in b"".join(stored.values())


def test_a_later_mark_takes_the_place_of_an_earlier_one(place: Place) -> None:
    done(place.here.put("s-1", CRISIS))
    done(place.there.put("s-1", Mark(TrafficClass.HIGH, 1030.0)))
    assert place.here.find("s-1") == Mark(TrafficClass.HIGH, 1030.0)


def test_its_time_is_over_to_the_moment(place: Place) -> None:
    done(place.here.put("s-1", CRISIS))
    place.clock.advance(59.9)
    assert place.here.find("s-1") == CRISIS
    place.clock.rightNow += 0.2
    assert place.here.find("s-1") is None


def test_lifting_it_says_whether_there_was_one(place: Place) -> None:
    done(place.here.put("s-1", CRISIS))
    assert done(place.there.remove("s-1")) is True
    assert place.here.find("s-1") is None
    assert done(place.there.remove("s-1")) is False


def test_while_the_store_is_away_a_mark_is_in_effect_here_and_later_everywhere(place: Place) -> None:
    place.store.away()
    assert done(place.here.put("s-1", CRISIS)) is False
    assert place.here.find("s-1") == CRISIS
    assert place.there.find("s-1") is None
    place.store.back()
    place.clock.advance(1.0)
    assert place.there.find("s-1") == CRISIS


def test_while_the_store_is_away_no_mark_is_lifted(place: Place) -> None:
    done(place.here.put("s-1", CRISIS))
    place.store.away()
    with pytest.raises(NotStoredError):
        done(place.here.remove("s-1"))
    assert place.here.find("s-1") == CRISIS


def test_there_is_room_for_so_many(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    done(place.here.put("s-1", CRISIS))
    done(place.here.put("s-2", CRISIS))
    with pytest.raises(MarksFullError):
        done(place.here.put("s-3", CRISIS))
    done(place.here.put("s-2", Mark(TrafficClass.HIGH, 1030.0)))
    done(place.here.remove("s-1"))
    done(place.here.put("s-3", CRISIS))
    assert place.there.find("s-3") == CRISIS
