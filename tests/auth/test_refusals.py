from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from ttagw.auth import refusals as module
from ttagw.auth.refusals import MOST_REFUSALS, PER_SECONDS, Refusals, network
from ttagw.errors import CheckingBusyError, CredentialsRefusedError, GatewayError, TooManyRefusalsError
from ttagw.testing import Clock


class Place:
    """Refusals, and checks that end when the test says so."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.refusals = Refusals(self.clock)
        self.checks: list[Deferred[str]] = []

    async def _check(self) -> str:
        self.checks.append(Deferred())
        return await self.checks[-1]

    def begin(self, host: str = "192.0.2.1") -> Deferred[str]:
        return Deferred.fromCoroutine(self.refusals.guarded(host, self._check))

    def good(self, host: str = "192.0.2.1") -> str:
        return self._ended(host, "good")

    def bad(self, host: str = "192.0.2.1") -> str:
        return self._ended(host, Failure(CredentialsRefusedError("key_unknown")))

    def _ended(self, host: str, how: str | Failure) -> str:
        """What comes of a check that ends so, if it is made at all."""
        before = len(self.checks)
        asking = self.begin(host)
        if len(self.checks) > before:
            self.checks.pop().callback(how)  # type: ignore[arg-type]
        return result(asking)


def result(asking: Deferred[str]) -> str:
    found: list[str] = []
    asking.addCallbacks(found.append, lambda failure: found.append(reason(failure)))
    return found[0]


def reason(failure: Failure) -> str:
    failure.trap(GatewayError, CancelledError)
    return getattr(failure.value, "reason", "cancelled")


@pytest.fixture
def place() -> Place:
    return Place()


def test_after_so_many_refusals_an_address_waits(place: Place, said: list[str]) -> None:
    assert [place.bad() for _ in range(MOST_REFUSALS)] == ["key_unknown"] * MOST_REFUSALS
    assert place.bad() == place.good() == "too_many_refusals"
    assert said == ["192.0.2.1: too many keys that are not known"]
    assert place.good("192.0.2.2") == "good"
    place.clock.advance(PER_SECONDS * 1.1)
    assert place.good() == "good"


def test_what_was_good_or_failed_otherwise_counts_for_nothing(place: Place) -> None:
    for _ in range(2 * MOST_REFUSALS):
        assert place.good() == "good"
        asking = place.begin()
        place.checks.pop().errback(Failure(CheckingBusyError(retry_after=1)))
        assert result(asking) == "checking_busy"
    assert place.good() == "good"


def test_what_is_under_way_may_turn_out_to_be_too_much(place: Place) -> None:
    asking = [place.begin() for _ in range(MOST_REFUSALS)]
    assert place.good() == "checking_for_address"
    assert place.good("192.0.2.2") == "good"
    for check in place.checks[:1]:
        check.callback("good")
    assert result(asking[0]) == "good"
    place.checks.pop(0)
    assert len(place.checks) == MOST_REFUSALS - 1
    for check in place.checks:
        check.errback(Failure(CredentialsRefusedError("key_unknown")))
    place.checks.clear()
    assert {result(each) for each in asking[1:]} == {"key_unknown"}
    assert place.good() == "good"
    assert place.bad() == "key_unknown"
    assert place.good() == "too_many_refusals"


def test_a_client_that_does_not_wait_has_cost_as_much(place: Place) -> None:
    for _ in range(MOST_REFUSALS):
        asking = place.begin()
        asking.cancel()
        assert result(asking) == "cancelled"
        place.checks.clear()
    with pytest.raises(TooManyRefusalsError) as caught:
        place.refusals.guarded("192.0.2.1", place._check).send(None)
    assert caught.value.retry_after == PER_SECONDS


def test_neighbours_with_ipv6_are_one(place: Place) -> None:
    for last in range(MOST_REFUSALS):
        place.bad(f"2001:db8::{last:x}")
    assert place.good("2001:db8::ffff") == "too_many_refusals"
    assert place.good("2001:db8:0:1::1") == "good"


def test_only_so_many_addresses_are_remembered(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ADDRESSES", 3)
    for last in (1, 2, 1, 3, 1, 4):
        place.bad(f"192.0.2.{last}")
    assert sorted(place.refusals._tries) == ["192.0.2.1", "192.0.2.3", "192.0.2.4"]


@pytest.mark.parametrize(
    ("host", "one"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("local", "local"),
        ("", ""),
    ],
)
def test_what_counts_as_one_address(host: str, one: str) -> None:
    assert network(host) == one


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_whatever_the_lower_half_of_an_ipv6_address_is_it_is_one(address: object, lower: int) -> None:
    upper = int(address) >> 64  # type: ignore[call-overload]
    if upper:
        assert network(str(address)) == network(str(type(address)((upper << 64) + lower)))  # type: ignore[call-arg]
