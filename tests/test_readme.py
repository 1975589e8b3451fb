"""What README.rst shows is true: its configuration loads, its commands exist, its layer works."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ttagw.checks import EXTRA
from ttagw.cli import main
from ttagw.cli.demo import WELCOME
from ttagw.config import Fault, load
from ttagw.model import Exchange, Reply
from ttagw.pipeline import Pipeline, Route
from ttagw.testing import RecordingSink, exchange
from ttagw.web.render import render

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.rst").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The literal blocks of README.rst in one language."""
    found = re.findall(rf"^\.\. code-block:: {language}\n\n((?:   .*\n|\n)+)", README, re.MULTILINE)
    return [textwrap.dedent(block).strip() + "\n" for block in found]


def run_layer(route_name: str) -> Reply:
    """What a client gets through the README's layer from a service that answers 200."""
    (source,) = blocks("python")
    names: dict[str, Any] = {}
    exec(source, names)
    layer = names["Sunset"]({"players": "Sat, 31 Dec 2027 23:59:59 GMT"})

    def forward(pipeline: Pipeline, exchange: Exchange) -> None:
        pipeline.answer(exchange, Reply(200, [(b"content-type", b"text/plain")], b"hello"))

    route = Route(route_name, "/api/v1/players/*", forward, max_body=0).bind([layer])
    sink = RecordingSink()
    Pipeline(render).run(exchange(sink=sink, on=route))
    assert sink.reply is not None
    return sink.reply


def test_what_the_demo_says_is_what_is_shown() -> None:
    said = WELCOME.format(port=8000, seconds=0.5, admin=8001, logs="", kept="", victim=1).splitlines()
    (shown,) = [block for block in blocks("text") if "make demo" in block]
    lines = [line.strip() for line in shown.splitlines()]
    begin = next(number for number, line in enumerate(lines) if line.startswith("The gateway answers"))
    end = lines.index("...")
    assert lines[begin:end] == [line.strip() for line in said[1 : 1 + end - begin]]
    assert lines[end + 1 :] == [said[-1]]
    assert end - begin > 8


def test_the_first_configuration_loads(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    path = tmp_path / "ttagw.toml"
    path.write_text(text, "utf-8")
    config = load(path, environ={}, extra_checks=EXTRA)
    assert [len(each.instances) for each in config.services.values()] == [2]
    assert [route.name for route in config.routes] == ["players"]


def test_the_first_configuration_lets_nobody_in_without_its_auth(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    path = tmp_path / "ttagw.toml"
    told: list[Fault] = []
    path.write_text(text, "utf-8")
    load(path, environ={}, notice=told.append)
    assert told == []
    path.write_text(re.sub(r"^auth = .*\n", "", text, flags=re.MULTILINE), "utf-8")
    load(path, environ={}, notice=told.append)
    assert [(fault.key, fault.message[:18]) for fault in told] == [("routes[0]", "lets nobody in: au")]


def test_the_refusal_is_worded_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = blocks("toml")
    shown = re.search(r"^   (ttagw\.toml:\d+: routes\[0\]\.compress: .*)$", README, re.MULTILINE)
    assert shown is not None
    (tmp_path / "ttagw.toml").write_text(text + "compress = true\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["check", "ttagw.toml"])
    assert result.exit_code == 1
    assert result.output.splitlines() == [shown[1]]


def test_the_commands_work_on_the_first_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = blocks("toml")
    (tmp_path / "ttagw.toml").write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    (lines,) = blocks("sh")
    commands = [line.removeprefix("ttagw ") for line in lines.splitlines() if line.startswith("ttagw ")]
    assert len(commands) == 3
    for command in commands:
        words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', command)]
        result = CliRunner().invoke(main, words)
        assert (result.exit_code, result.output != "") == (0, True), result.output


def test_the_layer_adds_its_field_on_its_route() -> None:
    assert run_layer("players").fields == [
        (b"content-type", b"text/plain"),
        (b"sunset", b"Sat, 31 Dec 2027 23:59:59 GMT"),
    ]


def test_the_layer_leaves_other_routes_alone() -> None:
    assert run_layer("worlds").fields == [(b"content-type", b"text/plain")]


def test_the_order_of_layers_is_that_of_the_service() -> None:
    (block,) = [each for each in blocks("text") if each.startswith("return [")]
    shown = re.findall(r"^    ([*.\w]+)[(,]", block, re.MULTILINE)
    source = (ROOT / "ttagw" / "service.py").read_text("utf-8")
    body = source[source.index("def layers(") : source.index("def outermost(")]
    listed = re.findall(r"^        ([*.\w]+)[(,]", body[body.index("return [") :], re.MULTILINE)
    assert [name for name in shown if name != "Sunset"] == listed


def test_every_document_is_named() -> None:
    pages = {path.name for path in (ROOT / "docs").glob("*.rst")} - {"index.rst"}
    assert set(re.findall(r"^\* ``(\w+\.rst)``", README, re.MULTILINE)) == pages


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 260
