from __future__ import annotations

from typing import Literal

import pytest
from twisted.internet.defer import CancelledError, Deferred

from tests.layers.asking import Answer, Asking, somebody
from tests.twisted_hygiene import Failures
from ttagw.core.identity import Identity
from ttagw.errors import IdentityUnknownError, TokenRefusedError
from ttagw.layers.authenticate import Asked, Authenticate
from ttagw.model import Exchange
from ttagw.testing import route

BEARER = (b"authorization", b"Bearer abc")
AUTH: tuple[Literal["required", "optional"], ...] = ("required", "optional")


class Knows:
    """Remembers the tokens in `remembered`, and answers about all others what it is told to."""

    def __init__(self, answer: Answer = None, remembered: dict[bytes, Identity] | None = None) -> None:
        self._answer = answer
        self._remembered = remembered or {}
        self.asked: list[Exchange] = []

    def known(self, token: bytes) -> Identity | None:
        return self._remembered.get(token)

    def identify(self, exchange: Exchange) -> Identity | Deferred[Identity] | None:
        self.asked.append(exchange)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def ask(
    knows: Knows,
    *credentials: tuple[bytes, bytes],
    auth: Literal["required", "optional", "none"] = "required",
    dry_run: bool = False,
) -> Asking:
    return Asking([Authenticate({"r": Asked(auth, dry_run)}, knows)], *credentials)


def test_a_route_that_asks_nobody_has_no_hooks() -> None:
    layer = Authenticate({"r": Asked("none"), "tried": Asked("none", dry_run=True)}, Knows())
    assert layer.bind(route(name="r")) is None
    assert layer.bind(route(name="tried")) is None
    assert layer.bind(route(name="unheard-of")) is None


def test_a_token_that_is_remembered_is_not_looked_at_again() -> None:
    me, knows = somebody(), Knows()
    knows = Knows(TokenRefusedError(), {b"abc": me})
    for auth in AUTH:
        asking = ask(knows, BEARER, auth=auth)
        assert asking.forwarded
        assert asking.exchange.identity is me
    assert knows.asked == []


@pytest.mark.parametrize("name", [b"x-api-key", b"x-break-glass-reason"])
def test_only_authorization_has_tokens(name: bytes) -> None:
    knows = Knows(None, {b"abc": somebody()})
    asking = ask(knows, (name, b"Bearer abc"))
    assert (asking.status, asking.forwarded) == (401, False)
    assert len(knows.asked) == 1


@pytest.mark.parametrize(
    "credentials",
    [
        ((b"authorization", b"Bearer other"),),
        ((b"authorization", b"bearer abc"),),
        ((b"authorization", b"Basic abc"),),
        (BEARER, BEARER),
        (BEARER, (b"x-break-glass-reason", b"why")),
        (),
    ],
)
def test_everything_else_is_looked_at(credentials: tuple[tuple[bytes, bytes], ...]) -> None:
    me = somebody("8")
    knows = Knows(me, {b"abc": somebody()})
    asking = ask(knows, *credentials)
    assert asking.forwarded
    assert asking.exchange.identity is me
    assert knows.asked == [asking.exchange]


def test_nobody_gets_in_where_somebody_is_required() -> None:
    asking = ask(Knows(None))
    assert (asking.status, asking.forwarded) == (401, False)
    assert asking.error is not None
    assert asking.error.code == "credentials_required"
    assert (b"www-authenticate", b'Bearer realm="tta"') in asking.error.fields


def test_nobody_is_welcome_where_that_is_optional() -> None:
    asking = ask(Knows(None), auth="optional")
    assert asking.forwarded
    assert asking.exchange.identity is None


@pytest.mark.parametrize("auth", AUTH)
@pytest.mark.parametrize(("error", "status"), [(TokenRefusedError("why"), 401), (IdentityUnknownError("away"), 503)])
def test_a_bad_token_is_refused_even_where_none_is_needed(
    auth: Literal["required", "optional"], error: Exception, status: int
) -> None:
    waiting: Deferred[Identity] = Deferred()
    later = ask(Knows(waiting), BEARER, auth=auth)
    waiting.errback(error)
    for asking in (ask(Knows(error), BEARER, auth=auth), later):
        assert (asking.status, asking.forwarded) == (status, False)
        assert asking.exchange.identity is None
        assert asking.exchange.reason == str(error)


def test_an_identity_may_take_its_time() -> None:
    waiting: Deferred[Identity] = Deferred()
    asking = ask(Knows(waiting), BEARER)
    assert (asking.status, asking.forwarded) == (0, False)
    me = somebody()
    waiting.callback(me)
    assert asking.forwarded
    assert asking.exchange.identity is me


def test_whoever_turns_out_to_be_nobody_does_not_get_in() -> None:
    for dry_run in (False, True):
        waiting: Deferred[Identity] = Deferred()
        asking = ask(Knows(waiting), BEARER, dry_run=dry_run)
        waiting.callback(None)  # type: ignore[arg-type]
        assert (asking.status, asking.forwarded) == ((0, True) if dry_run else (401, False))
        assert asking.exchange.dry_run == ("credentials_required" if dry_run else "")


# Dry run


@pytest.mark.parametrize("auth", AUTH)
def test_a_dry_run_lets_in_and_says_why_it_would_not(auth: Literal["required", "optional"]) -> None:
    waiting: Deferred[Identity] = Deferred()
    later = ask(Knows(waiting), BEARER, auth=auth, dry_run=True)
    waiting.errback(TokenRefusedError("why"))
    for asking in (ask(Knows(TokenRefusedError("why")), BEARER, auth=auth, dry_run=True), later):
        assert asking.forwarded
        assert asking.exchange.identity is None
        assert asking.exchange.dry_run == "why"


def test_a_dry_run_without_anybody() -> None:
    assert ask(Knows(None), dry_run=True).exchange.dry_run == "credentials_required"
    assert ask(Knows(None), auth="optional", dry_run=True).exchange.dry_run == ""


def test_a_dry_run_knows_people_like_any_other() -> None:
    me = somebody()
    asking = ask(Knows(me), BEARER, dry_run=True)
    assert asking.forwarded
    assert (asking.exchange.identity, asking.exchange.dry_run) == (me, "")


# What goes wrong


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("auth", AUTH)
def test_what_nobody_foresaw_lets_nobody_in(
    auth: Literal["required", "optional"], dry_run: bool, failures: Failures
) -> None:
    waiting: Deferred[Identity] = Deferred()
    later = ask(Knows(waiting), BEARER, auth=auth, dry_run=dry_run)
    waiting.errback(LookupError("broken"))
    for asking in (ask(Knows(LookupError("broken")), BEARER, auth=auth, dry_run=dry_run), later):
        assert (asking.status, asking.forwarded) == (500, False)
        assert asking.exchange.identity is None
    assert len(failures.take(LookupError)) == 2


def test_a_client_that_leaves_ends_the_search() -> None:
    ended: list[Deferred[Identity]] = []
    waiting: Deferred[Identity] = Deferred(ended.append)
    asking = ask(Knows(waiting), BEARER, dry_run=True)
    asking.leave()
    assert ended == [waiting]
    assert (asking.status, asking.forwarded) == (499, False)
    assert asking.exchange.dry_run == ""


def test_who_is_found_too_late_is_nobody() -> None:
    waiting: Deferred[Identity] = Deferred(lambda deferred: deferred.callback(somebody()))
    asking = ask(Knows(waiting), BEARER)
    asking.leave()
    assert (asking.status, asking.forwarded) == (499, False)


def test_a_search_that_is_given_up_from_within_lets_nobody_in(failures: Failures) -> None:
    waiting: Deferred[Identity] = Deferred()
    asking = ask(Knows(waiting), BEARER, dry_run=True)
    waiting.errback(CancelledError())
    assert (asking.status, asking.forwarded) == (500, False)
    assert len(failures.take(CancelledError)) == 1
