"""Issuers of tokens for tests: keys, key sets, and tokens made by hand, so that they can be as wrong as is wanted."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER = "https://auth.tta.example"
CURVES: Mapping[str, tuple[str, ec.EllipticCurve]] = {
    "ES256": ("P-256", ec.SECP256R1()),
    "ES384": ("P-384", ec.SECP384R1()),
    "ES512": ("P-521", ec.SECP521R1()),
}
ORDERS = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ES384": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    "ES512": (1 << 521) - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7,
}
"""How many points there are on a curve (FIPS 186-4, D.1.2)."""


def b64(data: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(data).decode("ascii").rstrip("=")


def number(value: int, size: int = 0) -> str:
    """A number as it stands in a JWK."""
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def _hash(algorithm: str) -> Any:
    return {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}[algorithm[-3:]]()


@cache
def _private(kind: str, serial: str) -> Any:
    """A private key of a kind; made once for all tests of a process."""
    if kind.startswith("RSA"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    if kind in CURVES:
        return ec.generate_private_key(CURVES[kind][1])
    return ed448.Ed448PrivateKey.generate() if kind == "Ed448" else ed25519.Ed25519PrivateKey.generate()


class Signer:
    """A key that signs by one algorithm."""

    def __init__(
        self,
        algorithm: str = "RS256",
        kid: str | None = "k1",
        *,
        bits: int = 2048,
        curve: str = "",
        secret: bytes = b"",
    ) -> None:
        """`curve`: of another algorithm (ES…), or `Ed448`. Two of the same algorithm and `kid` are the same key."""
        self.algorithm = algorithm
        self.kid = kid
        self.secret = secret
        kind = f"RSA{bits}" if algorithm[0] in "RP" else curve or algorithm
        self.private = None if algorithm[0] == "H" else _private(kind, kid or "")

    def sign(self, data: bytes) -> bytes:
        """The signature of some bytes (RFC 7518 §3)."""
        if self.private is None:
            return hmac.digest(self.secret, data, f"sha{self.algorithm[-3:]}")
        if self.algorithm == "EdDSA":
            return bytes(self.private.sign(data))
        if self.algorithm.startswith("ES"):
            size = (self.private.curve.key_size + 7) // 8
            r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(_hash(self.algorithm))))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        used = _hash(self.algorithm)
        pss = padding.PSS(padding.MGF1(used), used.digest_size)
        return bytes(self.private.sign(data, padding.PKCS1v15() if self.algorithm[0] == "R" else pss, used))

    def pem(self) -> bytes:
        """The public key, as everybody may have it."""
        return bytes(self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def der(self) -> bytes:
        """The same in binary."""
        return bytes(self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    def jwk(self, **more: Any) -> dict[str, Any]:
        """The public key as a JWK; a member that is None in `more` is not there."""
        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            numbers = public.public_numbers()
            made = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        elif isinstance(public, ec.EllipticCurvePublicKey):
            point, size = public.public_numbers(), (public.curve.key_size + 7) // 8
            crv = next(name for name, curve in CURVES.values() if curve.name == public.curve.name)
            made = {"kty": "EC", "crv": crv, "x": number(point.x, size), "y": number(point.y, size)}
        else:
            raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
            made = {"kty": "OKP", "crv": "Ed25519" if len(raw) == 32 else "Ed448", "x": b64(raw)}
        all_ = {**made, "kid": self.kid, "alg": self.algorithm, "use": "sig", **more}
        return {name: value for name, value in all_.items() if value is not None}

    def token(self, claims: Mapping[str, Any] | bytes, header: Mapping[str, Any] | bytes | None = None) -> bytes:
        """A token with these claims, signed. What is not given as bytes becomes JSON; `header` adds to the usual one,
        and takes away what is None.
        """
        if not isinstance(header, bytes):
            fields = {"alg": self.algorithm, "typ": "JWT", "kid": self.kid, **(header or {})}
            header = as_json({name: value for name, value in fields.items() if value is not None})
        body = claims if isinstance(claims, bytes) else as_json(claims)
        signed = f"{b64(header)}.{b64(body)}".encode()
        return signed + b"." + b64(self.sign(signed)).encode()


def as_json(value: object) -> bytes:
    """JSON, with NaN and the like if there is any."""
    return json.dumps(value, separators=(",", ":")).encode()


def key_set(*keys: Signer | Mapping[str, Any]) -> bytes:
    """A JWK Set."""
    return as_json({"keys": [each.jwk() if isinstance(each, Signer) else each for each in keys]})


def claims(now: float, **more: Any) -> dict[str, Any]:
    """What a good token says at that time; a claim that is None in `more` is not there."""
    usual = {
        "iss": ISSUER,
        "aud": "tta",
        "sub": "user-7",
        "iat": int(now),
        "exp": int(now) + 1800,
        "role": "patient",
        "session_id": "session-1",
        "jti": "token-1",
        **more,
    }
    return {name: value for name, value in usual.items() if value is not None}
