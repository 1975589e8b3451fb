from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.auth.revoking import Gateway, Shared, clock, one, store, token
from tests.twisted_hygiene import Failures
from ttagw.core.revocation import GRACE
from ttagw.errors import NotStoredError, RevocationsFullError, TokenRefusedError

__all__ = ["clock", "one", "store"]

# Room


def test_when_it_is_full_new_ones_are_refused_and_none_is_dropped(store: Shared, clock: Clock) -> None:
    gateway = Gateway(store, clock, most=3)
    gateway.revocations.start()
    for number in range(3):
        gateway.revoke("jti", f"j{number}", end=1e9 + 600)
    with pytest.raises(RevocationsFullError):
        gateway.revoke("user", "u")
    gateway.revoke("jti", "j0")
    assert gateway.lift("jti", "j1") is True
    with pytest.raises(RevocationsFullError):
        gateway.revoke("user", "u")
    assert gateway.refused(token(jti="j2")) == "token_revoked"
    clock.advance(630 + GRACE)
    gateway.revoke("user", "u")
    gateway.run(gateway.revocations.stop())


def test_those_that_are_being_stored_take_room_as_well(store: Shared, clock: Clock) -> None:
    gateway = Gateway(store, clock, most=2)
    gateway.revocations.start()
    results: list[object] = []
    waits: Deferred[None] = Deferred()
    get = store.get

    async def slowly(key: str) -> bytes | None:
        await waits
        return await get(key)

    store.get = slowly  # type: ignore[method-assign]
    for number in range(4):
        Deferred.fromCoroutine(gateway.revocations.revoke("jti", f"j{number}")).addBoth(results.append)
    assert [type(each.value) for each in results] == [RevocationsFullError] * 2  # type: ignore[attr-defined]
    waits.callback(None)
    clock.advance(0.0)
    assert len(results) == 4
    assert gateway.revocations.counts()["jti"] == 2
    gateway.run(gateway.revocations.stop())


def test_an_entry_that_others_change_all_the_time_is_given_up(one: Gateway, store: Shared) -> None:
    async def never(*about: object) -> bool:
        return False

    store.swap = never  # type: ignore[method-assign,assignment]
    with pytest.raises(NotStoredError, match="store_busy"):
        one.revoke("jti", "j")


# Those who are to hear of it


def test_who_watches_is_told_once(one: Gateway, failures: Failures) -> None:
    told: list[str] = []

    def broken() -> None:
        told.append("broken")
        raise RuntimeError("told")

    watch = one.revocations.watch
    watch(token("u", "a"), broken)
    watch(token("u", "b"), lambda: told.append("b"))
    watch(token("u", "c", issued=1e9 + 10), lambda: told.append("later"))
    end = watch(token("u", "d"), lambda: told.append("ended"))
    watch(token("v", "e"), lambda: told.append("other"))
    end()
    end()
    one.revoke("user", "u")
    assert told == ["broken", "b"]
    one.revoke("user", "u")
    assert told == ["broken", "b"]
    one.revoke("jti", "e")
    assert told == ["broken", "b", "other"]
    one.clock.advance(20)
    one.revoke("user", "u")
    assert told == ["broken", "b", "other", "later"]
    assert len(failures.take(RuntimeError)) == 1


def test_who_is_revoked_cannot_watch(one: Gateway) -> None:
    one.revoke("jti", "j")
    with pytest.raises(TokenRefusedError):
        one.revocations.watch(token(), lambda: None)
