from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from ttagw.abuse.entries import Block
from ttagw.abuse.table import Table
from ttagw.core.networks import Places, written
from ttagw.testing import Clock

ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.1.0.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]
SUBJECTS = ["10.0.0.1", "10.0.0.0/24", "10.0.0.0/8", "2001:db8::/64", "2001:db8::1", "2001:db8::/32"]
PLACES = Places((), (), ())

steps = st.lists(
    st.tuples(
        st.sampled_from(["set", "set", "discard", "pass", "sweep"]), st.sampled_from(SUBJECTS), st.integers(0, 5)
    ),
    max_size=30,
)


def blocked(table: Table, address: str) -> bool:
    return table.find_address(PLACES.of(address), address) is not None


@settings(max_examples=60, deadline=None)
@given(steps)
def test_an_address_is_blocked_while_some_block_of_it_lasts(steps: list[tuple[str, str, int]]) -> None:
    wall = Clock(1000.0)
    table = Table(wall)
    plain: dict[str, Block] = {}
    for what, subject, number in steps:
        if what == "set":
            block = Block("address", subject, wall(), wall() + number if number < 5 else None)
            old = plain.get(subject)
            assert table.set(block) == (block.over > wall() and (old is None or old.over <= wall()))
            plain[subject] = block
        elif what == "discard":
            table.discard(f"address/{subject}")
            plain.pop(subject, None)
        elif what == "pass":
            wall.advance(number)
        else:
            table.sweep()
            assert len(table) == len([each for each in plain.values() if each.over > wall()])
            assert table.any == bool(table)
        for address in ADDRESSES:
            around = [
                each
                for each in plain.values()
                if ip_network(each.subject).version == ip_address(address).version
                and ip_address(address) in ip_network(each.subject)
            ]
            exact = [each for each in around if each.subject == PLACES.of(address).subject]
            narrow = exact or sorted(around, key=lambda each: ip_network(each.subject).prefixlen)[-1:]
            if narrow and narrow[0].over > wall():
                assert blocked(table, address)
            if not any(each.over > wall() for each in around):
                assert not blocked(table, address)


def test_users_are_found_by_their_id() -> None:
    wall = Clock(1000.0)
    table = Table(wall)
    assert not table.any
    table.set(Block("user", "7", 1000.0, 1010.0))
    assert table.any
    assert table.find_user("7") is not None
    assert table.counts()["user", "threshold"] == 1
    wall.advance(10.0)
    assert table.find_user("7") is None
    table.sweep()
    assert not table.any
    assert table.counts()["user", "threshold"] == 0


def test_a_block_that_is_over_never_begins() -> None:
    table = Table(Clock(1000.0))
    assert not table.set(Block("address", "10.0.0.1", 1.0, 999.0))
    assert not table.any


def test_what_was_found_is_forgotten_with_each_change_of_networks() -> None:
    table = Table(Clock(1000.0))
    table.set(Block("address", "10.0.0.0/8", 1000.0))
    assert blocked(table, "10.2.3.4")
    assert not blocked(table, "11.2.3.4")
    table.set(Block("address", "11.0.0.0/8", 1000.0))
    assert blocked(table, "11.2.3.4")
    table.discard("address/10.0.0.0/8")
    assert not blocked(table, "10.2.3.4")
    assert written(ip_network("10.2.3.4")) == "10.2.3.4"
