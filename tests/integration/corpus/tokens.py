"""Tokens that must not get in, each made for the moment in which it is sent, and their good twins.

The attacks are those of RFC 8725, of "Critical vulnerabilities in JSON Web Token libraries" (T. McLean), and of the
advisories of libraries since.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.integration.corpus import token_claims, token_keys
from tests.integration.corpus.token_parts import (
    EC,
    EC384,
    OKP,
    ONLINE,
    PSS,
    PUBLISHED,
    RSA,
    SECRET,
    SHARED,
    Hostile,
    Twin,
    said,
)
from tests.issuing import claims


def twins() -> Iterator[Twin]:
    """What is accepted, so that the others are refused for their reason and no other."""
    for signer in (RSA, PSS, EC, EC384, OKP):
        yield Twin(f"{signer.algorithm} of the file", said(signer))
    yield Twin("HS256", said(SECRET, iss=SHARED))
    yield Twin("of the URL", said(ONLINE, iss=PUBLISHED))
    yield Twin("without kid, the only EdDSA key", said(OKP, {"kid": None}))
    yield Twin("typ at+jwt", said(RSA, {"typ": "AT+JWT"}))
    yield Twin("type access", said(RSA, type="access", token_use="Access"))
    yield Twin("several audiences", said(RSA, aud=["x", "tta"]))
    yield Twin("ended within the leeway", lambda now: RSA.token(claims(now, exp=int(now) - 20)))
    yield Twin("begins within the leeway", lambda now: RSA.token(claims(now, nbf=int(now) + 25, iat=int(now) + 25)))
    yield Twin("a fraction of a second", lambda now: RSA.token(claims(now, exp=now + 60.5)))
    yield Twin("long", said(RSA, pad="x" * 5000))


def hostile(trap: str) -> Iterator[Hostile]:
    """All of them; `trap` is a URL where nobody may ever come."""
    yield from token_keys.algorithms()
    yield from token_keys.headers(trap)
    yield from token_keys.kids()
    yield from token_keys.signatures()
    yield from token_claims.texts()
    yield from token_claims.times()
    yield from token_claims.bad_claims()
