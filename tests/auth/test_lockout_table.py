from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ttagw.auth.lockout_table import Table
from ttagw.core.lockout import Mark, Rules, State
from ttagw.core.login import who

RULES = Rules(3, 100.0, 300.0)
SECRET, OTHER = b"s" * 32, b"o" * 32


def counting(at: float, nonce: str = "n") -> State:
    return State((Mark(at, nonce),))


def paused(until: float) -> State:
    return State(pause=Mark(until, "p"))


def table(most: int = 3) -> Table:
    return Table(RULES, SECRET, most)


def test_what_is_not_known_is_nothing() -> None:
    assert table().get("account/a", 0.0) == State()


def test_what_was_set_is_known_while_it_counts() -> None:
    known = table()
    known.set("account/a", counting(0.0), 0.0)
    assert known.get("account/a", 99.0) == counting(0.0)
    assert known.get("account/a", 100.0) == State()
    known.set("account/a", State(), 50.0)
    assert len(known) == 0


def test_full_it_forgets_who_failed_longest_ago_and_is_not_paused() -> None:
    known = table()
    known.set("account/paused", paused(300.0), 0.0)
    known.set("account/old", counting(1.0), 1.0)
    known.set("account/new", counting(2.0), 2.0)
    known.set("account/old", counting(3.0), 3.0)
    known.set("account/newest", counting(4.0), 4.0)
    assert list(known) == ["account/old", "account/newest", "account/paused"]
    assert known.forgotten == 1


def test_where_all_are_paused_the_pause_that_began_first_goes() -> None:
    known = table()
    for number in range(5):
        known.set(f"account/{number}", paused(300.0 + number), float(number))
    assert list(known) == ["account/2", "account/3", "account/4"]
    assert known.paused("account", 5.0) == 3
    assert known.paused("address", 5.0) == 0
    assert known.paused("account", 303.0) == 1


def test_somebody_new_does_not_stay_where_all_others_are_paused() -> None:
    known = table(2)
    known.set("account/0", paused(300.0), 0.0)
    known.set("account/1", paused(300.0), 0.0)
    known.set("account/2", counting(1.0), 1.0)
    assert list(known) == ["account/0", "account/1"]


def test_what_no_longer_counts_goes_by_itself() -> None:
    known = table(1000)
    for number in range(100):
        known.set(f"account/{number}", counting(float(number)), float(number))
    for number in range(100):
        known.set(f"account/later{number}", counting(500.0), 500.0)
    assert len(known) == 100
    assert known.forgotten == 0


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=60))
def test_it_never_holds_more_than_it_may(steps: list[tuple[int, bool]]) -> None:
    known = table(4)
    for now, (number, pauses) in enumerate(steps):
        known.set(f"account/{number}", paused(now + 300.0) if pauses else counting(float(now)), float(now))
        assert len(known) <= 4
        assert len(set(known)) == len(known)


def test_a_name_tells_nothing_and_depends_on_the_secret() -> None:
    known = table()
    [address, account] = who("192.0.2.1", ("mira",))
    name = known.name(account)
    assert name.startswith("account/")
    assert known.name(address).startswith("address/")
    assert "mira" not in name
    assert account.digest.hex() not in name
    assert Table(RULES, OTHER).name(account) != name
    assert Table(RULES, SECRET).name(account) == name


def test_with_another_secret_those_that_were_seen_here_keep_what_is_known_and_others_go() -> None:
    known = table()
    [mine] = who("unknown", ("mira",))
    known.set(known.name(mine), counting(0.0), 0.0, mine)
    known.set("account/heard", counting(0.0), 0.0)
    known.rename(SECRET, 1.0)
    assert len(known) == 2
    known.rename(OTHER, 1.0)
    assert list(known) == [Table(RULES, OTHER).name(mine)]
    # It stays its own when others tell of it.
    known.set(known.name(mine), counting(2.0), 2.0)
    known.rename(SECRET, 3.0)
    assert known.get(Table(RULES, SECRET).name(mine), 3.0) == counting(2.0)
