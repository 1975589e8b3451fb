"""Claims become an identity (RFC 7519 §4, RFC 9068), or they do not. What signed them is looked at elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple

from ttagw.config.auth import Issuer
from ttagw.core.classes import Rule, class_of
from ttagw.core.identity import USER, WORD, Identity
from ttagw.core.rbac import Roles
from ttagw.errors import TokenExpiredError, TokenRefusedError

MOST_ROLES = 256
MOST_PERMISSIONS = 256
MOST_PEOPLE = 4096
"""Of one token; what is beyond counts for nothing."""
LONGEST_ID = 256
"""Characters of a `jti`."""

_LATEST = 2.0**53
"""Unix time up to which every second has a float of its own."""
_ACCESS = frozenset(("access", "bearer"))
_KINDS = ("type", "token_use", "token_type", "typ")
"""Claims by which issuers tell access tokens from their other ones."""
_GAPS = re.compile(r"[ ,]+")

Claims = Mapping[str, Any]


class Terms(NamedTuple):
    """On what terms the claims of an issuer are taken."""

    issuer: Issuer
    roles: Roles
    leeway: float
    longest_life: float
    classes: tuple[Rule, ...] = ()
    """What makes requests of a traffic class."""


def identity_of(claims: Claims, terms: Terms, now: float) -> Identity:
    """Who these claims are about, at the Unix time `now`. Raises `TokenRefusedError` or `TokenExpiredError`.

    The identity begins and ends so that it would be found again, from the same claims, at any time between.
    """
    issuer = terms.issuer
    _check_kind(claims)
    _check_audience(claims, issuer)
    begins, ends = _times(claims, terms)
    if now >= ends:
        raise TokenExpiredError("token_expired")
    if now < begins:
        far = now + terms.longest_life + 2 * terms.leeway < ends
        raise TokenRefusedError("token_life" if far else "token_early")
    roles = terms.roles.mapped(_roles(claims, issuer), issuer.role_map)
    return Identity(
        "token",
        _subject(claims, issuer),
        roles,
        terms.roles.permissions(roles).union(_permissions(claims.get(issuer.permissions_claim))),
        people=_people(claims.get(issuer.care_claim)),
        session=_session(claims),
        mfa=claims.get("mfa_verified") is True,
        issuer=issuer.issuer,
        token_id=_token_id(claims),
        issued=_moment(claims, "iat"),
        begins=begins,
        ends=ends,
        rank=class_of(claims, terms.classes),
    )


def _check_kind(claims: Claims) -> None:
    for name in _KINDS:
        if name in claims:
            value = claims[name]
            # A refresh token or an ID token is signed by the same key.
            if not isinstance(value, str) or value.lower() not in _ACCESS:
                raise TokenRefusedError("token_type")


def _check_audience(claims: Claims, issuer: Issuer) -> None:
    if not issuer.audience:
        return
    value = claims.get("aud")
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
        raise TokenRefusedError("token_audience")
    if not any(each in named for each in issuer.audience):
        raise TokenRefusedError("token_audience")


def _times(claims: Claims, terms: Terms) -> tuple[float, float]:
    """From when on, and until when, the claims are good."""
    expires = _seconds(claims.get("exp"))
    if expires is None:
        raise TokenRefusedError("token_expiry")
    begins = max(_moment(claims, "nbf"), _moment(claims, "iat"), expires - terms.longest_life)
    return begins - terms.leeway, expires + terms.leeway


def _moment(claims: Claims, name: str) -> float:
    """The time in a claim that may be missing: then 0."""
    value = _seconds(claims.get(name, 0))
    if value is None:
        raise TokenRefusedError("token_times")
    return value


def _seconds(value: object) -> float | None:
    """A time in seconds; None: it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LATEST or not isfinite(value):
        return None
    return float(value)


def _subject(claims: Claims, issuer: Issuer) -> str:
    value = claims.get("sub")
    if not isinstance(value, str) or not value or not USER.fullmatch(issuer.user_prefix + value):
        raise TokenRefusedError("token_subject")
    return issuer.user_prefix + value


def _session(claims: Claims) -> str:
    if "session_id" not in claims:
        return ""
    value = claims["session_id"]
    if not isinstance(value, str) or not USER.fullmatch(value):
        raise TokenRefusedError("token_session")
    return value


def _token_id(claims: Claims) -> str:
    value = claims.get("jti", "")
    if not isinstance(value, str) or len(value) > LONGEST_ID or not value.isprintable():
        raise TokenRefusedError("token_id")
    return value


def _roles(claims: Claims, issuer: Issuer) -> list[str]:
    value = claims.get(issuer.role_claim)
    if value is None and issuer.role_claim == "role":
        value = claims.get("roles")
    if value is None:
        return []
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
        raise TokenRefusedError("token_roles")
    return named[:MOST_ROLES]


def _permissions(value: object) -> list[str]:
    found = _fitting(_GAPS.split(value) if isinstance(value, str) else value, WORD)
    if found is None:
        raise TokenRefusedError("token_permissions")
    return found[:MOST_PERMISSIONS]


def _people(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value] if isinstance(value, str) else value
    # Some issuers write ids as numbers.
    if isinstance(values, list):
        values = [str(each) if type(each) is int else each for each in values]
    found = _fitting(values, USER)
    if found is None:
        raise TokenRefusedError("token_people")
    return found[:MOST_PEOPLE]


def _fitting(value: object, form: re.Pattern[str]) -> list[str] | None:
    """The strings of a list that have this form: the others open nothing. None: it is no list."""
    if value is None:
        return []
    if not isinstance(value, list):
        return None
    return [each for each in value if isinstance(each, str) and form.fullmatch(each)]
