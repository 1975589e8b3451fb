"""Tokens that must not get in because of their text, or of what they claim."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.integration.corpus.token_parts import RSA, Hostile, Make, changed, said
from tests.issuing import ISSUER, as_json, claims


def texts() -> Iterator[Hostile]:
    malformed: dict[str, Make] = {
        "nothing but dots": lambda now: b"..",
        "one part": changed(lambda h, b, s: h),
        "two parts": changed(lambda h, b, s: b".".join([h, b])),
        "four parts": changed(lambda h, b, s: b".".join([h, b, s, s])),
        "five parts, as JWE": changed(lambda h, b, s: b".".join([h, s, s, b, s])),
        "no header": changed(lambda h, b, s: b".".join([b"", b, s])),
        "no claims": changed(lambda h, b, s: b".".join([h, b"", s])),
        "two tokens with a comma": changed(lambda h, b, s: b",".join([b".".join([h, b, s])] * 2)),
        "two tokens with a space": changed(lambda h, b, s: b" ".join([b".".join([h, b, s])] * 2)),
        "padding": changed(lambda h, b, s: b".".join([h, b, s + b"=="])),
        "padding inside": changed(lambda h, b, s: b".".join([h + b"=", b, s])),
        "base64 with plus and slash": changed(lambda h, b, s: b".".join([h, b, b"+/" + s[2:]])),
        "a space inside": changed(lambda h, b, s: b".".join([h, b, s[:5] + b" " + s[5:]])),
        "a tab inside": changed(lambda h, b, s: b".".join([h, b[:5] + b"\t" + b[5:], s])),
        "percent": changed(lambda h, b, s: b"%2e".join([h, b, s])),
        "quotes around": changed(lambda h, b, s: b'"' + b".".join([h, b, s]) + b'"'),
        "Bearer twice": changed(lambda h, b, s: b"Bearer " + b".".join([h, b, s])),
        "a dot of another script": changed(lambda h, b, s: b"\xe2\x80\xa4".join([h, b, s])),
        "letters of another script": changed(lambda h, b, s: b".".join([h, b, b"\xd0\xb0" + s[1:]])),
        "a character that is no base64": changed(lambda h, b, s: b".".join([h, b, s + b"!"])),
        "a part of one character": changed(lambda h, b, s: b".".join([h, b, b"A"])),
        "unused bits in the signature": changed(lambda h, b, s: b".".join([h, b, s[:-1] + _next(s[-1:])])),
        "a comma at the end": changed(lambda h, b, s: b".".join([h, b, s]) + b","),
        "JWS as JSON": changed(
            lambda h, b, s: as_json({"protected": h.decode(), "payload": b.decode(), "signature": s.decode()})
        ),
        "JWS as JSON with several signatures": changed(
            lambda h, b, s: as_json({"payload": b.decode(), "signatures": [{"protected": h.decode()}]})
        ),
    }
    for name, make in malformed.items():
        yield Hostile(name, "token_malformed", make)
    for name, header in {
        "a list": b'[{"alg":"RS256"}]',
        "a string": b'"RS256"',
        "null": b"null",
        "empty": b"",
        "not JSON": b"alg=RS256",
        "cut": b'{"alg":"RS256"',
        "two objects": b'{"alg":"RS256"}{}',
        "UTF-16": '{"alg":"RS256","kid":"r"}'.encode("utf-16"),
        "a byte order mark": b'\xef\xbb\xbf{"alg":"RS256","kid":"r"}',
        "bad UTF-8": b'{"alg":"RS256","kid":"\xff"}',
        "alg twice": b'{"alg":"RS256","kid":"r","alg":"none"}',
        "alg twice by an escape": b'{"alg":"none","kid":"r","\\u0061lg":"RS256"}',
        "deep": b'{"alg":"RS256","x":' + b"[" * 1500 + b"]" * 1500 + b"}",
    }.items():
        yield Hostile(f"header {name}", "token_malformed", lambda now, h=header: RSA.token(claims(now), h))
    for name, change in _bodies().items():
        yield Hostile(f"claims {name}", "token_malformed", lambda now, c=change: RSA.token(c(as_json(claims(now)))))
    yield Hostile("more than 8 KiB", "token_size", said(RSA, pad="x" * 6000))
    yield Hostile("9 KiB of one letter", "token_size", lambda now: b"A" * 9000)
    yield Hostile("9 KiB of dots", "token_size", lambda now: b"." * 9000)
    yield Hostile("larger than heads may be", "", lambda now: RSA.token(claims(now, pad="x" * 20_000)))
    for name, byte in {"NUL": b"\0", "CR": b"\r", "LF": b"\n", "DEL": b"\x7f", "escape": b"\x1b"}.items():
        yield Hostile(f"{name} inside", "", changed(lambda h, b, s, byte=byte: b".".join([h, b, s[:9] + byte + s[9:]])))


def _next(character: bytes) -> bytes:
    """The text whose unused bits are others: the last character of 256 bytes says two bits."""
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return letters[letters.index(character) + 1 :][:1]


def _bodies() -> dict[str, Callable[[bytes], bytes]]:
    return {
        "a list": lambda good: b"[" + good + b"]",
        "a string": lambda good: json.dumps(good.decode()).encode(),
        "null": lambda good: b"null",
        "empty": lambda good: b"",
        "cut": lambda good: good[:-1],
        "two objects": lambda good: good * 2,
        "UTF-16": lambda good: good.decode().encode("utf-16"),
        "UTF-32": lambda good: good.decode().encode("utf-32"),
        "bad UTF-8": lambda good: good.replace(b"user-7", b"user\xc0\xaf"),
        "a surrogate": lambda good: good.replace(b"user-7", b"\\ud800"),
        "sub twice": lambda good: good[:-1] + b',"sub":"admin"}',
        "exp twice": lambda good: b'{"exp":1,' + good[1:],
        "a name twice, deeper": lambda good: good[:-1] + b',"x":{"a":1,"a":2}}',
        "exp NaN": lambda good: _number(good, b"NaN"),
        "exp Infinity": lambda good: _number(good, b"Infinity"),
        "exp 1e400": lambda good: _number(good, b"1e400"),
        "exp of 3,000 digits": lambda good: _number(good, b"9" * 3000),
        "exp with a huge exponent": lambda good: _number(good, b"1e" + b"9" * 100),
        "deep lists": lambda good: good[:-1] + b',"x":' + b"[" * 2500 + b"]" * 2500 + b"}",
        "deep objects": lambda good: good[:-1] + b',"x":' + b'{"a":' * 800 + b"1" + b"}" * 801,
        "a comment": lambda good: good[:-1] + b"/**/}",
        "a last comma": lambda good: good[:-1] + b",}",
        "a line end in a string": lambda good: good.replace(b"user-7", b"user\n7"),
    }


def _number(good: bytes, exp: bytes) -> bytes:
    head, _, rest = good.partition(b'"exp":')
    return head + b'"exp":' + exp + rest[rest.index(b",") :]


def times() -> Iterator[Hostile]:
    def at(name: str, seconds: float, **more: Any) -> Make:
        return lambda now: RSA.token(claims(now, **{name: int(now) + seconds, **more}))

    yield Hostile("ended a second ago, and the leeway", "token_expired", at("exp", -31))
    yield Hostile("ended an hour ago", "token_expired", at("exp", -3600))
    yield Hostile("ended in 1970", "token_expired", said(RSA, exp=0))
    yield Hostile("ended before 1970", "token_expired", said(RSA, exp=-1))
    yield Hostile("ends in a hundred years", "token_life", at("exp", 100 * 365 * 86400))
    yield Hostile("ends in more than 30 days", "token_life", at("exp", 30 * 86400 + 120))
    yield Hostile("begins in two minutes", "token_early", at("nbf", 120))
    yield Hostile("issued in two minutes", "token_early", at("iat", 120))
    yield Hostile("no end", "token_expiry", said(RSA, exp=None))
    for odd in ("1999999999", "never", "", True, False, [1999999999], {}, 2**60, -(2**60), 1e300):
        yield Hostile(f"exp {odd!r}", "token_expiry", said(RSA, exp=odd))
    yield Hostile("exp null", "token_expiry", lambda now: RSA.token({**claims(now), "exp": None}))
    for name in ("nbf", "iat"):
        for odd in ("0", True, [0], {}, 2**60):
            yield Hostile(f"{name} {odd!r}", "token_times", said(RSA, **{name: odd}))


def bad_claims() -> Iterator[Hostile]:
    elsewhere: tuple[Any, ...] = ("", "https://elsewhere.example", ISSUER + "/", ISSUER.upper(), ISSUER[:-1])
    for odd in (*elsewhere, None, [ISSUER], {}, 7, True):
        yield Hostile(f"iss {odd!r}", "token_issuer", said(RSA, iss=odd))
    yield Hostile("iss with NUL", "token_issuer", said(RSA, iss=ISSUER + "\0"))
    audiences: tuple[Any, ...] = (None, "", "other", "TTA", "tta ", [], ["other"], [["tta"]], {"tta": 1}, 7, ["tta", 7])
    for odd in audiences:
        yield Hostile(f"aud {odd!r}", "token_audience", said(RSA, aud=odd))
    for kind in ("refresh", "Refresh", "id", "ID", "offline", "", 1, ["access"], "access\0"):
        yield Hostile(f"type {kind!r}", "token_type", said(RSA, type=kind))
    yield Hostile("token_use id", "token_type", said(RSA, token_use="id"))
    yield Hostile("token_type refresh", "token_type", said(RSA, token_type="refresh"))
    yield Hostile("typ claim Refresh", "token_type", said(RSA, typ="Refresh"))
    yield Hostile("refresh, said a second time", "token_type", said(RSA, type="access", typ="Refresh"))
    texts: tuple[Any, ...] = ("", " ", "a b", "a\r\nX-User-Role: admin", "a\0", "\u00e9", "x" * 256)
    for odd in (*texts, 7, True, [], ["a"], {}):
        yield Hostile(f"sub {odd!r:.30}", "token_subject", said(RSA, sub=odd))
        yield Hostile(f"session {odd!r:.30}", "token_session", said(RSA, session_id=odd))
    yield Hostile("no sub", "token_subject", said(RSA, sub=None))
    for odd in ("x" * 257, "a\r\nb", "a\0", 7, ["a"]):
        yield Hostile(f"jti {str(odd)[:24]!r}", "token_id", said(RSA, jti=odd))
    for odd in (7, {"admin": 1}, [7], ["admin", {}]):
        yield Hostile(f"role {odd!r}", "token_roles", said(RSA, role=odd))
    for odd in (7, {"a": 1}, True):
        yield Hostile(f"permissions {odd!r}", "token_permissions", said(RSA, permissions=odd))
        yield Hostile(f"patients {odd!r}", "token_people", said(RSA, patients=odd))
