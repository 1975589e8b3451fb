from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.identity import USER, WORD, Identity

USERS = st.from_regex(USER, fullmatch=True)
WORDS = st.sets(st.from_regex(WORD, fullmatch=True), max_size=4)


def test_what_a_service_is_told() -> None:
    identity = Identity("token", "p-7", ("therapist", "patient"), ("b:x", "a"), session="s-1")
    assert identity.lines == (
        b"x-user-id: p-7\r\n"
        b"x-user-role: patient,therapist\r\n"
        b"x-user-permissions: a,b:x\r\n"
        b"x-therapeutic-session-id: s-1\r\n"
    )


def test_without_a_session_there_is_no_field_for_it() -> None:
    assert (
        Identity("key", "nightly", (), ()).lines == b"x-user-id: nightly\r\nx-user-role: \r\nx-user-permissions: \r\n"
    )


@given(USERS, WORDS, WORDS, st.one_of(st.just(""), USERS))
def test_each_value_is_one_field_that_says_it(user: str, roles: set[str], permissions: set[str], session: str) -> None:
    lines = Identity("token", user, roles, permissions, session=session).lines
    assert lines.endswith(b"\r\n")
    fields = dict([line.split(b": ", 1) for line in lines[:-2].split(b"\r\n")])
    assert fields.pop(b"x-user-id") == user.encode()
    assert {each for each in fields.pop(b"x-user-role").decode().split(",") if each} == roles
    assert {each for each in fields.pop(b"x-user-permissions").decode().split(",") if each} == permissions
    assert fields == ({b"x-therapeutic-session-id": session.encode()} if session else {})


@given(st.text())
def test_an_id_or_a_word_cannot_break_a_field(text: str) -> None:
    for form in (USER, WORD):
        if form.fullmatch(text):
            assert text.isascii()
            assert text.isprintable()
            assert " " not in text
    if WORD.fullmatch(text):
        assert "," not in text


def test_how_long_an_id_and_a_word_may_be() -> None:
    assert [bool(USER.fullmatch("x" * size)) for size in (0, 1, 255, 256)] == [False, True, True, False]
    assert [bool(WORD.fullmatch("x" * size)) for size in (0, 1, 128, 129)] == [False, True, True, False]
    assert not USER.fullmatch("7\n")
    assert not WORD.fullmatch("admin\n")


def test_it_says_nothing_about_the_person() -> None:
    identity = Identity("token", "mira", ("patient",), ("secret",), session="s-1", people=("noor",), token_id="jti-1")
    assert repr(identity) == str(identity) == "<token of 1 roles>"


def test_by_itself_it_never_ends() -> None:
    identity = Identity("key", "nightly", (), ())
    assert (identity.begins, identity.ends, identity.issued) == (0.0, float("inf"), 0.0)
    assert (identity.mfa, identity.people, identity.claims) == (False, frozenset(), {})
