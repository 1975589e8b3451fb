from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred

from tests.layers.asking import Asking, somebody
from tests.twisted_hygiene import Failures
from ttagw.core.identity import Identity
from ttagw.core.rbac import Lack, Requirement
from ttagw.errors import AccessRefusedError, AccessUnknownError
from ttagw.layers.authorise import Authorise, Terms, refusal
from ttagw.model import Exchange
from ttagw.testing import route

OWNED = Requirement(owned=True)
PATH = "/clinics/{clinic}/players/{player}/*"


class Says:
    """What it says about everybody else."""

    def __init__(self, answer: bool | Exception | Deferred[bool] = False) -> None:
        self._answer = answer
        self.asked: list[tuple[str, str]] = []

    def may(self, exchange: Exchange, identity: Identity, person: str) -> bool | Deferred[bool]:
        self.asked.append((identity.user, person))
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def ask(
    requirement: Requirement,
    identity: Identity | None,
    says: Says | None = None,
    *,
    player: bytes = b"8",
    dry_run: bool = False,
    before: str = "",
) -> Asking:
    def prepare(made: Exchange) -> None:
        made.dry_run = before

    terms = Terms(requirement, PATH, "player" if requirement.owned else "", dry_run)
    layer = Authorise({"r": terms}, says or Says())
    return Asking([layer], identity=identity, params=(b"7", player), prepare=prepare)


def test_a_route_that_asks_for_nothing_has_no_hooks() -> None:
    layer = Authorise({"r": Terms(Requirement(), PATH)}, Says())
    assert layer.bind(route(name="r")) is None
    assert layer.bind(route(name="unheard-of")) is None


CASES = [
    (Requirement(roles=frozenset(("admin", "therapist"))), "role_missing", "role: admin or therapist"),
    (Requirement(permissions=frozenset(("b", "a"))), "permission_missing", "permissions: a, b"),
    (Requirement(mfa=True), "mfa_missing", "mfa"),
    (OWNED, "owner_only", "care relationship"),
]


@pytest.mark.parametrize(("requirement", "reason", "missing"), CASES, ids=[each[1] for each in CASES])
def test_what_is_missing_is_said(requirement: Requirement, reason: str, missing: str) -> None:
    asking = ask(requirement, somebody())
    assert (asking.status, asking.forwarded) == (403, False)
    assert asking.error is not None
    assert (asking.error.code, asking.error.reason) == ("access_refused", reason)
    assert asking.error.more == {"missing": missing}
    (challenge,) = [value for name, value in asking.error.fields if name == b"www-authenticate"]
    assert challenge.startswith(b'Bearer realm="tta", error="insufficient_scope"')
    assert (b'scope="a b"' in challenge) == bool(requirement.permissions)


@pytest.mark.parametrize(("requirement", "reason", "missing"), CASES, ids=[each[1] for each in CASES])
def test_nobody_is_asked_to_say_who_they_are(requirement: Requirement, reason: str, missing: str) -> None:
    says = Says(True)
    asking = ask(requirement._replace(required=False), None, says)
    assert (asking.status, asking.forwarded) == (401, False)
    assert asking.exchange.reason == "credentials_required"
    assert says.asked == []


@pytest.mark.parametrize(("requirement", "reason", "missing"), CASES, ids=[each[1] for each in CASES])
def test_a_dry_run_lets_through_and_says_what_is_missing(requirement: Requirement, reason: str, missing: str) -> None:
    asking = ask(requirement, somebody(), dry_run=True)
    assert asking.forwarded
    assert asking.exchange.dry_run == reason
    assert ask(requirement, None, dry_run=True).exchange.dry_run == "credentials_required"
    # Whoever could not be known is the first reason, not what they lack for that.
    assert ask(requirement, None, dry_run=True, before="token_expired").exchange.dry_run == "token_expired"


def test_whoever_has_everything_gets_in() -> None:
    asked = Requirement(True, frozenset(("a", "patient")), frozenset(("p",)), True, True)
    caller = Identity("token", "8", ("patient",), ("p", "q"), mfa=True)
    for dry_run in (False, True):
        asking = ask(asked, caller, dry_run=dry_run)
        assert asking.forwarded
        assert asking.exchange.dry_run == ""


# Owners


@pytest.mark.parametrize("player", [b"8", b"%38"])
def test_the_person_themselves_need_not_ask(player: bytes) -> None:
    says = Says(False)
    assert ask(OWNED, somebody("8"), says, player=player).forwarded
    assert says.asked == []


def test_who_cares_for_that_person_by_the_token_need_not_ask() -> None:
    says = Says(False)
    assert ask(OWNED, Identity("token", "t-1", (), (), people=("8",)), says).forwarded
    assert says.asked == []


@pytest.mark.parametrize("player", [b"%2538", b"8%20", b"08", b"%388", b"\xd9\xa8"])
def test_nearly_that_person_is_somebody_else(player: bytes) -> None:
    assert ask(OWNED, somebody("8"), player=player).status == 403


def test_another_param_is_not_the_owner() -> None:
    assert ask(OWNED, somebody("7")).status == 403


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize("later", [True, False])
def test_everybody_else_is_asked_about(answer: bool, later: bool) -> None:
    waiting: Deferred[bool] = Deferred()
    says = Says(waiting if later else answer)
    asking = ask(OWNED, somebody("t-1"), says, player=b"p%2D8")
    if later:
        assert (asking.status, asking.forwarded) == (0, False)
        waiting.callback(answer)
    assert says.asked == [("t-1", "p-8")]
    assert (asking.status, asking.forwarded) == ((0, True) if answer else (403, False))
    assert asking.exchange.reason == ("" if answer else "owner_only")


@pytest.mark.parametrize("player", [b"8;x", b"8;x=1", b";", b"a%20b", b"%C3%A9", b"x" * 256, b"%7F"])
def test_what_can_be_nobody_is_not_asked_about(player: bytes) -> None:
    says = Says(True)
    assert ask(OWNED, somebody(), says, player=player).status == 403
    assert says.asked == []


def test_who_lacks_anything_else_is_not_asked_about() -> None:
    says = Says(True)
    asked = Requirement(roles=frozenset(("therapist",)), owned=True)
    assert ask(asked, somebody(), says).exchange.reason == "role_missing"
    assert says.asked == []


@pytest.mark.parametrize("later", [True, False])
@pytest.mark.parametrize("dry_run", [True, False])
def test_what_cannot_be_found_out_lets_nobody_in(later: bool, dry_run: bool) -> None:
    waiting: Deferred[bool] = Deferred()
    asking = ask(OWNED, somebody(), Says(waiting if later else AccessUnknownError("away")), dry_run=dry_run)
    if later:
        waiting.errback(AccessUnknownError("away"))
    assert (asking.status, asking.forwarded) == ((0, True) if dry_run else (503, False))
    assert asking.exchange.dry_run == ("away" if dry_run else "")


@pytest.mark.parametrize("later", [True, False])
@pytest.mark.parametrize("dry_run", [True, False])
def test_what_nobody_foresaw_lets_nobody_in(later: bool, dry_run: bool, failures: Failures) -> None:
    waiting: Deferred[bool] = Deferred()
    asking = ask(OWNED, somebody(), Says(waiting if later else LookupError("broken")), dry_run=dry_run)
    if later:
        waiting.errback(LookupError("broken"))
    assert (asking.status, asking.forwarded) == (500, False)
    assert len(failures.take(LookupError)) == 1


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_client_that_leaves_ends_the_question(dry_run: bool) -> None:
    ended: list[Deferred[bool]] = []
    waiting: Deferred[bool] = Deferred(ended.append)
    asking = ask(OWNED, somebody(), Says(waiting), dry_run=dry_run)
    asking.leave()
    assert ended == [waiting]
    assert (asking.status, asking.forwarded, asking.exchange.dry_run) == (499, False, "")


def test_a_question_that_is_given_up_from_within_lets_nobody_in(failures: Failures) -> None:
    waiting: Deferred[bool] = Deferred()
    asking = ask(OWNED, somebody(), Says(waiting), dry_run=True)
    waiting.errback(CancelledError())
    assert (asking.status, asking.forwarded) == (500, False)
    assert len(failures.take(CancelledError)) == 1


def test_a_dry_run_asks_too() -> None:
    for answer, reason in ((True, ""), (False, "owner_only")):
        waiting: Deferred[bool] = Deferred()
        asking = ask(OWNED, somebody(), Says(waiting), dry_run=True)
        waiting.callback(answer)
        assert asking.forwarded
        assert asking.exchange.dry_run == reason


@pytest.mark.parametrize("missing", [each for each in Lack if each is not Lack.IDENTITY])
def test_a_refusal_says_nothing_of_what_was_asked_for(missing: Lack) -> None:
    error = refusal(missing, Requirement(True, frozenset(("r",)), frozenset(("p",)), True, True))
    assert isinstance(error, AccessRefusedError)
    assert "exist" not in error.text.lower()
    assert error.text.endswith(".")
