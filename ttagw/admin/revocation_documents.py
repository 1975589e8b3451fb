"""What is to be revoked, as the admin API is told."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from pydantic import AfterValidator, BeforeValidator

from ttagw.auth.claims import LONGEST_ID
from ttagw.auth.keyfile import KeyName
from ttagw.auth.revocations import Terms
from ttagw.config.base import Matches, Section
from ttagw.core.identity import USER as USER_FORM
from ttagw.core.revocation import JTI, KEY, USER
from ttagw.errors import InvalidDocumentError

MOST_TOKEN = 8 * 1024
"""Characters of a token."""
LONGEST = 10 * 365 * 86400.0
"""Seconds from now to the end of a token, at the most."""

SELECTORS = (JTI, USER, KEY, "token")

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)")


def time_of(value: Any) -> float:
    """Unix time of an RFC 3339 text. Raises `ValueError`."""
    if isinstance(value, str) and _RFC_3339.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper()).timestamp()
        except (ValueError, OverflowError):
            pass
    raise ValueError("expected a time such as 2027-01-31T12:00:00Z")


def _seconds(value: Any) -> float | None:
    """A number, or something as far off in the same direction; None for what is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(min(max(value, -1e12), 1e12))
    return None


def _time_or_seconds(value: Any) -> float:
    found = _seconds(value)
    try:
        return time_of(value) if found is None else found
    except ValueError:
        raise ValueError("expected a time such as 2027-01-31T12:00:00Z, or Unix seconds as in a token") from None


def written(moment: float) -> str | None:
    """A Unix time as RFC 3339; None for what never comes."""
    if moment == float("inf"):
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _printable(value: str) -> str:
    if not 0 < len(value) <= LONGEST_ID or not value.isprintable():
        raise ValueError(f"expected 1 to {LONGEST_ID} characters that print")
    return value


_Jti = Annotated[str, AfterValidator(_printable)]
_User = Annotated[str, Matches(USER_FORM.pattern, "1 to 255 characters of ASCII without spaces", secret=True)]
_Token = Annotated[str, Matches(rf"(?s).{{1,{MOST_TOKEN}}}", f"up to {MOST_TOKEN} characters", secret=True)]


class SelectorDocument(Section):
    """What it is about: exactly one of these."""

    jti: _Jti | None = None
    """The id of one token."""
    user: _User | None = None
    """Whose tokens, of all issuers: their `sub`."""
    key: KeyName | None = None
    """The name of an API key, or of a certificate."""
    token: _Token | None = None
    """A token, of which only `jti` and `exp` are looked at."""


class RevocationDocument(SelectorDocument):
    """What is to be revoked."""

    expires: Annotated[float, BeforeValidator(_time_or_seconds)] | None = None
    """With `jti`: when the token ends, RFC 3339 or Unix seconds. Default: as late as any token can."""
    before: Annotated[float, BeforeValidator(time_of)] | None = None
    """With `user`: tokens that were issued then or earlier, RFC 3339. Default: now."""


class Selected(NamedTuple):
    """Something that can be revoked or lifted."""

    kind: str
    id: str
    ends: float | None = None
    """Unix time, where a token has said it."""


def selected(document: SelectorDocument) -> Selected:
    """What a document is about. Raises `InvalidDocumentError`."""
    given = [name for name in SELECTORS if getattr(document, name) is not None]
    only_one = "expected exactly one of jti, user, key and token"
    if len(given) != 1:
        raise InvalidDocumentError(errors=[(name, only_one) for name in given[1:] or ("",)])
    kind, id_ = given[0], getattr(document, given[0])
    return _of_token(id_) if kind == "token" else Selected(kind, id_)


def bounds(
    document: RevocationDocument, about: Selected, terms: Terms, now: float
) -> tuple[float | None, float | None]:
    """Moment and end to revoke with, as `Revocations.revoke` takes them. Raises `InvalidDocumentError`."""
    faults: list[tuple[str, str]] = []
    if document.expires is not None and document.jti is None:
        faults.append(("expires", "expected only together with jti"))
    end, field = (document.expires, "expires") if about.ends is None else (about.ends, "token")
    if end is not None and end + terms.leeway <= now:
        faults.append((field, "this token has ended by itself, so there is nothing to revoke"))
    if document.expires is not None and document.expires > now + LONGEST:
        faults.append(("expires", "expected a time in ten years at the latest"))
    if document.before is not None and document.user is None:
        faults.append(("before", "expected only together with user"))
    elif document.before is not None:
        if document.before > now + terms.leeway:
            faults.append(("before", "expected a time that is not in the future"))
        elif document.before + terms.longest_life + terms.leeway <= now:
            faults.append(("before", "every token of that time has ended by itself"))
    if faults:
        raise InvalidDocumentError(errors=faults)
    return document.before, end if end is None else min(end, now + LONGEST)


def _of_token(token: str) -> Selected:
    """Nothing is verified, because nobody gets anything by it."""
    claims = _claims(token)
    if claims is None:
        raise InvalidDocumentError(errors=[("token", "this is not a JSON Web Token")])
    id_, ends = claims.get("jti"), claims.get("exp")
    if not isinstance(id_, str):
        raise InvalidDocumentError(errors=[("token", "this token has no jti; its user can be revoked instead")])
    try:
        _printable(id_)
    except ValueError as error:
        raise InvalidDocumentError(errors=[("token", f"its jti: {error}")]) from None
    return Selected(JTI, id_, _seconds(ends))


def _claims(token: str) -> dict[str, Any] | None:
    parts = token.strip().split(".")
    if len(parts) != 3 or not re.fullmatch(r"[A-Za-z0-9_-]+", parts[1]):
        return None
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
