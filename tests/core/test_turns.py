from __future__ import annotations

from dataclasses import dataclass

from ttagw.core.turns import Turns


@dataclass(eq=False)
class Who:
    user: str
    number: int
    rank: int = 1


def line(*users: str, rank: int = 1) -> tuple[Turns[Who], list[Who]]:
    turns: Turns[Who] = Turns()
    those = [Who(user, number, rank) for number, user in enumerate(users)]
    for each in those:
        turns.add(each)
    return turns, those


def order(turns: Turns[Who], held: dict[str, int] | None = None, most: int = 8, rank: int = 1) -> list[int]:
    return [turns.take(rank, held or {}, most).number for _ in range(turns.counts[rank])]


def test_one_user_after_the_other_and_each_in_their_own_order() -> None:
    turns, _ = line("a", "a", "a", "b", "b", "c")
    assert order(turns) == [0, 3, 5, 1, 4, 2]
    assert turns.size == 0


def test_who_comes_anew_comes_after_those_who_wait() -> None:
    turns, _ = line("a", "b")
    assert turns.take(1, {}, 8).number == 0
    turns.add(Who("a", 7))
    assert order(turns) == [1, 7]


def test_who_holds_much_stands_back_while_others_wait() -> None:
    turns, _ = line("a", "a", "b")
    assert order(turns, {"a": 8, "b": 7}) == [2, 0, 1]


def test_if_all_hold_much_the_turns_go_on() -> None:
    turns, _ = line("a", "a", "b")
    assert order(turns, {"a": 9, "b": 9}) == [0, 2, 1]


def test_who_is_removed_is_not_served() -> None:
    turns, those = line("a", "b", "a")
    turns.remove(those[1])
    turns.remove(those[0])
    assert (turns.size, turns.counts[1]) == (1, 1)
    assert order(turns) == [2]


def test_the_newest_of_the_heaviest_of_the_lowest_class_yields() -> None:
    turns, _ = line("a", "b", "b", "b", "c", rank=1)
    for number, user in enumerate("de"):
        turns.add(Who(user, 10 + number, 2))
    yielding = turns.yields(3, "z")
    assert yielding is not None
    assert yielding.number == 3


def test_in_the_same_class_only_who_keeps_as_many_as_the_newcomer_yields() -> None:
    turns, those = line("a", "a", "b")
    assert turns.yields(1, "c") is those[1]
    assert turns.yields(1, "b") is None
    assert turns.yields(1, "a") is None


def test_nobody_yields_to_a_lower_class() -> None:
    turns, _ = line("a", "a", "a", rank=3)
    assert turns.yields(2, "b") is None
    assert Turns[Who]().yields(4, "b") is None


def test_those_of_a_class_are_told() -> None:
    turns, those = line("a", "b", "a")
    assert sorted([each.number for each in turns.of_class(1)]) == [0, 1, 2]
    assert turns.of_class(2) == []
    assert len(those) == 3
