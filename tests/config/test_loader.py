"""From a file to a configuration, or to everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.config.conftest import ROUTE, SERVICE
from ttagw.config import Config, ConfigError, Fault, load
from ttagw.config.faults import name_of, one_line, shown


def test_an_empty_file_is_all_defaults(read: Callable[..., Config]) -> None:
    config = read("")
    assert config == Config(gateway=config.gateway)
    assert config.gateway.listen == ("tcp:8000:interface=127.0.0.1",)
    assert config.http.max_uri == 8192
    assert config.upstream.response_timeout == 30.0


def test_sections_are_values_of_the_right_types(read: Callable[..., Config]) -> None:
    config = read(
        '[gateway]\ntrusted_proxies = ["10.0.0.0/8", "::1"]\n'
        '[services.a]\ninstances = ["http://h:1", { url = "https://[::1]", weight = 2 }]\n' + ROUTE
    )
    assert [str(each) for each in config.gateway.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    assert [(each.url, each.weight) for each in config.services["a"].instances] == [
        ("http://h:1", 1),
        ("https://[::1]", 2),
    ]
    assert config.routes[0].auth == "none"
    assert config.routes[0].timeout is None


def test_all_faults_are_told_at_once_by_line(faults: Callable[..., Any]) -> None:
    told = faults(
        '[http]\nmax_uri = "8 kilo"\nno_such = 1\n[services.a]\ninstances = ["http://h"]\ndependencies = ["b"]\n'
        '[[routes]]\nname = "r"\npath = "/r"\nservice = "c"\ncompress = true\n[log]\nformat = "xml"\n'
    )
    assert told == [
        (2, "http.max_uri", 'expected a size such as "8KiB", "10MiB" or a number of bytes, got "8 kilo"'),
        (3, "http.no_such", "there is no such key here"),
        (6, "services.a.dependencies[0]", 'there is no service "b"'),
        (10, "routes[0].service", 'there is no service "c"'),
        (11, "routes[0].compress", "compression is not available in this version; remove the key or write false"),
        (13, "log.format", 'expected json or combined, got "xml"'),
    ]


def test_what_was_left_out_as_faulty_makes_no_further_faults(faults: Callable[..., Any]) -> None:
    told = faults(SERVICE + ROUTE.replace('service = "a"', "service = 5") + "[gateway]\nworkers = 0\n")
    assert [(line, key) for line, key, _ in told] == [(6, "routes[0].service"), (9, "gateway.workers")]


def test_checks_from_outside_see_a_valid_configuration(tmp_path: Path) -> None:
    file = tmp_path / "ttagw.toml"
    file.write_text('[gateway]\nname = "here"\n')
    with pytest.raises(ConfigError) as caught:
        load(file, {}, [lambda config: [(("gateway", "name"), f"not {config.gateway.name}")]])
    assert caught.value.faults == (Fault(2, "gateway.name", "not here", str(file)),)


def test_checks_from_outside_do_not_see_values_of_the_wrong_form(faults: Callable[..., Any]) -> None:
    broken = SERVICE + ROUTE.replace('path = "/r"', 'path = "no path"')
    assert [key for _, key, _ in faults(broken)] == ["routes[0].path"]
    assert [key for _, key, _ in faults(broken + "[log]\nformat = 1\n")] == ["log.format"]


def test_a_file_that_is_not_there_is_one_fault(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    with pytest.raises(ConfigError) as caught:
        load(missing)
    assert str(caught.value) == f"{missing}: cannot be read: No such file or directory"


def test_a_folder_is_one_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory$"):
        load(tmp_path)


def test_a_file_that_is_not_utf8_is_one_fault(tmp_path: Path) -> None:
    file = tmp_path / "ttagw.toml"
    file.write_bytes(b'[gateway]\n\nname = "\xff"\n')
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert caught.value.faults == (Fault(3, "", "not UTF-8 text", str(file)),)
    file.write_bytes(b"\xef\xbb\xbf[gateway]\n")
    with pytest.raises(ConfigError, match="begins with a byte order mark"):
        load(file)


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("[gateway]\nname = \n", 2, "not TOML: Invalid value"),
        ('[gateway]\nname = "a"\nname = "b"\n', 3, "not TOML: Cannot overwrite a value"),
        ('[gateway]\nname = """a\n', 2, "not TOML: Unterminated string"),
        ("[gateway\n", 1, "not TOML: Expected ']' at the end of a table declaration"),
        ("[[[[", 1, "not TOML: "),
        ('a = "\x1b"', 1, "not TOML: Illegal character '\\x1b'"),
        (f"a = {'9' * 5000}", 0, "cannot be used: a number is too long"),
        (f"a = {'[' * 5000}", 0, "cannot be used: nested too deeply"),
    ],
)
def test_what_is_not_toml_is_one_fault(faults: Callable[..., Any], text: str, line: int, sentence: str) -> None:
    [(told_line, key, message)] = faults(text)
    assert message.startswith(sentence)
    assert key == ""
    assert told_line in (line, text.count("\n") + 1)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_whatever_stands_in_a_file_the_faults_are_one_line_each(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text(text, encoding="utf-8", newline="")
    told: tuple[Fault, ...] = ()
    try:
        load(file, {})
    except ConfigError as error:
        told = error.faults
    assert all(str(fault).isprintable() for fault in told)


def test_hostile_values_stay_on_their_line(faults: Callable[..., Any]) -> None:
    long = "x" * 500
    told = faults(f'[log]\nlevel = "a\\nb\\u001b[31m"\nformat = "{long}"\n"odd\\nkey" = 1\n')
    assert [message for _, _, message in told[:2]] == [
        'expected debug, info, warn, error or critical, got "a\\nb\\x1b[31m"',
        f'expected json or combined, got "{"x" * 79}…',
    ]
    assert told[2][1] == 'log."odd\\nkey"'


def test_relative_paths_begin_at_the_folder_of_the_file(read: Callable[..., Config], tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    assert read('[log]\naccess = "logs/access.log"\n').log.access == str(tmp_path / "logs" / "access.log")
    assert read('[log]\naccess = "-"\n').log.access == "-"


def test_a_fault_says_file_line_key_and_sentence() -> None:
    assert (
        str(Fault(12, "http.max_uri", "expected a size", "etc/ttagw.toml"))
        == "etc/ttagw.toml:12: http.max_uri: expected a size"
    )
    assert str(Fault(3, "", "not TOML", "a.toml")) == "a.toml:3: not TOML"
    assert str(Fault(0, "", "cannot be read", "a.toml")) == "a.toml: cannot be read"


def test_faults_are_sorted_and_told_once() -> None:
    error = ConfigError([Fault(2, "b", "x"), Fault(1, "a", "x"), Fault(2, "b", "x")])
    assert [fault.line for fault in error.faults] == [1, 2]


def test_keys_are_named_as_people_write_them() -> None:
    assert name_of(("routes", 2, "headers", "x.y")) == 'routes[2].headers."x.y"'
    assert name_of(()) == ""


@pytest.mark.parametrize(
    ("value", "text"), [("a", '"a"'), (1, "1"), (True, "true"), (False, "false"), ([1], "a list"), ({}, "a table")]
)
def test_values_are_shown_as_they_stand_in_the_file(value: object, text: str) -> None:
    assert shown(value) == text


@given(st.text())
def test_one_line_is_printable(text: str) -> None:
    assert one_line(text).isprintable()
