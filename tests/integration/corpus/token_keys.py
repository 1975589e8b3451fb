"""Tokens that must not get in because of what signed them, or is said to have."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.integration.corpus.token_parts import (
    EC,
    EC384,
    KEYS,
    OKP,
    PUBLISHED,
    RSA,
    SECRET,
    SHARED,
    STRANGER,
    Hostile,
    changed,
    cut,
    forged,
    said,
)
from tests.issuing import ORDERS, Signer, as_json, b64, claims
from ttagw.core.base64url import decoded


def algorithms() -> Iterator[Hostile]:
    for spelling in ("none", "None", "NONE", "nOnE", "none ", " none", "", "\uff4e\uff4f\uff4e\uff45", "non\u0435"):
        header = as_json({"alg": spelling, "kid": "r"})
        for signature in (b"", b"x" * 256):
            yield Hostile(
                f"alg {spelling!r} signed with {len(signature)} bytes",
                "token_algorithm",
                lambda now, h=header, s=signature: b".".join(
                    [b64(h).encode(), b64(as_json(claims(now))).encode(), b64(s).encode()]
                ),
            )
    for odd in (None, 0, True, [], ["RS256"], {"RS256": 1}, "rs256", "RS256 ", "RS256\0", "RSA", "ES256K", "EdDSA448"):
        header = as_json({"alg": odd, "kid": "r"})
        yield Hostile(f"alg {odd!r}", "token_algorithm", lambda now, h=header: RSA.token(claims(now), h))
    yield Hostile("no alg", "token_algorithm", said(RSA, {"alg": None}))
    yield Hostile("alg that is not pinned", "token_algorithm", said(Signer("RS512", "r")))
    yield Hostile("alg of another key", "token_key", said(RSA, {"alg": "ES256"}))
    yield Hostile("RS256 said, PSS signed", "token_signature", said(Signer("PS256", "r"), {"alg": "RS256"}))
    jwk = RSA.jwk()
    known = {
        "PEM": RSA.pem(),
        "PEM without its last line end": RSA.pem().strip(),
        "PEM with CR LF": RSA.pem().replace(b"\n", b"\r\n"),
        "DER": RSA.der(),
        "JWK": json.dumps(jwk).encode(),
        "modulus as text": jwk["n"].encode(),
        "key set": KEYS,
        "nothing": b"",
        "kid": b"r",
        "EC PEM": EC.pem(),
    }
    for name, key in known.items():
        yield Hostile(f"HS256 with {name}", "token_algorithm", forged(key, {"alg": "HS256", "kid": "r"}))
        yield Hostile(
            f"HS256 of the other issuer with {name}",
            "token_signature",
            forged(key, {"alg": "HS256", "kid": "r"}, iss=SHARED),
        )
    yield Hostile("HS512 with PEM", "token_algorithm", forged(RSA.pem(), {"alg": "HS512", "kid": "r"}))
    yield Hostile("HS384 where HS256 is pinned", "token_algorithm", said(_secret("HS384"), iss=SHARED))
    yield Hostile("RS256 where HS256 is pinned", "token_algorithm", said(RSA, iss=SHARED))


def _secret(algorithm: str) -> Signer:
    return Signer(algorithm, None, secret=SECRET.secret)


def headers(trap: str) -> Iterator[Hostile]:
    own = STRANGER.jwk(kid="r")
    for name, value in {
        "jwk": own,
        "jku": trap,
        "x5u": trap,
        "x5c": [b64(STRANGER.der())],
    }.items():
        yield Hostile(f"{name} of a stranger", "token_header", said(STRANGER, {name: value, "kid": "r"}))
        yield Hostile(f"{name} on a good token", "token_header", said(RSA, {name: value}))
    yield Hostile("jwk that is symmetric", "token_header", forged(b"k" * 32, {"alg": "HS256", "jwk": {"kty": "oct"}}))
    for more in (
        {"crit": ["b64"], "b64": False},
        {"crit": ["exp"]},
        {"crit": []},
        {"crit": "exp"},
        {"b64": False},
        {"b64": True},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
        {"cty": "JWT"},
        {"cty": "jwt"},
    ):
        yield Hostile(f"header {more}", "token_header", said(RSA, more))
    for typ in ("JWE", "refresh+jwt", "logout+jwt", "", None, 1, ["JWT"], "JWT\0"):
        header = as_json({"alg": "RS256", "kid": "r", "typ": typ})
        yield Hostile(f"typ {typ!r}", "token_type", lambda now, h=header: RSA.token(claims(now), h))


def kids() -> Iterator[Hostile]:
    for kid in (
        "../../../../../../dev/null",
        "/etc/hostname",
        "' OR '1'='1",
        "x' UNION SELECT 'secret' --",
        "r; sleep 10",
        "$(id)",
        "{{7*7}}",
        "R",
        "r ",
        "",
        "\u0433",
        "stranger",
    ):
        for signer in (STRANGER, RSA):
            yield Hostile(f"kid {kid!r} by {signer.kid}", "token_key", said(signer, {"kid": kid}))
    for odd in (7, 0, True, ["r"], {"r": 1}, "r\0", "r\r\nX-User-Role: admin", "\u202er"):
        yield Hostile(f"kid {odd!r}", "token_key", said(RSA, {"kid": odd}))
    for length in (257, 4000):
        yield Hostile(f"kid of {length} characters", "token_key", said(RSA, {"kid": "r" * length}))
    yield Hostile("kid of half a character", "token_malformed", said(RSA, {"kid": "\ud800"}))
    yield Hostile("kid null", "token_key", lambda now: RSA.token(claims(now), b'{"alg":"RS256","kid":null}'))
    yield Hostile("kid of another's key", "token_signature", said(STRANGER, {"kid": "r"}))
    yield Hostile("kid of a key for another algorithm", "token_key", said(RSA, {"kid": "e"}))
    yield Hostile("no kid, signed by a stranger", "token_signature", said(STRANGER, {"kid": None}))
    yield Hostile("a key that the URL has not", "token_key", said(STRANGER, iss=PUBLISHED))
    yield Hostile("key of another issuer", "token_key", said(RSA, iss=PUBLISHED))
    yield Hostile("key of another issuer, its kid", "token_signature", said(RSA, {"kid": "online"}, iss=PUBLISHED))


def signatures() -> Iterator[Hostile]:
    changes: dict[str, Callable[[bytes], bytes]] = {
        "of no bytes": lambda good: b"",
        "of one byte": lambda good: good[:1],
        "without its last byte": lambda good: good[:-1],
        "without its first byte": lambda good: good[1:],
        "with a byte more": lambda good: good + b"\0",
        "with a byte before": lambda good: b"\0" + good,
        "of zeros": lambda good: bytes(len(good)),
        "of ones": lambda good: b"\xff" * len(good),
        "with another bit": lambda good: good[:-1] + bytes([good[-1] ^ 1]),
        "reversed": lambda good: good[::-1],
        "twice": lambda good: good * 2,
    }
    for signer in (RSA, EC, OKP):
        for name, change in changes.items():
            yield Hostile(f"{signer.algorithm} signature {name}", "token_signature", cut(signer, change))
    for signer in (EC, EC384):
        order = ORDERS[signer.algorithm]
        half = (order.bit_length() + 7) // 8
        for name, pair in {
            "r = s = 0": (0, 0),
            "r = 0": (0, 1),
            "s = 0": (1, 0),
            "r = n": (order, 1),
            "s = n": (1, order),
            "r = s = n": (order, order),
            "r = s = 1": (1, 1),
        }.items():
            raw = b"".join([each.to_bytes(half, "big") for each in pair])
            yield Hostile(f"{signer.algorithm} {name}", "token_signature", cut(signer, lambda good, raw=raw: raw))
    yield Hostile("ES256 said, P-384 signed", "token_signature", said(EC384, {"alg": "ES256", "kid": "e"}))
    yield Hostile("ES384 said for a P-256 key", "token_key", said(EC, {"alg": "ES384"}))
    yield Hostile("ES256 signature as DER", "token_signature", cut(EC, _der))
    yield Hostile("signature of other claims", "token_signature", changed(lambda h, b, s: b".".join([h, _admin(b), s])))
    yield Hostile(
        "signature of another header", "token_signature", changed(lambda h, b, s: b".".join([_plain(), b, s]))
    )


def _der(raw: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


def _admin(body: bytes) -> bytes:
    return b64(decoded(body).replace(b'"patient"', b'"admin"')).encode()


def _plain() -> bytes:
    return b64(as_json({"alg": "RS256", "kid": "r"})).encode()
