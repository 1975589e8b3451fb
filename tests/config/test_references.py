"""What only shows when keys are looked at together."""

from __future__ import annotations

import tomllib

import pytest

from ttagw.config.faults import name_of
from ttagw.config.references import check
from ttagw.config.validation import validate

REDIS = "more than one worker needs a Redis store: state is shared, never split"
NOBODY_IS_ASKED = 'has no meaning with auth = "none": nobody is asked who they are'
A = 'services.a = {instances = ["http://h"]}\n'


def route(keys: str, path: str = "/r") -> str:
    return f'{A}routes = [{{name = "r", path = "{path}", {keys}}}]\n'


def found(text: str) -> list[tuple[str, str]]:
    config = validate(tomllib.loads(text)).config
    assert config is not None
    return [(name_of(key), sentence) for key, sentence in check(config)]


@pytest.mark.parametrize(
    ("text", "key", "sentence"),
    [
        ("gateway.workers = 2", "gateway.workers", REDIS),
        (
            'services.a = {instances = ["http://h"], dependencies = ["b"]}',
            "services.a.dependencies[0]",
            'there is no service "b"',
        ),
        (
            'services.a = {instances = ["http://h"], dependencies = ["a"]}',
            "services.a.dependencies",
            "depends on itself, directly or through others",
        ),
        ('services.a = {instances = ["http://h"], fallback = "f"}', "services.a.fallback", 'there is no fallback "f"'),
        (
            'services.a = {instances = ["http://h", "http://h"]}',
            "services.a.instances[1]",
            '"http://h" is listed twice',
        ),
        (
            'services.a = {instances = ["http://h", "https://h:80", "http://H:80"]}',
            "services.a.instances[2]",
            '"http://H:80" is the same as "http://h"',
        ),
        (
            'services.a = {instances = ["http://[::1]", "http://[0:0:0:0:0:0:0:1]:80"]}',
            "services.a.instances[1]",
            '"http://[0:0:0:0:0:0:0:1]:80" is the same as "http://[::1]"',
        ),
        (
            'services.a = {instances = ["srv+http://_a.b", "srv+https://_a.b", "srv+http://_A.b."]}',
            "services.a.instances[2]",
            '"srv+http://_A.b." is the same as "srv+http://_a.b"',
        ),
        (
            'services.a = {instances = ["file:/a/b?c", "file:/a/b#c", "file:/a/x/../b?c"]}',
            "services.a.instances[2]",
            '"file:/a/x/../b?c" is the same as "file:/a/b?c"',
        ),
        (
            'services.a = {instances = ["srv+http://_a.b"], tls = {}}',
            "services.a.tls",
            "is for instances at https://, and there is none",
        ),
        (
            'services.a = {instances = ["http://h"], tls = {}}',
            "services.a.tls",
            "is for instances at https://, and there is none",
        ),
        (
            'services.a = {instances = ["https://h"], tls = {cert = "c"}}',
            "services.a.tls",
            "cert and key go together",
        ),
        (route("auth = 'none'"), "routes[0]", "expected either service or split, got neither"),
        (
            route('service = "a", split = {a = 1}'),
            "routes[0].service",
            "expected either service or split, got both",
        ),
        (route('service = "b"'), "routes[0].service", 'there is no service "b"'),
        (route("split = {a = 1, b = 2}"), "routes[0].split.b", 'there is no service "b"'),
        (route('service = "a", mirror = "b"'), "routes[0].mirror", 'there is no service "b"'),
        (route('service = "a", limits = ["l"]'), "routes[0].limits[0]", 'there is no limit "l"'),
        (route('service = "a", owner = "id"'), "routes[0].owner", 'the path has no param "{id}"'),
        (route('service = "a", hosts = ["x", "y", "x"]'), "routes[0].hosts[2]", '"x" is listed twice'),
        (route('service = "a", methods = ["GET", "GET"]'), "routes[0].methods[1]", '"GET" is listed twice'),
        (
            route('service = "a", headers = {x-a = "1", X-A = "2"}'),
            "routes[0].headers.X-A",
            'is the same field as "x-a"',
        ),
        (
            route('service = "a", headers = {Host = "x"}'),
            "routes[0].headers.Host",
            "no route sees this field; use hosts for Host",
        ),
        (
            route('service = "a", headers = {x-user-role = "admin"}'),
            "routes[0].headers.x-user-role",
            "no route sees this field; use hosts for Host",
        ),
        (
            route('service = "a", set_request_headers = {X-User-ID = "7"}'),
            "routes[0].set_request_headers.X-User-ID",
            "only the gateway itself sets this field",
        ),
        (
            route('service = "a", set_response_headers = {content-length = "7"}'),
            "routes[0].set_response_headers.content-length",
            "only the gateway itself sets this field",
        ),
        (
            route('service = "a", remove_response_headers = ["Transfer-Encoding"]'),
            "routes[0].remove_response_headers[0]",
            "only the gateway itself decides about this field",
        ),
        (
            route('service = "a", remove_response_headers = ["Server", "server"]'),
            "routes[0].remove_response_headers[1]",
            '"server" is listed twice',
        ),
        (
            'auth.issuers = [{issuer = "i"}]',
            "auth.issuers[0]",
            "expected exactly one of jwks_url, jwks_file and secret_file",
        ),
        (
            'auth.issuers = [{issuer = "i", jwks_url = "http://h/", algorithms = ["HS256"]}]',
            "auth.issuers[0].algorithms",
            "HMAC goes with secret_file, everything else with jwks",
        ),
        (
            'auth.issuers = [{issuer = "i", secret_file = "s", algorithms = ["RS256"]}]',
            "auth.issuers[0].algorithms",
            "HMAC goes with secret_file, everything else with jwks",
        ),
        (
            'auth.issuers = [{issuer = "i", jwks_file = "j"}, {issuer = "i", jwks_file = "k"}]',
            "auth.issuers[1].issuer",
            '"i" is listed twice',
        ),
        (
            'auth.issuers = [{issuer = "i", jwks_file = "j", role_map = {x = "therapst"}}]',
            "auth.issuers[0].role_map.x",
            'there is no role "therapst"',
        ),
        ('auth.roles.a.inherits = ["b"]', "auth.roles.a.inherits[0]", 'there is no role "b"'),
        (
            route('service = "a", roles = ["patient", "captain"]'),
            "routes[0].roles[1]",
            'there is no role "captain"',
        ),
        (route('service = "a", auth = "none", roles = ["patient"]'), "routes[0].roles", NOBODY_IS_ASKED),
        (route('service = "a", auth = "none", permissions = ["p"]'), "routes[0].permissions", NOBODY_IS_ASKED),
        (route('service = "a", auth = "none", mfa = true'), "routes[0].mfa", NOBODY_IS_ASKED),
        (route('service = "a", auth = "none", owner = "id"', "/r/{id}"), "routes[0].owner", NOBODY_IS_ASKED),
        (
            route('service = "a", auth = "none", roles = ["patient"], mfa = true'),
            "routes[0].roles",
            NOBODY_IS_ASKED,
        ),
        (
            route('service = "a", login = "username", methods = ["GET", "PUT"]'),
            "routes[0].login",
            "is for POST, which is not among the methods",
        ),
        ('safety.service = "screen"', "safety.service", 'there is no service "screen"'),
        (
            'fallbacks.f.regions.EU.text = "help"',
            "fallbacks.f.default_region",
            'there is no region "US"',
        ),
    ],
)  # fmt: skip
def test_one_sentence_for_what_does_not_fit(text: str, key: str, sentence: str) -> None:
    assert found(text) == [(key, sentence)]


@pytest.mark.parametrize(
    "text",
    [
        'gateway = {workers = 2, store = "redis://h"}',
        'services = {a = {instances = ["http://h"], dependencies = ["b"]}, b = {instances = ["http://h"]}}',
        'services.a = {instances = ["http://h", "https://h"], tls = {cert = "c", key = "k"}}',
        route("split = {a = 1}"),
        route('service = "a", owner = "id"', path="/r/{id}"),
        route(
            'service = "a", set_request_headers = {via = "1.1 x", traceparent = "y"}, headers = {x-api-version = "2"}'
        ),
        route('service = "a", set_response_headers = {server = "x"}, remove_response_headers = ["via"]'),
        'auth.issuers = [{issuer = "i", secret_file = "s", algorithms = ["HS256"]}]',
        'auth.roles = {a = {inherits = ["b"]}, b = {}}',
        'auth.roles.a.inherits = ["patient", "guest"]',
        "auth.roles.captain = {}\n" + route('service = "a", roles = ["captain", "patient", "service"]'),
        route('service = "a", auth = "optional", roles = ["therapist"], permissions = ["p"], mfa = true'),
        route('service = "a", auth = "none", login = "username", dry_run = true'),
        route('service = "a", login = "username", methods = ["GET", "POST"]'),
        'fallbacks.f = {regions = {EU = {text = "help"}}, default_region = "EU"}',
    ],
)
def test_what_fits_is_taken(text: str) -> None:
    assert found(text) == []


def test_a_circle_of_dependencies_is_told_of_each_in_it() -> None:
    text = "\n".join(
        f'services.{name} = {{instances = ["http://h"], dependencies = ["{after}"]}}'
        for name, after in ("ab", "bc", "ca", "da")
    )
    assert [key for key, _ in found(text)] == [f"services.{name}.dependencies" for name in "abc"]


def test_a_circle_of_roles_is_told_of_each_in_it() -> None:
    assert found('auth.roles = {a = {inherits = ["b"]}, b = {inherits = ["a", "a"]}}') == [
        ("auth.roles.a.inherits", "inherits from itself, directly or through others"),
        ("auth.roles.b.inherits", "inherits from itself, directly or through others"),
    ]


def test_names_of_routes_are_unique() -> None:
    routes = ", ".join([f'{{name = "{name}", path = "/{place}", service = "a"}}' for place, name in enumerate("xyx")])
    assert found(f"{A}routes = [{routes}]") == [("routes[2].name", 'the name "x" is taken by routes[0]')]


@pytest.mark.parametrize("url", ["https://h", "srv+https://_a.b", "file:/a"])
def test_what_may_speak_tls_may_have_tls(url: str) -> None:
    assert found(f'services.a = {{instances = ["{url}"], tls = {{}}}}') == []
