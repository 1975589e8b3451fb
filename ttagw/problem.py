"""Errors as programs read them: problem documents (RFC 9457)."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from ttagw.errors import GatewayError, InvalidDocumentError

TYPE_BASE = "https://docs.tta.example/errors#"
"""Problem types are this and the code; docs/errors.rst has an anchor for each."""

_encode = msgspec.json.Encoder().encode


class Support(NamedTuple):
    """Help in one region."""

    text: str
    hotline: str
    region: str


def problem(error: GatewayError, request_id: str, support: Support | None = None) -> bytes:
    """The document that says `error`, as JSON, with help in it where there is some."""
    document: dict[str, Any] = {
        **error.more,
        "type": TYPE_BASE + error.code,
        "title": error.title,
        "status": error.status,
        "detail": error.text,
        "instance": _instance(request_id),
        "request_id": request_id,
        "code": error.code,
    }
    if error.retry_after is not None:
        document["retry_after"] = error.retry_after
    if support is not None:
        document["support"] = support._asdict()
    if isinstance(error, InvalidDocumentError):
        document["errors"] = [{"field": field, "message": message} for field, message in error.errors]
    return _encode(document) + b"\n"


def _instance(request_id: str) -> str:
    """A URI for this occurrence; an id that a trusted proxy made need not be a UUID."""
    return f"urn:uuid:{request_id}" if len(request_id) == 36 and request_id.count("-") == 4 else f"#{request_id}"
