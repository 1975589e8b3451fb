"""What a token says of itself, read and not verified: for people to see, never to decide by."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_BYTES = 64 * 1024
"""Of a token that is read; whether it is too long for the gateway is for the gateway to say."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Header and claims of a token."""

    fault: str = ""
    """Why there is nothing to read; "" if there is."""
    header: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)


def read(token: bytes) -> Reading:
    """What can be read of it."""
    if len(token) > MOST_BYTES:
        return Reading(f"more than {MOST_BYTES} bytes")
    parts = token.split(b".")
    if len(parts) != 3:
        return Reading(f"expected 3 parts with a dot between them, got {len(parts)}")
    try:
        header, claims = _object(parts[0]), _object(parts[1])
    except ValueError:
        return Reading("a part of it is not base64url")
    if header is None or claims is None:
        return Reading("a part of it is not a JSON object")
    return Reading("", header, claims)


def _object(part: bytes) -> dict[str, Any] | None:
    """The JSON object in a part; None if there is none. Raises `ValueError` for what is not base64url."""
    try:
        raw = base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def texts(value: object) -> list[str]:
    """A claim that is one text or several."""
    if isinstance(value, str):
        return [value]
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
