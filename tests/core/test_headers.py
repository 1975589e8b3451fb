from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.headers import (
    CONNECTION,
    CONTENT_LENGTH,
    CREDENTIAL,
    DROP,
    EXPECT,
    FORWARDED,
    HOST,
    IDENTITY,
    PASS,
    REFUSE,
    REQUEST_ID,
    REQUESTS,
    RESPONSES,
    TRANSFER_ENCODING,
    TRUSTED,
    TRUSTED_REQUESTS,
    UPGRADE,
    connection_options,
    lay,
    value_of,
    without,
)

HOP_BY_HOP = (
    b"Keep-Alive",
    b"Proxy-Connection",
    b"Proxy-Authenticate",
    b"Proxy-Authorization",
    b"TE",
    b"Trailer",
    b"HTTP2-Settings",
)
NAMES = st.sampled_from(
    (b"Accept", b"COOKIE", b"x-custom", b"Host", b"Content-Length", b"TE", b"X-User-ID", b"traceparent", b"Connection")
)


@pytest.mark.parametrize(
    "name", [*HOP_BY_HOP, *sorted(IDENTITY), b"Proxy", b"X-TTA-Anything", b"ttagw-reason", b"TTAGW-X"]
)
def test_what_only_the_gateway_may_say_is_dropped_from_requests(name: bytes) -> None:
    for plans in (REQUESTS, TRUSTED_REQUESTS):
        assert plans.kind(name) == plans.kind(name.upper()) == DROP
        assert plans.of([(name, b"v"), (b"a", b"b")]).keep([(name, b"v"), (b"a", b"b")]) == [(b"a", b"b")]


@pytest.mark.parametrize("name", [b"traceparent", b"TraceState", b"X-Real-IP", b"X-Forwarded-Prefix"])
def test_some_fields_are_believed_only_from_trusted_proxies(name: bytes) -> None:
    raw = [(b"host", b"h"), (name, b"v")]
    assert REQUESTS.kind(name) == TRUSTED
    assert REQUESTS.of(raw).keep(raw) == []
    assert TRUSTED_REQUESTS.of(raw).keep(raw) == [(name, b"v")]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (b"Host", HOST),
        (b"CONTENT-length", CONTENT_LENGTH),
        (b"transfer-encoding", TRANSFER_ENCODING),
        (b"Connection", CONNECTION),
        (b"Upgrade", UPGRADE),
        (b"Expect", EXPECT),
        (b"X-Request-Id", REQUEST_ID),
        (b"Forwarded", FORWARDED),
        (b"X-Forwarded-For", FORWARDED),
        (b"x-forwarded-port", FORWARDED),
        (b"content_length", REFUSE),
        (b"X_User_ID", REFUSE),
        (b"Accept", PASS),
        (b"Authorization", CREDENTIAL),
        (b"x-api-key", CREDENTIAL),
        (b"X-Break-Glass-Reason", CREDENTIAL),
        (b"cookie", PASS),
    ],
)
def test_each_name_of_a_request_has_its_kind(name: bytes, kind: int) -> None:
    assert REQUESTS.kind(name) == kind


@pytest.mark.parametrize("name", [*HOP_BY_HOP, b"X-Request-ID", b"ttagw-reason"])
def test_what_only_the_gateway_may_say_is_dropped_from_answers(name: bytes) -> None:
    assert RESPONSES.kind(name) == DROP


@pytest.mark.parametrize("name", [b"Set-Cookie", b"Location", b"X_Odd", b"Expect", b"X-User-ID", b"Forwarded", b"Host"])
def test_everything_else_that_a_service_says_passes(name: bytes) -> None:
    raw = [(name, b"1"), (name, b"2"), (b"TE", b"x")]
    assert RESPONSES.of(raw).keep(raw) == [(name, b"1"), (name, b"2")]


def test_a_plan_knows_where_the_framing_is() -> None:
    plan = REQUESTS.of([(b"a", b""), (b"Host", b""), (b"Connection", b""), (b"connection", b"")])
    assert (plan.host, plan.length, plan.coding, plan.connection) == (1, -1, -1, -2)
    assert plan.special == ((CONNECTION, 2), (CONNECTION, 3))


def test_what_an_untrusted_client_says_of_earlier_hops_is_not_even_looked_at() -> None:
    raw = [(b"forwarded", b"for=1.2.3.4"), (b"x-request-id", b"id"), (b"te", b"x")]
    assert REQUESTS.of(raw).special == ()
    assert TRUSTED_REQUESTS.of(raw).special == ((FORWARDED, 0), (REQUEST_ID, 1))


def test_a_plan_knows_where_the_credentials_are_and_keeps_them_back() -> None:
    raw = [(b"Authorization", b"Bearer x"), (b"a", b"b"), (b"X-API-KEY", b"k"), (b"x-break-glass-reason", b"r")]
    for plans in (REQUESTS, TRUSTED_REQUESTS):
        plan = plans.of(raw)
        assert plan.credentials == ((b"authorization", 0), (b"x-api-key", 2), (b"x-break-glass-reason", 3))
        assert plan.keep(raw) == [(b"a", b"b")]
        assert plan.special == ()
        assert plans.of([(b"a", b"b")]).credentials == ()


def test_a_plan_is_made_once_for_a_sequence_of_names() -> None:
    first = REQUESTS.of([(b"x-made-once", b"1"), (b"host", b"a")])
    assert REQUESTS.of([(b"x-made-once", b"2"), (b"host", b"b")]) is first
    assert REQUESTS.of([(b"host", b"a"), (b"x-made-once", b"1")]) is not first


def test_very_long_heads_are_not_kept() -> None:
    raw = [(b"x" * 3000, b"")]
    assert REQUESTS.of(raw) is not REQUESTS.of(raw)


def test_the_table_of_plans_is_bounded() -> None:
    first = RESPONSES.of([(b"x-first", b"")])
    for number in range(1100):
        RESPONSES.of([(b"x-%d" % number, b"")])
    assert RESPONSES.of([(b"x-first", b"")]) is not first


@given(st.lists(st.tuples(NAMES, st.binary(max_size=3)), max_size=8))
def test_a_plan_keeps_what_each_name_by_itself_says(raw: list[tuple[bytes, bytes]]) -> None:
    assert REQUESTS.of(raw).keep(raw) == [field for field in raw if REQUESTS.kind(field[0]) == PASS]
    assert TRUSTED_REQUESTS.of(raw).keep(raw) == [field for field in raw if REQUESTS.kind(field[0]) in (PASS, TRUSTED)]


@given(st.lists(st.tuples(NAMES, st.binary(max_size=3)), min_size=1, max_size=4))
def test_what_is_kept_is_a_list_of_its_own(raw: list[tuple[bytes, bytes]]) -> None:
    before = list(raw)
    REQUESTS.of(raw).keep(raw).append((b"x", b"y"))
    assert raw == before


def test_options_of_all_connection_fields_count() -> None:
    assert connection_options([b"Close, X-One", b" keep-alive ,,\tx-two"]) == {
        b"close",
        b"x-one",
        b"keep-alive",
        b"x-two",
    }


def test_fields_are_taken_away_by_lower_case_name() -> None:
    fields = [(b"A", b"1"), (b"b", b"2"), (b"a", b"3")]
    assert without(fields, frozenset((b"a",))) == [(b"b", b"2")]
    assert value_of(fields, b"a") == b"1"
    assert value_of(fields, b"c") is None


FIELDS = [(b"A", b"1"), (b"b", b"2"), (b"C", b"")]
CHANGED = [
    FIELDS,
    FIELDS[:2],
    FIELDS[1:],
    [*FIELDS, (b"D", b"4")],
    [(b"D", b"4"), *FIELDS],
    [FIELDS[0], (b"b", b"3"), FIELDS[2]],
    FIELDS[::-1],
    [],
]


@pytest.mark.parametrize("fields", CHANGED)
def test_lines_are_those_of_the_fields_whatever_was_written_before(fields: list[tuple[bytes, bytes]]) -> None:
    expected = b"\r\n".join([name + b": " + value for name, value in fields])
    assert lay(fields) == expected
    for before in CHANGED:
        assert lay(fields, (before, lay(before))) == expected
