from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from tests.abuse.kit import RULES, AwayError, Kit
from ttagw.abuse.entries import Block
from ttagw.errors import BlocksFullError, NotStoredError

ONE, OTHER, THIRD = "203.0.113.7", "203.0.113.8", "203.0.113.9"


def done(work: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine that waits for nothing returns, or raises."""
    found: list[Any] = []
    failed: list[BaseException] = []
    Deferred.fromCoroutine(work).addCallbacks(found.append, lambda failure: failed.append(failure.value))
    if failed:
        raise failed[0]
    return found[0]


def test_who_offends_is_blocked_for_as_long_as_the_rules_say_and_longer_each_time() -> None:
    kit = Kit()
    lengths = []
    for _ in range(6):
        kit.offend()
        assert kit.active == [ONE]
        block = kit.blocks.known(f"address/{ONE}")
        assert block is not None
        lengths.append(block.over - kit.wall())
        kit.pass_time(lengths[-1] + 1, step=50.0)
        assert kit.active == []
    assert lengths == [100.0, 200.0, 400.0, 800.0, 1000.0, 1000.0]
    assert [each.offences for each in kit.told.blocks] == [1, 2, 3, 4, 5, 6]
    assert kit.blocks.made == {"address": 6, "user": 0}
    assert len(kit.began) == 6


def test_after_a_quiet_time_it_begins_anew() -> None:
    kit = Kit()
    kit.offend()
    kit.pass_time(100 + 3600 + 1, step=100.0)
    assert kit.mirror.entries == {}
    kit.offend()
    assert [each.offences for each in kit.told.blocks] == [1, 1]


def test_who_is_blocked_already_is_not_blocked_again() -> None:
    kit = Kit()
    kit.offend()
    kit.offend()
    assert len(kit.told.blocks) == 1
    assert kit.mirror.writes == [f"address/{ONE}"]


def test_users_are_kept_under_a_key_that_does_not_name_them() -> None:
    kit = Kit()
    kit.offend("mira", "user")
    [key] = kit.mirror.entries
    assert key.startswith("user/")
    assert "mira" not in key
    assert kit.table.find_user("mira") is not None
    assert kit.table.find_user("other") is None


# Operators


def test_operators_add_with_and_without_an_end_and_lift() -> None:
    kit = Kit()
    block: Block = done(kit.blocks.add("address", "203.0.113.0/24", None, "ticket-1"))
    assert (block.end, block.by, block.reason) == (None, "operator", "ticket-1")
    done(kit.blocks.add("user", "mira", 60.0, "operator"))
    assert kit.active == ["203.0.113.0/24", "mira"]
    kit.pass_time(61.0)
    assert kit.active == ["203.0.113.0/24"]
    assert done(kit.blocks.lift("address", "203.0.113.0/24"))
    assert not done(kit.blocks.lift("address", "203.0.113.0/24"))
    assert kit.active == []
    assert [each.subject for each in kit.told.lifts] == ["203.0.113.0/24"]


def test_lifting_forgets_what_was_before() -> None:
    kit = Kit()
    kit.offend()
    assert done(kit.blocks.lift("address", ONE))
    kit.offend()
    assert [each.offences for each in kit.told.blocks] == [1, 1]


def test_operators_change_a_block_that_there_is() -> None:
    kit = Kit()
    kit.offend()
    done(kit.blocks.add("address", ONE, 5.0, "short"))
    kit.pass_time(6.0)
    assert kit.active == []


def test_what_operators_ask_for_is_not_done_while_the_store_is_away() -> None:
    kit = Kit()
    kit.offend()
    kit.mirror.away = True
    with pytest.raises(NotStoredError):
        done(kit.blocks.add("address", OTHER, None, "operator"))
    with pytest.raises(NotStoredError):
        done(kit.blocks.lift("address", ONE))
    assert kit.active == [ONE]


# The store


def test_while_the_store_is_away_blocks_begin_here_and_are_written_later() -> None:
    kit = Kit()
    kit.mirror.away = True
    kit.offend()
    assert (kit.active, kit.mirror.entries) == ([ONE], {})
    kit.pass_time(5.0)
    kit.mirror.away = False
    kit.pass_time(1.0)
    assert kit.mirror.entries[f"address/{ONE}"] == kit.told.blocks[0]
    assert kit.mirror.writes == [f"address/{ONE}"]


def test_nothing_is_written_before_it_is_known_what_others_have_written() -> None:
    kit = Kit()
    kit.mirror.current = False
    kit.offend()
    kit.pass_time(2.0)
    assert kit.mirror.writes == []
    operators = Block("address", ONE, kit.wall(), None, None, "operator", "theirs")
    kit.mirror.hear(operators)
    kit.mirror.current = True
    kit.pass_time(2.0)
    assert kit.mirror.writes == []
    assert kit.table.get(f"address/{ONE}") == operators


def test_of_two_automatic_blocks_the_one_that_lasts_longer_counts() -> None:
    kit = Kit()
    kit.mirror.current = False
    kit.offend()
    mine = kit.told.blocks[0]
    for length, expected in ((50.0, mine.over), (150.0, kit.wall() + 150.0)):
        kit.mirror.hear(Block("address", ONE, kit.wall(), kit.wall() + length, kit.wall() + 3600))
        found = kit.table.get(f"address/{ONE}")
        assert found is not None
        assert found.over == expected


def test_what_others_block_and_lift_is_in_effect_here_and_told_by_them() -> None:
    kit = Kit()
    kit.mirror.hear(Block("address", ONE, kit.wall(), kit.wall() + 100, kit.wall() + 200))
    assert (kit.active, kit.told.blocks, len(kit.began)) == ([ONE], [], 1)
    done(kit.mirror.remove(f"address/{ONE}"))
    assert kit.active == []


def test_an_offence_that_others_have_seen_counts_here() -> None:
    kit = Kit()
    kit.mirror.hear(Block("address", ONE, kit.wall() - 200, kit.wall() - 100, kit.wall() + 3000, offences=2))
    assert kit.active == []
    kit.offend()
    assert kit.told.blocks[0].offences == 3


def test_a_block_in_the_place_of_another_does_not_count() -> None:
    kit = Kit()
    kit.mirror.hear(Block("address", ONE, kit.wall(), None, None, "operator"), f"address/{OTHER}")
    assert kit.active == []


def test_a_block_that_is_lifted_while_it_is_written_is_gone() -> None:
    kit = Kit()
    kit.mirror.meanwhile = lambda: done(kit.blocks.lift("address", ONE))
    kit.offend()
    assert (kit.active, kit.mirror.entries) == ([], {})


def test_what_was_not_written_is_written_at_the_end() -> None:
    kit = Kit()
    kit.mirror.away = True
    kit.offend()
    kit.mirror.away = False
    Deferred.fromCoroutine(kit.blocks.stop())
    assert list(kit.mirror.entries) == [f"address/{ONE}"]
    kit.mirror.away = True
    kit.offend(OTHER)
    Deferred.fromCoroutine(kit.blocks.stop())


def test_what_is_over_before_the_store_is_back_is_not_written() -> None:
    kit = Kit()
    kit.mirror.away = True
    kit.offend()
    kit.pass_time(2 * (RULES.block_for + 3600.0), step=100.0)
    kit.mirror.away = False
    kit.pass_time(1.0)
    assert kit.mirror.writes == []


# Bounds


def test_the_oldest_that_nobody_asked_for_gives_way() -> None:
    kit = Kit(most=3)
    done(kit.blocks.add("address", "10.0.0.0/8", None, "operator"))
    for subject in (ONE, OTHER):
        kit.offend(subject)
    kit.offend(THIRD)
    assert kit.active == ["10.0.0.0/8", OTHER, THIRD]
    kit.pass_time(3.0)
    assert sorted(kit.mirror.entries) == ["address/10.0.0.0/8", f"address/{OTHER}", f"address/{THIRD}"]
    # It offends again before it has gone from the store.
    kit.offend(ONE)
    kit.offend(OTHER)
    kit.pass_time(3.0)
    assert kit.active == ["10.0.0.0/8", ONE, OTHER]


def test_operators_are_told_when_all_places_are_theirs() -> None:
    kit = Kit(most=2)
    for number in (1, 2):
        done(kit.blocks.add("address", f"10.{number}.0.0/16", None, "operator"))
    with pytest.raises(BlocksFullError):
        done(kit.blocks.add("address", ONE, None, "operator"))
    kit.offend()
    assert kit.active == ["10.1.0.0/16", "10.2.0.0/16"]
    done(kit.blocks.add("address", "10.1.0.0/16", 60.0, "again"))


def test_metrics_say_how_many_there_are() -> None:
    kit = Kit()
    kit.mirror.away = True
    kit.offend()
    given = {
        (sample.name, *sample.labels.values()): sample.value for each in kit.blocks.metrics() for sample in each.samples
    }
    assert given["ttagw_blocks", "address", "threshold"] == 1
    assert given["ttagw_blocks", "user", "operator"] == 0
    assert given["ttagw_blocks_made_total", "address"] == 1
    assert given["ttagw_blocks_unwritten",] == 1
    assert issubclass(AwayError, Exception)
