from __future__ import annotations

import json

import pytest
from prometheus_client.metrics_core import Metric
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.auth.revoking import DAY, TERMS, Gateway, Shared, clock, key, one, store, token
from ttagw.auth.revocation_copy import Knowledge
from ttagw.core.revocation import GRACE
from ttagw.errors import NotStoredError
from ttagw.store.base import StoreAwayError, StoreRefusedError

__all__ = ["clock", "one", "store"]

INF = float("inf")


def metric(gateway: Gateway, name: str, **labels: str) -> float:
    families: list[Metric] = list(gateway.revocations.metrics())
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum([each.value for each in samples if labels.items() <= each.labels.items()])


# The kinds


def test_one_token(one: Gateway) -> None:
    entry = one.revoke("jti", "j", end=1e9 + 600)
    assert (entry.end, entry.lifted) == (1e9 + 630, False)
    assert one.refused(token()) == "token_revoked"
    assert one.refused(token(jti="k")) == ""
    assert one.refused(token(jti="")) == ""
    one.clock.advance(629.9)
    assert one.refused(token()) == "token_revoked"
    one.clock.advance(0.1)
    assert one.refused(token()) == ""


def test_one_token_of_which_the_end_is_not_known(one: Gateway) -> None:
    assert one.revoke("jti", "j").end == 1e9 + TERMS.longest_life + TERMS.leeway


def test_all_tokens_of_a_user_that_were_issued_until_now(one: Gateway) -> None:
    one.clock.advance(10.5)
    entry = one.revoke("user", "u")
    assert (entry.moment, entry.end) == (1e9 + 10.5, 1e9 + 10.5 + TERMS.longest_life + TERMS.leeway)
    assert one.refused(token(issued=1e9 + 10)) == "token_revoked"
    assert one.refused(token(issued=0.0)) == "token_revoked"
    assert one.refused(token(issued=1e9 + 11)) == ""
    assert one.refused(token("v")) == ""
    assert one.refused(key("u")) == ""


def test_of_two_moments_the_later_one_counts(one: Gateway) -> None:
    one.revoke("user", "u", moment=1e9 - 100)
    assert one.refused(token(issued=1e9 - 60)) == ""
    one.revoke("user", "u", moment=1e9 - 50)
    entry = one.revoke("user", "u", moment=1e9 - 200)
    assert entry.moment == 1e9 - 50
    assert one.refused(token(issued=1e9 - 60)) == "token_revoked"


@pytest.mark.parametrize("kind", ["key", "certificate"])
def test_a_key_until_it_is_lifted(one: Gateway, kind: str) -> None:
    assert one.revoke("key", "ci").end == INF
    one.clock.advance(400 * DAY)
    assert one.refused(key("ci", kind)) == "key_revoked"
    assert one.refused(key("cd", kind)) == ""
    assert one.refused(token("ci")) == ""
    assert one.lift("key", "ci") is True
    assert one.refused(key("ci", kind)) == ""


def test_the_admin_side_refuses_keys_that_are_known_to_be_revoked(store: Shared, clock: Clock) -> None:
    store.away()
    gateway = Gateway(store, clock)
    gateway.revocations.check_key("ci")
    gateway.revocations.start()
    store.back()
    gateway.revoke("key", "ci")
    with pytest.raises(Exception, match="key_revoked"):
        gateway.revocations.check_key("ci")
    gateway.revocations.check_key("cd")
    gateway.run(gateway.revocations.stop())


def test_what_is_lifted_can_be_revoked_again_and_begins_anew(one: Gateway) -> None:
    one.revoke("user", "u")
    assert one.lift("user", "u") is True
    assert one.lift("user", "u") is False
    assert one.lift("user", "nobody") is False
    assert one.refused(token()) == ""
    assert one.revoke("user", "u", moment=1e9 - 100).moment == 1e9 - 100
    assert one.refused(token(issued=1e9 - 99)) == ""


def test_what_is_in_effect_can_be_looked_up(one: Gateway) -> None:
    assert one.revocations.find("jti", "j") is None
    entry = one.revoke("jti", "j", end=1e9 + 60)
    assert one.revocations.find("jti", "j") == entry
    assert one.revocations.counts() == {"jti": 1, "user": 0, "key": 0}
    one.clock.advance(90.0)
    assert one.revocations.find("jti", "j") is None
    assert one.revocations.counts() == {"jti": 0, "user": 0, "key": 0}


# In the store


def test_the_store_says_nothing_about_whom_it_is(one: Gateway, store: Shared) -> None:
    one.revoke("user", "person-7")
    one.revoke("jti", "token-7")
    one.revoke("key", "key-7")
    kept = one.run(store.scan(""))
    assert len(kept) == 3
    assert not any("-7" in key or b"-7" in value for key, value in kept.items())
    kinds = {json.loads(value)["kind"] for value in kept.values()}
    assert kinds == {"jti", "user", "key"}
    assert {json.loads(value)["version"] for value in kept.values()} == {1}


def test_the_store_forgets_what_has_ended_when_no_clock_can_think_otherwise(one: Gateway, store: Shared) -> None:
    one.revoke("jti", "j", end=1e9 + 600)
    one.revoke("key", "ci")
    one.clock.advance(630 + GRACE - 1)
    assert len(one.run(store.scan(""))) == 2
    one.clock.advance(2)
    assert len(one.run(store.scan(""))) == 1
    one.clock.pump([1.0] * 60)
    assert one.revocations.counts() == {"jti": 0, "user": 0, "key": 1}
    assert metric(one, "ttagw_revocations_restored_total") == 0


# What is remembered


def test_what_is_remembered_is_dropped_before_it_is_answered(store: Shared, clock: Clock) -> None:
    others = [token(f"u{number}", f"j{number}") for number in range(5)]
    gateway = Gateway(store, clock, token("u", "a"), token("u", "b"), *others)
    gateway.revocations.start()
    gateway.revoke("user", "u")
    assert gateway.remembered.identities == others
    assert metric(gateway, "ttagw_revocations_forgotten_total") == 2
    gateway.run(gateway.revocations.stop())


def test_a_thousand_at_once_cost_one_look(store: Shared, clock: Clock) -> None:
    known = [token(f"u{number}", f"j{number}") for number in range(2000)]
    one, other = Gateway(store, clock, *known), Gateway(store, clock, *known)
    for each in (one, other):
        each.revocations.start()
    works = [one.revocations.revoke("user", f"u{number}") for number in range(1000)]

    async def all_of_them() -> None:
        for begun in [Deferred.fromCoroutine(each) for each in works]:
            await begun

    one.run(all_of_them())
    for each in (one, other):
        assert each.remembered.asked == 1
        assert [identity.user for identity in each.remembered.identities] == [f"u{n}" for n in range(1000, 2000)]
        each.run(each.revocations.stop())


# While the store is away


@pytest.mark.parametrize("identity", [token(), key()], ids=["token", "key"])
def test_nobody_is_let_in_while_nothing_is_known(store: Shared, clock: Clock, identity: object) -> None:
    store.away()
    gateway = Gateway(store, clock)
    gateway.revocations.start()
    assert gateway.refused(identity) == "revocations_unknown"  # type: ignore[arg-type]
    assert gateway.revocations.knowledge is Knowledge.UNKNOWN
    assert not gateway.revocations.tried
    clock.pump([0.5] * 3)
    assert not gateway.revocations.tried
    clock.pump([0.5] * 2)
    assert gateway.revocations.tried
    assert gateway.refused(identity) == "revocations_unknown"  # type: ignore[arg-type]
    store.back()
    assert gateway.refused(identity) == ""  # type: ignore[arg-type]
    assert gateway.revocations.knowledge is Knowledge.CURRENT
    gateway.run(gateway.revocations.stop())


def test_what_was_known_stays_in_effect(one: Gateway, store: Shared) -> None:
    one.revoke("jti", "j")
    one.clock.advance(5.0)
    store.away()
    assert one.revocations.knowledge is Knowledge.LAST_KNOWN
    assert one.revocations.since == 1e9 + 5.0
    assert metric(one, "ttagw_revocations_state", state="last_known") == 1
    assert metric(one, "ttagw_revocations_state") == 1
    assert metric(one, "ttagw_revocations", kind="jti") == 1
    assert one.refused(token()) == "token_revoked"
    assert one.refused(token(jti="k")) == ""
    store.back()
    assert one.revocations.knowledge is Knowledge.CURRENT


def test_nothing_is_revoked_by_what_is_not_stored(one: Gateway, store: Shared) -> None:
    store.away()
    with pytest.raises(NotStoredError) as caught:
        one.revoke("jti", "j")
    assert caught.value.reason == "store_away"
    assert "nothing was changed" in caught.value.text
    assert one.refused(token()) == ""
    with pytest.raises(NotStoredError):
        one.lift("jti", "j")


def test_a_store_that_takes_nothing_is_said(one: Gateway, store: Shared) -> None:
    one.revoke("jti", "j")
    store.fails = StoreRefusedError("full")
    for work in (one.revocations.revoke("jti", "k"), one.revocations.lift("jti", "j")):
        with pytest.raises(NotStoredError, match="store_refused"):
            one.run(work)
    assert one.refused(token(jti="k")) == ""
    assert one.refused(token(jti="j")) == "token_revoked"


def test_a_store_that_can_only_be_read_is_said(one: Gateway, store: Shared) -> None:
    async def refuse(*about: object) -> bool:
        raise StoreRefusedError("read_only")

    store.swap = refuse  # type: ignore[method-assign,assignment]
    with pytest.raises(NotStoredError, match="store_refused") as caught:
        one.revoke("jti", "j")
    assert "nothing was changed" in caught.value.text
    assert one.refused(token()) == ""


def test_what_may_have_been_done_takes_effect_everywhere_or_nowhere(one: Gateway, store: Shared) -> None:
    store.mute = store.does = True
    get = store.get

    async def get_and_break(key: str) -> bytes | None:
        found = await get(key)
        store.fails = StoreAwayError("timeout")
        return found

    store.get = get_and_break  # type: ignore[method-assign]
    with pytest.raises(NotStoredError, match="store_unsure") as caught:
        one.revoke("jti", "j")
    assert "takes effect on every gateway" in caught.value.text
    assert one.refused(token()) == ""
    store.away()
    store.mute = False
    store.back()
    assert one.refused(token()) == "token_revoked"
