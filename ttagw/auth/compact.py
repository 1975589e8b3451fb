"""What a token says, before any of it is believed: JWS in compact form (RFC 7515 §7.1) with claims (RFC 7519)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ttagw.core.base64url import decoded
from ttagw.core.strict_json import parse_object
from ttagw.errors import TokenRefusedError

LONGEST_TOKEN = 8192
LONGEST_KID = 256

_TYPES = frozenset(("jwt", "at+jwt", "application/at+jwt"))
"""RFC 7519 §5.1, RFC 9068 §2.1."""

_REFUSED = frozenset(("crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "enc", "cty"))
"""Header parameters that bring keys or places of keys along, or change what the rest means."""


class Compact(NamedTuple):
    """A token in its parts. Nothing is known of the signature."""

    algorithm: str
    kid: str | None
    claims: Mapping[str, Any]
    signed: bytes
    """What the signature is of."""
    signature: bytes


def decode(token: bytes) -> Compact:
    """The parts of a token. Raises `TokenRefusedError` for whatever is not one, and for headers that ask for more than
    a signature by a key that is known here.
    """
    if len(token) > LONGEST_TOKEN:
        raise TokenRefusedError("token_size")
    if token.count(b".") != 2:
        raise TokenRefusedError("token_malformed")
    head, body, end = token.split(b".")
    try:
        header = parse_object(decoded(head))
        claims = parse_object(decoded(body))
        signature = decoded(end)
    except ValueError:
        raise TokenRefusedError("token_malformed") from None
    if not _REFUSED.isdisjoint(header):
        raise TokenRefusedError("token_header")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        raise TokenRefusedError("token_algorithm")
    kid = header.get("kid")
    if "kid" in header and not is_kid(kid):
        raise TokenRefusedError("token_key")
    if "typ" in header and not _is_type(header["typ"]):
        raise TokenRefusedError("token_type")
    return Compact(algorithm, kid, claims, token[: len(head) + 1 + len(body)], signature)


def is_kid(value: object) -> bool:
    """Whether it can be the name of a key: it is looked up in a dictionary, and never used for anything else."""
    return isinstance(value, str) and len(value) <= LONGEST_KID and value.isprintable()


def _is_type(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.lower() in _TYPES
