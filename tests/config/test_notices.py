"""Keys that are as they should be and do nothing beside another one: they are told, not refused."""

from __future__ import annotations

import tomllib

import pytest

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
