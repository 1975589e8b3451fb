from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttagw.admin.documents import MOST_FAULTS, BreakerDocument, InstanceDocument, read
from ttagw.errors import InvalidDocumentError
from ttagw.problem import problem

URL = "http://10.0.0.7:8080"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
FIELDS = st.sampled_from([*InstanceDocument.model_fields, "other"])


def faults(body: bytes | str | object, kind: Any = InstanceDocument) -> tuple[tuple[str, str], ...]:
    with pytest.raises(InvalidDocumentError) as caught:
        read(kind, body if isinstance(body, bytes) else json.dumps(body).encode())
    return caught.value.errors


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{}x", b'{"a": 1,}', b"\xff", b'"\\ud800', b"[" * 60000, b"nan", b'{"url": "\xff"}']
)
def test_what_is_not_json(body: bytes) -> None:
    assert faults(body) == (("", "this is not JSON"),)


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ([], ("", "expected an object, got a list")),
        (5, ("", "expected an object, got 5")),
        ({}, ("url", "must be given")),
        ({"url": "ftp://h"}, ("url", 'expected an address such as "http://127.0.0.1:8082", got "ftp://h"')),
        (
            {"url": "http://h:99999"},
            ("url", 'expected an address such as "http://127.0.0.1:8082", got "http://h:99999"'),
        ),
        *[
            (
                {"url": url},
                ("url", "expected an address where a service can be, not one of a link, of a group or of nowhere"),
            )
            for url in ("http://169.254.169.254", "http://[fe80::1]:80", "http://0.0.0.0:1", "http://239.1.2.3:1")
        ],
        ({"url": URL, "weight": 1.5}, ("weight", "expected a whole number, got 1.5")),
        ({"url": URL, "weight": True}, ("weight", "expected a whole number, got true")),
        ({"url": URL, "weight": 1001}, ("weight", "expected a number of 1000 or less, got 1001")),
        ({"url": URL, "ttl": 0.5}, ("ttl", 'expected a lease of "1s" to "1h", got 0.5')),
        ({"url": URL, "ttl": 10**400}, ("ttl", 'expected a lease of "1s" to "1h", got ')),
        ({"url": URL, "ttl": True}, ("ttl", 'expected a duration such as "500ms", "10s", "15m" or "1h", got true')),
        ({"url": URL, "tags": ["a"] * 33}, ("tags", "expected 32 of them at the most")),
        ({"url": URL, "version": "a b"}, ("version", 'expected a version such as 1.2.3, got "a b"')),
        (
            {"url": URL, "health": {"type": "ping"}},
            ("health.type", 'expected http, tcp, websocket or none, got "ping"'),
        ),
        ({"url": URL, "health": []}, ("health", "expected an object, got a list")),
        (
            {"url": URL, "health": {"interval": "1ms"}},
            ("health", 'expected an interval of "1s" or more and a timeout of "10s" or less'),
        ),
        (
            {"url": URL, "health": {"timeout": "1h"}},
            ("health", 'expected an interval of "1s" or more and a timeout of "10s" or less'),
        ),
        ({"url": URL, "dependencies": "a"}, ("dependencies", 'expected a list, got "a"')),
        ({"url": URL, "a\nb": 1}, ('"a\\nb"', "there is no such field")),
    ],
)
def test_what_is_wrong_is_said(document: object, fault: tuple[str, str]) -> None:
    ((field, message),) = faults(document)
    assert field == fault[0]
    assert message.startswith(fault[1])


def test_no_document_makes_an_endless_answer() -> None:
    errors = faults({f"{number}{'x' * 1000}": 1 for number in range(1000)})
    assert len(errors) == MOST_FAULTS
    assert all(len(field) < 250 for field, _ in errors)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(FIELDS, JSON, max_size=6) | JSON)
def test_any_document_is_a_record_or_a_list_of_faults(document: Any) -> None:
    try:
        record = read(InstanceDocument, json.dumps(document).encode()).record("players", "p-1")
    except InvalidDocumentError as error:
        errors = json.loads(problem(error, "id"))["errors"]
    else:
        errors = [1.0 <= record.ttl <= 3600.0]
    assert all(errors)


@pytest.mark.parametrize("number", ["1" * 5000, "-" + "1" * 5000, "1e999", "1" * 400 + ".5"])
@pytest.mark.parametrize("field", ["ttl", "weight", "url", "zone"])
def test_numbers_of_any_size_may_come(field: str, number: str) -> None:
    assert faults(f'{{"url": "{URL}", "{field}": {number}}}'.encode())


@given(st.binary(max_size=300))
def test_any_bytes_may_come(body: bytes) -> None:
    assert faults(body)


@pytest.mark.parametrize(("ttl", "seconds"), [(1, 1.0), (3600, 3600.0), (2.5, 2.5), ("15s", 15.0), ("1h", 3600.0)])
def test_a_lease_is_seconds_or_a_duration(ttl: object, seconds: float) -> None:
    assert read(InstanceDocument, json.dumps({"url": URL, "ttl": ttl}).encode()).ttl == seconds


def test_the_states_of_a_breaker() -> None:
    assert read(BreakerDocument, b'{"state": "auto"}').state == "auto"
    assert faults({"state": "open"}, BreakerDocument)[0][0] == "state"
