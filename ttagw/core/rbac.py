"""Roles, permissions, and what a route requires (role-based access control, ANSI INCITS 359 with hierarchies)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from ttagw.core.identity import Identity

GUEST = "guest"
"""The role of whoever has no other one that is known here."""

PERMISSIONS: Mapping[str, frozenset[str]] = {
    "patient": frozenset(
        (
            "access_therapeutic_content",
            "manage_own_profile",
            "manage_own_characters",
            "create_character",
            "export_own_data",
            "delete_own_data",
        )
    ),
    "therapist": frozenset(
        (
            "view_patient_progress",
            "manage_therapeutic_content",
            "access_crisis_protocols",
            "view_anonymized_data",
            "manage_own_profile",
        )
    ),
    "researcher": frozenset(("access_research_data", "export_anonymized_data", "view_anonymized_data")),
    "moderator": frozenset(("moderate_content", "handle_reports", "temporary_user_actions")),
    "admin": frozenset(
        ("manage_users", "manage_roles", "manage_system_config", "access_audit_logs", "system_maintenance")
    ),
    "service": frozenset(),
    GUEST: frozenset(),
}
"""The roles of TTA and what they may do, where `[auth.roles]` says nothing else."""

BREAK_GLASS = frozenset(("therapist",))
"""The roles that may break the glass, where `[auth.roles]` says nothing else."""


class Role(NamedTuple):
    """What the configuration says about a role."""

    permissions: Sequence[str] = ()
    inherits: Sequence[str] = ()
    break_glass: bool | None = None
    """None: as `BREAK_GLASS` says."""


class Roles:
    """All roles, and what follows from them."""

    def __init__(self, configured: Mapping[str, Role] | None = None) -> None:
        """A role that is configured is just what its entry says. Inheritance may not be circular."""
        configured = configured or {}
        self._permissions: dict[str, frozenset[str]] = {}
        own = {name: Role(tuple(each)) for name, each in PERMISSIONS.items()} | dict(configured)
        for name in own:
            self._permissions[name] = _closure(name, own)
        self.may_break_glass = frozenset([name for name, each in own.items() if _may_break_glass(name, each)])

    def known(self, name: str) -> bool:
        """Whether there is such a role."""
        return name in self._permissions

    def mapped(self, values: Iterable[str], names: Mapping[str, str]) -> frozenset[str]:
        """Our roles for an issuer's. What it calls `names`, else what has the same name here, else `GUEST`."""
        found = frozenset(self._one(value, names) for value in values)
        return found or frozenset((GUEST,))

    def _one(self, value: str, names: Mapping[str, str]) -> str:
        role = names.get(value, value)
        return role if role in self._permissions else GUEST

    def permissions(self, roles: Iterable[str]) -> frozenset[str]:
        """All that these roles may do, by themselves and by inheritance."""
        return frozenset().union(*[self._permissions.get(role, frozenset()) for role in roles])


def _may_break_glass(name: str, role: Role) -> bool:
    return name in BREAK_GLASS if role.break_glass is None else role.break_glass


def _closure(name: str, roles: Mapping[str, Role]) -> frozenset[str]:
    seen: set[str] = set()
    todo = [name]
    found: set[str] = set()
    while todo:
        each = todo.pop()
        if each in seen or each not in roles:
            continue
        seen.add(each)
        found.update(roles[each].permissions)
        todo.extend(roles[each].inherits)
    return frozenset(found)


class Lack(Enum):
    """What is missing to do something."""

    IDENTITY = "identity"
    ROLE = "role"
    MFA = "mfa"
    PERMISSION = "permission"
    OWNER = "owner"
    """The caller is neither that person nor known, by their token, to care for them."""


class Requirement(NamedTuple):
    """What a route asks of its callers."""

    required: bool = True
    """Whether there must be an identity at all."""
    roles: frozenset[str] = frozenset()
    """Any of these."""
    permissions: frozenset[str] = frozenset()
    """All of these."""
    mfa: bool = False
    owned: bool = False
    """Whether what it leads to belongs to a person."""

    @property
    def anything(self) -> bool:
        """Whether it asks for more than an identity."""
        return bool(self.roles or self.permissions or self.mfa or self.owned)


def lack(requirement: Requirement, identity: Identity | None, person: str = "") -> Lack | None:
    """What is missing first; None: nothing. `person`: whom it belongs to."""
    if identity is None:
        return Lack.IDENTITY if requirement.required or requirement.anything else None
    if requirement.roles and requirement.roles.isdisjoint(identity.roles):
        return Lack.ROLE
    if not requirement.permissions <= identity.permissions:
        return Lack.PERMISSION
    if requirement.mfa and not identity.mfa:
        return Lack.MFA
    if requirement.owned and person != identity.user and person not in identity.people:
        return Lack.OWNER
    return None
