"""Tokens from their text to an identity, and what is remembered of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock as Timers
from twisted.python.failure import Failure

from tests.auth.published import Fetches
from tests.issuing import ISSUER, Signer, claims, key_set
from ttagw.auth.tokens import LOOK_EVERY, SWEEP_EVERY, Tokens
from ttagw.config import ConfigError
from ttagw.config.auth import Auth, Issuer
from ttagw.core.identity import Identity
from ttagw.core.rbac import Roles
from ttagw.errors import (
    CredentialsRefusedError,
    GatewayError,
    IdentityUnknownError,
    TokenExpiredError,
    TokenRefusedError,
)
from ttagw.testing import Clock

NOW = 1_800_000_000.0
RSA, EC, OKP, OTHER = Signer("RS256", "r"), Signer("ES256", "e"), Signer("EdDSA", "o"), Signer("RS256", "x")
SECRET = Signer("HS256", None, secret=b"s" * 32)
SHARED = "https://shared.tta.example"
URL = "https://published.tta.example"


class Here:
    """Three issuers: one with keys in a file, one with a secret, and one that publishes its keys."""

    def __init__(self, folder: Path, cache: int = 100) -> None:
        self.file, self.secret = folder / "keys.json", folder / "secret"
        self.file.write_bytes(key_set(RSA, EC, OKP))
        self.secret.write_bytes(b"s" * 32)
        self.wall, self.timers, self.fetches = Clock(NOW), Timers(), Fetches()
        self.revoked: set[str] = set()
        issuers = (
            Issuer(issuer=ISSUER, audience=("tta",), jwks_file=str(self.file)),
            Issuer(issuer=SHARED, audience=("tta",), secret_file=str(self.secret), algorithms=("HS256",)),
            Issuer(issuer=URL, audience=("tta",), jwks_url="http://h/"),
        )
        self.tokens = Tokens(
            Auth(issuers=issuers, cache=cache),
            Roles(),
            self._check,
            self.timers,
            wall=self.wall,
            random=lambda: 0.5,
            fetch=self.fetches,
        )

    def _check(self, identity: Identity) -> None:
        if identity.user in self.revoked:
            raise CredentialsRefusedError("revoked")

    def verify(self, token: bytes) -> Identity:
        found = self.tokens.verify(token)
        assert isinstance(found, Identity)
        return found

    def reason(self, token: bytes) -> str:
        assert self.tokens.known(token) is None
        with pytest.raises(GatewayError) as caught:
            self.tokens.verify(token)
        assert caught.value.status == 401
        return caught.value.reason

    def metric(self, name: str, **labels: str) -> float:
        samples = [each for family in self.tokens.metrics() for each in family.samples if each.name == name]
        return sum([each.value for each in samples if labels.items() <= each.labels.items()])


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


def good(signer: Signer = RSA, now: float = NOW, **more: Any) -> bytes:
    issuer = SHARED if signer is SECRET else ISSUER
    return signer.token(claims(now, **{"iss": issuer, **more}))


# Who it is


@pytest.mark.parametrize("signer", [RSA, EC, OKP, SECRET])
def test_a_good_token_is_somebody_and_remembered(here: Here, signer: Signer) -> None:
    token = good(signer)
    assert here.tokens.known(token) is None
    identity = here.verify(token)
    assert (identity.user, identity.roles) == ("user-7", {"patient"})
    assert here.tokens.known(bytes(bytearray(token))) is identity


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (b"", "token_malformed"),
        (good() + b"=", "token_malformed"),
        (b"A" * 9000, "token_size"),
        (RSA.token(claims(NOW), {"crit": ["exp"]}), "token_header"),
        (RSA.token(claims(NOW), {"alg": "none"}), "token_algorithm"),
        (RSA.token(claims(NOW), {"alg": "RS512"}), "token_algorithm"),
        (RSA.token(claims(NOW), {"alg": "HS256"}), "token_algorithm"),
        (RSA.token(claims(NOW, iss=SHARED)), "token_algorithm"),
        (SECRET.token(claims(NOW)), "token_algorithm"),
        (good(iss="https://elsewhere.example"), "token_issuer"),
        (good(iss=[ISSUER]), "token_issuer"),
        (good(iss=None), "token_issuer"),
        (good(iss={}), "token_issuer"),
        (good(iss=ISSUER + "/"), "token_issuer"),
        (RSA.token(claims(NOW), {"kid": "unknown"}), "token_key"),
        (RSA.token(claims(NOW), {"kid": "e"}), "token_key"),
        (OTHER.token(claims(NOW), {"kid": "r"}), "token_signature"),
        (good(aud="other"), "token_audience"),
        (good(exp=None), "token_expiry"),
        (good(exp=int(NOW) + 10**8), "token_life"),
        (good(nbf=int(NOW) + 31), "token_early"),
        (good(type="refresh"), "token_type"),
        (good(sub=None), "token_subject"),
        (good(now=NOW - 1831), "token_expired"),
    ],
)
def test_a_token_that_is_not_good_is_refused_by_name(here: Here, token: bytes, reason: str) -> None:
    assert here.reason(token) == reason
    assert len(here.tokens._verified) == 0


def test_who_was_revoked_is_nobody_and_not_remembered(here: Here) -> None:
    here.revoked.add("user-7")
    assert here.reason(good()) == "revoked"
    here.revoked.clear()
    assert here.reason(good(sub=None)) == "token_subject"
    assert here.verify(good()).user == "user-7"


def test_an_end_is_told_as_one_only_of_a_token_that_was_good(here: Here) -> None:
    with pytest.raises(TokenExpiredError):
        here.tokens.verify(good(now=NOW - 3600))
    with pytest.raises(TokenRefusedError) as caught:
        here.tokens.verify(OTHER.token(claims(NOW - 3600), {"kid": "r"}))
    assert type(caught.value) is TokenRefusedError


# What is remembered


def test_what_is_remembered_follows_the_wall_clock_whichever_way_it_jumps(here: Here) -> None:
    token = good()
    identity = here.verify(token)
    for jump, outcome in ((1829, ""), (1830, "token_expired"), (3600, "token_expired"), (-3600, "token_early")):
        here.wall.now = NOW + jump
        if outcome:
            assert here.reason(token) == outcome
        else:
            assert here.tokens.known(token) is identity
    here.wall.now = NOW
    assert here.tokens.known(token) is identity


def test_timers_do_not_follow_it(here: Here) -> None:
    here.tokens.start()
    here.fetches.answer(RSA)
    for jump in (3600, -7200):
        here.wall.now += jump
        here.timers.advance(LOOK_EVERY)
        assert here.fetches.open is None
    here.tokens.stop()


def test_without_room_nothing_is_remembered(tmp_path: Path) -> None:
    here = Here(tmp_path, cache=0)
    assert here.verify(good()).user == "user-7"
    assert here.tokens.known(good()) is None


def test_the_oldest_is_forgotten_first(tmp_path: Path) -> None:
    here = Here(tmp_path, cache=2)
    tokens = [good(jti=str(number)) for number in range(3)]
    for token in tokens:
        here.verify(token)
    assert [here.tokens.known(token) is None for token in tokens] == [True, False, False]


def test_who_is_forbidden_is_forgotten(here: Here) -> None:
    tokens = [good(sub=name) for name in ("a", "b", "c")]
    for token in tokens:
        here.verify(token)
    assert here.tokens.forget(lambda identity: identity.user == "b") == 1
    assert [here.tokens.known(token) is None for token in tokens] == [False, True, False]


def test_what_has_ended_does_not_stay(here: Here) -> None:
    here.tokens.start()
    here.verify(good())
    here.verify(good(exp=int(NOW) + 90_000))
    here.wall.now += 7200
    here.timers.advance(SWEEP_EVERY - LOOK_EVERY)
    assert len(here.tokens._verified) == 2
    here.timers.pump([LOOK_EVERY] * 2)
    assert len(here.tokens._verified) == 1
    here.tokens.stop()
    assert not here.timers.getDelayedCalls()


# Keys that change


def test_what_a_key_had_signed_that_is_gone_is_nobodys(here: Here, said: list[str]) -> None:
    here.tokens.start()
    of_file, of_secret = good(), good(SECRET)
    here.verify(of_file)
    here.verify(of_secret)
    here.file.write_bytes(key_set(EC))
    here.timers.advance(LOOK_EVERY)
    assert here.reason(of_file) == "token_key"
    assert here.tokens.known(of_secret) is not None
    here.secret.write_bytes(b"t" * 32)
    here.timers.advance(LOOK_EVERY)
    assert here.reason(of_secret) == "token_signature"
    assert f"{ISSUER}: 1 tokens are looked at again" in said
    here.tokens.stop()


def test_files_go_on_being_looked_at_after_a_failure(
    here: Here, failures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.tokens.start()

    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(here.tokens._issuers[SHARED].keys, "look", broken)
    here.file.write_bytes(key_set(OTHER))
    here.timers.advance(LOOK_EVERY)
    here.timers.advance(LOOK_EVERY)
    assert here.verify(good(OTHER)).user == "user-7"
    assert len(failures.take(ZeroDivisionError)) == 2
    here.tokens.stop()


def test_files_that_are_no_use_are_told_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "none"
    for issuer in (
        Issuer(issuer="i", jwks_file=str(file)),
        Issuer(issuer="i", secret_file=str(file), algorithms=("HS256",)),
    ):
        with pytest.raises(ConfigError, match="No such file"):
            Tokens(Auth(issuers=(issuer,)), Roles(), lambda _: None, Timers())


# Keys that are fetched


def published(signer: Signer = RSA, **more: Any) -> bytes:
    return good(signer, iss=URL, **more)


def outcome(found: Identity | Deferred[Identity]) -> list[Any]:
    assert isinstance(found, Deferred)
    results: list[Any] = []
    found.addBoth(lambda result: results.append(result.value if isinstance(result, Failure) else result))
    return results


def test_a_token_waits_for_its_key_and_others_do_not(here: Here) -> None:
    here.tokens.start()
    waiting = [outcome(here.tokens.verify(published())) for _ in range(3)]
    assert waiting == [[], [], []]
    assert here.verify(good()).user == "user-7"
    here.fetches.answer(RSA)
    assert [each[0].user for each in waiting] == ["user-7"] * 3
    assert here.tokens.known(published()) is not None
    assert here.metric("ttagw_issuer_waiting") == 0
    here.tokens.stop()


def test_who_has_waited_is_looked_at_as_of_then(here: Here) -> None:
    here.tokens.start()
    ended = outcome(here.tokens.verify(published()))
    revoked = outcome(here.tokens.verify(published(sub="user-8", exp=int(NOW) + 90_000)))
    forged = outcome(here.tokens.verify(OTHER.token(claims(NOW, iss=URL, exp=int(NOW) + 90_000), {"kid": "r"})))
    here.wall.now += 3600
    here.revoked.add("user-8")
    here.fetches.answer(RSA)
    assert [each[0].reason for each in (ended, revoked, forged)] == ["token_expired", "revoked", "token_signature"]
    here.tokens.stop()


def test_nobody_waits_for_what_cannot_be_good(here: Here) -> None:
    here.tokens.start()
    assert here.reason(published(aud="other")) == "token_audience"
    assert here.reason(published(now=NOW - 3600)) == "token_expired"
    assert here.metric("ttagw_issuer_waiting") == 0
    here.tokens.stop()


def test_who_leaves_is_not_waited_for(here: Here) -> None:
    here.tokens.start()
    found = here.tokens.verify(published())
    left, stays = outcome(found), outcome(here.tokens.verify(published()))
    assert isinstance(found, Deferred)
    found.cancel()
    assert isinstance(left[0], CancelledError)
    here.fetches.answer(RSA)
    assert stays[0].user == "user-7"
    here.tokens.stop()


def test_when_keys_cannot_be_had_that_is_nobodys_fault_but_ours(here: Here) -> None:
    here.tokens.start()
    waiting = outcome(here.tokens.verify(published()))
    here.fetches.say(b"<html>")
    assert isinstance(waiting[0], IdentityUnknownError)
    assert (waiting[0].reason, waiting[0].status) == ("keys_unavailable", 503)
    here.tokens.stop()


def test_what_a_fetched_key_had_signed_is_nobodys_when_it_is_gone(here: Here) -> None:
    here.tokens.start()
    here.fetches.answer(RSA, EC)
    here.verify(published())
    while here.fetches.open is None:
        here.timers.advance(LOOK_EVERY)
    here.fetches.answer(EC)
    assert here.tokens.known(published()) is None
    here.tokens.stop()


# What nobody foresaw


def test_what_nobody_foresaw_is_a_refusal_and_says_nothing_of_the_token(
    here: Here, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("user-7")

    token = good()
    here.tokens.start()
    waiting = outcome(here.tokens.verify(published()))
    monkeypatch.setattr(here.tokens, "_check", broken)
    assert here.reason(token) == "token_failed"
    here.fetches.answer(RSA)
    assert waiting[0].reason == "token_failed"
    texts = [
        text for text in said if text.startswith("a token could not be checked: ZeroDivisionError at test_tokens.py")
    ]
    assert len(texts) == 2
    assert "user-7" not in "".join(said)
    assert here.metric("ttagw_token_failures_total") == 2
    here.tokens.stop()


SIGNERS = st.sampled_from([RSA, EC, OKP, SECRET])


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Here:
    return Here(tmp_path_factory.mktemp("keys"))


@settings(deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=50).map(lambda text: text.encode("utf-8", "replace")))
def test_anything_may_be_presented(standing: Here, token: bytes) -> None:
    assert standing.reason(token).startswith("token_")


def _flip(token: bytes, at: int, random_: random.Random) -> bytes:
    return token[:at] + bytes([token[at] ^ 1 << random_.randrange(8)]) + token[at + 1 :]


MUTATIONS: list[Callable[[bytes, int, random.Random], bytes]] = [
    _flip,
    lambda token, at, random_: token[:at] + token[at + 1 :],
    lambda token, at, random_: token[:at] + random_.randbytes(1) + token[at:],
    lambda token, at, random_: token[:at],
    lambda token, at, random_: token[at:],
    lambda token, at, random_: token[:at] + random_.choice(b"AZaz09-_.=").to_bytes(1, "big") + token[at + 1 :],
    lambda token, at, random_: token[:at] + token,
    lambda token, at, random_: token + token[at:],
]


@settings(deadline=None, max_examples=300)
@given(
    SIGNERS, st.lists(st.tuples(st.sampled_from(MUTATIONS), st.floats(0, 0.999)), min_size=1, max_size=3), st.randoms()
)
def test_no_changed_token_gets_in(standing: Here, signer: Signer, steps: Any, random_: random.Random) -> None:
    token = start = good(signer)
    for change, place in steps:
        token = change(token, int(place * len(token)), random_) if token else token
    if token != start:
        assert standing.reason(token).startswith("token_")


HEADERS = st.dictionaries(
    st.sampled_from(["alg", "kid", "typ", "crit", "jwk", "zip"]),
    st.none()
    | st.sampled_from(["none", "HS256", "RS256", "r", "JWT", ""])
    | st.integers()
    | st.lists(st.text(max_size=3)),
    max_size=3,
)
CLAIMS = st.dictionaries(
    st.sampled_from(["iss", "aud", "sub", "exp", "iat", "role", "jti", "session_id", "patients"]),
    st.none() | st.text(max_size=5) | st.integers() | st.floats() | st.lists(st.text(max_size=3)) | st.booleans(),
    max_size=3,
)


@settings(deadline=None)
@given(SIGNERS, HEADERS, CLAIMS)
def test_whatever_an_issuer_signs_nothing_but_a_refusal_comes_of_it(
    standing: Here, signer: Signer, header: Any, said_: Any
) -> None:
    token = signer.token({**claims(NOW), **said_}, header)
    try:
        found = standing.tokens.verify(token)
    except TokenRefusedError:
        found = None
    assert found is None or isinstance(found, Identity)
    assert standing.tokens.failures == 0


# What is counted


def test_what_is_counted(here: Here) -> None:
    here.tokens.start()
    here.fetches.answer(RSA, EC)
    token = good()
    here.verify(token)
    for _ in range(3):
        assert here.tokens.known(token)
    assert here.reason(b"nothing") == "token_malformed"
    here.timers.advance(LOOK_EVERY)
    assert here.metric("ttagw_token_lookups_total", result="hit") == 3
    assert here.metric("ttagw_token_lookups_total", result="miss") == 2
    assert here.metric("ttagw_tokens_kept") == 1
    assert here.metric("ttagw_issuer_keys", issuer=ISSUER) == 3
    assert here.metric("ttagw_issuer_keys", issuer=URL) == 2
    assert here.metric("ttagw_issuer_keys_age_seconds", issuer=URL) == LOOK_EVERY
    assert here.metric("ttagw_issuer_fetches_total", issuer=URL, outcome="good") == 1
    assert here.metric("ttagw_token_failures_total") == 0
    here.tokens.stop()
