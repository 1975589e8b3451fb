"""What can be read in a login: whom it is about, and what a service says about it. Pure."""

from __future__ import annotations

import json
import unicodedata
from enum import Enum
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple
from urllib.parse import unquote_plus

from ttagw.core.login_form import is_object

MOST_NAMED = 2
"""Accounts that one login may name; who has typed a quotation mark into a form may seem to name two."""

_REFUSALS = frozenset((401, 403, 404, 410, 423))
"""Statuses by which a service can say that a login is not good: wrong, not allowed, not there, gone, locked."""


class Verdict(Enum):
    """What an answer makes of a login."""

    GOOD = "good"
    REFUSED = "refused"
    UNCLEAR = "unclear"
    """Its body has to be looked at; see `is_invalid_grant`."""
    NEITHER = "neither"
    """It says nothing about whether name and password fit: a form with faults, or a service in trouble."""


def verdict(status: int) -> Verdict:
    """By the status of the service's answer."""
    if status < 400:
        return Verdict.GOOD
    if status in _REFUSALS:
        return Verdict.REFUSED
    return Verdict.UNCLEAR if status == 400 else Verdict.NEITHER


def is_invalid_grant(body: bytes) -> bool:
    """Whether this is how an authorisation server says that name and password do not fit (RFC 6749 §5.2)."""
    return ("error", "invalid_grant") in _pairs(body)


def accounts_in(body: bytes, field: str, query: bytes = b"") -> tuple[str, ...]:
    """The accounts that a login names in `field`, normalised: as a JSON object, as a form, and in its query.

    Services differ in which of several they take, whether case matters, and whether they believe what a body says it
    is: hence all that could be meant, which is one in any honest login.
    """
    wanted = field.casefold()
    values = [value for name, value in _pairs(body) if name.casefold() == wanted]
    values += [value for _, value in _form(body, wanted) + _form(query, wanted)]
    return tuple(dict.fromkeys([name for value in values if (name := _normalised(value))]))


def _pairs(body: bytes) -> list[tuple[str, object]]:
    """The members of a JSON object, in order; nothing if it is none."""
    if not is_object(body):
        return []
    try:
        found = json.loads(body, object_pairs_hook=list)
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []


def _form(body: bytes, wanted: str) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for part in body.split(b"&"):
        name, _, value = part.partition(b"=")
        text = name.decode("latin-1")
        if "%" in text or "+" in text:
            text = unquote_plus(text)
        if text.casefold() == wanted:
            found.append((text, unquote_plus(value.decode("utf-8", "replace"))))
    return found


def _normalised(value: object) -> str:
    """The same for all spellings of a name that people take for one; "" if it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    folded = unicodedata.normalize("NFKC", str(value)).casefold()
    return unicodedata.normalize("NFKC", folded).strip()


class Who(NamedTuple):
    """One address or one account, without saying which."""

    by: str
    """`address` or `account`."""
    digest: bytes


def who(client: str, accounts: tuple[str, ...]) -> tuple[Who, ...]:
    """Whom a login counts for: where it came from, if that is an address, and whom it names.

    An IPv6 address counts with all others of its /64, which is what one household or one attacker has.
    """
    found: list[Who] = []
    try:
        address = ip_address(client)
    except ValueError:
        pass
    else:
        found.append(_digested("address", _place(address)))
    found += [_digested("account", name.encode("utf-8", "surrogatepass")) for name in accounts]
    return tuple(found)


def _place(address: IPv4Address | IPv6Address) -> bytes:
    return address.packed if isinstance(address, IPv4Address) else address.packed[:8]


def _digested(by: str, text: bytes) -> Who:
    return Who(by, blake2b(text, digest_size=16).digest())
