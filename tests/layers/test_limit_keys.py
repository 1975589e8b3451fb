"""Whose bucket it is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.layers.asking import somebody
from ttagw.core.identity import Identity
from ttagw.layers.limit.keys import LONGEST, MOST_NETWORKS, Keys, Place, key_of
from ttagw.testing import exchange

PLACE = Place("rt", "sv")


def key(
    *parts: str,
    user: Identity | None = None,
    client: str = "192.0.2.7",
    fields: Sequence[tuple[bytes, bytes]] = (),
    credentials: Sequence[tuple[bytes, bytes]] = (),
    keys: Keys | None = None,
) -> str:
    made = exchange(fields=tuple(fields))
    made.client = client
    made.identity = user
    made.credentials = list(credentials) or None
    return (keys or Keys()).maker(parts, PLACE)(made)


def test_each_part() -> None:
    me = somebody("7", ["b", "a"])
    assert key("user", user=me) == "7"
    assert key("ip", user=me) == "192.0.2.7"
    assert key("role", user=me) == key("role", user=somebody("8", ["a", "b"])) == "a,b"
    assert key("role") == ""
    assert key("route", user=me) == "rt"
    assert key("service") == "sv"
    assert key("header:X-Tenant", fields=[(b"x-TENANT", b"t")]) == "=t"
    assert key() == "*"


def test_of_nobody_the_address_counts_and_nobody_can_be_called_so() -> None:
    assert key("user") == " 192.0.2.7"
    assert key("user", user=somebody("192.0.2.7")) != key("user")


def test_one_customer_has_a_network() -> None:
    one = key("ip", client="2001:db8:0:1::1")
    assert one == key("ip", client="2001:db8:0:1:ffff::2") == "2001:db8:0:1::/64"
    assert one != key("ip", client="2001:db8:0:2::1")
    assert key("ip", client="::ffff:192.0.2.7") == "192.0.2.7"
    assert key("user", client="2001:db8:0:1::1") == " 2001:db8:0:1::/64"
    keys = Keys()
    for number in range(MOST_NETWORKS + 10):
        key("ip", client=f"2001:db8::{number:x}", keys=keys)
    assert len(keys._networks) <= MOST_NETWORKS


def test_a_field_that_is_not_there_is_one_and_an_empty_one_another() -> None:
    absent = key("header:a")
    found = {absent, *[key("header:a", fields=[(b"a", value)]) for value in (b"", b"-", b"=", b"absent")]}
    assert len(found) == 5
    assert key("header:a", fields=[(b"b", b"1")]) == absent


def test_keys_and_tokens_are_told_apart_and_not_kept() -> None:
    one = key("header:X-API-Key", credentials=[(b"x-api-key", b"secret")])
    assert "secret" not in one
    assert one == key("header:x-api-key", credentials=[(b"x-api-key", b"secret")])
    assert one != key("header:x-api-key", credentials=[(b"x-api-key", b"secret2")])
    assert key("header:x-api-key") == key("header:a")


@pytest.mark.parametrize("value", [b"x" * 8000, b"\xff\xfe", "é".encode(), b"a\tb", b'"', b"\\", b" ", b"a\nb"])
def test_hostile_values_are_short_and_apart(value: bytes) -> None:
    found = key("header:a", fields=[(b"a", value)])
    assert len(found) <= LONGEST
    assert found.isascii()
    assert found != key("header:a", fields=[(b"a", value + b"x")])
    assert found != key("header:a", fields=[(b"a", found.encode())])
    both = key("header:a", "header:b", fields=[(b"a", value), (b"b", b"1")])
    assert len(both) <= LONGEST
    assert both != key("header:a", "header:b", fields=[(b"a", value + b"1"), (b"b", b"")])


def test_long_ids_are_short_and_apart() -> None:
    one, other = somebody("u" * 255), somebody("u" * 254 + "v")
    assert len(key("user", user=one)) <= LONGEST
    assert key("user", user=one) != key("user", user=other)
    assert key("user", user=somebody(key("user", user=one).strip())) != key("user", user=one)


VALUES = st.one_of(st.binary(max_size=5), st.sampled_from([b"=", b"-", b"\n", b"=\n-", b" #"]))


@given(st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=2, unique=True))
def test_no_two_pairs_look_alike(pairs: list[tuple[bytes, bytes]]) -> None:
    one, other = [key("header:a", "header:b", fields=[(b"a", a), (b"b", b)]) for a, b in pairs]
    assert one != other


@given(st.from_regex(r"[\x21-\x7e]{1,80}", fullmatch=True), st.binary(max_size=80), st.sampled_from(["a", "a,b"]))
def test_an_operator_can_name_every_key(user: str, value: bytes, roles: str) -> None:
    text = value.decode("utf-8", "ignore")
    fields = [(b"x-t", text.encode())]
    me = somebody(user, roles.split(","))
    assert key_of(("user",), (user,)) == key("user", user=me)
    parts = ("role", "user", "ip", "header:X-T", "header:a", "route", "service")
    made = key(*parts, user=me, client="2001:db8::1", fields=fields)
    assert key_of(parts, (",".join(reversed(roles.split(","))), user, "2001:db8::5", text, None, "rt", "sv")) == made
    assert key_of((), ()) == key()
