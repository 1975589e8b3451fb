from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.auth.revoking import token
from ttagw.auth.revocation_watchers import TooManyWatchersError, Watchers


def test_there_is_room_for_so_many() -> None:
    watchers = Watchers(2)
    end = watchers.add(token(), ("m",), lambda: None)
    watchers.add(token(), ("m", "n"), lambda: None)
    with pytest.raises(TooManyWatchersError):
        watchers.add(token(), ("m",), lambda: None)
    end()
    watchers.add(token(), ("m",), lambda: None)
    assert len(watchers) == 2


def test_only_those_with_a_mark_that_changed_are_asked_about_and_nothing_stays_of_them() -> None:
    watchers = Watchers()
    asked: list[str] = []
    told: list[str] = []
    for name in ("a", "b", "c"):
        watchers.add(token(name), (name, "all"), lambda name=name: told.append(name))  # type: ignore[misc]

    def forbidden(identity: object) -> bool:
        asked.append(identity.user)  # type: ignore[attr-defined]
        return True

    assert watchers.tell(["b", "nobody"], forbidden) == 1
    assert (asked, told, len(watchers)) == (["b"], ["b"], 2)
    assert watchers.tell(["a", "all"], forbidden) == 2
    assert (told, len(watchers)) == (["b", "a", "c"], 0)
    assert watchers._by_mark == {}


def test_one_who_is_told_may_end_another() -> None:
    watchers = Watchers()
    told: list[str] = []
    ends: list[Callable[[], None]] = []

    def first() -> None:
        told.append("first")
        ends[0]()

    watchers.add(token(), ("m",), first)
    ends.append(watchers.add(token(), ("m",), lambda: told.append("second")))
    assert watchers.tell(["m"], lambda identity: True) == 1
    assert told == ["first"]
