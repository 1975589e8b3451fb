from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.forwarded import Peer, Trust
from ttagw.errors import (
    BadTargetError,
    ExpectationError,
    GatewayError,
    MalformedRequestError,
    MethodRefusedError,
    UpgradeRefusedError,
)
from ttagw.model import UNKNOWN, Exchange
from ttagw.testing import RecordingSink
from ttagw.web.head import read_head

Fields = list[tuple[bytes, bytes]]
TRUST = Trust([ip_network("10.0.0.0/8")])
HOST = (b"Host", b"gateway.test")


def head(
    *fields: tuple[bytes, bytes],
    target: bytes = b"/a",
    method: bytes = b"GET",
    peer: str = "192.0.2.7",
    version: int = 1,
) -> Exchange:
    """The exchange of a head with these fields, after a Host."""
    return bare(HOST, *fields, target=target, method=method, peer=peer, version=version)


def bare(
    *fields: tuple[bytes, bytes],
    target: bytes = b"/a",
    method: bytes = b"GET",
    peer: str = "192.0.2.7",
    version: int = 1,
) -> Exchange:
    made = Exchange(Peer(peer, TRUST, b"http", 8000), RecordingSink(), method, 1000.0)
    made.version = version
    read_head(made, target, list(fields), TRUST)
    return made


def refusal(*fields: tuple[bytes, bytes], **more: object) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        bare(*fields, **more)  # type: ignore[arg-type]
    return caught.value


def test_the_line_and_the_host_are_read() -> None:
    made = head(target=b"/a/b?c=%20&d")
    assert (made.path, made.query, made.host, made.authority) == (b"/a/b", b"c=%20&d", b"gateway.test", b"gateway.test")
    assert (made.length, made.keep_alive, made.expects, made.fields) == (0, True, False, [])


def test_fields_that_mean_nothing_here_keep_order_and_spelling() -> None:
    fields = [(b"X-B", b"1"), (b"cookie", b"a=b"), (b"x-b", b"2"), (b"Accept", b"*/*")]
    assert head(*fields).fields == fields


def test_a_client_cannot_say_who_it_is() -> None:
    made = head((b"X-User-ID", b"admin"), (b"x-traffic-class", b"crisis"), (b"TTAGW-Reason", b"x"), (b"TE", b"gzip"))
    assert made.fields == []


# Host


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([], "no_host"),
        ([(b"Host", b"a"), (b"host", b"a")], "host_twice"),
        ([(b"Host", b"a"), (b"X_Y", b"")], "underscore_in_name"),
    ],
)
def test_a_request_has_exactly_one_host_and_clear_names(fields: Fields, reason: str) -> None:
    error = refusal(*fields)
    assert isinstance(error, MalformedRequestError)
    assert (error.status, error.reason, error.close) == (400, reason, True)


@pytest.mark.parametrize("value", [b"", b"a,b", b"user@a", b"a/b", b"a b", b"a:b:c", b"a:99999999"])
def test_a_host_is_a_name_and_maybe_a_port(value: bytes) -> None:
    assert refusal((b"Host", value)).status == 400


def test_blanks_around_the_host_are_not_part_of_it() -> None:
    assert bare((b"Host", b" gateway.test:8000\t")).authority == b"gateway.test:8000"


# Target


@pytest.mark.parametrize("target", [b"/a/../b", b"/a%2fb", b"/a%00", b"/a\\b", b"/a#b", b"a", b"", b"*"])
def test_a_target_that_two_programs_could_read_differently_is_refused(target: bytes) -> None:
    assert isinstance(refusal(HOST, target=target), BadTargetError)


def test_an_asterisk_is_for_options_only() -> None:
    assert head(target=b"*", method=b"OPTIONS").path == b"*"


def test_an_absolute_target_names_the_same_host() -> None:
    made = bare((b"Host", b"Gateway.test"), target=b"http://gateway.test/a?b")
    assert (made.path, made.query) == (b"/a", b"b")
    assert refusal(HOST, target=b"http://other.test/a").reason == "host_differs"


def test_connect_is_not_offered() -> None:
    assert isinstance(refusal(HOST, target=b"gateway.test:443", method=b"CONNECT"), MethodRefusedError)


# Length


def test_a_length_is_a_number() -> None:
    assert head((b"Content-Length", b" 12 ")).length == 12
    assert head((b"content-length", b"0")).length == 0
    assert head((b"Transfer-Encoding", b"Chunked")).length == UNKNOWN


@pytest.mark.parametrize("value", [b"", b"-1", b"+1", b"1,1", b"0x1", b"1 1", b"1" * 16, b"\xb2"])
def test_a_length_that_is_not_clearly_a_number_is_refused(value: bytes) -> None:
    assert refusal(HOST, (b"Content-Length", value)).reason == "content_length"


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        ([(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"3")], 1),
        ([(b"Content-Length", b"3"), (b"Transfer-Encoding", b"chunked")], 1),
        ([(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")], 1),
        ([(b"Transfer-Encoding", b"gzip, chunked")], 1),
        ([(b"Transfer-Encoding", b"identity")], 1),
        ([(b"Transfer-Encoding", b"")], 1),
        ([(b"Transfer-Encoding", b"chunked")], 0),
    ],
)
def test_a_coding_other_than_one_chunked_is_refused(fields: Fields, version: int) -> None:
    assert refusal(HOST, *fields, version=version).reason == "transfer_encoding"


def test_two_lengths_are_refused_even_when_they_agree() -> None:
    assert refusal(HOST, (b"Content-Length", b"3"), (b"content-length", b"3")).reason == "content_length"


# Connection


@pytest.mark.parametrize(
    ("version", "value", "keep"),
    [
        (1, None, True),
        (1, b"close", False),
        (1, b"Keep-Alive", True),
        (1, b"keep-alive, Close", False),
        (0, None, False),
        (0, b"keep-alive", True),
        (0, b"close", False),
        (0, b"x-other", False),
    ],
)
def test_whether_the_connection_goes_on(version: int, value: bytes | None, keep: bool) -> None:
    fields = [] if value is None else [(b"Connection", value)]
    assert head(*fields, version=version).keep_alive is keep


def test_what_connection_names_goes_no_further() -> None:
    made = head((b"X-Hop", b"1"), (b"x-stays", b"2"), (b"Connection", b"x-hop, keep-alive"), (b"connection", b"other"))
    assert made.fields == [(b"x-stays", b"2")]


def test_an_upgrade_is_refused_and_the_name_alone_is_dropped() -> None:
    error = refusal(HOST, (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))
    assert isinstance(error, UpgradeRefusedError)
    assert head((b"Upgrade", b"h2c")).fields == []
    assert head((b"Connection", b"upgrade")).keep_alive


# Expect


def test_a_client_that_waits_is_known() -> None:
    assert head((b"Expect", b"100-Continue"), (b"Content-Length", b"3")).expects
    assert not head((b"Expect", b"100-continue")).expects
    assert not head((b"Expect", b"100-continue"), (b"Content-Length", b"3"), version=0).expects


@pytest.mark.parametrize("values", [[b"200-ok"], [b""], [b"100-continue", b"100-continue"]])
def test_any_other_expectation_is_refused(values: list[bytes]) -> None:
    assert isinstance(refusal(HOST, *[(b"Expect", value) for value in values]), ExpectationError)


# Who asked before


def test_only_a_trusted_proxy_is_believed() -> None:
    fields = [(b"X-Forwarded-For", b"203.0.113.9"), (b"X-Request-ID", b"abc-1"), (b"traceparent", b"00-1")]
    stranger = head(*fields)
    assert (stranger.client, stranger.id, stranger.fields) == ("192.0.2.7", b"", [])
    assert b"203.0.113.9" not in stranger.forwarded
    proxy = head(*fields, peer="10.1.1.1")
    assert (proxy.client, proxy.id, proxy.fields) == ("203.0.113.9", b"abc-1", [(b"traceparent", b"00-1")])
    assert b"x-forwarded-for: 203.0.113.9, 10.1.1.1\r\n" in proxy.forwarded


@pytest.mark.parametrize("values", [[b""], [b"a b"], [b'a"b'], [b"a" * 129], [b"one", b"two"], [b"\xc3\xa9"], [b"a\\"]])
def test_a_request_id_that_could_break_a_line_is_not_taken(values: list[bytes]) -> None:
    assert head(*[(b"X-Request-ID", value) for value in values], peer="10.1.1.1").id == b""


NAMES = st.from_regex(rb"[A-Za-z0-9-]{1,12}", fullmatch=True)
VALUES = st.from_regex(rb"[ -~]{0,20}", fullmatch=True)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=10))
def test_anything_is_read_or_refused_and_never_breaks(fields: Fields) -> None:
    status, kept = 0, fields
    try:
        kept = head(*fields).fields
    except GatewayError as error:
        status = error.status
    assert status == 0 or 400 <= status < 500
    assert [field for field in fields if field in kept] == kept
