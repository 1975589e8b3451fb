"""Keys that are as they should be and do nothing beside another one: they are told, not refused."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from ttagw.config import Fault, load
from ttagw.config.model import Config
from ttagw.config.references import notices

SERVICE = 'services.a = {instances = ["http://h"], %s}\n'
ROUTE = 'routes = [{name = "r", path = "/", service = "a", auth = "none", %s}]\n'


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (SERVICE % 'hash_key = "ip"', "services.a.hash_key"),
        (SERVICE % 'balance = "hash", hash_key = "ip", slow_start = "5s"', "services.a.slow_start"),
        (SERVICE % 'health = {type = "tcp", path = "/x"}', "services.a.health.path"),
        (SERVICE % 'health = {type = "websocket", expect = [200]}', "services.a.health.expect"),
        (SERVICE % 'balance = "p2c"' + ROUTE % 'methods = ["POST"], hedge = "1s"', "routes.0.hedge"),
    ],
)
def test_what_has_no_effect_is_told(text: str, key: str) -> None:
    [(found, sentence)] = notices(Config.model_validate(tomllib.loads(text)))
    assert ".".join(map(str, found)) == key
    assert sentence.startswith("has no effect: ")


NOBODY = (
    'lets nobody in: auth is "required", and without [[auth.issuers]], auth.api_keys.file and auth.certificates nobody '
    "can be known"
)
OPEN = 'services.a = {instances = ["http://h"]}\nroutes = [{name = "r", path = "/", service = "a"%s}]\n'


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ("", ("routes", 0)),
        (', auth = "required"', ("routes", 0, "auth")),
        (', auth = "required", dry_run = false', ("routes", 0, "auth")),
    ],
)
def test_a_route_that_lets_nobody_in_is_told(keys: str, place: tuple[str | int, ...]) -> None:
    assert notices(Config.model_validate(tomllib.loads(OPEN % keys))) == [(place, NOBODY)]


def test_each_such_route_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "ttagw.toml"
    begin = '[[routes]]\nservice = "a"\nname = '
    file.write_text(
        f'[services.a]\ninstances = ["http://h"]\n{begin}"x"\npath = "/x"\n'
        f'{begin}"y"\npath = "/y"\nauth = "required"\n{begin}"z"\npath = "/z"\nauth = "none"\n'
    )
    told: list[Fault] = []
    load(file, {}, notice=told.append)
    assert [(fault.line, fault.key, fault.message) for fault in told] == [
        (3, "routes[0]", NOBODY),
        (11, "routes[1].auth", NOBODY),
    ]


@pytest.mark.parametrize(
    "text",
    [
        OPEN % ', auth = "none"',
        OPEN % ', auth = "optional"',
        OPEN % "" + 'auth.issuers = [{issuer = "i", jwks_file = "j"}]',
        OPEN % "" + 'auth.api_keys.file = "k"',
        'gateway.listen = ["ssl:1"]\n'
        + OPEN % ""
        + 'auth.certificates = {ca = "c", clients = [{name = "x", match = "dns:x"}]}',
    ],
)
def test_a_route_that_somebody_can_come_through_is_not(text: str) -> None:
    assert notices(Config.model_validate(tomllib.loads(text))) == []


ISSUERS = 'auth.issuers = [{issuer = "i", jwks_file = "j"}, {issuer = "k", jwks_file = "j"%s}]'
OWNED = OPEN.replace('path = "/"', 'path = "/{id}"') % ', owner = "id"'


def test_issuers_whose_users_cannot_be_told_apart_are_told() -> None:
    [(found, sentence)] = notices(Config.model_validate(tomllib.loads(OWNED + ISSUERS % "")))
    assert found == ("auth", "issuers", 1)
    assert sentence.startswith("shares its user_prefix with another issuer: ")


@pytest.mark.parametrize("text", [OWNED + ISSUERS % ', user_prefix = "k:"', OPEN % "" + ISSUERS % ""])
def test_issuers_that_have_prefixes_or_nobody_to_own_anything_are_not(text: str) -> None:
    assert notices(Config.model_validate(tomllib.loads(text))) == []


@pytest.mark.parametrize(
    "text",
    [
        SERVICE % 'balance = "hash", hash_key = "ip", slow_start = "0s"',
        SERVICE % 'health = {type = "websocket", path = "/ws"}, slow_start = "5s"',
        SERVICE % 'balance = "p2c"' + ROUTE % 'hedge = "1s"',
    ],
)
def test_what_has_an_effect_is_not(text: str) -> None:
    assert notices(Config.model_validate(tomllib.loads(text))) == []


CRISIS = """
services.a = {instances = ["http://h"]}
services.b = {instances = ["http://h"], fallback = "f"}
routes = [
    {name = "r", path = "/r", service = "a", auth = "none", class = "crisis"},
    {name = "s", path = "/s", service = "b", auth = "none", class = "crisis"},
    {name = "t", path = "/t", split = {a = 1, b = 1}, auth = "none", class = "crisis"},
    {name = "u", path = "/u", service = "a", auth = "none", class = "therapeutic"},
]
"""


def test_a_crisis_route_without_a_fallback_of_its_own_is_told() -> None:
    [(key, sentence)] = notices(Config.model_validate(tomllib.loads(CRISIS + 'fallbacks.f.regions.US.text = "x"')))
    assert key == ("routes", 0, "class")
    assert sentence == 'has no fallback at its service: the fallback "f", the first there is, stands in'
    plain = CRISIS.replace(', fallback = "f"', "")
    found = notices(Config.model_validate(tomllib.loads(plain)))
    assert [key for key, _ in found] == [("routes", number, "class") for number in range(3)]
    assert found[0][1] == "has no fallback at its service: a built-in one for the US stands in"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('classes.high.claims.tier = ["gold"]', "has no effect: without [[auth.issuers]] no token is verified"),
        (
            'classes.high.claims.tier = []\n[[auth.issuers]]\nissuer = "i"\njwks_file = "j"',
            "has no effect: no value is listed",
        ),
    ],
)
def test_claims_that_never_say_anything_are_told(text: str, sentence: str) -> None:
    assert notices(Config.model_validate(tomllib.loads(text))) == [(("classes", "high", "claims", "tier"), sentence)]


def test_claims_of_tokens_that_are_verified_are_not() -> None:
    text = 'classes.high.claims.tier = ["gold"]\n[[auth.issuers]]\nissuer = "i"\njwks_file = "j"'
    assert notices(Config.model_validate(tomllib.loads(text))) == []
