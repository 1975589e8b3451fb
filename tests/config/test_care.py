"""Where to ask who cares for whom."""

from __future__ import annotations

import tomllib

import pytest

from ttagw.config.faults import name_of
from ttagw.config.references import check, notices
from ttagw.config.validation import validate

A = 'services.a = {instances = ["http://h"]}\n'


def found(care: str) -> list[tuple[str, str]]:
    config = validate(tomllib.loads(f"{A}auth.care = {{{care}}}")).config
    assert config is not None
    return [(name_of(key), sentence) for key, sentence in check(config)]


@pytest.mark.parametrize(
    "care",
    ["", 'service = "a"', 'service = "a", path = "/x{person}-{caller}/y"', 'service = "a", cache = "0s"'],
)
def test_what_fits_is_good(care: str) -> None:
    assert found(care) == []


@pytest.mark.parametrize(
    ("care", "key", "sentence"),
    [
        ('service = "b"', "auth.care.service", 'there is no service "b"'),
        (
            'service = "a", path = "/care/{person}"',
            "auth.care.path",
            "has no {caller}: the answer would not be about them",
        ),
        (
            'service = "a", path = "/care/{caller}"',
            "auth.care.path",
            "has no {person}: the answer would not be about them",
        ),
        (
            'service = "a", path = "/care"',
            "auth.care.path",
            "has no {caller} and no {person}: the answer would not be about them",
        ),
        (
            'service = "a", path = "/{caller}/{person}/{more}"',
            "auth.care.path",
            "has braces that are not those of {caller} and {person}",
        ),
    ],
)
def test_what_does_not_fit_is_said(care: str, key: str, sentence: str) -> None:
    assert found(care) == [(key, sentence)]


@pytest.mark.parametrize("path", ["care/{caller}/{person}", "/care/{caller}?of={person}", "/{caller}/{person}#x", ""])
def test_a_path_is_a_path(path: str) -> None:
    result = validate(tomllib.loads(f'{A}auth.care = {{service = "a", path = "{path}"}}'))
    assert [name_of(key) for key, _ in result.findings] == ["auth.care.path"]


def test_keys_without_a_service_have_no_effect() -> None:
    config = validate(tomllib.loads(f'{A}auth.care = {{timeout = "1s", cache = "1m"}}')).config
    assert config is not None
    assert [(name_of(key), sentence) for key, sentence in notices(config)] == [
        ("auth.care.timeout", "has no effect: there is no auth.care.service to ask"),
        ("auth.care.cache", "has no effect: there is no auth.care.service to ask"),
    ]
