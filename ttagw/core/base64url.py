"""Base64url without padding (RFC 7515 §2), as there is only one of for any bytes."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode


def decoded(text: bytes) -> bytes:
    """The bytes of a text. Raises `ValueError` for padding, other characters, and bits at the end that say nothing."""
    try:
        data = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        raise ValueError("not base64url") from None
    # What the decoder has passed over is missing now.
    if encoded(data) != text:
        raise ValueError("not base64url in its one form")
    return data


def encoded(data: bytes) -> bytes:
    """The text of these bytes."""
    return urlsafe_b64encode(data).rstrip(b"=")
