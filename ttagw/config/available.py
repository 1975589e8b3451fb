"""Which parts of the contract work in this version.

A key whose feature does not exist yet is refused: never accepted and ignored. A value that says exactly what the
gateway does without the feature (most often "off") is accepted. A feature that arrives deletes its rows here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ttagw.config.faults import Finding, Key, shown

_TOKENS = "identities are"
_SOCKETS = "WebSocket sessions are"

_NOT_YET: dict[str, tuple[str, tuple[Any, ...]] | None] = {
    "gateway.workers": ("several workers are", (1,)),
    "gateway.proxy_protocol": ("the PROXY protocol is", (False,)),
    "routes.*.mirror": ("mirroring is", ("",)),
    "routes.*.auth": ("checking tokens is", ("none",)),
    "routes.*.roles": (_TOKENS, ([],)),
    "routes.*.permissions": (_TOKENS, ([],)),
    "routes.*.mfa": (_TOKENS, (False,)),
    "routes.*.owner": (_TOKENS, ("",)),
    "routes.*.class": ("traffic classes are", ("normal",)),
    "routes.*.limits": ("rate limits are", ([],)),
    "routes.*.websocket": (_SOCKETS, (False,)),
    "routes.*.screen": ("safety screening is", ([],)),
    "routes.*.validate": ("request validation is", ("",)),
    "routes.*.cache": ("caching is", ("",)),
    "routes.*.cors": ("CORS is", ()),
    "routes.*.compress": ("compression is", (False,)),
    "limits.*": ("rate limits are", ()),
    "classes.*": ("traffic classes are", ()),
    "admission.*": ("admission control is", ()),
    "abuse.allow": ("blocking addresses is", ([],)),
    "abuse.deny": ("blocking addresses is", ([],)),
    "admission.adaptive": ("admission control is", (False,)),
    "abuse.*": ("blocking addresses is", ()),
    "auth.issuers": ("checking tokens is", ([],)),
    "auth.query_token": ("checking tokens is", ("",)),
    "auth.api_keys": None,
    "auth.*": ("checking tokens is", ()),
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
    return [*_walk(document, ()), *_left_out(document), *_hashed(document)]


def _walk(value: Any, path: Key) -> Iterator[Finding]:
    row = _row(path)
    if row is not None:
        feature, values = row
        if not any(value == each and type(value) is type(each) for each in values):
            yield path, _refusal(feature, values, needed=path[::2] == ("routes", "auth"))
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


def _refusal(feature: str, values: tuple[Any, ...], *, needed: bool) -> str:
    """`needed`: without the key it would mean the same, so it cannot just be removed."""
    if needed:
        return f"{feature} not available in this version; write {_written(values[0])}"
    sentence = f"{feature} not available in this version; remove the key"
    return f"{sentence} or write {_written(values[0])}" if values else sentence


def _written(value: Any) -> str:
    return "[]" if value == [] else shown(value)


def _left_out(document: dict[str, Any]) -> Iterator[Finding]:
    """Leaving `auth` out means `required`."""
    routes = document.get("routes")
    for index, route in enumerate(routes if isinstance(routes, list) else ()):
        if isinstance(route, dict) and "auth" not in route:
            sentence = (
                'auth is "required" when left out, and tokens cannot be checked in this version; write auth = "none"'
            )
            yield ("routes", index), sentence


def _hashed(document: dict[str, Any]) -> Iterator[Finding]:
    """Only some kinds of `hash_key` need identities, and one of them is the default."""
    services = document.get("services")
    for name, service in services.items() if isinstance(services, dict) else ():
        if not isinstance(service, dict):
            continue
        given = "hash_key" in service
        key = service.get("hash_key", "session")
        if key in ("session", "user") and (given or service.get("balance") == "hash"):
            sentence = (
                f'hash_key is "{key}"{"" if given else " when left out"}, and {_TOKENS} not available in this version; '
                "write ip, header:NAME or cookie:NAME"
            )
            yield ("services", name, "hash_key" if given else "balance"), sentence
