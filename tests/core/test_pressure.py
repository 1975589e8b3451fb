from __future__ import annotations

from ttagw.core.classes import TrafficClass
from ttagw.core.pressure import Pressure


def test_the_less_is_left_the_fewer_classes_are_let_in() -> None:
    pressure = Pressure()
    found = []
    for share in (0.5, 0.849, 0.85, 0.9, 0.95, 1.5):
        pressure.seen("memory", share)
        found.append(TrafficClass(pressure.least))
    assert [each.text for each in found] == ["low", "low", "normal", "therapeutic", "crisis", "crisis"]


def test_a_shortage_begins_and_ends_once() -> None:
    pressure = Pressure()
    told = [pressure.seen("memory", share) for share in (0.8, 0.86, 0.92, 0.86, 0.83, 0.81, 0.8)]
    assert told == [False, True, False, False, False, True, False]


def test_a_step_is_taken_back_only_when_it_is_clear() -> None:
    pressure = Pressure()
    least = []
    for share in (0.96, 0.93, 0.91, 0.88, 0.86, 0.83, 0.81):
        pressure.seen("files", share)
        least.append(TrafficClass(pressure.least).text)
    assert least == ["crisis", "crisis", "therapeutic", "therapeutic", "normal", "normal", "low"]


def test_what_is_shortest_decides() -> None:
    pressure = Pressure()
    pressure.seen("memory", 0.86)
    pressure.seen("files", 0.91)
    assert (pressure.least, pressure.reason) == (TrafficClass.THERAPEUTIC, "files")
    pressure.seen("files", 0.0)
    assert (pressure.least, pressure.reason) == (TrafficClass.NORMAL, "memory")
    assert pressure.short("memory")
    assert not pressure.short("files")
