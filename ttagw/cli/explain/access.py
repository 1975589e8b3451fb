"""Steps: who that is, what they may, and what the route asks of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ttagw.cli.explain.reading import texts
from ttagw.cli.explain.step import Step, shown
from ttagw.cli.explain.trial import Trial
from ttagw.config import Route
from ttagw.core.identity import Identity
from ttagw.core.pattern import Pattern, Shape
from ttagw.core.rbac import GUEST, Lack, Requirement, lack
from ttagw.identities import terms
from ttagw.layers.authorise import person_in

OPEN = Requirement(required=False)
"""Asks for nothing."""


def identity(trial: Trial) -> Iterator[Step]:
    """The caller, as it was verified."""
    who = trial.exchange.identity
    if who is None:
        yield Step("identity", "user", "nobody")
        return
    yield Step("identity", "user", who.user, f"by {who.kind}")
    for role in sorted(who.roles):
        yield Step("identity", "role", role, _origin(trial, role))
    for permission in sorted(who.permissions):
        givers = [role for role in sorted(who.roles) if permission in trial.roles.permissions((role,))]
        yield Step("identity", "permission", permission, _giver(trial, who, givers))
    if who.session:
        yield Step("identity", "session", who.session)
    yield Step("identity", "second factor", "verified" if who.mfa else "not verified")
    if who.people:
        yield Step("identity", "cares for", f"{len(who.people)} people", "by the token")


def _origin(trial: Trial, role: str) -> str:
    """What of the token made this role."""
    keys, reading = trial.verifier.keys, trial.verifier.reading
    if keys is None or reading is None:
        return "by the file of keys"
    claim, names = keys.issuer.role_claim, keys.issuer.role_map
    if claim == "role" and reading.claims.get(claim) is None and "roles" in reading.claims:
        claim = "roles"
    said = [value for value in texts(reading.claims.get(claim)) if role in trial.roles.mapped((value,), names)]
    if not said:
        return f"the claim {claim} names no role" if role == GUEST else ""
    return "; ".join([_mapped(claim, value, names, role) for value in said])


def _mapped(claim: str, value: str, names: Mapping[str, str], role: str) -> str:
    source = f'{claim} = "{shown(value)}"'
    if value in names:
        return f"{source} by role_map"
    return source if value == role else f"{source}, which is no role here"


def _giver(trial: Trial, who: Identity, roles: list[str]) -> str:
    if roles:
        return f"by the role {' and '.join(roles)}"
    keys = trial.verifier.keys
    return (
        "by the file of keys"
        if keys is None or who.kind != "token"
        else f"by the claim {keys.issuer.permissions_claim}"
    )


def requirement(trial: Trial, route: Route) -> Iterator[Step]:
    """What the route asks for, line by line, each judged as the gateway judges the whole."""
    asked = terms(trial.config)[route.name].requirement
    who = trial.exchange.identity
    person = _person(trial, route)
    yield Step("requirement", "auth", route.auth, "", _met(OPEN._replace(required=asked.required), who))
    if asked.roles:
        yield Step(
            "requirement",
            "roles",
            f"any of {', '.join(sorted(asked.roles))}",
            "",
            _met(OPEN._replace(roles=asked.roles), who),
        )
    if asked.permissions:
        gone = sorted(asked.permissions - (who.permissions if who is not None else frozenset()))
        yield Step(
            "requirement",
            "permissions",
            f"all of {', '.join(sorted(asked.permissions))}",
            f"without {', '.join(gone)}" if gone else "",
            _met(OPEN._replace(permissions=asked.permissions), who),
        )
    if asked.mfa:
        yield Step("requirement", "mfa", "a second factor", "", _met(OPEN._replace(mfa=True), who))
    if asked.owned:
        met = _met(OPEN._replace(owned=True), who, person)
        value = f"{{{route.owner}}} = {shown(person)}"
        yield Step("requirement", "owner", value, _related(trial, who, person), met)


def _met(one: Requirement, who: Identity | None, person: str = "") -> bool:
    return lack(one, who, person) is None


def _person(trial: Trial, route: Route) -> str:
    if not route.owner:
        return ""
    place = Shape(Pattern(route.path)).names.index(route.owner)
    return person_in(trial.exchange.params[place])


def _related(trial: Trial, who: Identity | None, person: str) -> str:
    """What the caller is to the person it belongs to."""
    if who is None:
        return "nobody is asking"
    if person == who.user:
        return "the caller is that person"
    if person in who.people:
        return "the caller cares for them, by the token"
    breaks = ", ".join(sorted(who.roles & trial.roles.may_break_glass))
    glass = f"as {breaks} they may break the glass" if breaks else "none of their roles may break the glass"
    return f"neither that person nor known by the token to care for them; {glass}"


def unless(trial: Trial, route: Route) -> list[str]:
    """What else would let somebody in who lacks nothing but a relationship to the person it belongs to; to find out
    is left to the running gateway.
    """
    who = trial.exchange.identity
    asked = terms(trial.config)[route.name].requirement
    if who is None or lack(asked, who, _person(trial, route)) is not Lack.OWNER:
        return []
    ways = []
    if trial.config.auth.care.service:
        ways.append(f"{trial.config.auth.care.service} says that they care for that person")
    if who.roles & trial.roles.may_break_glass:
        ways.append("the glass is broken with X-Break-Glass-Reason")
    return ways
