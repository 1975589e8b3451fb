"""Files that a configuration names."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ttagw.config.faults import name_of
from ttagw.config.files import absolute, missing, unreadable
from ttagw.config.validation import validate

NAMED = [
    ('services.a = {instances = ["https://h"], tls = {ca = "x"}}', "services.a.tls.ca"),
    ('services.a = {instances = ["https://h"], tls = {cert = "x", key = ""}}', "services.a.tls.cert"),
    ('services.a = {instances = ["https://h"], tls = {key = "x"}}', "services.a.tls.key"),
    ('services.a.instances = ["http://h", "file:x"]', "services.a.instances[1]"),
    ('services.a.instances = [{url = "file:x", zone = "b"}]', "services.a.instances[0]"),
    ('auth.issuers = [{issuer = "i", jwks_file = "x"}]', "auth.issuers[0].jwks_file"),
    ('auth.issuers = [{issuer = "i", algorithms = ["HS256"], secret_file = "x"}]', "auth.issuers[0].secret_file"),
    ('auth.api_keys.file = "x"', "auth.api_keys.file"),
    ('auth.upstream.secret_file = "x"', "auth.upstream.secret_file"),
    ('audit.pseudonym_key_file = "x"', "audit.pseudonym_key_file"),
    ('safety.lexicon = "x"', "safety.lexicon"),
    ('routes = [{name = "r", path = "/", validate = "x"}]', "routes[0].validate"),
]
Found = Callable[[str], list[tuple[str, str]]]


@pytest.fixture
def found(tmp_path: Path) -> Found:
    """What `missing` finds in a text, for a file in `tmp_path`."""

    def findings(text: str) -> list[tuple[str, str]]:
        document = tomllib.loads(text)
        absolute(document, tmp_path)
        config = validate(document).config
        assert config is not None
        return [(name_of(key), sentence) for key, sentence in missing(config)]

    return findings


@pytest.mark.parametrize(("text", "key"), NAMED)
def test_a_file_that_is_not_there_is_told(found: Found, tmp_path: Path, text: str, key: str) -> None:
    assert found(text) == [(key, f"{tmp_path / 'x'}: cannot be read: No such file or directory")]
    (tmp_path / "x").write_bytes(b"x" * 32)
    assert found(text) == []


def test_it_is_told_with_its_line(faults: Callable[..., Any], tmp_path: Path) -> None:
    text = '[services.a]\ninstances = ["https://h"]\n[services.a.tls]\nca = "x"\n'
    assert faults(text) == [(4, "services.a.tls.ca", f"{tmp_path / 'x'}: cannot be read: No such file or directory")]


def test_a_file_of_instances_is_told_with_its_line_too(faults: Callable[..., Any], tmp_path: Path) -> None:
    text = '[services.a]\ninstances = [\n"http://h",\n"file:x"]\n'
    told = [(4, "services.a.instances[1]", f"{tmp_path / 'x'}: cannot be read: No such file or directory")]
    assert faults(text) == told


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert unreadable(str(tmp_path)) == "not a file"
    (tmp_path / "x").write_bytes(b"")
    assert unreadable(str(tmp_path / "x")) == ""


@pytest.mark.parametrize(
    ("secret", "short"), [(b"x" * 31, True), (b"x" * 31 + b"\n", True), (b"x" * 32 + b"\n", False)]
)
def test_a_secret_has_a_length(found: Found, tmp_path: Path, secret: bytes, short: bool) -> None:
    (tmp_path / "x").write_bytes(secret)
    sentence = f"{tmp_path / 'x'}: expected a secret of 32 bytes or more"
    told = found('auth.issuers = [{issuer = "i", algorithms = ["HS256"], secret_file = "x"}]')
    assert told == ([("auth.issuers[0].secret_file", sentence)] if short else [])


def test_the_folder_of_the_access_log_is_there(faults: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "no" / "access.log"
    assert faults('[log]\naccess = "no/access.log"\n') == [
        (2, "log.access", f"{path}: there is no folder {path.parent}")
    ]


def test_paths_become_absolute_wherever_they_stand() -> None:
    document: dict[str, Any] = {
        "services": {
            "a": {"instances": ["https://h"], "tls": {"ca": "ca.pem", "key": "/k", "server_name": "n"}},
            "b": 5,
            "c": {"instances": ["file:f", {"url": "file:../g", "zone": "z"}, {"zone": "z"}, "file:/h", "file:", 5]},
            "d": {"instances": ["file://x", {"url": 5}]},
        },
        "auth": {"issuers": [{"jwks_file": "j"}, 5], "api_keys": {"file": "f"}, "upstream": 5},
        "routes": [{"validate": "v", "path": "p"}],
        "audit": {"path": "a"},
        "log": {"access": "-"},
        "safety": {"lexicon": ""},
    }
    absolute(document, Path("/etc/x"))
    assert document == {
        "services": {
            "a": {"instances": ["https://h"], "tls": {"ca": "/etc/x/ca.pem", "key": "/k", "server_name": "n"}},
            "b": 5,
            "c": {
                "instances": [
                    "file:/etc/x/f",
                    {"url": "file:/etc/x/../g", "zone": "z"},
                    {"zone": "z"},
                    "file:/h",
                    "file:",
                    5,
                ]
            },
            "d": {"instances": ["file://x", {"url": 5}]},
        },
        "auth": {"issuers": [{"jwks_file": "/etc/x/j"}, 5], "api_keys": {"file": "/etc/x/f"}, "upstream": 5},
        "routes": [{"validate": "/etc/x/v", "path": "p"}],
        "audit": {"path": "/etc/x/a"},
        "log": {"access": "-"},
        "safety": {"lexicon": ""},
    }


@pytest.mark.parametrize("document", [{"services": 5, "auth": 5, "routes": 5, "log": 5}, {"auth": {"issuers": 5}}])
def test_values_of_the_wrong_form_are_left_to_others(document: dict[str, Any]) -> None:
    absolute(document, Path("/etc"))
    assert validate(document).findings


def test_a_pipe_is_no_file_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert unreadable(str(tmp_path / "pipe")) == "not a file"


def test_a_name_with_a_nul_is_refused() -> None:
    assert unreadable("a\0b") == "a name cannot hold a NUL"
