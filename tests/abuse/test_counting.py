from __future__ import annotations

from ipaddress import ip_network

import pytest

from ttagw.abuse.counting import Counting, counts
from ttagw.abuse.entries import Block
from ttagw.abuse.table import Table
from ttagw.core.blocking import Rules, counted_apart, note_earned
from ttagw.core.classes import TrafficClass
from ttagw.core.identity import Identity
from ttagw.core.networks import Places
from ttagw.errors import (
    BadTargetError,
    ExpectationError,
    GatewayError,
    HeadersTooLargeError,
    MalformedRequestError,
    UriTooLongError,
)
from ttagw.model import Exchange, Reply
from ttagw.testing import Clock, exchange

RULES = Rules(2, 60.0, 900.0, 900.0)
ALLOWED = "198.51.100.1"


def reply(status: int, reason: str = "x") -> Reply:
    return Reply(status, [], b"", reason=reason)


@pytest.mark.parametrize(
    ("status", "reason", "counted"),
    [
        (401, "token_refused", True),
        (403, "role_missing", True),
        (429, "rate_limited", True),
        (429, "", True),
        (403, "address_blocked", False),
        (403, "user_blocked", False),
        (403, "address_denied", False),
        (400, "credentials_unclear", False),
        (404, "route_not_found", False),
        (503, "overloaded", False),
        (200, "", False),
        (499, "client_closed", False),
    ],
)
def test_refusals_count(status: int, reason: str, counted: bool) -> None:
    assert counts(exchange(), reply(status, reason)) == counted


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (MalformedRequestError(), True),
        (BadTargetError(), True),
        (UriTooLongError(), True),
        (HeadersTooLargeError(), True),
        (ExpectationError(), False),
    ],
)
def test_what_cannot_be_read_counts(error: GatewayError, counted: bool) -> None:
    made = exchange()
    made.refusal = error
    assert counts(made, reply(error.status, error.reason)) == counted
    # The client had left, or an answer was there before the body was read.
    assert not counts(made, reply(499, "client_closed"))


def test_of_the_class_crisis_only_the_ceiling_counts() -> None:
    made = exchange()
    made.rank = TrafficClass.CRISIS
    assert not any(counts(made, reply(status)) for status in (400, 401, 403, 429))
    assert counts(made, reply(200, "crisis_ceiling"))


class Kit:
    def __init__(self) -> None:
        self.offences: list[tuple[str, str]] = []
        self.table = Table(Clock())
        places = Places([ip_network(f"{ALLOWED}/32")], [ip_network("203.0.113.0/24")], [])
        self.counting = Counting(RULES, places, self.table, self, Clock())

    def offend(self, kind: str, subject: str) -> None:
        self.offences.append((kind, subject))

    def count(self, client: str, user: str = "", times: int = 3, kind: str = "token") -> None:
        for _ in range(times):
            self.counting.count(asked(client, user, kind))


def asked(client: str, user: str, kind: str) -> Exchange:
    made = exchange()
    made.client = client
    made.identity = Identity(kind, user, (), ()) if user else None
    return made


def test_one_too_many_of_an_address_or_a_user_is_an_offence() -> None:
    kit = Kit()
    kit.count("192.0.2.1", times=2)
    assert kit.offences == []
    kit.count("192.0.2.1", times=1)
    kit.count("2001:db8::1", times=2)
    kit.count("2001:db8::2", times=1)
    for number in range(3):
        kit.count(f"192.0.2.{number + 10}", "mira", times=1)
    assert kit.offences == [("address", "192.0.2.1"), ("address", "2001:db8::/64"), ("user", "mira")]
    assert kit.counting.counted == {"address": 9, "user": 3}


def test_keys_and_certificates_are_no_users() -> None:
    kit = Kit()
    for number in range(9):
        kit.count(f"192.0.2.{number}", "deploy", times=1, kind="key")
    assert kit.offences == []


def test_who_is_exempt_denied_or_blocked_already_is_not_counted() -> None:
    kit = Kit()
    kit.table.set(Block("address", "192.0.2.1", 0.0))
    kit.table.set(Block("user", "mira", 0.0))
    for client in (ALLOWED, "203.0.113.1", "192.0.2.1", "unknown"):
        kit.count(client, "mira")
    assert kit.offences == []
    assert kit.counting.counted == {"address": 0, "user": 0}
    # An address that is allowed says nothing about its users.
    kit.count(ALLOWED, "nina")
    assert kit.offences == [("user", "nina")]


@pytest.mark.parametrize(
    ("parts", "offences"),
    [
        (["user", "route"], [("address", "192.0.2.1"), ("user", "mira")]),
        (["route", "ip"], [("address", "192.0.2.1")]),
        (["header:x-tenant"], [("address", "192.0.2.1")]),
        (["role", "route", "service"], []),
        ([], []),
    ],
)
def test_only_who_uses_up_a_limit_alone_has_earned_its_refusals(
    parts: list[str], offences: list[tuple[str, str]]
) -> None:
    kit = Kit()
    for _ in range(3):
        made = asked("192.0.2.1", "mira", "token")
        note_earned(made, *counted_apart(parts))
        kit.counting.count(made)
    assert kit.offences == offences
