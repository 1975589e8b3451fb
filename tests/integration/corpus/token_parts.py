"""What the tokens that must not get in are made with: issuers, their keys, and changes to good tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.issuing import Signer, b64, claims, key_set

SHARED = "https://shared.tta.example"
PUBLISHED = "https://published.tta.example"

RSA, PSS = Signer("RS256", "r"), Signer("PS256", "p")
EC, EC384, OKP = Signer("ES256", "e"), Signer("ES384", "e384"), Signer("EdDSA", "o")
SECRET = Signer("HS256", None, secret=b"a secret that nobody can guess, of sufficient length")
ONLINE = Signer("RS256", "online")
STRANGER = Signer("RS256", "stranger")
ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
KEYS = key_set(RSA, PSS, EC, EC384, OKP)

Make = Callable[[float], bytes]


class Hostile(NamedTuple):
    """A token, or what takes its place."""

    name: str
    reason: str
    """What stands in the access log; "" where HTTP itself refuses it."""
    make: Make
    """Makes what follows `Bearer `, for the Unix time that it is now."""


class Twin(NamedTuple):
    """A token that gets in."""

    name: str
    make: Make


def said(signer: Signer, header: dict[str, Any] | None = None, **more: Any) -> Make:
    """A token that is good but for this."""
    return lambda now: signer.token(claims(now, **more), header)


def forged(key: bytes, header: dict[str, Any], **more: Any) -> Make:
    """A token signed by HMAC with what everybody knows."""
    forger = Signer(header.get("alg", "HS256"), None, secret=key)
    return lambda now: forger.token(claims(now, **more), header)


def cut(signer: Signer, change: Callable[[bytes], bytes]) -> Make:
    """A good token whose signature was changed."""

    def make(now: float) -> bytes:
        signed, _, _ = signer.token(claims(now)).rpartition(b".")
        return signed + b"." + b64(change(signer.sign(signed))).encode()

    return make


def changed(change: Callable[[bytes, bytes, bytes], bytes]) -> Make:
    """A good token whose text was changed."""
    return lambda now: change(*RSA.token(claims(now)).split(b"."))
