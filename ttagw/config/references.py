"""What only shows when keys are looked at together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ttagw.config import blocking, classing, clients, logins
from ttagw.config.auth import SYMMETRIC
from ttagw.config.faults import Finding
from ttagw.config.model import Config
from ttagw.config.routes import Route
from ttagw.config.services import Service, place_of
from ttagw.core.headers import CREDENTIAL, PASS, REQUESTS, RESPONSES, TRUSTED
from ttagw.core.rbac import PERMISSIONS

_NOBODY = (
    'lets nobody in: auth is "required", and without [[auth.issuers]], auth.api_keys.file and auth.certificates nobody '
    "can be known"
)
_SAME_PEOPLE = (
    "shares its user_prefix with another issuer: whoever has the same sub there counts as the same person, and routes "
    "with owner open what belongs to them"
)


def check(config: Config) -> list[Finding]:
    """Every key that names something that is not there, or does not fit another key."""
    findings: list[Finding] = []
    if config.gateway.workers > 1 and not config.gateway.store.startswith("redis"):
        findings.append(
            (("gateway", "workers"), "more than one worker needs a Redis store: state is shared, never split")
        )
    for name, service in config.services.items():
        findings += [((*("services", name), *key), text) for key, text in _service(config, name, service)]
    names: dict[str, int] = {}
    for index, route in enumerate(config.routes):
        first = names.setdefault(route.name, index)
        if first != index:
            findings.append((("routes", index, "name"), f'the name "{route.name}" is taken by routes[{first}]'))
        findings += [((*("routes", index), *key), text) for key, text in _route(config, route)]
    findings += _issuers(config)
    findings += _care(config)
    findings += _limits(config)
    findings += classing.check(config)
    findings += clients.check(config)
    findings += blocking.check(config)
    findings += _safety(config)
    return findings


def notices(config: Config) -> list[Finding]:
    """Every key that is as it should be, and beside the others has no effect, or one that is easily overlooked."""
    found = [(("services", name, *key), text) for name, each in config.services.items() for key, text in _idle(each)]
    found += [
        (("routes", index, "hedge"), "has no effect: it is for GET, which is not among the methods")
        for index, route in enumerate(config.routes)
        if route.hedge and route.methods and "GET" not in route.methods
    ]
    found += classing.notices(config)
    found += clients.notices(config)
    found += logins.notices(config)
    found += blocking.notices(config)
    auth = config.auth
    if not (auth.issuers or auth.api_keys.file or auth.certificates.clients):
        found += [
            (
                ("routes", index, "auth") if "auth" in route.model_fields_set else ("routes", index),
                _NOBODY,
            )
            for index, route in enumerate(config.routes)
            if route.auth == "required"
        ]
    found += _same_people(config)
    if not auth.care.service:
        keys = [name for name in type(auth.care).model_fields if name in auth.care.model_fields_set - {"service"}]
        found += [(("auth", "care", key), "has no effect: there is no auth.care.service to ask") for key in keys]
    return found


def _same_people(config: Config) -> Iterator[Finding]:
    """Issuers whose users nobody can tell apart, where that opens what belongs to a person."""
    prefixes = [each.user_prefix for each in config.auth.issuers]
    if any(route.owner for route in config.routes):
        for index, prefix in enumerate(prefixes):
            if prefix in prefixes[:index]:
                yield ("auth", "issuers", index), _SAME_PEOPLE


def _idle(service: Service) -> Iterator[Finding]:
    """Keys of a service that have no effect."""
    given, checks = service.model_fields_set, service.health
    if service.balance != "hash" and "hash_key" in given:
        yield ("hash_key",), f'has no effect: it is for balance = "hash", and balance is "{service.balance}"'
    if service.balance == "hash" and service.slow_start not in (0.0, Service.model_fields["slow_start"].default):
        yield ("slow_start",), 'has no effect: with balance = "hash" the key decides who is asked, not a share'
    for key in ("path", "expect"):
        asked = ("http", "websocket") if key == "path" else ("http",)
        if key in checks.model_fields_set and checks.type not in asked:
            yield ("health", key), f'has no effect: it is for type = {" or ".join(asked)}, and type is "{checks.type}"'


def _twice(key: str, values: Sequence[str]) -> Iterator[Finding]:
    for index, value in enumerate(values):
        if value in values[:index]:
            yield (key, index), f'"{value}" is listed twice'


def _circular(names: Mapping[str, Iterable[str]], name: str) -> bool:
    """Whether a name leads back to itself."""
    seen: set[str] = set()
    todo = list(names[name])
    while todo:
        each = todo.pop()
        if each == name:
            return True
        if each in names and each not in seen:
            seen.add(each)
            todo.extend(names[each])
    return False


def _service(config: Config, name: str, service: Service) -> Iterator[Finding]:
    yield from _twice("dependencies", service.dependencies)
    for index, dependency in enumerate(service.dependencies):
        if dependency not in config.services:
            yield ("dependencies", index), f'there is no service "{dependency}"'
    if _circular({key: each.dependencies for key, each in config.services.items()}, name):
        yield ("dependencies",), "depends on itself, directly or through others"
    if service.fallback and service.fallback not in config.fallbacks:
        yield ("fallback",), f'there is no fallback "{service.fallback}"'
    if service.tls is not None:
        if not any(each.may_be_secure for each in service.instances):
            yield ("tls",), "is for instances at https://, and there is none"
        if bool(service.tls.cert) != bool(service.tls.key):
            yield ("tls",), "cert and key go together"
    yield from _same_place(service)


def _same_place(service: Service) -> Iterator[Finding]:
    """Two instances that are one."""
    seen: dict[tuple[str | int | None, ...], int] = {}
    for index, instance in enumerate(service.instances):
        first = seen.setdefault(place_of(instance.url), index)
        if first != index:
            other = service.instances[first].url
            same = "listed twice" if other == instance.url else f'the same as "{other}"'
            yield ("instances", index), f'"{instance.url}" is {same}'


def _route(config: Config, route: Route) -> Iterator[Finding]:
    if bool(route.service) == bool(route.split):
        got = "both" if route.service else "neither"
        yield (("service",) if route.service else ()), f"expected either service or split, got {got}"
    for key, name in (("service", route.service), ("mirror", route.mirror)):
        if name and name not in config.services:
            yield (key,), f'there is no service "{name}"'
    for name in route.split:
        if name not in config.services:
            yield ("split", name), f'there is no service "{name}"'
    for index, limit in enumerate(route.limits):
        if limit not in config.limits:
            yield ("limits", index), f'there is no limit "{limit}"'
    if route.owner and "{" + route.owner + "}" not in route.path.split("/"):
        yield ("owner",), f'the path has no param "{{{route.owner}}}"'
    yield from _access(config, route)
    for key in ("hosts", "methods", "roles", "permissions", "limits", "screen"):
        yield from _twice(key, getattr(route, key))
    yield from _fields(route)


def _access(config: Config, route: Route) -> Iterator[Finding]:
    """Who may use a route: what it asks for must be there for somebody to have."""
    asked = [key for key in ("roles", "permissions", "mfa", "owner") if getattr(route, key)]
    if route.auth == "none" and asked:
        yield (asked[0],), 'has no meaning with auth = "none": nobody is asked who they are'
    roles = {*PERMISSIONS, *config.auth.roles}
    for index, role in enumerate(route.roles):
        if role not in roles:
            yield ("roles", index), f'there is no role "{role}"'
    if route.login and "POST" not in (route.methods or ("POST",)):
        yield ("login",), "is for POST, which is not among the methods"


def _fields(route: Route) -> Iterator[Finding]:
    """Header fields that the gateway keeps to itself, and the same name in two spellings."""
    for key in ("headers", "set_request_headers", "set_response_headers"):
        seen: dict[str, str] = {}
        for name in getattr(route, key):
            first = seen.setdefault(name.lower(), name)
            if first != name:
                yield (key, name), f'is the same field as "{first}"'
    for name in route.headers:
        if REQUESTS.kind(name.encode("ascii")) not in (PASS, TRUSTED):
            yield ("headers", name), "no route sees this field; use hosts for Host"
    for name in route.set_request_headers:
        if REQUESTS.kind(name.encode("ascii")) not in (PASS, TRUSTED):
            yield ("set_request_headers", name), "only the gateway itself sets this field"
    for name in route.set_response_headers:
        if RESPONSES.kind(name.encode("ascii")) != PASS:
            yield ("set_response_headers", name), "only the gateway itself sets this field"
    for index, name in enumerate(route.remove_response_headers):
        if RESPONSES.kind(name.encode("ascii")) != PASS:
            yield ("remove_response_headers", index), "only the gateway itself decides about this field"
    yield from _twice("remove_response_headers", [name.lower() for name in route.remove_response_headers])


def _issuers(config: Config) -> Iterator[Finding]:
    issuers = [each.issuer for each in config.auth.issuers]
    for index, issuer in enumerate(config.auth.issuers):
        if issuer.issuer in issuers[:index]:
            yield ("auth", "issuers", index, "issuer"), f'"{issuer.issuer}" is listed twice'
        for name, role in issuer.role_map.items():
            if role not in config.auth.roles and role not in PERMISSIONS:
                yield ("auth", "issuers", index, "role_map", name), f'there is no role "{role}"'
        sources = [key for key in ("jwks_url", "jwks_file", "secret_file") if getattr(issuer, key)]
        if len(sources) != 1:
            yield ("auth", "issuers", index), "expected exactly one of jwks_url, jwks_file and secret_file"
        elif (issuer.algorithms[0] in SYMMETRIC) != (sources == ["secret_file"]):
            yield ("auth", "issuers", index, "algorithms"), "HMAC goes with secret_file, everything else with jwks"
    roles = {name: role.inherits for name, role in config.auth.roles.items()}
    for name, inherited in roles.items():
        for index, each in enumerate(inherited):
            if each not in roles and each not in PERMISSIONS:
                yield ("auth", "roles", name, "inherits", index), f'there is no role "{each}"'
        if _circular(roles, name):
            yield ("auth", "roles", name, "inherits"), "inherits from itself, directly or through others"


def _care(config: Config) -> Iterator[Finding]:
    care = config.auth.care
    if care.service and care.service not in config.services:
        yield ("auth", "care", "service"), f'there is no service "{care.service}"'
    lacking = [name for name in ("{caller}", "{person}") if name not in care.path]
    if lacking:
        yield ("auth", "care", "path"), f"has no {' and no '.join(lacking)}: the answer would not be about them"
    if set("{}") & set(care.path.replace("{caller}", "").replace("{person}", "")):
        yield ("auth", "care", "path"), "has braces that are not those of {caller} and {person}"


def _limits(config: Config) -> Iterator[Finding]:
    """What a limit names must be there, and it must let something through."""
    roles = {*PERMISSIONS, *config.auth.roles}
    for name, limit in config.limits.items():
        for role in limit.roles:
            if role not in roles:
                yield ("limits", name, "roles", role), f'there is no role "{role}"'
        for index, part in enumerate(limit.key):
            kind, _, field = part.partition(":")
            if kind == "header" and REQUESTS.kind(field.encode("ascii")) not in (PASS, TRUSTED, CREDENTIAL):
                yield ("limits", name, "key", index), "no limit sees this field"
        yield from _twice_at(("limits", name), "key", limit.key)
    for index, route in enumerate(config.routes):
        for at, name in enumerate(route.limits):
            found = config.limits.get(name)
            burst = found and found.rate and (found.burst or found.rate.count)
            if burst and route.cost > burst:
                text = f'"{name}" lets {burst} through at once, and a request here counts as {route.cost}'
                yield ("routes", index, "limits", at), text


def _twice_at(key: tuple[str, ...], name: str, values: Sequence[str]) -> Iterator[Finding]:
    for where, text in _twice(name, values):
        yield (*key, *where), text


def _safety(config: Config) -> Iterator[Finding]:
    if config.safety.service and config.safety.service not in config.services:
        yield ("safety", "service"), f'there is no service "{config.safety.service}"'
    for name, fallback in config.fallbacks.items():
        if fallback.default_region not in fallback.regions:
            yield ("fallbacks", name, "default_region"), f'there is no region "{fallback.default_region}"'
