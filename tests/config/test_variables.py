"""What the environment fills in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.config import Config
from ttagw.config.variables import Variables


@pytest.mark.parametrize(
    ("written", "filled"),
    [
        ("${A}", "one"),
        ("x${A}y${B}z", "xoneytwoz"),
        ("${A:-no}", "one"),
        ("${MISSING:-default}", "default"),
        ("${MISSING:-}", ""),
        ("${EMPTY:-default}", ""),
        ("$${A}", "${A}"),
        ("$A", "$A"),
        ("$$A {A}", "$$A {A}"),
        ("${NESTED}", "${A}"),
    ],
)
def test_filled_in(written: str, filled: str) -> None:
    variables = Variables({"A": "one", "B": "two", "EMPTY": "", "NESTED": "${A}"})
    document = {"a": {"b": [written, 1, {"c": written}]}}
    assert variables.fill(document) == {"a": {"b": [filled, 1, {"c": filled}]}}
    assert not variables.findings


@pytest.mark.parametrize("written", ["${", "${}", "${1A}", "${A", "${A-b}", "${A:-${B}}", "${A:=b}"])
def test_what_looks_like_a_variable_and_is_none_is_a_fault(written: str) -> None:
    variables = Variables({"A": "one"})
    variables.fill({"a": written})
    assert {key for key, _ in variables.findings} == {("a",)}
    assert all("written $${" in sentence for _, sentence in variables.findings)


@given(st.text().filter(lambda text: "${" not in text))
def test_other_text_stays_as_it_is(text: str) -> None:
    assert Variables({}).fill({"a": text}) == {"a": text}


def test_unset_variable_is_named_with_its_line(faults: Callable[..., Any]) -> None:
    told = faults('[gateway]\nname = "${PLACE}"\ndrain = "${LONG}"\n')
    assert told == [
        (2, "gateway.name", "the environment variable PLACE is not set, and there is no default for it"),
        (3, "gateway.drain", "the environment variable LONG is not set, and there is no default for it"),
    ]


def test_a_fault_shows_the_variable_and_not_its_value(faults: Callable[..., Any]) -> None:
    environ = {"TOKEN": "hunter2 and more", "FOLDER": "/no/such/place"}
    told = faults(
        '[gateway]\nlisten = ["tcp:1", "${TOKEN}"]\n[log]\naccess = "${FOLDER}/access.log"\n'
        '[services.a]\ninstances = ["http://h"]\n[[routes]]\nname = "r"\npath = "/"\nservice = "${TOKEN}"\n',
        environ,
    )
    text = "\n".join(message for _, _, message in told)
    assert "hunter2" not in text
    assert 'got "${TOKEN}"' in text
    assert len(told) >= 3


def test_hidden_is_only_what_stands_there() -> None:
    variables = Variables({"A": "expected", "B": ""})
    variables.fill({"a": {"b": "${A}"}, "c": "${B}"})
    assert variables.hide(("a",), 'expected x, got "expected" and unexpected') == '${A} x, got "${A}" and unexpected'
    assert variables.hide(("c",), "expectedly") == "expectedly"


def test_a_value_is_hidden_in_sentences_about_other_keys_and_inside_other_text() -> None:
    variables = Variables({"SECRET": "hunter2"})
    variables.fill({"a": "x-${SECRET}.pem"})
    assert variables.hide(("b",), '"{hunter2}" and hunter2.pem') == '"{${SECRET}}" and ${SECRET}.pem'


def test_a_value_may_come_from_the_environment(read: Callable[..., Config]) -> None:
    config = read('[gateway]\nlisten = ["tcp:${PORT:-9000}"]\ndrain = "${DRAIN}"\n', {"DRAIN": "5s"})
    assert config.gateway.listen == ("tcp:9000",)
    assert config.gateway.drain == 5.0
