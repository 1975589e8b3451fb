from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.login_form import is_object, unclear

JSON = b'{"username": "mira", "password": "x"}'
FORM = b"username=mira&password=x"


def said(kind: str) -> list[tuple[bytes, bytes]]:
    return [(b"Content-Type", kind.encode("latin-1"))]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", JSON),
        ('Application/JSON; Charset="UTF-8"', JSON),
        ("application/vnd.tta+json", b"\xef\xbb\xbf \r\n" + JSON),
        ("application/json", JSON.decode().encode("utf-16")),
        ("application/json", b'["username", "mira"]'),
        ("application/json", b"17"),
        ("application/json", b""),
        ("application/x-www-form-urlencoded", FORM),
        ("application/x-www-form-urlencoded;charset=utf-8", FORM + b"\r\n"),
        ("application/x-www-form-urlencoded", 'username=Jos\u00e9&password={"'.encode()),
        ("text/plain;charset=UTF-8", JSON),
        ("", FORM),
        ("multipart/form-data", b""),
    ],
)
def test_what_clients_send_is_clear(kind: str, body: bytes) -> None:
    assert unclear(said(kind), body) == ""


@pytest.mark.parametrize("body", [JSON, FORM, b"grant_type=refresh_token&refresh_token=x", b"not json", b""])
def test_nothing_has_to_be_said_about_a_body(body: bytes) -> None:
    assert unclear([], body) == ""
    assert unclear([(b"Content-Encoding", b"Identity"), (b"X-Else", b"gzip")], body) == ""


@pytest.mark.parametrize(
    "body",
    [
        JSON + b"x",
        JSON + JSON,
        JSON[:-1],
        JSON[:-1] + b', "n": ' + b"1" * 5000 + b"}",
        JSON[:-1] + b', "n": ' + b"[" * 3000 + b"]" * 3000 + b"}",
        JSON[:-1] + b', "n": "\xff"}',
        JSON[:-1] + b', "n": "\n"}',
        JSON[:-1] + b", }",
        b"\x0c" + JSON,
        b'--b\r\nContent-Disposition: form-data; name="username"\r\n\r\nmira\r\n--b--\r\n',
        gzip.compress(JSON),
        FORM.decode().encode("utf-16"),
        b"\xff\xfe\x00",
    ],
    ids=lambda body: repr(body[-24:]),
)
def test_what_other_parsers_forgive_is_not(body: bytes) -> None:
    assert unclear([], body) == "login_body"


@pytest.mark.parametrize("body", [b"/* */" + JSON, b"\xc2\xa0" + JSON, FORM, b"'"])
def test_what_says_that_it_is_json_has_to_be(body: bytes) -> None:
    assert unclear(said("application/json"), body) == "login_body"


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"x-gzip", b"identity, gzip", b"gzip, identity"])
def test_a_compressed_body_is_not_read(coding: bytes) -> None:
    fields = [(b"content-type", b"application/json"), (b"CONTENT-encoding", coding)]
    assert unclear(fields, zlib.compress(JSON)) == unclear(fields, JSON) == "login_encoding"


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data; boundary=b",
        "application/xml",
        "application/x-yaml",
        "application/msgpack",
        "application/x-www-form-urlencoded; charset=ibm037",
        "application/x-www-form-urlencoded; x=y ; charset = utf-7",
        "application/json; charset=utf-8; charset=utf-16",
    ],
)
def test_another_kind_of_body_is_not_read(kind: str) -> None:
    assert unclear(said(kind), FORM) == "login_media_type"
    assert unclear([*said("application/json"), *said(kind)], JSON) == "login_media_type"
    assert unclear([*said(kind), *said("application/json")], JSON) == "login_media_type"


@given(st.binary(max_size=200), st.binary(max_size=60))
def test_nothing_that_is_sent_is_too_much(body: bytes, kind: bytes) -> None:
    assert unclear([(b"content-type", kind)], body) in ("", "login_body", "login_media_type")


def test_an_object_is_known_by_how_it_begins() -> None:
    assert is_object(b"{")
    assert is_object(b"\xef\xbb\xbf\r\n{")
    assert not is_object(b"[{")
    assert not is_object(b"")
