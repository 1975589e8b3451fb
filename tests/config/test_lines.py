"""The line of every key, however the file is written."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from datetime import date, time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttagw.config.lines import Lines

Draw = Callable[[st.SearchStrategy[Any]], Any]
Path = tuple[str | int, ...]

TEXT = st.text(st.sampled_from("ab#=[]{}.,\"'\\ \t\néü🙂-_"), max_size=8)
KEYS = st.one_of(
    st.text(st.sampled_from("ab-_1"), min_size=1, max_size=3), st.text(st.sampled_from("a.b#=[] \"'\\\té"), max_size=4)
)
SCALARS = st.one_of(
    TEXT, st.integers(-99, 99), st.booleans(), st.just(1.5), st.just(date(2026, 1, 2)), st.just(time(7, 8, 9))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)


class Writer:
    """Writes a document as TOML in styles that are drawn, and notes where each key came to stand."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self.text = ""
        self.lines: dict[Path, int] = {}

    def note(self, path: Path) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def put(self, text: str) -> None:
        self.text += text

    def flip(self) -> bool:
        return bool(self._draw(st.booleans()))

    def filler(self) -> None:
        self.put(self._draw(st.sampled_from(["", "\n", "# [a] = {\n", '\t# """\n', "   \n\n"])))

    def table(self, path: Path, table: dict[str, Any]) -> None:
        later = []
        for name, value in table.items():
            tables = isinstance(value, list) and value and all(isinstance(each, dict) for each in value)
            if (isinstance(value, dict) or tables) and self.flip():
                later.append((name, value))
            else:
                self.filler()
                self.pair(path, (), name, value)
                self.put(self._draw(st.sampled_from(["\n", " # = [\n", "\r\n"])))
        for name, value in later:
            self.headers((*path, name), value)

    def headers(self, path: Path, value: Any) -> None:
        if isinstance(value, dict):
            self.header(path, "[", "]")
            self.table(path, value)
            return
        for index, each in enumerate(value):
            self.filler()
            self.note((*path, index))
            self.header(path, "[[", "]]")
            self.table((*path, index), each)

    def header(self, path: Path, before: str, after: str) -> None:
        if before == "[":
            self.filler()
        for end in range(1, len(path) + 1):
            self.note(path[:end])
        names = [part for part in path if isinstance(part, str)]
        self.put(before + self._draw(st.sampled_from(["", " "])) + self.keys(names) + after + "\n")

    def keys(self, names: list[str]) -> str:
        return self._draw(st.sampled_from([".", " . "])).join([self.key(name) for name in names])

    def key(self, name: str) -> str:
        forms = [json.dumps(name), json.dumps(name, ensure_ascii=False)]
        if re.fullmatch("[A-Za-z0-9_-]+", name):
            forms.append(name)
        if "'" not in name and name.isprintable():
            forms.append(f"'{name}'")
        return str(self._draw(st.sampled_from(forms)))

    def pair(self, path: Path, before: tuple[str, ...], name: str, value: Any) -> None:
        """`before` are the names of tables that are written with dots."""
        inside = (*path, *before, name)
        for end in range(len(path) + 1, len(inside) + 1):
            self.note(inside[:end])
        if isinstance(value, dict) and value and self.flip():
            for place, (inner, each) in enumerate(value.items()):
                if place:
                    self.put("\n")
                self.pair(path, (*before, name), inner, each)
            return
        self.put(self.keys([*before, name]) + self._draw(st.sampled_from([" = ", "="])))
        self.value(inside, value)

    def value(self, path: Path, value: Any) -> None:
        if isinstance(value, dict):
            self.put("{")
            for place, (name, each) in enumerate(value.items()):
                self.put(", " if place else " ")
                self.note((*path, name))
                self.put(self.key(name) + " = ")
                self.value((*path, name), each)
            self.put(" }")
        elif isinstance(value, list):
            self.array(path, value)
        elif isinstance(value, str):
            self.put(self.string(value))
        else:
            self.put(str(value).lower() if isinstance(value, bool) else str(value))

    def array(self, path: Path, values: list[Any]) -> None:
        self.put("[")
        for place, each in enumerate(values):
            if place:
                self.put(",")
            self.put(self._draw(st.sampled_from(["", " ", "\n  ", " # ]\n", "\n\n# ,\n"])))
            self.note((*path, place))
            self.value((*path, place), each)
        self.put(self._draw(st.sampled_from(["", " ", ",\n", "\n"])) if values else "")
        self.put("]")

    def string(self, value: str) -> str:
        forms = [json.dumps(value, ensure_ascii=False)]
        escaped = value.replace("\\", "\\\\").replace('"""', '""\\"')
        if not escaped.endswith('"'):
            forms.append(f'"""\n{escaped}"""')
        elif not escaped.endswith(('""', '\\"')):
            forms.append(f'"""{escaped}"""' if not escaped.startswith("\n") else forms[0])
        if "'" not in value and "\n" not in value:
            forms.append(f"'{value}'")
        if "'''" not in value and not value.endswith("'"):
            forms.append(f"'''\n{value}'''")
        return str(self._draw(st.sampled_from(forms)))


@settings(max_examples=100, deadline=None)
@given(st.data(), DOCUMENTS)
def test_every_key_of_every_document_is_found(data: st.DataObject, document: dict[str, Any]) -> None:
    writer = Writer(data.draw)
    writer.table((), document)
    assert tomllib.loads(writer.text) == document
    lines = Lines(writer.text)
    assert {path: lines.of(path) for path in writer.lines} == writer.lines


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("gateway",), 2),
        (("gateway", "name"), 3),
        (("services",), 4),
        (("services", "a"), 4),
        (("services", "a", "instances"), 5),
        (("services", "a", "instances", 1), 7),
        (("services", "a", "instances", 1, "weight"), 7),
        (("services", "a", "instances", 1, "weight", "deeper"), 7),
        (("services", "a", "tls", "ca"), 9),
        (("routes",), 11),
        (("routes", 0, "path"), 13),
        (("routes", 1), 14),
        (("routes", 1, "headers"), 15),
        (("routes", 1, "headers", "x-a"), 16),
        (("nowhere",), 1),
        ((), 1),
    ],
)
def test_line_of_a_key_or_of_what_is_around_it(path: Path, line: int) -> None:
    text = """# a comment
[gateway]
name = "x"
[services.a]
instances = [
  "http://h",
  { url = "http://h:1", weight = 2 },
]
tls.ca = "ca.pem"

[[routes]]
name = "x"
path = "/"
[[routes]]
[routes.headers]
"x-a" = "1"
"""
    assert Lines(text).of(path) == line


def test_what_is_no_toml_does_not_hold_the_scanner_up() -> None:
    assert Lines("]]]\n= = \nname = 1\n").of(("name",)) == 3
