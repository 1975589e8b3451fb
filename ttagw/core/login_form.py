"""Whether a login can be read in one way only: what a service finds in it that is not found here is never counted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

_FORM = "application/x-www-form-urlencoded"
_SPACE = b"\xef\xbb\xbf \t\r\n\0\xfe\xff"
"""What may stand before a JSON document, byte order marks too."""
_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s;\"]*)", re.IGNORECASE)
_CHARSETS = frozenset(("utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1", "windows-1252"))
"""Those in which ASCII is ASCII."""


def unclear(fields: Iterable[tuple[bytes, bytes]], body: bytes) -> str:
    """Why services may find something else in a login than is found here: `login_encoding`, `login_media_type` or
    `login_body`; "" if they do not.

    A login is a JSON object or a form, neither compressed nor in an alphabet of its own. Frameworks inflate what is
    compressed, read several media types at one address, and forgive what is no JSON, without being asked to.
    """
    kinds: list[str] = []
    for name, value in fields:
        lower = name.lower()
        if lower == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            return "login_encoding"
        if lower == b"content-type":
            kinds.append(value.decode("latin-1"))
    if not body:
        return ""
    if not all(map(_is_readable, kinds)):
        return "login_media_type"
    if is_object(body) or any(map(_is_json, kinds)):
        return "" if _parses(body) else "login_body"
    return "login_body" if _CONTROLS.search(body.rstrip(b"\r\n")) else ""


def is_object(body: bytes) -> bool:
    """Whether it begins as a JSON object does."""
    return body[:1] == b"{" or body.lstrip(_SPACE).startswith(b"{")


def _is_readable(kind: str) -> bool:
    plain = _essence(kind) in ("", _FORM, "text/plain")
    return (plain or _is_json(kind)) and all(each.lower() in _CHARSETS for each in _CHARSET.findall(kind))


def _is_json(kind: str) -> bool:
    essence = _essence(kind)
    return essence in ("application/json", "text/json") or essence.endswith("+json")


def _essence(kind: str) -> str:
    return kind.partition(";")[0].strip().lower()


def _parses(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
