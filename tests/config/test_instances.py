"""Files that list instances: everything wrong with one is said, and nothing of it counts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ttagw.config import ConfigError
from ttagw.config.instances import LARGEST, Listed, load_instances

A = '[[instances]]\nurl = "http://a:1"\n'
URL = 'expected an address such as "http://127.0.0.1:8082", got'


def faults(file: Path, text: str) -> list[tuple[int, str, str]]:
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError) as caught:
        load_instances(str(file))
    assert {each.file for each in caught.value.faults} == {str(file)}
    return [(each.line, each.key, each.message) for each in caught.value.faults]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "instances.toml"


def test_everything_that_can_be_said_about_an_instance(file: Path) -> None:
    file.write_text(
        '[[instances]]\nurl = "https://[::1]"\n\n[[instances]]\nurl = "http://a"\nweight = 3\nzone = "b"\n'
        'tags = ["canary", "v2"]\nversion = "1.2.3+x"\nid = "a-1"\n'
    )
    first, second = load_instances(str(file))
    assert first == Listed(url="https://[::1]")
    assert first.name == "[::1]:443"
    assert second == Listed(url="http://a", weight=3, zone="b", tags=("canary", "v2"), version="1.2.3+x", id="a-1")
    assert second.name == "a-1"
    assert Listed(url="http://a").name == "a:80"


def test_none_are_said_and_not_left_out(file: Path) -> None:
    file.write_text("instances = []\n")
    assert load_instances(str(file)) == ()
    assert faults(file, "# being written\n") == [(1, "instances", "must be given")]


@pytest.mark.parametrize(
    ("text", "line", "key", "message"),
    [
        (A + "wieght = 2\n", 3, "instances[0].wieght", "there is no such key here"),
        (A + '[[instances]]\nurl = "a:2"\n', 4, "instances[1].url", f'{URL} "a:2"'),
        (A + '[[instances]]\nurl = "file:x"\n', 4, "instances[1].url", f'{URL} "file:x"'),
        (A + "weight = 0\n", 3, "instances[0].weight", "expected a number of 1 or more, got 0"),
        (A + 'version = "a b"\n', 3, "instances[0].version", 'expected a version such as "1.2.3", got "a b"'),
        (A + '[[instances]]\nurl = "http://A:1"\n', 4, "instances[1].url", '"http://A:1" is the same as instances[0]'),
        (
            A + '[[instances]]\nurl = "https://a:1"\n',
            4,
            "instances[1].url",
            'the id "a:1" is taken by instances[0]',
        ),
        (
            A + '[[instances]]\nurl = "http://b"\nid = "a:1"\n',
            5,
            "instances[1].id",
            'the id "a:1" is taken by instances[0]',
        ),
        (A + "url = [[instan\n", 3, "", "not TOML: Invalid value"),
        ("instances = 5\n", 1, "instances", "expected a list, got 5"),
        ("\udcff", 1, "", "not UTF-8 text"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(file: Path, text: str, line: int, key: str, message: str) -> None:
    assert faults(file, text) == [(line, key, message)]


def test_what_is_no_such_file_is_not_read(file: Path) -> None:
    assert faults(file, "#" * LARGEST + "\n") == [(0, "", f"larger than {LARGEST} bytes")]
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ConfigError, match="cannot be read: not a file"):
        load_instances(str(file))


def test_the_configuration_is_told_about_all_of_it(faults: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(A + "weight = 0\nx = 1\n")
    text = '[services.a]\ninstances = ["http://h",\n  { url = "file:x.toml" }]\n'
    where = tmp_path / "x.toml"
    assert faults(text) == [
        (3, "services.a.instances[1]", f"{where}:3: instances[0].weight: expected a number of 1 or more, got 0"),
        (3, "services.a.instances[1]", f"{where}:4: instances[0].x: there is no such key here"),
    ]


def test_a_good_file_is_taken(read: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(A)
    config = read(
        '[services.a]\ninstances = ["file:x.toml"]\nslow_start = "0s"\nhealth.type = "none"\nbalance = "least_conn"\n'
    )
    (instance,) = config.services["a"].instances
    assert (instance.source, instance.path) == ("file", str(tmp_path / "x.toml"))
