from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.login import Verdict, accounts_in, is_invalid_grant, verdict, who


@pytest.mark.parametrize(
    "body",
    [
        b'{"username": "Mira", "password": "x"}',
        b'\xef\xbb\xbf {"username": "mira"}',
        b'{"USERNAME": "MIRA "}',
        b'{"deep": {"username": "other", "x": [{"username": 1}]}, "username": "mira"}',
        '{"username": "mira"}'.encode("utf-16"),
        '{"username": "\uff4dira"}'.encode(),
        b"username=mira&password=x",
        b"password=x&user%6eame=+Mira",
        b"Username=mir%61",
    ],
)
def test_the_account_is_found_in_json_and_in_forms(body: bytes) -> None:
    assert accounts_in(body, "username") == ("mira",)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'["username", "mira"]',
        b'[["username", "mira"]]',
        b'"username"',
        b'{"user": "mira"}',
        b'{"username": null}',
        b'{"username": true}',
        b'{"username": ["mira"]}',
        b'{"username": {"username": "mira"}}',
        b'{"username": "  "}',
        b'{"username": "mira"',
        b"username",
        b"username=",
        b'--b\r\nContent-Disposition: form-data; name="username"\r\n\r\nmira\r\n--b--\r\n',
        b'{"a":' * 20_000,
        b'{"username": ' + b"9" * 5000 + b"}",
        b"\xff\xfe\x00",
    ],
)
def test_without_a_readable_account_there_is_none(body: bytes) -> None:
    assert accounts_in(body, "username") == ()


def test_a_number_is_an_account_too() -> None:
    assert accounts_in(b'{"id": 17}', "id") == accounts_in(b'{"id": "17"}', "id") == ("17",)


def test_of_several_those_that_any_service_could_mean_count() -> None:
    assert accounts_in(b'{"U": "a", "u": "b", "U": "c"}', "u") == ("a", "b", "c")
    assert accounts_in(b"u=a&u=b&u=c", "u") == ("a", "b", "c")
    assert accounts_in(b'{"u": "a", "u": "A"}', "u") == ("a",)


def test_a_body_that_is_json_and_a_form_counts_as_both() -> None:
    assert accounts_in(b'{"u": "decoy", "x": "&u=mira&"}', "u") == ("decoy", "mira")


def test_a_name_in_the_query_counts_because_some_services_prefer_it() -> None:
    assert accounts_in(b"u=decoy", "u", b"x=1&u=Mira") == ("decoy", "mira")


@given(st.text(min_size=1).filter(lambda name: "&" not in name))
def test_json_and_forms_name_the_same_account(name: str) -> None:
    form = b"u=" + b"".join([b"%%%02x" % byte for byte in name.encode("utf-8", "replace")])
    named = name.encode("utf-8", "replace").decode()
    assert accounts_in(json.dumps({"u": named}).encode(), "u") == accounts_in(form, "u")


@given(st.binary(max_size=200))
def test_nothing_that_is_sent_is_too_much(body: bytes) -> None:
    accounts = accounts_in(body, "u")
    assert len(who("192.0.2.1", accounts)) == 1 + len(accounts)


def test_whom_it_counts_for_has_no_name() -> None:
    [address, account] = who("192.0.2.1", ("mira",))
    assert (address.by, account.by) == ("address", "account")
    assert len(address.digest) == len(account.digest) == 16
    assert who("192.0.2.2", ("mira",))[0] != address
    assert who("192.0.2.1", ("x" * 60_000,))[1].digest != account.digest


def test_an_ipv6_address_counts_with_its_network() -> None:
    assert who("2001:db8::1", ()) == who("2001:db8::ffff:1", ())
    assert who("2001:db8::1", ()) != who("2001:db8:0:1::1", ())


def test_what_is_no_address_does_not_count_as_one() -> None:
    assert who("unknown", ()) == ()


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (200, Verdict.GOOD),
        (204, Verdict.GOOD),
        (302, Verdict.GOOD),
        (400, Verdict.UNCLEAR),
        (401, Verdict.REFUSED),
        (403, Verdict.REFUSED),
        (404, Verdict.REFUSED),
        (410, Verdict.REFUSED),
        (423, Verdict.REFUSED),
        (415, Verdict.NEITHER),
        (422, Verdict.NEITHER),
        (429, Verdict.NEITHER),
        (500, Verdict.NEITHER),
        (503, Verdict.NEITHER),
    ],
)
def test_a_status_says_what_became_of_it(status: int, found: Verdict) -> None:
    assert verdict(status) is found


def test_an_invalid_grant_is_a_refusal() -> None:
    assert is_invalid_grant(b'{"error": "invalid_grant", "error_description": "no"}')
    assert not is_invalid_grant(b'{"error": "invalid_request"}')
    assert not is_invalid_grant(b"error=invalid_grant")
    assert not is_invalid_grant(b"")
