"""Traffic classes: who goes first when not everybody can.

A class comes from what the gateway itself knows (the route, a verified claim, the session's state, the result of
screening), never from anything that a client can set. Of several the highest wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from hashlib import blake2b
from typing import NamedTuple, Protocol


class TrafficClass(IntEnum):
    """From the first that is shed to the last."""

    LOW = 0
    """Administrative and bulk work."""
    NORMAL = 1
    HIGH = 2
    THERAPEUTIC = 3
    CRISIS = 4
    """Never refused by an ordinary limit, a breaker or for want of room."""

    @property
    def text(self) -> str:
        """As it is written in the configuration, in logs and in header fields."""
        return self.name.lower()


CLASSES = {each.text: each for each in TrafficClass}
"""By what they are called."""


class Rule(NamedTuple):
    """A claim of a verified token by which whoever shows it is of a class."""

    rank: TrafficClass
    claim: str
    values: frozenset[str]


def class_of(claims: Mapping[str, object], rules: Iterable[Rule]) -> TrafficClass:
    """The highest class that these claims speak for; the lowest where none does.

    A claim speaks for it if it is one of the texts, is a list that has one of them, or is true where "true" is one.
    """
    return max([rule.rank for rule in rules if _speaks(claims.get(rule.claim), rule.values)], default=TrafficClass.LOW)


def _speaks(value: object, values: frozenset[str]) -> bool:
    if isinstance(value, list):
        return any(isinstance(each, str) and each in values for each in value)
    return "true" in values if value is True else isinstance(value, str) and value in values


class Ranked(Protocol):
    """What is of a class."""

    rank: TrafficClass


def raise_to(exchange: Ranked, rank: TrafficClass) -> None:
    """There is evidence for this class: of several the highest wins, in whatever order they come."""
    if rank > exchange.rank:
        exchange.rank = rank


def session_key(session: str) -> str:
    """By what the mark of a session is kept: its id may have any characters, and is nobody's business."""
    return blake2b(session.encode("utf-8"), digest_size=16, person=b"session").hexdigest()


class Bypassing(Protocol):
    """What something was passed by."""

    bypass: str


def note_bypass(exchange: Bypassing, reason: str) -> None:
    """It would have been refused for this reason, a fixed token, were it not for its class."""
    said = exchange.bypass
    if not said:
        exchange.bypass = reason
    elif reason not in said.split(","):
        exchange.bypass = f"{said},{reason}"
