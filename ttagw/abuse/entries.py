"""A block, and how it looks in the store."""

from __future__ import annotations

import re
from hashlib import sha256
from math import inf, isfinite
from typing import Annotated, Literal

import msgspec

from ttagw.core.blocking import ADDRESS, USER
from ttagw.core.identity import USER as USER_FORM
from ttagw.core.networks import Network, network_of, written

KINDS = (ADDRESS, USER)
THRESHOLD, OPERATOR = "threshold", "operator"
BY = (THRESHOLD, OPERATOR)

PREFIX = "blocks/"
"""Under which they are kept."""
REFUSALS = "refusals"
"""The reason of a block that nobody has made."""

REASON = r"[a-z0-9][a-z0-9_.-]{0,63}"
"""What a reason can be: it comes into logs."""


class Block(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Who is blocked, until when, and why; it is kept longer than it lasts, so that the next one can be longer.

    Times are Unix seconds.
    """

    kind: Literal["address", "user"]
    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    """A network, one address without its length; or the id of a user."""
    since: float
    end: float | None = None
    """When it is over; None: not by itself."""
    forgotten: float | None = None
    """When there is nothing left of it; None: with its end."""
    by: Literal["threshold", "operator"] = "threshold"
    reason: Annotated[str, msgspec.Meta(pattern=rf"^{REASON}\Z")] = REFUSALS
    offences: Annotated[int, msgspec.Meta(ge=0)] = 1
    """The how manieth block it is of those that are remembered."""

    @property
    def over(self) -> float:
        """When it is over, as a number that can be compared."""
        return inf if self.end is None else self.end

    @property
    def gone(self) -> float:
        """The same for when there is nothing left of it."""
        return self.over if self.forgotten is None else self.forgotten

    @property
    def key(self) -> str:
        """Where it is kept."""
        return key_of(self.kind, self.subject)

    def network(self) -> Network:
        """Of one of an address."""
        return network_of(self.subject)


def key_of(kind: str, subject: str) -> str:
    """Where the block of this subject is kept; it does not show the ids of people."""
    return f"{kind}/{subject if kind == ADDRESS else sha256(subject.encode()).hexdigest()[:32]}"


_decoder = msgspec.json.Decoder(Block)
encode = msgspec.json.Encoder().encode


def decode(raw: bytes) -> Block:
    """Raises `ValueError` for what nobody here wrote."""
    try:
        block = _decoder.decode(raw)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
    if not all(isfinite(each) for each in (block.since, block.end or 0.0, block.forgotten or 0.0)):
        raise ValueError("no time")
    if block.kind == ADDRESS and written(block.network()) != block.subject:
        raise ValueError("not as we write it")
    if block.kind == USER and re.fullmatch(USER_FORM, block.subject) is None:
        raise ValueError("not the id of a user")
    return block
