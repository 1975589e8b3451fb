from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ttagw.auth import verified as module
from ttagw.auth.verified import Verified
from ttagw.core.identity import Identity


def somebody(user: str = "u", people: int = 0) -> Identity:
    return Identity("token", user, (), (), people=map(str, range(people)))


def test_the_oldest_goes_first() -> None:
    kept = Verified(3)
    for token in (b"a", b"b", b"c", b"a", b"d"):
        kept.add(token, somebody(token.decode()))
    assert [kept.get(token) is not None for token in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    assert len(kept) == 3


def test_nothing_is_kept_where_there_is_no_room_for_any() -> None:
    kept = Verified(0)
    kept.add(b"a", somebody())
    assert len(kept) == 0
    assert kept.get(b"a") is None


def test_those_who_are_forbidden_are_forgotten() -> None:
    kept = Verified(10)
    for name in "abc":
        kept.add(name.encode(), somebody(name))
    assert kept.forget(lambda identity: identity.user != "b") == 2
    assert [kept.get(token) is None for token in (b"a", b"b", b"c")] == [True, False, True]
    assert kept.forget(lambda _: False) == 0


def test_what_is_kept_has_a_size() -> None:
    kept = Verified(1_000_000)
    for number in range(4000):
        kept.add(b"%08d" % number + b"x" * 8000, somebody())
    assert len(kept) * 8008 <= module.MOST_BYTES < (len(kept) + 1) * 8008
    assert kept.get(b"%08d" % 3999 + b"x" * 8000) is not None
    kept.forget(lambda _: True)
    for number in range(400):
        kept.add(b"%d" % number, somebody(people=4000))
    assert len(kept) == 52


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"cc", b"d"]), st.integers(0, 3)), max_size=30))
def test_sizes_are_reckoned_right_whatever_comes_and_goes(steps: list[tuple[bytes, int]]) -> None:
    kept = Verified(3)
    for token, people in steps:
        if people == 3:
            kept.forget(lambda identity, token=token: identity.user == token.decode())
        else:
            kept.add(token, somebody(token.decode(), people))
    assert len(kept) <= 3
    kept.forget(lambda _: True)
    assert kept._size == 0
