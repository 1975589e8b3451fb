"""Earlier hops are believed from trusted networks only."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.core import forwarded
from ttagw.core.forwarded import ClientView, Peer, Trust, client_view, parse_element

TRUST = Trust([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])
NOBODY = Trust([])
PROXY = Peer("10.0.0.1", TRUST, b"http", 8000)
HOST = b"play.tta.example"


def said(*fields: tuple[str, str], peer: Peer = PROXY) -> ClientView:
    return client_view(peer, TRUST, HOST, [(name.encode(), value.encode()) for name, value in fields])


def lines(view: ClientView) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in view.lines.decode().split("\r\n")[:-1])


def test_untrusted_peer_is_the_client_whatever_it_says() -> None:
    peer = Peer("203.0.113.9", TRUST, b"https", 8443)
    view = said(("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "http"), ("forwarded", "for=2.2.2.2"), peer=peer)
    assert (view.address, view.scheme, view.host) == ("203.0.113.9", b"https", HOST)
    assert lines(view) == {
        "x-forwarded-for": "203.0.113.9",
        "x-forwarded-proto": "https",
        "x-forwarded-port": "8443",
        "x-forwarded-host": "play.tta.example",
        "forwarded": 'for=203.0.113.9;proto=https;host="play.tta.example"',
    }


def test_without_networks_nobody_is_trusted() -> None:
    assert not Peer("127.0.0.1", NOBODY, b"http", 80).trusted


def test_request_without_a_host_names_none() -> None:
    peer = Peer("203.0.113.9", TRUST, b"http", 80)
    assert set(lines(peer.view(b""))) == {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "forwarded"}
    view = client_view(PROXY, TRUST, b"", [(b"x-forwarded-for", b"198.51.100.7")])
    assert lines(view)["forwarded"] == "for=198.51.100.7;proto=http, for=10.0.0.1;proto=http"


def test_view_is_kept_for_the_host_and_made_anew_for_another() -> None:
    peer = Peer("203.0.113.9", TRUST, b"http", 80)
    assert peer.view(HOST) is peer.view(HOST)
    assert lines(peer.view(b"other"))["x-forwarded-host"] == "other"
    assert lines(peer.view(HOST))["x-forwarded-host"] == "play.tta.example"


def test_trusted_peer_that_says_nothing_is_the_client() -> None:
    assert said(("accept", "*/*")).address == "10.0.0.1"


@pytest.mark.parametrize(
    ("chain", "client", "sent"),
    [
        ("198.51.100.7", "198.51.100.7", "198.51.100.7, 10.0.0.1"),
        ("198.51.100.7, 10.0.0.2", "198.51.100.7", "198.51.100.7, 10.0.0.2, 10.0.0.1"),
        ("1.1.1.1, 198.51.100.7", "198.51.100.7", "198.51.100.7, 10.0.0.1"),
        ("10.9.9.9, 10.0.0.2", "10.9.9.9", "10.9.9.9, 10.0.0.2, 10.0.0.1"),
        ("1.1.1.1, unknown, 10.0.0.2", "10.0.0.2", "10.0.0.2, 10.0.0.1"),
        ("1.1.1.1, _hidden", "10.0.0.1", "10.0.0.1"),
        ("garbage", "10.0.0.1", "10.0.0.1"),
        ("198.51.100.7,", "10.0.0.1", "10.0.0.1"),
        ("198.51.100.7:4711", "198.51.100.7", "198.51.100.7, 10.0.0.1"),
        ("2001:DB8:0::1", "2001:db8::1", "2001:db8::1, 10.0.0.1"),
        ("[2001:db8::1]:4711", "2001:db8::1", "2001:db8::1, 10.0.0.1"),
        ("2001:db8::1, fd00::1", "2001:db8::1", "2001:db8::1, fd00::1, 10.0.0.1"),
        ("::ffff:198.51.100.7", "198.51.100.7", "198.51.100.7, 10.0.0.1"),
        ("198.51.100.7, ::ffff:10.0.0.2", "198.51.100.7", "198.51.100.7, 10.0.0.2, 10.0.0.1"),
    ],
)
def test_client_is_the_rightmost_that_is_not_trusted(chain: str, client: str, sent: str) -> None:
    view = said(("x-forwarded-for", chain))
    assert view.address == client
    assert lines(view)["x-forwarded-for"] == sent


def test_view_of_equal_requests_is_kept_and_bounded() -> None:
    trust = Trust([ip_network("10.0.0.0/8")])
    field = (b"x-forwarded-for", b"198.51.100.7")
    first = client_view(PROXY, trust, HOST, [field, (b"accept", b"*/*")])
    assert client_view(PROXY, trust, HOST, [field]) is first
    assert client_view(PROXY, trust, b"other", [field]) is not first
    assert client_view(Peer("10.0.0.3", trust, b"http", 8000), trust, HOST, [field]) is not first
    for number in range(3000):
        view = client_view(PROXY, trust, HOST, [(b"x-forwarded-for", b"198.51.%d.%d" % divmod(number, 256))])
        assert view.address == "198.51.{}.{}".format(*divmod(number, 256))
    assert len(trust.views) <= forwarded._VIEWS_KEPT


def test_view_of_a_very_long_chain_is_not_kept() -> None:
    trust = Trust([ip_network("10.0.0.0/8")])
    client_view(PROXY, trust, HOST, [(b"x-forwarded-for", b"1.1.1.1," * 500 + b"2.2.2.2")])
    assert not trust.views


def test_repeated_fields_are_one_list() -> None:
    assert said(("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "10.0.0.2")).address == "1.1.1.1"


def test_walk_is_bounded() -> None:
    chain = ", ".join(["198.51.100.7", *["10.0.0.2"] * 100])
    view = said(("x-forwarded-for", chain))
    assert view.address == "10.0.0.2"
    assert len(lines(view)["x-forwarded-for"].split(", ")) == 33


def test_scheme_host_and_port_of_a_trusted_peer_are_passed_on() -> None:
    view = said(
        ("x-forwarded-for", "198.51.100.7"), ("x-forwarded-proto", "HTTPS"), ("x-forwarded-host", "a.example:444"),
        ("x-forwarded-port", "443"),
    )  # fmt: skip
    assert (view.scheme, view.host) == (b"https", b"a.example:444")
    assert lines(view) == {
        "x-forwarded-for": "198.51.100.7, 10.0.0.1",
        "x-forwarded-proto": "https",
        "x-forwarded-port": "443",
        "x-forwarded-host": "a.example:444",
        "forwarded": 'for=198.51.100.7;proto=https;host="a.example:444", '
        'for=10.0.0.1;proto=http;host="play.tta.example"',
    }


@pytest.mark.parametrize(
    ("fields", "scheme", "host", "port"),
    [
        ([("x-forwarded-proto", "https")], b"https", HOST, "443"),
        ([("x-forwarded-proto", "http, https")], b"https", HOST, "443"),
        ([("x-forwarded-proto", "gopher")], b"http", HOST, "8000"),
        ([("x-forwarded-host", "a:81")], b"http", b"a:81", "81"),
        ([("x-forwarded-host", "[::1]:81")], b"http", b"[::1]:81", "81"),
        ([("x-forwarded-host", "[::1]")], b"http", b"[::1]", "8000"),
        ([("x-forwarded-host", "a/b")], b"http", HOST, "8000"),
        ([("x-forwarded-port", "0")], b"http", HOST, "8000"),
        ([("x-forwarded-port", "65536")], b"http", HOST, "8000"),
        ([("x-forwarded-port", "8x")], b"http", HOST, "8000"),
    ],
)
def test_only_usable_values_are_taken(fields: list[tuple[str, str]], scheme: bytes, host: bytes, port: str) -> None:
    view = said(*fields)
    assert (view.scheme, view.host, lines(view)["x-forwarded-port"]) == (scheme, host, port)


def test_forwarded_is_read_when_there_is_no_chain() -> None:
    view = said(
        ("forwarded", 'for=1.1.1.1, For="[2001:db8::1]:47";Proto=https;host="a.example", for=10.0.0.2;proto=http')
    )
    assert (view.address, view.scheme, view.host) == ("2001:db8::1", b"https", b"a.example")
    assert lines(view)["forwarded"] == (
        'for="[2001:db8::1]";proto=https;host="a.example", for=10.0.0.2, '
        'for=10.0.0.1;proto=http;host="play.tta.example"'
    )


@pytest.mark.parametrize("value", ["for=unknown", "for=_gw", "for=", "nonsense", 'for="1.1.1.1', "proto=https"])
def test_forwarded_without_an_address_ends_the_walk(value: str) -> None:
    assert said(("forwarded", value)).address == "10.0.0.1"


def test_open_quotation_mark_swallows_no_later_element() -> None:
    assert said(("forwarded", 'for="6.6.6.6, for=198.51.100.7')).address == "198.51.100.7"


@pytest.mark.parametrize(
    ("piece", "element"),
    [
        (b"for=1.2.3.4;proto=http", {b"for": b"1.2.3.4", b"proto": b"http"}),
        (b' FOR="[::1]:8" ; by=_x', {b"for": b"[::1]:8", b"by": b"_x"}),
        (b"for=a;for=b", {}),
        (b"for=a;", {}),
        (b"for", {}),
        (b'for="', {}),
        (b'for="a\\"b"', {}),
        (b'for=a"b', {}),
        (b"", {}),
    ],
)
def test_element_is_taken_apart(piece: bytes, element: dict[bytes, bytes]) -> None:
    assert parse_element(piece) == element


@pytest.mark.parametrize(
    "text",
    [
        b"", b"1.2.3", b"1.2.3.4:", b"1.2.3.4:x", b"[1.2.3.4]", b"[::1",
        b"[::1]x", b"[::1]:", b"fe80::1%eth0", b"1" * 65, b"\xff"],
)  # fmt: skip
def test_what_is_no_address_is_no_hop(text: bytes) -> None:
    assert TRUST.hop(text) is None


def test_hops_kept_are_bounded() -> None:
    trust = Trust([ip_network("10.0.0.0/8")])
    for number in range(5000):
        hop = trust.hop(b"10.0.%d.%d" % divmod(number, 256))
        assert hop is not None
        assert hop.trusted
    assert len(trust._hops) <= forwarded._HOPS_KEPT


def test_peer_on_ipv6_is_quoted_and_bracketed() -> None:
    peer = Peer("2001:db8::1", TRUST, b"http", 80)
    assert lines(peer.view(b"h"))["forwarded"] == 'for="[2001:db8::1]";proto=http;host="h"'


def test_peer_on_a_dual_stack_socket_is_its_ipv4_address() -> None:
    peer = Peer("::ffff:10.0.0.5", TRUST, b"http", 80)
    assert (peer.address, peer.trusted) == ("10.0.0.5", True)


def test_peer_with_a_zone_is_named_without_it() -> None:
    assert Peer("fe80::1%eth0", TRUST, b"http", 80).address == "fe80::1"


def test_peer_on_a_unix_socket_is_unknown() -> None:
    peer = Peer("", TRUST, b"http", 0)
    assert (peer.address, peer.trusted, peer.element) == ("unknown", False, b"for=unknown;proto=http")


names = st.sampled_from(sorted(forwarded.NAMES))


@given(
    st.lists(
        st.tuples(names, st.binary(max_size=40) | st.text('0123456789.:[],;=" forprothxs').map(str.encode)), max_size=5
    )
)
def test_lines_stay_well_formed_whatever_is_said(fields: list[tuple[bytes, bytes]]) -> None:
    view = client_view(PROXY, TRUST, HOST, fields)
    found = lines(view)
    assert {name.encode() for name in found} == forwarded.NAMES
    assert view.lines.count(b"\r\n") == view.lines.count(b"\n") == view.lines.count(b"\r") == 5
    assert found["x-forwarded-for"].endswith("10.0.0.1")
    assert found["x-forwarded-proto"] in ("http", "https")
