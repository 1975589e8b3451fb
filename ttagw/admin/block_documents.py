"""Whom to block, as the admin API is told."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field

from ttagw.abuse.entries import REASON, Block
from ttagw.admin.revocation_documents import written as time_of
from ttagw.config.base import Matches, Section
from ttagw.config.units import seconds
from ttagw.core.blocking import ADDRESS, USER
from ttagw.core.identity import USER as USER_FORM
from ttagw.core.networks import network_of, written
from ttagw.errors import InvalidDocumentError

LONGEST = 366 * 86400.0
"""Seconds that a block with an end may last."""

_ADDRESS = 'expected an address or a network such as "203.0.113.7", "203.0.113.0/24" or "2001:db8::/64"'


def _address(value: str) -> str:
    try:
        network = network_of(value)
    except ValueError as error:
        raise ValueError(_ADDRESS + (" (its host bits are set)" if "host bits" in str(error) else "")) from None
    if not network.prefixlen:
        raise ValueError("this is everybody; stopping the gateway does the same")
    return written(network)


def _lasts(value: Any) -> float:
    found = seconds(value)
    if not 0 < found <= LONGEST:
        raise ValueError('expected a time of up to a year such as "15m", "2h" or "7d"')
    return found


class WhoDocument(Section):
    """Whom it is about: exactly one of these."""

    address: Annotated[str, AfterValidator(_address)] | None = None
    """An address or a network."""
    user: (
        Annotated[str, Matches(USER_FORM.pattern, "1 to 255 characters of ASCII without spaces", secret=True)] | None
    ) = None
    """A `sub`, with its issuer's prefix where it has one."""


class BlockDocument(WhoDocument):
    """A block."""

    lasts: Annotated[float, BeforeValidator(_lasts)] | None = Field(default=None, alias="for")
    """How long; without it, until it is lifted."""
    reason: Annotated[str, Matches(REASON, 'a word such as "scraping" or "ticket-4711"')] = "operator"
    """Why. It is listed and in the log: nothing about a person."""


class Who(NamedTuple):
    """One subject."""

    kind: str
    subject: str


def who(document: WhoDocument) -> Who:
    """Whom a document is about. Raises `InvalidDocumentError`."""
    if (document.address is None) == (document.user is None):
        raise InvalidDocumentError(
            errors=[("user" if document.user else "", "expected exactly one of address and user")]
        )
    return Who(USER, document.user) if document.user is not None else Who(ADDRESS, document.address or "")


def shown(block: Block) -> dict[str, Any]:
    """A block as it is listed."""
    return {
        block.kind: block.subject,
        "since": time_of(block.since),
        "end": None if block.end is None else time_of(block.end),
        "by": block.by,
        "reason": block.reason,
        "offences": block.offences,
    }
