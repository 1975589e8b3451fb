"""Which parts of the contract work in this version.

A key whose feature does not exist yet is refused: never accepted and ignored. A value that says exactly what the gateway does
without the feature (most often "off") is accepted. A feature that arrives deletes its rows here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ttagw.config.faults import Finding

_CHECKS = "health checks are"
_TOKENS = "identities are"
_SOCKETS = "WebSocket sessions are"

_NOT_YET: dict[str, tuple[str, tuple[Any, ...]]] = {
    "gateway.store": ("a store is", ("memory:",)),
    "gateway.workers": ("several workers are", (1,)),
    "gateway.proxy_protocol": ("the PROXY protocol is", (False,)),
    "upstream.retries": ("retries are", (0,)),
    "upstream.retry_budget": ("retries are", (0, 0.0)),
    "services.*.dependencies": (_CHECKS, ([],)),
    "services.*.fallback": ("fallbacks are", ("",)),
    "services.*.slow_start": ("slow start is", ("0s",)),
    "services.*.instances.*.zone": ("zones are", ("",)),
    "services.*.health.type": (_CHECKS, ("none",)),
    "services.*.health.*": (_CHECKS, ()),
    "services.*.breaker.*": ("circuit breakers are", ()),
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
    "routes.*.hedge": ("hedging is", ("",)),
    "limits.*": ("rate limits are", ()),
    "classes.*": ("traffic classes are", ()),
    "admission.*": ("admission control is", ()),
    "abuse.allow": ("blocking addresses is", ([],)),
    "abuse.deny": ("blocking addresses is", ([],)),
    "abuse.*": ("blocking addresses is", ()),
    "auth.*": ("checking tokens is", ()),
    "websocket.*": (_SOCKETS, ()),
    "safety.*": ("safety screening is", ()),
    "fallbacks.*": ("fallbacks are", ()),
    "audit.*": ("the audit trail is", ()),
    "tracing.endpoint": ("tracing is", ("",)),
    "tracing.*": ("tracing is", ()),
    "dashboard.enabled": ("the dashboard is", (False,)),
}
"""Keys by pattern (`*`: any one name or place): what is missing, and the values that are true all the same."""

_NOT_YET_HASHED = ("session", "user")


def check(document: dict[str, Any]) -> list[Finding]:
    """A finding for each key of a parsed document that asks for something that this version does not have."""
    findings = list(_walk(document, ()))
    findings += _left_out(document)
    return findings


def _walk(value: Any, path: tuple[str | int, ...]) -> Iterator[Finding]:
    row = _row(path)
    if row is not None:
        feature, accepted = row
        if not any(value == each and type(value) is type(each) for each in accepted):
            yield path, _refusal(feature, accepted)
        return
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _walk(each, (*path, name))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _walk(each, (*path, index))


def _row(path: tuple[str | int, ...]) -> tuple[str, tuple[Any, ...]] | None:
    exact = ".".join(_generic(path))
    if exact in _NOT_YET:
        return _NOT_YET[exact]
    return _NOT_YET.get(".".join([*_generic(path[:-1]), "*"])) if path else None


def _generic(path: tuple[str | int, ...]) -> list[str]:
    """The path with `*` for what people name or count."""
    parts = [str(part) for part in path]
    for place in (1, 3):
        named = place == 1 and path[0] in ("services", "routes") if path else False
        listed = place == 3 and len(path) > 2 and path[2] == "instances"
        if len(parts) > place and (named or listed):
            parts[place] = "*"
    return parts


def _refusal(feature: str, accepted: tuple[Any, ...]) -> str:
    if not accepted:
        return f"{feature} not available in this version; remove the key"
    shown = {True: "true", False: "false"}.get(accepted[0], f'"{accepted[0]}"') if accepted[0] != [] else "[]"
    if isinstance(accepted[0], int) and not isinstance(accepted[0], bool):
        shown = str(accepted[0])
    return f"{feature} not available in this version; remove the key or write {shown}"


def _left_out(document: dict[str, Any]) -> Iterator[Finding]:
    """What a key means when it is left out can be missing as well."""
    routes = document.get("routes")
    for index, route in enumerate(routes if isinstance(routes, list) else ()):
        if isinstance(route, dict) and "auth" not in route:
            yield (
                ("routes", index),
                'auth is "required" when it is left out, and tokens cannot be checked in this version; write auth = "none"',
            )
    services = document.get("services")
    for name, service in services.items() if isinstance(services, dict) else ():
        if not isinstance(service, dict):
            continue
        key = service.get("hash_key", "session")
        if service.get("balance") == "hash" and key in _NOT_YET_HASHED:
            yield (
                ("services", name, "hash_key" if "hash_key" in service else "balance"),
                f'hash_key is "{key}", and identities are not available in this version; write ip, header:NAME or cookie:NAME',
            )
