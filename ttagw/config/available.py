"""Which parts of the contract work in this version.

A key whose feature does not exist yet is refused: never accepted and ignored. A value that says exactly what the
gateway does without the feature (most often "off") is accepted. A feature that arrives deletes its rows here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ttagw.config.faults import Finding, Key, shown

_SOCKETS = "WebSocket sessions are"

_NOT_YET: dict[str, tuple[str, tuple[Any, ...]] | None] = {
    "gateway.workers": ("several workers are", (1,)),
    "gateway.proxy_protocol": ("the PROXY protocol is", (False,)),
    "routes.*.mirror": ("mirroring is", ("",)),
    "routes.*.websocket": (_SOCKETS, (False,)),
    "routes.*.screen": ("safety screening is", ([],)),
    "routes.*.validate": ("request validation is", ("",)),
    "routes.*.cache": ("caching is", ("",)),
    "routes.*.cors": ("CORS is", ()),
    "routes.*.compress": ("compression is", (False,)),
    "websocket.*": (_SOCKETS, ()),
    "safety.service": ("safety screening is", ("",)),
    "safety.refuse_at": ("safety screening is", ("",)),
    "safety.escalate_at": ("safety screening is", ("",)),
    "safety.alerts": None,
    "safety.alerts.acknowledge_within": ("acknowledging alerts is", ()),
    "safety.*": ("safety screening is", ()),
    "audit.pseudonym_key_file": ("the audit trail is", ("",)),
    "audit.*": ("the audit trail is", ()),
    "tracing.endpoint": ("tracing is", ("",)),
    "tracing.*": ("tracing is", ()),
    "dashboard.enabled": ("the dashboard is", (False,)),
}
"""Keys by pattern (`*`: any one name or place): what is missing, and the values that are true all the same.

None: this exists, though what stands beside it does not."""


def missing_feature(path: Key) -> str:
    """What is missing for this key, such as "retries are"; "" if nothing is."""
    row = _row(path)
    return row[0] if row is not None else ""


def accepted(path: Key) -> tuple[Any, ...]:
    """The values that this key may have although its feature is missing."""
    row = _row(path)
    return row[1] if row is not None else ()


def check(document: dict[str, Any]) -> list[Finding]:
    """A finding for each key of a parsed document that asks for something that this version does not have."""
    return list(_walk(document, ()))


def _walk(value: Any, path: Key) -> Iterator[Finding]:
    row = _row(path)
    if row is not None:
        feature, values = row
        if not any(value == each and type(value) is type(each) for each in values):
            yield path, _refusal(feature, values)
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _walk(each, (*path, name))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _walk(each, (*path, index))


def _row(path: Key) -> tuple[str, tuple[Any, ...]] | None:
    parts = _pattern(path)
    name = ".".join(parts)
    return _NOT_YET[name] if name in _NOT_YET else _NOT_YET.get(".".join([*parts[:-1], "*"]))


def _pattern(path: Key) -> list[str]:
    """The path with `*` for what people name or count, and for names that are no keys."""
    parts = ["?" if isinstance(part, str) and not part.isidentifier() else str(part) for part in path]
    if path[:1] in (("services",), ("routes",)) and len(parts) > 1:
        parts[1] = "*"
        if parts[0] == "services" and parts[2:3] == ["instances"] and len(parts) > 3:
            parts[3] = "*"
    return parts


def _refusal(feature: str, values: tuple[Any, ...]) -> str:
    sentence = f"{feature} not available in this version; remove the key"
    return f"{sentence} or write {_written(values[0])}" if values else sentence


def _written(value: Any) -> str:
    return "[]" if value == [] else shown(value)
