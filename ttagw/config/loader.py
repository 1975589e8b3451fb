"""From a TOML file to a `Config`, or to everything that is wrong with it."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ttagw.config import available, references
from ttagw.config.faults import ConfigError, Fault, Finding, name_of
from ttagw.config.files import absolute, missing
from ttagw.config.lines import Lines
from ttagw.config.model import Config

Check = Callable[[Config], Sequence[Finding]]

_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}")
_SAYS_LINE = re.compile(r"(.*) \(at line (\d+), column \d+\)")


def load(path: str | Path, environ: Mapping[str, str] = os.environ, extra_checks: Sequence[Check] = ()) -> Config:
    """The configuration in a file. Relative paths in it are relative to its folder. Raises `ConfigError` with all faults."""
    path = Path(path)
    text = _read(path)
    lines = Lines(text)
    document = _parse(path, text)
    findings: list[Finding] = []
    document = _expand(document, (), environ, findings)
    absolute(document, path.parent.absolute())
    config = _validate(document, findings)
    wrong = {key for key, _ in findings}
    findings += [each for each in available.check(document) if each[0] not in wrong]
    if config is not None:
        findings += missing(config)
        findings += references.check(config)
        if not findings:
            for check in extra_checks:
                findings += check(config)
    if config is None or findings:
        raise ConfigError([Fault(lines.of(key), name_of(key), message, str(path)) for key, message in findings])
    return config


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError([Fault(0, "", f"cannot be read: {error.strerror}", str(path))]) from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise ConfigError([Fault(line, "", "not UTF-8 text", str(path))]) from None


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        says = _SAYS_LINE.fullmatch(str(error))
        line = int(says[2]) if says else text.count("\n") + 1
        raise ConfigError([Fault(line, "", f"not TOML: {says[1] if says else error}", str(path))]) from None


def _expand(value: Any, key: tuple[str | int, ...], environ: Mapping[str, str], findings: list[Finding]) -> Any:
    """The value with `${NAME}` and `${NAME:-default}` filled in; `$${` stands for `${`."""
    if isinstance(value, dict):
        return {name: _expand(each, (*key, name), environ, findings) for name, each in value.items()}
    if isinstance(value, list):
        return [_expand(each, (*key, index), environ, findings) for index, each in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value

    def fill(match: re.Match[str]) -> str:
        if match[1] is None:
            return "${"
        found = environ.get(match[1])
        if found is None and match[2] is None:
            findings.append((key, f"the environment variable {match[1]} is not set, and there is no default for it"))
        return found if found is not None else match[3] or ""

    return _VARIABLE.sub(fill, value)


def _validate(document: dict[str, Any], findings: list[Finding]) -> Config | None:
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        for each in error.errors():
            key = tuple([part for part in each["loc"] if part not in ("[key]",)])
            findings.append((key, _sentence(each)))
        return None


def _sentence(error: Any) -> str:
    kind = error["type"]
    given = error["input"]
    shown = f'"{given}"' if isinstance(given, str) else type(given).__name__ if isinstance(given, dict | list) else str(given)
    if kind == "extra_forbidden":
        return "not a key that is known here"
    if kind == "missing":
        return "must be given"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    expected = {
        "string_type": "a string",
        "int_type": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "tuple_type": "a list",
        "dict_type": "a table",
        "model_type": "a table",
    }.get(kind)
    if expected is None:
        expected = error["msg"].removeprefix("Input should be ").removeprefix("String should ")
    return f"expected {expected}, got {shown}"
