"""Two keys of one name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.auth.keyplace import GOOD, HASH, NOBODY, OTHER, WRONG, Place, Threads, asked, result
from ttagw.auth.keyfile import add, new_key
from ttagw.auth.keys import LOOK_EVERY, Caller, Keys
from ttagw.errors import CredentialsRefusedError


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "keys.toml")


def rotated(place: Place, until: str) -> None:
    """WRONG, with the hash that ends with B, takes the place of GOOD, which stays until then."""
    text = place.file.read_text().replace(HASH.format("A"), HASH.format("B"))
    place.file.write_text(f'{text}\n[keys.a.previous]\nhash = "{HASH.format("A")}"\nexpires = {until}\n')
    place.clock.advance(LOOK_EVERY)


def test_both_are_the_same_caller_until_the_old_one_is_over(place: Place) -> None:
    assert isinstance(place.answer(GOOD), Caller)
    rotated(place, "1970-01-01T00:20:00Z")
    caller = Caller("a", ("service",), ("p",))
    assert place.answer(WRONG) == caller
    assert place.answer(GOOD) == Caller("a", ("service",), ("p",), 1200.0)
    assert [(key, phc[-1]) for key, phc in place.threads.asked] == [(GOOD, "A"), (WRONG, "B")]
    place.wall.now = 1200.0
    with pytest.raises(CredentialsRefusedError, match="key_expired"):
        place.keys.known(GOOD)
    assert place.answer(GOOD) == "key_expired"
    assert place.answer(WRONG) == caller
    assert len(place.threads.asked) == 2


def test_the_old_one_is_found_by_whoever_has_not_seen_it_before(place: Place) -> None:
    rotated(place, "1970-01-01T00:20:00Z")
    assert place.answer(GOOD) == Caller("a", ("service",), ("p",), 1200.0)
    assert [phc[-1] for _, phc in place.threads.asked] == ["B", "A"]


def test_with_two_keys_of_any_name_every_refusal_costs_two_checks(place: Place) -> None:
    add(place.file, "b", HASH.format("Q"), (), ())
    rotated(place, "1970-01-01T00:00:01Z")
    neither = new_key("a", b"d" * 32).encode()
    for key in (NOBODY, new_key("b", b"d" * 32).encode(), neither):
        place.threads.asked.clear()
        assert place.answer(key) == "key_unknown"
        assert [each for each, _ in place.threads.asked] == [key, key]
        assert len({phc for _, phc in place.threads.asked}) == 2
    place.threads.asked.clear()
    assert isinstance(place.answer(OTHER), Caller)
    assert len(place.threads.asked) == 1


def test_a_hash_of_nothing_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("")
    threads = Threads()
    keys = Keys(str(tmp_path / "k"), threads, matches=lambda key, phc: True)
    asking = asked(keys.check(NOBODY))
    threads.finish()
    assert result(asking) == "key_unknown"
