"""etc/ttagw.toml: every key, ready for the services of TTA, and nothing in it that does not work."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_origin

import jwt
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from pydantic import BaseModel

from ttagw.checks import EXTRA
from ttagw.config import Config, Fault, Route, load
from ttagw.config.schema import fields, model_of
from ttagw.core.rbac import BREAK_GLASS, PERMISSIONS
from ttagw.identities import roles_of

FILE = Path(__file__).parents[2] / "etc" / "ttagw.toml"
LINES = FILE.read_text().splitlines()
OFF = re.compile(r"#(?=[a-z_\[])")
"""What begins a line of configuration that is switched off; prose has a space after the #."""

SINGLE = [
    number
    for number, line in enumerate(LINES)
    if OFF.match(line) and "not available yet" in line and not line.startswith("#[")
]
"""Keys that are switched off in tables that are not."""


def blocks(*, available: bool) -> list[tuple[int, int]]:
    """First and last line of tables that are switched off with all of their keys: examples that are `available`, or
    what is not there yet.
    """
    return [each for each in tables_off() if ("not available yet" not in LINES[each[0]]) == available]


def tables_off() -> list[tuple[int, int]]:
    """First and last line of every table that is switched off."""
    found: list[tuple[int, int]] = []
    for number, line in enumerate(LINES):
        if line.startswith("#[") and not (found and number <= found[-1][1]):
            end = number
            while end + 1 < len(LINES) and LINES[end + 1].startswith("#"):
                end += 1
            found.append((number, end))
    return found


def switched_on(first: int, last: int) -> str:
    """The file with some lines switched on, and with whatever says the same key in that table blank."""
    lines = list(LINES)
    lines[first : last + 1] = [OFF.sub("", line, count=1) for line in lines[first : last + 1]]
    begin = max(number for number in range(first + 1) if lines[number].startswith("["))
    for number in range(begin, first):
        if lines[number].partition(" =")[0] == lines[first].partition(" =")[0]:
            lines[number] = "" if number != first and not lines[number].startswith("[") else lines[number]
    return "\n".join(lines)


def merged(target: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(target.get(name), dict):
            merged(target[name], value)
        elif isinstance(value, list) and isinstance(target.get(name), list):
            target[name] += value
        else:
            target[name] = value


def everything() -> dict[str, Any]:
    """The file with each thing switched on that is off."""
    document: dict[str, Any] = {}
    inside = {number for first, last in tables_off() for number in range(first, last + 1)}
    singles = [number for number, line in enumerate(LINES) if OFF.match(line) and number not in inside]
    for first, last in [*tables_off(), *zip(singles, singles, strict=True)]:
        merged(document, tomllib.loads(switched_on(first, last)))
    return document


def paths(model: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, field in fields(model):
        inner = model_of(field.annotation)
        yield path + name
        if inner is not None:
            named = get_origin(field.annotation) is dict
            yield from paths(inner, f"{path}{name}.{'*.' if named else ''}")


def written(value: Any, model: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, field in fields(model):
        if name not in value:
            continue
        yield path + name
        inner = model_of(field.annotation)
        if inner is not None:
            named = get_origin(field.annotation) is dict
            some = (
                value[name] if isinstance(value[name], list) else list(value[name].values()) if named else [value[name]]
            )
            for each in some:
                if isinstance(each, dict):
                    yield from written(each, inner, f"{path}{name}.{'*.' if named else ''}")


def sessions_of(config: Config) -> Route:
    """The route that shows all that can be said about one."""
    (found,) = [route for route in config.routes if route.name == "sessions"]
    return found


def test_it_loads_without_faults() -> None:
    told: list[Fault] = []
    config = load(FILE, {}, EXTRA, told.append)
    assert told == []
    assert len(config.gateway.listen) == 1


def test_every_key_of_the_model_is_in_it() -> None:
    assert set(paths(Config)) - set(written(everything(), Config)) == set()


def test_values_that_are_not_examples_are_the_defaults() -> None:
    config = load(FILE, {})
    plain = Config(gateway=config.gateway)
    assert (config.http, config.upstream, config.log, config.metrics) == (
        plain.http,
        plain.upstream,
        plain.log,
        plain.metrics,
    )
    assert (config.admission, config.abuse) == (plain.admission, plain.abuse)
    assert config.gateway == plain.gateway
    assert sessions_of(config).max_body == config.http.max_body
    assert config.auth == plain.auth.model_copy(update={"issuers": config.auth.issuers, "roles": config.auth.roles})


def test_the_roles_are_those_that_there_are_without_it() -> None:
    written = roles_of(load(FILE, {}))
    assert set(load(FILE, {}).auth.roles) == set(PERMISSIONS)
    assert {name: written.permissions([name]) for name in PERMISSIONS} == PERMISSIONS
    assert written.may_break_glass == BREAK_GLASS


def test_only_signing_in_is_open_to_everybody() -> None:
    assert [route.name for route in load(FILE, {}).routes if route.auth != "required"] == ["login", "refresh"]


def test_people_come_before_administration() -> None:
    classes = {route.name: route.traffic_class for route in load(FILE, {}).routes}
    assert {name for name, each in classes.items() if each == "high"} == {"login", "refresh", "auth"}
    assert {name for name, each in classes.items() if each != "therapeutic"} == {
        "login",
        "refresh",
        "auth",
        "agents-change",
    }
    assert classes["agents-change"] == "low"


def test_every_route_is_limited_and_whoever_is_known_also_by_user() -> None:
    for route in load(FILE, {}).routes:
        assert route.limits == (("per-user", "per-ip") if route.auth == "required" else ("per-ip",))


def test_it_begins_every_service_of_tta() -> None:
    config = load(FILE, {})
    assert {name: service.instances[0].url for name, service in config.services.items()} == {
        "player-experience": "http://127.0.0.1:8080",
        "authentication": "http://127.0.0.1:8081",
        "core-gameplay": "http://127.0.0.1:8082",
        "agent-orchestration": "http://127.0.0.1:8503",
    }


@pytest.mark.parametrize("number", SINGLE, ids=lambda number: LINES[number].partition(" =")[0])
def test_switching_on_what_is_not_available_says_exactly_that(number: int, faults: Callable[..., Any]) -> None:
    [(line, key, message)] = faults(switched_on(number, number))
    assert line == number + 1
    assert LINES[number][1:].partition(" =")[0] in key
    assert "not available in this version" in message


def named(block: tuple[int, int]) -> str:
    return f"{LINES[block[0]].split()[0]}-{block[0] + 1}"


@pytest.mark.parametrize("block", blocks(available=False), ids=named)
def test_switching_on_a_table_that_is_not_available_says_so(block: tuple[int, int], faults: Callable[..., Any]) -> None:
    told = faults(switched_on(*block))
    assert all(block[0] + 1 <= line <= block[1] + 1 for line, _, _ in told)
    assert all("in this version" in message for _, _, message in told)
    assert told


@pytest.mark.parametrize("block", blocks(available=True), ids=named)
def test_tables_that_are_examples_work(block: tuple[int, int], tmp_path: Path) -> None:
    text = switched_on(*block)
    (tmp_path / "machines.secret").write_text("0" * 32)
    public = jwt.algorithms.RSAAlgorithm.to_jwk(generate_private_key(65537, 2048).public_key(), as_dict=True)
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [{**public, "kid": "1"}]}))
    authority, pem = trustme.CA(), tmp_path / "server.pem"
    authority.cert_pem.write_to_path(tmp_path / "clients.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(pem)
    # Certificates are shown over TLS.
    text = text.replace("tcp:8000:interface=127.0.0.1", f"ssl:8443:privateKey={pem}:certKey={pem}")
    (tmp_path / "ttagw.toml").write_text(text)
    told: list[Fault] = []
    config = load(tmp_path / "ttagw.toml", {}, EXTRA, told.append)
    assert told == []
    auth = config.auth
    examples = (auth.issuers[1:], auth.certificates.clients, auth.care.service, list(config.limits)[2:])
    assert len([each for each in examples if each]) == 1


def test_there_are_examples() -> None:
    assert [LINES[first].split()[0] for first, _ in blocks(available=True)] == [
        "#[limits.at-once]",
        "#[[auth.issuers]]",
        "#[[auth.issuers]]",
        "#[auth.certificates]",
        "#[auth.care]",
    ]


def test_what_else_is_switched_off_works(tmp_path: Path) -> None:
    others = [number for number, line in enumerate(LINES) if OFF.match(line)]
    inside = {number for first, last in tables_off() for number in range(first, last + 1)}
    working = [number for number in others if number not in inside and number not in SINGLE]
    assert [LINES[number].partition(" =")[0] for number in working] == [
        "#name",
        "#instances",
        "#instances",
        "#instances",
        "#instances",
        "#instances",
        "#hash_key",
        "#tls",
        "#split",
        "#claims",
    ]
    name, *instances, hash_key, tls, split, claims = [switched_on(number, number) for number in working]
    file = tmp_path / "ttagw.toml"
    told: list[Fault] = []
    (tmp_path / "instances.toml").write_text('[[instances]]\nurl = "http://127.0.0.1:8082"\n')
    for text in (name, *instances):
        file.write_text(text)
        assert load(file, {}, EXTRA, told.append)
    file.write_text(hash_key.replace('balance = "p2c" ', 'balance = "hash"'))
    assert load(file, {}, EXTRA, told.append).services["core-gameplay"].hash_key == "session"
    file.write_text(tls.replace("http://127.0.0.1:8082", "https://127.0.0.1:8082"))
    for each in ("ca.pem", "client.pem", "client.key"):
        (tmp_path / each).write_text("")
    assert load(file, {}).services["core-gameplay"].tls
    file.write_text(
        split.replace('service = "core-gameplay"\n# Or', "# Or").replace("core-gameplay-next", "authentication")
    )
    assert sessions_of(load(file, {})).split == {"core-gameplay": 95, "authentication": 5}
    file.write_text(claims)
    assert load(file, {}, EXTRA, told.append).classes["crisis"].claims == {"risk": ("acute", "high")}
    assert told == []
