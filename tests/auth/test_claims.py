from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.issuing import ISSUER, claims
from ttagw.auth.claims import MOST_PEOPLE, MOST_PERMISSIONS, Terms, identity_of
from ttagw.config.auth import Issuer
from ttagw.core.classes import Rule, TrafficClass, session_key
from ttagw.core.identity import USER, WORD, Identity
from ttagw.core.rbac import GUEST, Role, Roles
from ttagw.errors import TokenExpiredError, TokenRefusedError

NOW = 1_800_000_000
LIFE = 30 * 86400.0
ROLES = Roles({"chief": Role(("hire",), ("therapist",))})
MAPPED = Issuer(issuer=ISSUER, audience=("tta", "tta-2"), role_map={"player": "patient", "clinician": "therapist"})
ABSENT: Any = None


def terms(**more: Any) -> Terms:
    return Terms(MAPPED.model_copy(update=more), ROLES, 30.0, LIFE)


def taken(now: float = NOW, on: Terms | None = None, **more: Any) -> Identity:
    return identity_of(claims(NOW, **more), on or terms(), now)


def reason(now: float = NOW, on: Terms | None = None, **more: Any) -> str:
    with pytest.raises(TokenRefusedError) as caught:
        taken(now, on, **more)
    return caught.value.reason


def test_who_a_token_is_about() -> None:
    identity = taken(mfa_verified=True, patients=["user-8", "user-9"], permissions=["extra"])
    assert (identity.kind, identity.user, identity.issuer) == ("token", "user-7", ISSUER)
    assert (identity.roles, identity.session, identity.token_id) == ({"patient"}, "session-1", "token-1")
    assert identity.permissions == ROLES.permissions(["patient"]) | {"extra"}
    assert (identity.people, identity.mfa, identity.issued) == ({"user-8", "user-9"}, True, NOW)
    assert (identity.begins, identity.ends) == (NOW - 30, NOW + 1830)
    assert identity.claims == {}


def test_what_is_not_said_is_not_had() -> None:
    identity = taken(role=ABSENT, session_id=ABSENT, jti=ABSENT, iat=ABSENT)
    assert identity.roles == {GUEST}
    assert (identity.session, identity.token_id, identity.issued, identity.mfa) == ("", "", 0.0, False)
    assert identity.people == identity.permissions == frozenset()


def test_what_its_claims_say_about_its_class() -> None:
    rules = (
        Rule(TrafficClass.CRISIS, "risk", frozenset(("acute",))),
        Rule(TrafficClass.HIGH, "role", frozenset(("patient",))),
    )
    on = terms()._replace(classes=rules)
    assert taken(on=on, risk="acute").rank is TrafficClass.CRISIS
    assert taken(on=on, risk="none").rank is TrafficClass.HIGH
    assert taken(on=on, role="guest").rank is taken(risk="acute").rank is TrafficClass.LOW


def test_by_what_the_mark_of_its_session_is_found() -> None:
    assert taken(session_id="a/b").mark == session_key("a/b")
    assert taken(session_id=ABSENT).mark == ""


# Times


def test_a_token_is_good_from_its_beginning_to_its_end_and_a_leeway_around() -> None:
    assert taken(NOW + 1829.9).user
    for now in (NOW + 1830.0, NOW + 1831, NOW + 1e9):
        with pytest.raises(TokenExpiredError) as caught:
            taken(now)
        assert caught.value.reason == "token_expired"
    assert taken(NOW - 30).user
    assert reason(NOW - 30.1) == "token_early"
    assert taken(nbf=NOW + 30).begins == NOW
    assert reason(nbf=NOW + 31) == "token_early"
    assert reason(iat=NOW + 31) == "token_early"
    assert taken(exp=NOW + 30.5, iat=NOW - 60.25).ends == NOW + 60.5


def test_the_end_is_not_too_far_off() -> None:
    farthest = NOW + int(LIFE) + 30
    assert taken(exp=farthest).begins == NOW
    assert reason(exp=farthest + 1) == "token_life"
    assert reason(exp=2**53) == "token_life"


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**7))
def test_an_identity_is_remembered_just_as_long_as_it_would_be_found_again(nbf: int, iat: int, exp: int) -> None:
    said = {"nbf": NOW + nbf, "iat": NOW + iat, "exp": NOW + exp}
    try:
        first = taken(**said)
    except TokenRefusedError:
        return
    for now in (first.begins, first.ends - 0.001, (first.begins + first.ends) / 2):
        assert taken(now, **said).ends == first.ends
    for now in (first.begins - 0.001, first.ends):
        assert reason(now, **said)


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        None,
        "1800000100",
        "",
        [NOW],
        {},
        float("nan"),
        float("inf"),
        float("-inf"),
        10**20,
        -(10**20),
        1e300,
    ],
)
def test_times_are_numbers(value: object) -> None:
    for name in ("exp", "nbf", "iat"):
        with pytest.raises(TokenRefusedError) as caught:
            identity_of({**claims(NOW), name: value}, terms(), NOW)
        assert caught.value.reason == ("token_expiry" if name == "exp" else "token_times")


def test_a_token_ends() -> None:
    assert reason(exp=ABSENT) == "token_expiry"


# For whom


def test_the_audience_is_one_of_those_that_are_configured() -> None:
    for aud in ("tta", "tta-2", ["tta"], ["other", "tta-2"]):
        assert taken(aud=aud).user
    for aud in (ABSENT, "", "TTA", "tta ", "tta,tta-2", [], ["other"], {"tta": 1}, 5, True, ["tta", 5], [["tta"]]):
        assert reason(aud=aud) == "token_audience"
    for aud in (ABSENT, "anything", 5):
        assert taken(on=terms(audience=()), aud=aud).user


@pytest.mark.parametrize("name", ["type", "token_use", "token_type", "typ"])
def test_only_access_tokens_are_taken(name: str) -> None:
    for kind in ("access", "ACCESS", "Bearer"):
        assert taken(**{name: kind}).user
    for other in ("refresh", "Refresh", "id", "ID", "offline", "", " access", 1, True, ["access"], {}):
        assert reason(**{name: other}) == "token_type"
    with pytest.raises(TokenRefusedError):
        identity_of({**claims(NOW), name: None}, terms(), NOW)


UNFIT: list[Any] = ["", " ", "a b", "a\r\nx-user-role: admin", "a\0", "é", "\ud800", "a" * 256, 7, True, [], {}, ["a"]]


def test_users_of_an_issuer_with_a_prefix_are_nobody_elses() -> None:
    on = terms(user_prefix="partner:")
    assert taken(on=on, sub="7").user == "partner:7"
    # Whom they care for is named as those people are called here.
    assert taken(on=on, sub="7", patients=["7"]).people == {"7"}
    assert reason(on=on, sub="") == reason(on=on, sub="a b") == reason(on=on, sub="a" * 248) == "token_subject"


@pytest.mark.parametrize("value", UNFIT)
def test_ids_have_the_form_of_ids(value: object) -> None:
    assert reason(sub=value) == "token_subject"
    assert reason(session_id=value) == "token_session"


def test_there_is_a_subject() -> None:
    assert reason(sub=ABSENT) == "token_subject"


def test_a_token_id_is_short_and_printable() -> None:
    assert taken(jti="é" * 256).token_id == "é" * 256
    for value in ("x" * 257, "a\n", "a\0", "\ud800", 7, ["a"], True):
        assert reason(jti=value) == "token_id"


# What they may


@pytest.mark.parametrize(
    ("said", "roles"),
    [
        ({"role": "player"}, {"patient"}),
        ({"role": "clinician"}, {"therapist"}),
        ({"role": ["player", "moderator"]}, {"patient", "moderator"}),
        ({"role": "Admin"}, {GUEST}),
        ({"role": "patient,admin"}, {GUEST}),
        ({"role": "admin\r\n"}, {GUEST}),
        ({"role": []}, {GUEST}),
        ({"role": ABSENT, "roles": ["chief"]}, {"chief"}),
        ({"role": ABSENT, "roles": "admin"}, {"admin"}),
        ({"role": "patient", "roles": ["admin"]}, {"patient"}),
    ],
)
def test_roles_are_mapped_and_never_upward(said: dict[str, Any], roles: set[str]) -> None:
    identity = taken(**said)
    assert identity.roles == roles
    assert identity.permissions == ROLES.permissions(roles)


def test_another_claim_may_hold_the_roles_and_then_no_other_does() -> None:
    other = terms(role_claim="groups")
    assert taken(on=other, groups=["admin"], role="patient", roles=["chief"]).roles == {"admin"}
    assert taken(on=other, role="patient", roles=["chief"]).roles == {GUEST}


@pytest.mark.parametrize("value", [7, True, {}, {"admin": 1}, [7], ["admin", None], [["admin"]]])
def test_roles_are_strings(value: object) -> None:
    assert reason(role=value) == "token_roles"


def test_permissions_come_as_a_list_or_as_words() -> None:
    bare = {"role": ABSENT}
    for value in (["a", "b:c"], "a b:c", "a,b:c", " a , b:c ", ["a", "b:c", "x y", "\r\n", 7, None, ["d"], "é"]):
        assert taken(permissions=value, **bare).permissions == {"a", "b:c"}
    for value in (7, True, {}, {"a": 1}):
        assert reason(permissions=value) == "token_permissions"
    many = [f"p{number}" for number in range(MOST_PERMISSIONS + 50)]
    assert taken(permissions=many, **bare).permissions == set(many[:MOST_PERMISSIONS])
    assert taken(on=terms(permissions_claim="scope"), scope="a", permissions="b", **bare).permissions == {"a"}


def test_people_come_as_a_list_or_as_one() -> None:
    assert taken(patients="user-8").people == {"user-8"}
    assert taken(patients=["user-8", "a b", "\r\n", None, "é", True, 1.5]).people == {"user-8"}
    assert taken(patients=[7, 8]).people == {"7", "8"}
    for value in (7, True, {}, {"a": 1}):
        assert reason(patients=value) == "token_people"
    many = [f"u{number}" for number in range(MOST_PEOPLE + 50)]
    assert taken(patients=many).people == set(many[:MOST_PEOPLE])
    assert taken(on=terms(care_claim="wards"), wards=["a"], patients=["b"]).people == {"a"}


@pytest.mark.parametrize("value", [False, 1, "true", "True", [True], {"a": True}])
def test_a_second_factor_is_verified_only_when_exactly_that_is_said(value: object) -> None:
    assert taken(mfa_verified=True).mfa is True
    assert taken(mfa_verified=value).mfa is False


NAMES = st.sampled_from(
    ["iss", "aud", "sub", "exp", "nbf", "iat", "jti", "role", "roles", "permissions", "patients", "session_id", "type"]
)
WORDS = st.text(max_size=10) | st.sampled_from(["tta", "admin", "access", "a\r\nb", "user-7"])
ANYTHING: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(NAMES, ANYTHING, max_size=6))
def test_whatever_is_claimed_only_fit_values_get_into_an_identity(said: dict[str, Any]) -> None:
    try:
        identity = identity_of({**claims(NOW), **said}, terms(), NOW)
    except TokenRefusedError:
        return
    assert USER.fullmatch(identity.user)
    assert not identity.session or USER.fullmatch(identity.session)
    assert all(map(WORD.fullmatch, identity.permissions | identity.roles))
    assert all(map(USER.fullmatch, identity.people))
    assert identity.lines.count(b"\r\n") == 4 - (not identity.session)
    assert not [byte for byte in identity.lines.replace(b"\r\n", b"") if not 0x20 <= byte < 0x7F]
