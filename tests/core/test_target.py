"""Targets and hosts are taken in one form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.core import target
from ttagw.core.target import TargetError, canonical, check_host, split_target

UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"/a/b/c",
        b"/a/",
        b"/a;v=1/b;w",
        b"/.well-known/jwks.json",
        b"/...",
        b"/a/..b/.c./",
        b"/a%20b/%C3%A9",
        b"/%25%3F%23%3B",
        b"/!$&'()*+,;=:@",
    ],
)
def test_canonical_path_is_returned_itself(path: bytes) -> None:
    assert canonical(path) == path


def test_plain_path_is_the_same_object() -> None:
    path = b"/api/v1/players/" + b"7"
    assert canonical(path) is path


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        (b"/%61%7E%2d%5F", b"/a~-_"),
        (b"/%c3%a9", b"/%C3%A9"),
        (b"/a%2", None),
        (b"/%2ewell-known", b"/.well-known"),
        (b"/%252e%252e", b"/%252e%252e"),
    ],
)
def test_escapes_are_normalised(path: bytes, taken: bytes | None) -> None:
    if taken is None:
        with pytest.raises(TargetError):
            canonical(path)
    else:
        assert canonical(path) == taken


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (b"", "path_without_slash"),
        (b"*", "path_without_slash"),
        (b"a/b", "path_without_slash"),
        (b"//", "empty_segment"),
        (b"/a//b", "empty_segment"),
        (b"/a/;x/b", "empty_segment"),
        (b"/;", "empty_segment"),
        (b"/.", "dot_segment"),
        (b"/a/..", "dot_segment"),
        (b"/a/../b", "dot_segment"),
        (b"/a/%2e%2E/b", "dot_segment"),
        (b"/a/.%2e", "dot_segment"),
        (b"/a/..;x=1/b", "dot_segment"),
        (b"/a%2Fb", "encoded_slash"),
        (b"/a%2fb", "encoded_slash"),
        (b"/a%5cb", "encoded_backslash"),
        (b"/a%00", "encoded_control"),
        (b"/a%0d%0a", "encoded_control"),
        (b"/a%1F", "encoded_control"),
        (b"/a%7f", "encoded_control"),
        (b"/a%", "bad_escape"),
        (b"/a%4", "bad_escape"),
        (b"/a%4g", "bad_escape"),
        (b"/a%%41", "bad_escape"),
        (b"/a% 41", "byte_in_path"),
        (b"/a\\b", "byte_in_path"),
        (b"/a#b", "byte_in_path"),
        (b"/a?b", "byte_in_path"),
        (b"/a b", "byte_in_path"),
        (b"/a\x00", "byte_in_path"),
        (b"/\xc3\xa9", "byte_in_path"),
        (b"/\x7f", "byte_in_path"),
    ],
)
def test_path_without_a_canonical_form_is_refused(path: bytes, reason: str) -> None:
    with pytest.raises(TargetError) as caught:
        canonical(path)
    assert caught.value.reason == reason


paths = st.lists(
    st.sampled_from(
        [b"/", b"a", b".", b"..", b"%2e", b"%2E", b"%41", b"%c3", b"%2f", b";", b"~", b"\\", b"%", b"%00", b"\xff"]
    )
).map(lambda pieces: b"/" + b"".join(pieces))


@given(paths | st.binary(max_size=12).map(lambda tail: b"/" + tail))
def test_canonical_form_has_only_safe_segments_and_is_a_fixed_point(path: bytes) -> None:
    try:
        taken = canonical(path)
    except TargetError:
        return
    assert canonical(taken) == taken
    segments = taken.split(b"/")
    assert segments[0] == b""
    assert b"" not in segments[1:-1]
    assert not {b".", b".."} & {segment.partition(b";")[0] for segment in segments}
    assert all(0x21 <= byte <= 0x7E and byte not in b"\\#?" for byte in taken)
    escapes = [piece[:2] for piece in taken.split(b"%")[1:]]
    assert all(pair == pair.upper() and bytes.fromhex(pair.decode()) not in UNRESERVED for pair in escapes)
    assert not {b"2F", b"5C", b"00", b"0A", b"0D", b"7F"} & set(escapes)


@given(st.text("abcXYZ09-_~!$&'()*+,=:@", min_size=1))
def test_spelling_of_unreserved_characters_does_not_matter(text: str) -> None:
    plain = b"/" + text.encode()
    spelled = b"/" + b"".join(b"%%%02x" % byte if byte in UNRESERVED else bytes((byte,)) for byte in text.encode())
    assert canonical(spelled) == canonical(plain) == plain


@pytest.mark.parametrize(
    ("sent", "taken"),
    [
        (b"/", (b"/", None, None)),
        (b"/a?", (b"/a", b"", None)),
        (b"/a?b=%2f//..?\\", (b"/a", b"b=%2f//..?\\", None)),
        (b"//host/a", (b"//host/a", None, None)),
        (b"*", (b"*", None, None)),
        (b"http://Host.Example:80/a?b", (b"/a", b"b", b"host.example:80")),
        (b"HTTPS://h", (b"/", None, b"h")),
        (b"http://h?q", (b"/", b"q", b"h")),
        (b"http://h?a/b", (b"/", b"a/b", b"h")),
        (b"http://h//a", (b"//a", None, b"h")),
        (b"http://[::1]:8/", (b"/", None, b"[::1]:8")),
    ],
)
def test_target_is_split(sent: bytes, taken: tuple[bytes, bytes | None, bytes | None]) -> None:
    assert split_target(sent) == taken


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "form_of_target"),
        (b"a/b", "form_of_target"),
        (b"host:443", "form_of_target"),
        (b"ftp://h/", "form_of_target"),
        (b"**", "form_of_target"),
        (b"http:/h", "form_of_target"),
        (b"http://", "empty_host"),
        (b"http:///a", "empty_host"),
        (b"http://u@h/", "user_info"),
        (b"http://u:p@h/", "user_info"),
        (b"/?a#b", "byte_in_query"),
        (b"/?a b", "byte_in_query"),
        (b"/?\xff", "byte_in_query"),
        (b"http://h/?\x00", "byte_in_query"),
    ],
)
def test_target_of_no_known_form_is_refused(sent: bytes, reason: str) -> None:
    with pytest.raises(TargetError, match=f"^{reason}"):
        split_target(sent)


@given(st.binary(max_size=30))
def test_split_loses_nothing(tail: bytes) -> None:
    try:
        path, query, authority = split_target(b"/" + tail)
    except TargetError:
        return
    assert authority is None
    assert (path if query is None else path + b"?" + query) == b"/" + tail


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (b"Play.TTA.example", b"play.tta.example"),
        (b"h:8000", b"h"),
        (b"h:", b"h"),
        (b"h.:80", b"h"),
        (b"127.0.0.1:65535", b"127.0.0.1"),
        (b"[::1]", b"[::1]"),
        (b"[2001:DB8::1]:443", b"[2001:db8::1]"),
        (b"a_b~!$&'()*+;=", b"a_b~!$&'()*+;="),
    ],
)
def test_host_is_named_without_port_in_lower_case(sent: bytes, name: bytes) -> None:
    assert check_host(sent) == name
    assert check_host(sent) == name


@pytest.mark.parametrize(
    "sent",
    [
        b"", b":80", b".", b"u@h", b"h/", b"h,h", b"h h", b" h", b"h?", b"h#", b"h\\", b"h:0", b"h:65536", b"h:123456",
        b"h:8a", b"h:+8", b"h:8:8", b"::1", b"[::1", b"[::1]8", b"[::g]", b"[]", b"[::1%25eth0]", b"[v1.a]", b"h%41",
        b"h\x00", b"h\xff", b"a" * 261, b'"h"', b"[1.2.3.4]",
    ],
)  # fmt: skip
def test_what_is_no_host_is_refused(sent: bytes) -> None:
    with pytest.raises(TargetError):
        check_host(sent)


def test_hosts_kept_are_bounded() -> None:
    for number in range(3000):
        assert check_host(b"h%d.example:80" % number) == b"h%d.example" % number
    assert len(target._hosts) <= 1024
