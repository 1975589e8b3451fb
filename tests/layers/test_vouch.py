from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.layers.asking import Asking, somebody
from tests.twisted_hygiene import Failures
from ttagw.core.identity import Identity
from ttagw.layers.vouch import Assertion, Vouch, without_param
from ttagw.model import Exchange

Field = tuple[bytes, bytes]
KEY = b"ttagw_nightly_" + b"s" * 43


def ask(
    *credentials: Field,
    identity: Identity | None = None,
    forward: bool = False,
    query: bytes | None = None,
    token: str = "access_token",
    assertion: Assertion | None = None,
) -> Exchange:
    def prepare(made: Exchange) -> None:
        made.query = query
        made.fields = [(b"x-own", b"1")]
        made.forwarded = b"x-forwarded-for: 192.0.2.7\r\n"

    asking = Asking([Vouch(forward, token, assertion)], *credentials, identity=identity, prepare=prepare)
    assert asking.forwarded == (asking.status == 0)
    return asking.exchange


def passed(*credentials: Field, identity: Identity | None = None, forward: bool = False) -> list[Field]:
    """What of the credentials goes on to the service."""
    fields = ask(*credentials, identity=identity, forward=forward).fields
    assert fields[0] == (b"x-own", b"1")
    return fields[1:]


def test_a_service_is_told_who_is_asking() -> None:
    me = somebody("7", ("patient",), ("p",))
    made = ask(identity=me)
    assert made.forwarded == b"x-forwarded-for: 192.0.2.7\r\n" + me.lines + b"x-traffic-class: normal\r\n"
    assert made.fields == [(b"x-own", b"1")]


def test_of_nobody_there_is_nothing_to_tell() -> None:
    assert ask().forwarded == b"x-forwarded-for: 192.0.2.7\r\nx-traffic-class: normal\r\n"


# Credentials


OURS: list[Field] = [
    (b"authorization", b"Bearer abc"),
    (b"authorization", b"bEARER abc"),
    (b"authorization", b"Bearer"),
    (b"authorization", b"Bearer\tabc"),
    (b"authorization", b"bearer\x0babc"),
    (b"authorization", b"Bearer,abc"),
    (b"authorization", b"Bearer=abc"),
    (b"authorization", KEY),
    (b"authorization", b"eyJhbGciOiJFUzI1NiJ9.e30.c2ln"),
    (b"authorization", b"Token " + KEY),
    (b"authorization", b"ApiKey\t" + KEY),
    (b"x-api-key", KEY),
    (b"x-api-key", b"Bearer abc"),
    (b"x-api-key", b"eyJhbGciOiJFUzI1NiJ9.e30.c2ln"),
    (b"x-api-key", b"key=" + KEY),
]
OTHERS: list[Field] = [
    (b"authorization", b"Basic dXNlcjpwYXNz"),
    (b"authorization", b'Digest username="u"'),
    (b"authorization", b"Bearers abc"),
    (b"authorization", b""),
    (b"x-api-key", b"somebody-elses"),
]
GLASS = (b"x-break-glass-reason", b"she does not answer any more")


@pytest.mark.parametrize("field", OURS)
def test_our_tokens_and_keys_stay_here_whoever_they_are_of(field: Field) -> None:
    assert passed(field) == []
    assert passed(field, identity=somebody()) == []


@pytest.mark.parametrize("field", OTHERS)
def test_what_is_not_ours_goes_on_where_nobody_is_known(field: Field) -> None:
    assert passed(field) == [field]
    assert passed(field, identity=somebody()) == []


@pytest.mark.parametrize("field", [*OURS, *OTHERS])
def test_all_but_keys_goes_on_where_that_is_configured(field: Field) -> None:
    expected = [] if KEY in field[1] else [field]
    assert passed(field, forward=True) == expected
    assert passed(field, identity=somebody(), forward=True) == expected


def test_each_is_judged_by_itself() -> None:
    assert passed(OURS[0], OTHERS[0], OURS[11], OTHERS[4]) == [OTHERS[0], OTHERS[4]]


def test_why_the_glass_is_broken_is_for_the_gateway() -> None:
    for forward in (False, True):
        assert passed(GLASS, forward=forward) == []
        assert passed(GLASS, identity=somebody(), forward=forward) == []


def test_what_is_shared_between_requests_is_not_changed() -> None:
    fields = [(b"a", b"b")]
    credentials = [OTHERS[0]]

    def prepare(made: Exchange) -> None:
        made.fields = fields
        made.credentials = credentials

    Asking([Vouch(False, "access_token")], prepare=prepare)
    assert fields == [(b"a", b"b")]
    assert credentials == [OTHERS[0]]


# Assertions


def test_an_assertion_is_made_for_each_exchange() -> None:
    seen: list[Exchange] = []

    def assertion(made: Exchange) -> bytes:
        seen.append(made)
        return b"signed"

    made = ask(identity=somebody(), assertion=assertion)
    assert made.forwarded.endswith(b"\r\nx-tta-assertion: signed\r\n")
    assert seen == [made]
    assert ask(assertion=assertion).forwarded.endswith(b"x-tta-assertion: signed\r\n")


def test_without_its_assertion_nothing_goes_on(failures: Failures) -> None:
    def assertion(made: Exchange) -> bytes:
        raise LookupError("broken")

    assert ask(identity=somebody(), assertion=assertion).status == 500
    assert len(failures.take(LookupError)) == 1


# The query


@pytest.mark.parametrize(
    ("query", "left"),
    [
        (None, None),
        (b"", b""),
        (b"a=1", b"a=1"),
        (b"access_token=x", None),
        (b"access_token", None),
        (b"a=1&access_token=x&b=2", b"a=1&b=2"),
        (b"access_token=x&access_token=y", None),
        (b"a=access_token", b"a=access_token"),
        (b"my_access_token=x", b"my_access_token=x"),
        (b"%61ccess_token=x&a=1", b"a=1"),
        (b"access%5Ftoken=x&a=1", b"a=1"),
        (b"access%5ftoken=x", None),
        (b"%61%63%63%65%73%73%5F%74%6F%6B%65%6E=x", None),
        (b"access%255Ftoken=x", b"access%255Ftoken=x"),
        (b"ACCESS_TOKEN=x&Access_Token=y", None),
        (b"a=1;access_token=x", b"a=1"),
        (b"access_token=x;a=1&b=2", b"a=1&b=2"),
        (b"a=1;b=2&access_token=x", b"a=1;b=2"),
        (b"a=1;b=2", b"a=1;b=2"),
        (b"&access_token=x", None),
        (b"a=%zz&access_token=x", b"a=%zz"),
    ],
)
def test_the_token_in_a_query_stays_here(query: bytes | None, left: bytes | None) -> None:
    for identity in (None, somebody()):
        for forward in (False, True):
            assert ask(identity=identity, forward=forward, query=query).query == left


def test_the_parameter_can_be_another_or_off() -> None:
    assert ask(query=b"t=1&access_token=x", token="t").query == b"access_token=x"
    assert ask(query=b"access_token=x&=y", token="").query == b"access_token=x&=y"
    assert ask(query=b"a+b=x&c=1", token="a b").query == b"c=1"
    assert ask(query=b"a%20b=x&c=1", token="a b").query == b"c=1"


NAMES = st.text("aAtT_ +%&=;é", min_size=1, max_size=4)


@st.composite
def spellings(draw: st.DrawFn, name: str) -> str:
    """The same name, percent-encoded here and there."""
    pieces = []
    for byte in name.encode():
        encoded = f"%{byte:02X}" if draw(st.booleans()) else f"%{byte:02x}"
        plain = quote(bytes([byte]), safe="")
        pieces.append(draw(st.sampled_from((plain, encoded))))
    return "".join(pieces)


@given(st.data(), NAMES, st.lists(st.tuples(NAMES, st.text("xy%20", max_size=3)), max_size=5))
def test_no_spelling_gets_through_and_nothing_else_is_touched(
    data: st.DataObject, name: str, pairs: list[tuple[str, str]]
) -> None:
    names = [data.draw(st.sampled_from((each, name))) for each, _ in pairs]
    parts = [f"{data.draw(spellings(each))}={value}" for each, (_, value) in zip(names, pairs, strict=True)]
    expected = "&".join([part for part, each in zip(parts, names, strict=True) if each.lower() != name.lower()])
    query = "&".join(parts).encode()
    left = without_param(query, name.encode())
    assert left == (query if expected.encode() == query else expected.encode() or None)


@given(st.binary(max_size=20), st.sampled_from([b"a", b"token", b"a b"]))
def test_whatever_a_query_is_the_parameter_is_not_in_what_is_left(query: bytes, name: bytes) -> None:
    left = without_param(query, name) or b""
    for part in left.replace(b";", b"&").split(b"&"):
        assert unquote_to_bytes(part.partition(b"=")[0].replace(b"+", b" ")).lower() != name
