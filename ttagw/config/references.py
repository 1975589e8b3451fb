"""What only shows when keys are looked at together."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ttagw.config.faults import Finding
from ttagw.config.model import Config
from ttagw.config.routes import Route
from ttagw.config.services import Service

_TOKEN = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]+")
_METHOD = re.compile(r"[A-Z][A-Z-]*")
_FRAMING = frozenset(("connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"))
_SHORTEST_SECRET = 32


def check(config: Config) -> list[Finding]:
    """Every key that names something that is not there, or does not fit another key."""
    findings: list[Finding] = []
    if config.gateway.workers > 1 and not config.gateway.store.startswith("redis"):
        findings.append((("gateway", "workers"), "more than one worker needs a Redis store: state is shared, never split"))
    for name, service in config.services.items():
        findings += [((*("services", name), *key), text) for key, text in _service(config, name, service)]
    names: dict[str, int] = {}
    for index, route in enumerate(config.routes):
        first = names.setdefault(route.name, index)
        if first != index:
            findings.append((("routes", index, "name"), f'the name "{route.name}" is taken by routes[{first}]'))
        findings += [((*("routes", index), *key), text) for key, text in _route(config, route)]
    findings += _issuers(config)
    return findings


def _service(config: Config, name: str, service: Service) -> Iterator[Finding]:
    for index, dependency in enumerate(service.dependencies):
        if dependency not in config.services:
            yield ("dependencies", index), f'there is no service "{dependency}"'
    if _depends_on_itself(config, name):
        yield ("dependencies",), "depends on itself, directly or through others"
    if service.fallback and service.fallback not in config.fallbacks:
        yield ("fallback",), f'there is no fallback "{service.fallback}"'
    secure = [each.url.startswith("https:") for each in service.instances]
    if service.tls is not None:
        if not any(secure):
            yield ("tls",), "is for instances at https://, and there is none"
        if bool(service.tls.cert) != bool(service.tls.key):
            yield ("tls",), "cert and key go together"
    urls = [each.url for each in service.instances]
    for index, url in enumerate(urls):
        if url in urls[:index]:
            yield ("instances", index), f'"{url}" is listed twice'


def _depends_on_itself(config: Config, name: str) -> bool:
    seen: set[str] = set()
    todo = list(config.services[name].dependencies)
    while todo:
        each = todo.pop()
        if each == name:
            return True
        if each in config.services and each not in seen:
            seen.add(each)
            todo.extend(config.services[each].dependencies)
    return False


def _route(config: Config, route: Route) -> Iterator[Finding]:
    if bool(route.service) == bool(route.split):
        yield ("service",), "expected either service or split, got " + ("both" if route.service else "neither")
    if route.service and route.service not in config.services:
        yield ("service",), f'there is no service "{route.service}"'
    if route.mirror and route.mirror not in config.services:
        yield ("mirror",), f'there is no service "{route.mirror}"'
    for name, weight in route.split.items():
        if name not in config.services:
            yield ("split", name), f'there is no service "{name}"'
        if weight < 1:
            yield ("split", name), f"expected a weight of 1 or more, got {weight}"
    for index, limit in enumerate(route.limits):
        if limit not in config.limits:
            yield ("limits", index), f'there is no limit "{limit}"'
    if route.owner and "{" + route.owner + "}" not in route.path.split("/"):
        yield ("owner",), f'the path has no param "{{{route.owner}}}"'
    for index, method in enumerate(route.methods):
        if not _METHOD.fullmatch(method) or method == "CONNECT":
            yield ("methods", index), f'expected a method such as "GET", got "{method}"'
    yield from _fields(route)


def _fields(route: Route) -> Iterator[Finding]:
    for key in ("headers", "set_request_headers", "set_response_headers"):
        for name, value in getattr(route, key).items():
            if not _TOKEN.fullmatch(name):
                yield (key, name), f'expected the name of a header field, got "{name}"'
            elif key != "headers" and name.lower() in _FRAMING:
                yield (key, name), f"{name} is set by the gateway itself"
            if not _field_value(value):
                yield (key, name), "expected printable characters of latin-1, with no line breaks"
    for index, name in enumerate(route.remove_response_headers):
        if not _TOKEN.fullmatch(name):
            yield ("remove_response_headers", index), f'expected the name of a header field, got "{name}"'


def _field_value(value: str) -> bool:
    return all(char == "\t" or 0x20 <= ord(char) < 0x7F or 0xA0 <= ord(char) <= 0xFF for char in value)


def _issuers(config: Config) -> Iterator[Finding]:
    for index, issuer in enumerate(config.auth.issuers):
        sources = [key for key in ("jwks_url", "jwks_file", "secret_file") if getattr(issuer, key)]
        if len(sources) != 1:
            yield ("auth", "issuers", index), "expected exactly one of jwks_url, jwks_file and secret_file"
        symmetric = any(name.startswith("HS") for name in issuer.algorithms)
        if sources and symmetric != (sources[0] == "secret_file"):
            yield ("auth", "issuers", index, "algorithms"), "HMAC goes with secret_file, everything else with jwks"
