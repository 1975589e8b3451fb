"""Who can be known by a certificate."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from ttagw.config.faults import name_of
from ttagw.config.references import check, notices
from ttagw.config.validation import validate

CA = 'ca = "/ca.pem", '
PLACE = "auth.certificates"


def clients(*matches: str, before: str = CA, **more: Any) -> str:
    listed = ", ".join([f'{{name = "c", match = {json.dumps(match)}}}' for match in matches])
    return f"auth.certificates = {{{before}clients = [{listed}]}}\n"


def found(text: str) -> list[tuple[str, str]]:
    valid = validate(tomllib.loads(text))
    if valid.findings or valid.config is None:
        return [(name_of(key), sentence) for key, sentence in valid.findings]
    return [(name_of(key), sentence) for key, sentence in check(valid.config)]


def told(text: str) -> list[tuple[str, str]]:
    config = validate(tomllib.loads(text)).config
    assert config is not None
    return [(name_of(key), sentence) for key, sentence in notices(config)]


@pytest.mark.parametrize(
    "matches",
    [
        ("dns:core.tta.internal", "dns:core.tta.example", "cn:core.tta.internal"),
        ("uri:spiffe://tta/a", "uri:spiffe://tta/A", "email:a@b.example"),
        ("cn:a b", "subject:CN=a b,O=TTA", r"subject:CN=a,O=TTA\, Inc"),
        ("subject:1.2.840.113549.1.9.1=a@b,CN=core",),
    ],
)
def test_programs_that_can_be_known(matches: tuple[str, ...]) -> None:
    assert found(clients(*matches)) == []


@pytest.mark.parametrize(
    ("matches", "sentence"),
    [
        (("dns:a.b", "dns:A.b"), "the same as that of clients[0], which comes first"),
        (("cn:a", "dns:b", "cn:a"), "the same as that of clients[0], which comes first"),
        (("dns:*.tta.internal",), "a wildcard is the name of nobody in particular, and never matches"),
        (("subject:core",), 'expected a subject as RFC 4514 writes it, such as "CN=core-gameplay,O=TTA"'),
        (("subject:CN=a, O=TTA",), 'expected a subject as RFC 4514 writes it, such as "CN=core-gameplay,O=TTA"'),
    ],
)
def test_programs_that_nobody_can_be(matches: tuple[str, ...], sentence: str) -> None:
    assert found(clients(*matches)) == [(f"{PLACE}.clients[{len(matches) - 1}].match", sentence)]


@pytest.mark.parametrize("match", ["", "core", "ip:127.0.0.1", "dns:", "dns:a b", "cn:é", "subject:\n"])
def test_what_matches_nothing_is_refused(match: str) -> None:
    [(key, sentence)] = found(clients(match))
    assert key == f"{PLACE}.clients[0].match"
    assert sentence.startswith("expected one of dns:NAME")


def test_without_authorities_there_are_no_programs() -> None:
    assert found(clients("cn:a", before="")) == [
        (f"{PLACE}.clients", "needs ca: without it nobody is asked for a certificate")
    ]


def test_what_they_may_do_must_be_there_and_fit_into_fields() -> None:
    client = 'auth.certificates = {ca = "/c", clients = [{name = "c", match = "cn:a", %s}]}'
    assert found(client % 'roles = ["service", "robot"]') == [
        (f"{PLACE}.clients[0].roles[1]", 'there is no role "robot"')
    ]
    assert found("auth.roles.robot = {}\n" + client % 'roles = ["service", "robot"]') == []
    for table, key in (
        (client % 'permissions = ["a\\r\\nx-user-id: b"]', f"{PLACE}.clients[0].permissions[0]"),
        ('auth.roles.robot.permissions = ["a b"]', "auth.roles.robot.permissions[0]"),
    ):
        [(place, sentence)] = found(table)
        assert (place, sentence.partition(",")[0]) == (
            key,
            'expected a permission such as "manage_users" or "register:core-gameplay"',
        )


def test_what_has_no_effect_is_told() -> None:
    secure = 'gateway.listen = ["tcp:8000", "ssl:8443:privateKey=k"]\n'
    assert told(secure + clients("cn:a")) == []
    assert told(clients("cn:a")) == [
        (f"{PLACE}.ca", "has no effect: certificates are shown at ssl: listeners, and gateway.listen has none")
    ]
    assert told(secure + clients()) == [(f"{PLACE}.ca", "lets nobody in: clients says of no certificate whose it is")]
