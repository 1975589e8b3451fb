"""From a TOML file to a `Config`, or to everything that is wrong with it."""

from __future__ import annotations

import codecs
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from ttagw.config import available, references
from ttagw.config.faults import ConfigError, Fault, Finding, Key, name_of, one_line
from ttagw.config.files import absolute, missing
from ttagw.config.lines import Lines
from ttagw.config.model import Config
from ttagw.config.validation import validate
from ttagw.config.variables import Variables

Check = Callable[[Config], Sequence[Finding]]

_SAYS_LINE = re.compile(r"(.*) \(at line (\d+), column \d+\)")


def load(
    path: str | Path,
    environ: Mapping[str, str] = os.environ,
    extra_checks: Sequence[Check] = (),
    notice: Callable[[Fault], object] = lambda _: None,
) -> Config:
    """The configuration in a file. Raises `ConfigError` with all faults, by line.

    Relative paths in it begin at its folder. `extra_checks` see a configuration whose values are all of the right form.
    `notice` is told what is no fault, and still not what somebody can have meant.
    """
    path = Path(path)
    text, parsed = read_toml(read_file(path), path)
    variables = Variables(environ)
    document = variables.fill(parsed)
    absolute(document, path.parent.absolute())
    config, findings = _check(document, variables, extra_checks)
    lines = Lines(text)

    def fault(key: Key, message: str) -> Fault:
        return Fault(lines.of(key), one_line(name_of(key)), one_line(variables.hide(key, message)), str(path))

    if config is None or findings:
        raise ConfigError([fault(key, message) for key, message in findings])
    for key, message in references.notices(config):
        notice(fault(key, message))
    return config


def read_file(path: Path) -> bytes:
    """What is in a file. Raises `ConfigError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError([Fault(0, "", f"cannot be read: {error.strerror}", str(path))]) from None


def read_toml(raw: bytes, path: Path) -> tuple[str, dict[str, Any]]:
    """What is in a TOML file, as text and parsed. Raises `ConfigError`; `path` is for what it says."""
    text = _decoded(raw, path)
    return text, _parse(path, text)


def _decoded(raw: bytes, path: Path) -> str:
    if raw.startswith(codecs.BOM_UTF8):
        raise ConfigError([Fault(1, "", "begins with a byte order mark; save it as UTF-8 without one", str(path))])
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError([Fault(line, "", "not UTF-8 text", str(path))]) from None


def _parse(path: Path, text: str) -> dict[str, Any]:
    """The document that a text is. Raises `ConfigError`."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        says = _SAYS_LINE.fullmatch(str(error))
        line = int(says[2]) if says else text.count("\n") + 1
        raise ConfigError([Fault(line, "", one_line(f"not TOML: {says[1] if says else error}"), str(path))]) from None
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else "a number is too long"
        raise ConfigError([Fault(0, "", f"cannot be used: {why}", str(path))]) from None


def _check(
    document: dict[str, Any], variables: Variables, extra_checks: Sequence[Check]
) -> tuple[Config | None, list[Finding]]:
    unset = {key for key, _ in variables.findings}
    valid = validate(document)
    findings = [*variables.findings, *[each for each in valid.findings if each[0] not in unset]]
    wrong = {key for key, _ in findings}
    refused = [each for each in available.check(document) if each[0] not in wrong]
    findings += refused
    if valid.config is not None:
        said = unset | {key for key, _ in refused if isinstance(key[-1], str)}
        more = [*missing(valid.config), *references.check(valid.config)]
        findings += [each for each in more if not valid.doubts(each[0]) and not _below(each[0], said)]
    if valid.config is not None and not wrong:
        for check in extra_checks:
            findings += check(valid.config)
    return valid.config, findings


def _below(key: Key, others: Set[Key]) -> bool:
    """Whether it is one of the others, or in one of them."""
    return any(key[:length] in others for length in range(1, len(key) + 1))
