from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.identity import Identity
from ttagw.core.rbac import BREAK_GLASS, GUEST, PERMISSIONS, Lack, Requirement, Role, Roles, lack

NAMES = ("a", "b", "c", "d", "patient", "therapist")
GRANTED = ("p", "q", "r", "s", "view_patient_progress")
name, granted = st.sampled_from(NAMES), st.sampled_from(GRANTED)
ROLES = st.dictionaries(
    name,
    st.builds(
        Role,
        st.lists(granted, max_size=3),
        st.lists(st.sampled_from((*NAMES, "admin", "nobody")), max_size=3),
        st.sampled_from([None, True, False]),
    ),
)
"""Any graph, circles too: those are refused before, and may not hang what they have got to."""


def brute_force(configured: Mapping[str, Role], asked: str) -> set[str]:
    """All that a role may do: rounds of inheritance until nothing is new."""
    own = {each: set(given) for each, given in PERMISSIONS.items()} | {
        each: set(role.permissions) for each, role in configured.items()
    }
    above: dict[str, Sequence[str]] = {each: role.inherits for each, role in configured.items()}
    for _ in own:
        for each, inherited in above.items():
            for other in inherited:
                own[each] |= own.get(other, set())
    return own.get(asked, set())


@given(ROLES, st.lists(st.sampled_from((*NAMES, "admin", "nobody")), max_size=4))
def test_what_roles_may_do_is_their_own_and_what_they_inherit(configured: dict[str, Role], asked: list[str]) -> None:
    expected = set().union(*[brute_force(configured, each) for each in asked])
    assert Roles(configured).permissions(asked) == expected


@given(ROLES, st.sets(name), st.sets(name))
def test_more_roles_never_take_anything_away(configured: dict[str, Role], some: set[str], more: set[str]) -> None:
    roles = Roles(configured)
    assert roles.permissions(some) <= roles.permissions(some | more)


@given(ROLES)
def test_who_may_break_the_glass(configured: dict[str, Role]) -> None:
    said = {each: role.break_glass for each, role in configured.items()}
    expected = {
        each for each in {*PERMISSIONS, *configured} if (each in BREAK_GLASS if said.get(each) is None else said[each])
    }
    assert Roles(configured).may_break_glass == expected


def test_the_roles_of_tta() -> None:
    roles = Roles()
    assert roles.permissions(["researcher"]) == {
        "access_research_data",
        "export_anonymized_data",
        "view_anonymized_data",
    }
    assert roles.permissions(["service"]) == roles.permissions([GUEST]) == roles.permissions([]) == frozenset()
    assert "access_therapeutic_content" not in roles.permissions(["admin"])
    assert roles.may_break_glass == {"therapist"}


def test_a_role_that_is_configured_is_what_its_entry_says() -> None:
    roles = Roles({"patient": Role(("only_this",)), "nurse": Role((), ("therapist",), True)})
    assert roles.permissions(["patient"]) == {"only_this"}
    assert roles.permissions(["nurse"]) == PERMISSIONS["therapist"]
    assert roles.may_break_glass == {"therapist", "nurse"}
    assert (roles.known("nurse"), roles.known("clown")) == (True, False)


# Roles of issuers


VALUES = st.one_of(st.sampled_from((*NAMES, "admin", "player")), st.text(max_size=5))


@given(st.lists(VALUES, max_size=4), st.dictionaries(VALUES, VALUES, max_size=4), ROLES)
def test_roles_of_an_issuer_are_roles_of_ours_or_guests(
    values: list[str], names: dict[str, str], configured: dict[str, Role]
) -> None:
    roles = Roles(configured)
    expected = {names.get(each, each) if roles.known(names.get(each, each)) else GUEST for each in values} or {GUEST}
    mapped = roles.mapped(values, names)
    assert mapped == expected
    assert all(map(roles.known, mapped))


def test_nobody_is_mapped_upward() -> None:
    roles = Roles()
    assert roles.mapped(["Admin", "ADMIN", " admin", "admin,patient", ""], {}) == {GUEST}
    assert roles.mapped([], {"": "admin"}) == {GUEST}
    assert roles.mapped(["player", "wizard"], {"player": "patient"}) == {"patient", GUEST}
    assert roles.mapped(["player"], {"player": "a role that is gone"}) == {GUEST}
    assert roles.mapped(["admin"], {"admin": "moderator"}) == {"moderator"}


# What is missing


PEOPLE = ("1", "2", "3")
person = st.sampled_from(PEOPLE)
REQUIREMENTS = st.builds(
    Requirement, st.booleans(), st.frozensets(name), st.frozensets(granted), st.booleans(), st.booleans()
)
IDENTITIES = st.builds(
    lambda user, roles, permissions, people, mfa: Identity("token", user, roles, permissions, people=people, mfa=mfa),
    person,
    st.sets(name),
    st.sets(granted),
    st.sets(person),
    st.booleans(),
)


def missing(asked: Requirement, caller: Identity, whose: str) -> set[Lack]:
    """Everything that is missing, read plainly: any of the roles, all of the permissions, a second factor, and the
    caller is that person or cares for them.
    """
    gone = set()
    if asked.roles and not any(role in caller.roles for role in asked.roles):
        gone.add(Lack.ROLE)
    if not all(permission in caller.permissions for permission in asked.permissions):
        gone.add(Lack.PERMISSION)
    if asked.mfa and caller.mfa is not True:
        gone.add(Lack.MFA)
    if asked.owned and not (caller.user == whose or whose in caller.people):
        gone.add(Lack.OWNER)
    return gone


ORDER = (Lack.ROLE, Lack.PERMISSION, Lack.MFA, Lack.OWNER)
"""Whether the glass may be broken is a question for those alone who lack nothing else."""


@given(REQUIREMENTS, IDENTITIES, person)
def test_the_first_thing_that_is_missing(asked: Requirement, caller: Identity, whose: str) -> None:
    gone = missing(asked, caller, whose)
    assert lack(asked, caller, whose) == next((each for each in ORDER if each in gone), None)


@given(REQUIREMENTS, person)
def test_nobody_may_only_what_asks_for_nothing(asked: Requirement, whose: str) -> None:
    free = not (asked.required or asked.roles or asked.permissions or asked.mfa or asked.owned)
    assert lack(asked, None, whose) == (None if free else Lack.IDENTITY)
    assert asked.anything == bool(asked.roles or asked.permissions or asked.mfa or asked.owned)


@given(REQUIREMENTS, IDENTITIES, st.sets(name), st.sets(granted), st.sets(person), person)
def test_who_has_more_lacks_no_more(
    asked: Requirement, caller: Identity, roles: set[str], permissions: set[str], people: set[str], whose: str
) -> None:
    more = Identity(
        "token",
        caller.user,
        caller.roles | roles,
        caller.permissions | permissions,
        people=caller.people | people,
        mfa=True,
    )
    assert missing(asked, more, whose) <= missing(asked, caller, whose)
    if lack(asked, caller, whose) is None:
        assert lack(asked, more, whose) is None


@pytest.mark.parametrize("whose", ["", "7 ", "07", "%37"])
def test_only_the_very_person_is_that_person(whose: str) -> None:
    caller = Identity("token", "7", (), (), people=("8",))
    assert lack(Requirement(owned=True), caller, whose) is Lack.OWNER
    assert lack(Requirement(owned=True), caller, "7") is None
    assert lack(Requirement(owned=True), caller, "8") is None
