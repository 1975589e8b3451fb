"""Programs that show a key on the data path."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from tests.auth.test_keyfile import NAMES
from ttagw.auth.authenticator import Authenticator, NoTokens
from ttagw.auth.keyfile import new_key
from ttagw.auth.keys import Caller
from ttagw.auth.refusals import MOST_REFUSALS, PER_SECONDS
from ttagw.core.identity import Identity
from ttagw.core.rbac import Role, Roles
from ttagw.errors import CredentialsRefusedError, GatewayError, TokenRefusedError
from ttagw.model import Exchange
from ttagw.testing import Clock, exchange

KEY = new_key("core-gameplay", bytes(32)).encode()
BAD = new_key("core-gameplay", b"x" * 32).encode()
CALLER = Caller("core-gameplay", ("service", "patient"), ("register:a",), 2000.0)
WORDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", fullmatch=True)


class Known:
    """Knows one key."""

    def __init__(self) -> None:
        self.remembered: Caller | None = None
        self.refused: set[bytes] = set()
        self.checked = 0

    def known(self, key: bytes) -> Caller | None:
        if key in self.refused:
            raise CredentialsRefusedError("key_unknown")
        return self.remembered if key == KEY else None

    async def check(self, key: bytes) -> Caller:
        self.checked += 1
        if key != KEY:
            raise CredentialsRefusedError("key_unknown")
        return CALLER


class Place:
    """An authenticator of which every other part is in our hands."""

    def __init__(self) -> None:
        self.keys, self.clock = Known(), Clock()
        self.revoked: set[str] = set()
        roles = Roles({"service": Role(("run",), ("base",)), "base": Role(("look",))})
        self.authenticator = Authenticator(NoTokens(), self.keys, roles, self._check, monotonic=self.clock)

    def _check(self, identity: Identity) -> None:
        if identity.user in self.revoked:
            raise CredentialsRefusedError("revoked")

    def who(self, *credentials: tuple[bytes, bytes], client: str = "192.0.2.1") -> Identity | str | None:
        """Who it is; the reason when it is refused."""
        return who(self.authenticator, exchange_of(*credentials, client=client))


def exchange_of(*credentials: tuple[bytes, bytes], client: str = "192.0.2.1") -> Exchange:
    made = exchange()
    made.client = client
    made.credentials = list(credentials) or None
    return made


def who(authenticator: Authenticator, asking: Exchange) -> Identity | str | None:
    try:
        found = authenticator.identify(asking)
    except GatewayError as error:
        return error.reason
    if not isinstance(found, Deferred):
        return found
    results: list[Identity | str] = []
    found.addCallbacks(results.append, lambda failure: results.append(failure.value.reason))
    return results[0]


def bearer(key: bytes) -> tuple[bytes, bytes]:
    return b"authorization", b"Bearer " + key


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.mark.parametrize("field", [bearer(KEY), (b"x-api-key", KEY), (b"authorization", b"bearer  " + KEY)])
def test_a_program_is_who_its_key_says(place: Place, field: tuple[bytes, bytes]) -> None:
    identity = place.who(field)
    assert isinstance(identity, Identity)
    assert (identity.kind, identity.user, identity.roles) == ("key", "core-gameplay", {"service", "patient"})
    assert {"run", "look", "register:a", "access_therapeutic_content"} <= identity.permissions
    assert (identity.mfa, identity.ends) == (False, 2000.0)
    place.keys.remembered = CALLER
    assert place.who(field) is identity
    assert place.keys.checked == 1


def test_without_a_file_no_key_is_good() -> None:
    authenticator = Authenticator(NoTokens(), None, Roles(), lambda identity: None)
    assert who(authenticator, exchange_of(bearer(KEY))) == "no_keys"
    assert who(authenticator, exchange_of((b"x-api-key", b"something"))) == "no_keys"


def test_what_has_not_the_form_of_a_key_is_a_token(place: Place) -> None:
    assert place.who(bearer(b"a.b.c")) == "no_issuers"
    assert place.keys.checked == 0
    assert place.who((b"x-api-key", b"a.b.c")) == "key_unknown"


def test_who_was_revoked_is_refused_whether_the_key_is_remembered_or_not(place: Place) -> None:
    place.revoked.add("core-gameplay")
    assert place.who(bearer(KEY)) == "revoked"
    place.keys.remembered = CALLER
    assert place.who(bearer(KEY)) == "revoked"
    place.revoked.clear()
    assert isinstance(place.who(bearer(KEY)), Identity)


def test_an_address_with_too_many_unknown_keys_waits(place: Place) -> None:
    assert [place.who(bearer(BAD)) for _ in range(MOST_REFUSALS)] == ["key_unknown"] * MOST_REFUSALS
    assert place.who(bearer(BAD)) == place.who(bearer(KEY)) == "too_many_refusals"
    assert place.keys.checked == MOST_REFUSALS
    assert place.who(bearer(b"a.b.c")) == "no_issuers"
    assert isinstance(place.who(bearer(KEY), client="192.0.2.2"), Identity)
    place.keys.remembered = CALLER
    assert isinstance(place.who(bearer(KEY)), Identity)
    place.keys.remembered = None
    place.clock.advance(PER_SECONDS * 1.1)
    assert isinstance(place.who(bearer(KEY)), Identity)


def test_a_program_that_goes_on_with_a_wrong_key_takes_nobodys_turn(place: Place) -> None:
    place.keys.refused.add(BAD)
    assert {place.who(bearer(BAD)) for _ in range(2 * MOST_REFUSALS)} == {"key_unknown"}
    assert isinstance(place.who(bearer(KEY)), Identity)
    assert place.keys.checked == 1


def test_tokens_that_are_refused_cost_a_key_nothing(place: Place) -> None:
    for _ in range(2 * MOST_REFUSALS):
        with pytest.raises(TokenRefusedError):
            place.authenticator.identify(exchange_of(bearer(b"a.b.c")))
    assert isinstance(place.who(bearer(KEY)), Identity)


def test_what_was_sent_on_purpose_wins_over_a_certificate() -> None:
    shown = Identity("certificate", "sidecar", ("service",), ())
    authenticator = Authenticator(NoTokens(), Known(), Roles(), lambda identity: None, lambda exchange: shown)
    assert who(authenticator, exchange_of()) is shown
    by_key = who(authenticator, exchange_of(bearer(KEY)))
    assert isinstance(by_key, Identity)
    assert by_key.kind == "key"
    assert who(authenticator, exchange_of(bearer(BAD))) == "key_unknown"
    assert who(authenticator, exchange_of(bearer(b"a.b.c"))) == "no_issuers"


def test_a_certificate_can_be_revoked() -> None:
    def revoked(identity: Identity) -> None:
        raise CredentialsRefusedError("revoked")

    shown = Identity("certificate", "sidecar", ("service",), ())
    authenticator = Authenticator(NoTokens(), None, Roles(), revoked, lambda exchange: shown)
    assert who(authenticator, exchange_of()) == "revoked"


@given(NAMES, st.lists(NAMES.map(lambda name: name.replace(":", "-")), max_size=3), st.lists(WORDS, max_size=3))
def test_whatever_the_file_can_say_fits_into_fields(name: str, roles: list[str], permissions: list[str]) -> None:
    authenticator = Authenticator(NoTokens(), Known(), Roles(), lambda identity: None)
    lines = authenticator.of(Caller(name, tuple(roles), tuple(permissions))).lines
    assert re.fullmatch(rb"(?:x-user-(?:id|role|permissions): [\x21-\x7e]*\r\n){3}", lines)
    assert lines.startswith(b"x-user-id: %b\r\n" % name.encode())
