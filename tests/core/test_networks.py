from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttagw.core import networks
from ttagw.core.networks import Network, Networks, Place, Places, address_of, network_of, subject_of, written


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:0:1:aaaa::1", "2001:db8:0:1::/64"),
        ("2001:DB8::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
    ],
)
def test_an_address_is_counted_as_itself_or_as_the_network_of_one_customer(text: str, subject: str) -> None:
    address = address_of(text)
    assert address is not None
    assert subject_of(address) == subject


@pytest.mark.parametrize("text", ["", "unknown", "203.0.113", "203.0.113.7/32", "1" * 65, "::1%" + "z" * 70])
def test_what_is_no_address_is_none(text: str) -> None:
    assert address_of(text) is None
    place = Places((), (ip_network("0.0.0.0/1"),), ()).of(text)
    assert (place.exempt, place.denied) == (True, False)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7/32", "203.0.113.7"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:db8::/64", "2001:db8::/64"),
    ],
)
def test_a_network_is_written_in_one_way(text: str, shown: str) -> None:
    assert written(network_of(text)) == shown
    assert network_of(shown) == network_of(text)


# Few different bits, so that networks hold each other.
four = st.integers(0, 15).map(lambda bits: IPv4Address(bits << 28 | 1))
six = st.integers(0, 15).map(lambda bits: IPv6Address(bits << 124 | 1))
addresses = st.one_of(four, six)


@st.composite
def nets(draw: st.DrawFn) -> Network:
    address = draw(addresses)
    length = draw(st.sampled_from([0, 1, 2, 3, 4, address.max_prefixlen]))
    return ip_network((address, length), strict=False)


def narrowest(found: dict[Network, int], address: IPv4Address | IPv6Address) -> int | None:
    around = [each for each in found if each.version == address.version and address in each]
    return found[max(around, key=lambda each: each.prefixlen)] if around else None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(nets(), st.integers(0, 9), st.booleans()), max_size=20), addresses)
def test_the_narrowest_network_is_found_whatever_was_put_in_and_taken_out(
    steps: list[tuple[Network, int, bool]], address: IPv4Address | IPv6Address
) -> None:
    table: Networks[int] = Networks()
    plain: dict[Network, int] = {}
    for network, value, stays in steps:
        if stays:
            table.set(network, value)
            plain[network] = value
        else:
            table.discard(network)
            plain.pop(network, None)
        assert table.find(address) == narrowest(plain, address)
        assert bool(table) == bool(plain)


@settings(max_examples=60, deadline=None)
@given(st.lists(nets(), max_size=6), st.lists(nets(), max_size=6), st.lists(nets(), max_size=3), addresses)
def test_the_lists_of_a_configuration_say_who_is_exempt_and_who_is_denied(
    allow: list[Network], deny: list[Network], trusted: list[Network], address: IPv4Address | IPv6Address
) -> None:
    found = Places(allow, deny, trusted).of(str(address))
    lists = {**dict.fromkeys(deny, 0), **dict.fromkeys(allow, 1)}
    by_list = narrowest(lists, address)
    is_trusted = narrowest(dict.fromkeys(trusted, 1), address) is not None
    assert found == Place(address, subject_of(address), is_trusted or by_list == 1, by_list == 0 and not is_trusted)


def test_what_is_remembered_is_bounded_and_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "KEPT", 10)
    places = Places((), (ip_network("10.0.0.0/9"),), ())
    for _ in range(2):
        for number in range(100):
            assert places.of(f"10.{number * 2}.0.1").denied == (number < 64)
            assert len(places._kept) <= 10


def test_it_is_said_what_must_not_be_blocked() -> None:
    places = Places([ip_network("10.1.0.0/16")], (), [ip_network("2001:db8::/48")])
    assert places.protected(ip_network("10.1.2.3")) == "10.1.0.0/16 of abuse.allow"
    assert places.protected(ip_network("10.0.0.0/8")) == "10.1.0.0/16 of abuse.allow"
    assert places.protected(ip_network("2001:db8:0:1::/64")) == "2001:db8::/48 of gateway.trusted_proxies"
    assert places.protected(ip_network("10.2.0.0/16")) == ""
    assert places.protected(ip_network("2001:db9::/48")) == ""


def test_networks_are_of_the_version_that_they_are() -> None:
    table = Networks([(ip_network("0.0.0.0/0"), 1)])
    assert table.find(ip_address("::1")) is None
    assert table.find(ip_address("1.2.3.4")) == 1
